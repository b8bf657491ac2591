//! Placing a file: its path in each view.
//!
//! Cost: 1.8 µs of CPU a file with the preset `jellyfin`, 1.2 µs with `upstream`, in a release build (200,000 records of
//! ten properties: half episodes, a quarter films with a colon in the title, a quarter songs with accents; thread time
//! from `/proc/thread-self/schedstat` around a loop over `place`, on a busy two-core machine). Most of it is reading
//! properties that lie all over the memory, so each is read once, in one walk over the record.
//!
//! Not here: what happens when two files get the same path (`tree`).
//! Must always hold: at most one placement per view; a placement's components are legal names; placing is a pure
//! function of (rule set, fields).

use super::{Collision, RuleSet, Unmatched, View};
use crate::vfs::field::{FieldId, Fields, Scope, Value};
use crate::vfs::name::extension_at;
use crate::vfs::template::{Missing, Place, Rendered, Template};

/// The path of a file in one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Index of the view in the rule set.
    pub view: usize,
    /// Index of the rule in its view; `None` when no rule matched.
    pub rule: Option<usize>,
    /// Path below the root, components joined by `/`, the view's folder included.
    pub path: String,
    /// Byte position in `path` of the file's suffix (`.mkv`, `.en.srt`): a collision label goes in front of it.
    pub suffix_at: usize,
    /// Texts that may tell the file from others with this path, best first; none stands in the name already.
    pub labels: Vec<String>,
}

impl Placement {
    /// The components, folders first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.path.split('/')
    }

    /// The path without the file's suffix: what sidecars of the file share with it.
    pub fn stem(&self) -> &str {
        &self.path[..self.suffix_at]
    }
}

/// A text that may tell a file from others that want its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The field it comes from.
    pub field: String,
    /// The text, fit for a name.
    pub text: String,
}

impl RuleSet {
    /// The file's path in each view that shows it.
    pub fn place(&self, fields: &dyn Fields) -> Vec<Placement> {
        let place = self.place_of(fields);
        let mut rendered = Rendered::default();
        let labels = match self.options.collision {
            Collision::Label => self.labels_in(&place.scope),
            Collision::Hash => Vec::new(),
        };
        let views = self.views.iter().enumerate();
        let mut all: Vec<Placement> =
            views.filter_map(|(at, view)| self.place_in(&place, at, view, &mut rendered)).collect();
        for placement in &mut all {
            let new = labels.iter().filter(|label| !placement.stem().contains(&label.text));
            placement.labels = new.map(|label| label.text.clone()).collect();
        }
        all
    }

    /// Texts that may tell the file from others with the same path, best first; none are equal.
    pub fn label_candidates(&self, fields: &dyn Fields) -> Vec<Label> {
        self.labels_in(&Scope::new(&self.fields, fields))
    }

    fn labels_in(&self, scope: &Scope<'_>) -> Vec<Label> {
        let mut labels: Vec<Label> = Vec::new();
        for id in &self.options.labels {
            let Some(value) = scope.value(*id) else { continue };
            let text = self.options.names.value(&value.text());
            if !text.is_empty() && labels.iter().all(|l| l.text != text) {
                labels.push(Label { field: self.fields.name(*id).to_owned(), text });
            }
        }
        labels
    }

    /// The path of a placement with ` - label` in front of its suffix, Jellyfin's way of naming versions; the name is
    /// cut to its limit so that label and suffix survive.
    pub fn labelled(&self, placement: &Placement, label: &str) -> String {
        let label = format!(" - {}", self.options.names.value(label));
        let dir_len = placement.path[..placement.suffix_at].rfind('/').map_or(0, |at| at + 1);
        let (stem, suffix) = (placement.stem(), &placement.path[placement.suffix_at..]);
        let names = &self.options.names;
        let room = names.bytes_max.saturating_sub(label.len() + suffix.len());
        let stem = &stem[dir_len..];
        let mut name = stem[..crate::vfs::name::cut(stem, room)].trim_end_matches([' ', '.']).to_owned();
        name.push_str(&label);
        let mut path = placement.path[..dir_len].to_owned();
        names.push_component(&mut path, &name, suffix);
        path
    }

    pub(super) fn place_of<'a>(&'a self, fields: &'a dyn Fields) -> Place<'a> {
        Place {
            scope: Scope::new(&self.fields, fields),
            names: &self.options.names,
            words: &self.options.words,
            vars: &self.vars,
        }
    }

    pub(super) fn place_in(
        &self,
        place: &Place<'_>,
        at: usize,
        view: &View,
        rendered: &mut Rendered,
    ) -> Option<Placement> {
        for (number, rule) in view.rules.iter().enumerate().filter(|(_, rule)| rule.enabled) {
            if !rule.when.holds(&place.scope) {
                continue;
            }
            match self.try_path(place, view, &rule.path, rendered) {
                Ok((path, suffix_at)) => {
                    return Some(placement(at, Some(number), path, suffix_at));
                }
                Err(_) if rule.stop_when_missing => break,
                Err(_) => {}
            }
        }
        self.place_unmatched(place, at, view, rendered)
    }

    fn place_unmatched(
        &self,
        place: &Place<'_>,
        at: usize,
        view: &View,
        rendered: &mut Rendered,
    ) -> Option<Placement> {
        let Unmatched::At(template) = self.unmatched(view) else { return None };
        let (path, suffix_at) = self
            .try_path(place, view, template, rendered)
            .or_else(|_| self.fallback_path(place, view, rendered))
            .ok()?;
        Some(placement(at, None, path, suffix_at))
    }

    /// Where a file goes when even the template for unmatched files lacks a field: no file is ever lost.
    fn fallback_path(
        &self,
        place: &Place<'_>,
        view: &View,
        rendered: &mut Rendered,
    ) -> Result<(String, usize), Missing> {
        rendered.raw.clear();
        rendered.suffix = None;
        rendered.raw.push_str("Unsorted/");
        let name = self.fields.find("fileName").and_then(|id| place.scope.value(id)).map(Value::text);
        if !name.is_some_and(|name| place.names.push_value(&mut rendered.raw, &name)) {
            rendered.raw.push('_');
        }
        self.finish_path(place, view, rendered)
    }

    pub(super) fn try_path(
        &self,
        place: &Place<'_>,
        view: &View,
        template: &Template,
        rendered: &mut Rendered,
    ) -> Result<(String, usize), Missing> {
        rendered.raw.clear();
        rendered.suffix = None;
        place.render(template, rendered)?;
        self.finish_path(place, view, rendered)
    }

    /// Makes each component legal. Components that came out empty because everything in them was optional are left
    /// out; a path that ends in one has no file name.
    fn finish_path(
        &self,
        place: &Place<'_>,
        view: &View,
        rendered: &Rendered,
    ) -> Result<(String, usize), Missing> {
        let raw = rendered.raw.as_str();
        let name_at = raw.rfind('/').map_or(0, |at| at + 1);
        if raw[name_at..].bytes().all(|b| b == b' ') {
            return Err(Missing::Name);
        }
        let mut path = String::with_capacity(view.name.len() + raw.len() + 8);
        path.push_str(&view.name);
        for folder in raw[..name_at].split('/').filter(|folder| !folder.bytes().all(|b| b == b' ')) {
            separate(&mut path);
            place.names.push_component(&mut path, folder, "");
        }
        separate(&mut path);
        let name = &raw[name_at..];
        let suffix_at = match rendered.suffix {
            Some(at) if at >= name_at => at - name_at,
            _ => self.suffix_of(place, name),
        };
        let (stem, suffix) = name.split_at(suffix_at);
        let suffix_at = place.names.push_component(&mut path, stem, suffix);
        Ok((path, suffix_at))
    }

    /// Where the suffix of a whole file name begins: at its extension, if it ends in the file's own or in a usual one.
    fn suffix_of(&self, place: &Place<'_>, name: &str) -> usize {
        let own = place.scope.value(self.extension).map(Value::text).and_then(|extension| {
            let at = name.len().checked_sub(extension.len() + 1)?;
            let tail = name.get(at..)?.strip_prefix('.')?;
            (at > 0 && tail.eq_ignore_ascii_case(&extension)).then_some(at)
        });
        own.or_else(|| extension_at(name)).unwrap_or(name.len())
    }

    /// The name of a field of this rule set.
    pub(super) fn field_name(&self, id: FieldId) -> &str {
        self.fields.name(id)
    }
}

fn placement(view: usize, rule: Option<usize>, path: String, suffix_at: usize) -> Placement {
    Placement { view, rule, path, suffix_at, labels: Vec::new() }
}

fn separate(path: &mut String) {
    if !path.is_empty() {
        path.push('/');
    }
}
