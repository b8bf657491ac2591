//! Explaining a placement: which rules were tried, why they did not apply, where the winner's values came from.
//!
//! Not here: how it is shown (`cli`, `http`).
//! Must always hold: the path explained is the path placed.

use super::{RuleSet, View};
use crate::vfs::field::{FieldId, Fields};
use crate::vfs::template::{Missing, Place, Rendered, Template};

/// Why a file is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One per view, in file order.
    pub views: Vec<ViewExplanation>,
}

/// Why a file is where it is in one view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewExplanation {
    /// Name of the view; empty for the one at `/`.
    pub view: String,
    /// Rules in the order in which they were tried; the last one is the winner, if there is one.
    pub tried: Vec<RuleTrial>,
    /// The winner's name; `None` when no rule matched.
    pub rule: Option<String>,
    /// The path, before collisions; `None` when the view hides the file.
    pub path: Option<String>,
    /// Fields that the winner's condition and template name, in order of appearance.
    pub fields: Vec<FieldUse>,
}

/// One rule that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrial {
    /// Its name.
    pub rule: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of trying a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is switched off.
    Disabled,
    /// This part of its condition does not hold.
    Refused(String),
    /// A required field is not there.
    Missing(String),
    /// It placed the file.
    Placed,
}

/// A field that a rule looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldUse {
    /// The field.
    pub field: String,
    /// Its value; `None` when absent.
    pub value: Option<String>,
    /// The property that the value was read from.
    pub source: Option<String>,
}

impl RuleSet {
    /// Explains where a file is placed, and why.
    pub fn explain(&self, fields: &dyn Fields) -> Explanation {
        let place = self.place_of(fields);
        let views = self.views.iter().enumerate();
        Explanation { views: views.map(|(at, view)| self.explain_view(&place, at, view)).collect() }
    }

    fn explain_view(&self, place: &Place<'_>, at: usize, view: &View) -> ViewExplanation {
        let mut rendered = Rendered::default();
        let mut tried = Vec::new();
        for rule in &view.rules {
            let outcome = if !rule.enabled {
                Outcome::Disabled
            } else if let Some(refusal) = rule.when.refusal(&place.scope) {
                Outcome::Refused(self.condition_text(refusal))
            } else {
                match self.try_path(place, view, &rule.path, &mut rendered) {
                    Ok(_) => Outcome::Placed,
                    Err(missing) => Outcome::Missing(self.missing_text(missing)),
                }
            };
            let missing = matches!(outcome, Outcome::Missing(_));
            let done = outcome == Outcome::Placed || (missing && rule.stop_when_missing);
            tried.push(RuleTrial { rule: rule.name.clone(), outcome });
            if done {
                break;
            }
        }
        let placement = self.place_in(place, at, view, &mut rendered);
        let winner = placement.as_ref().and_then(|p| p.rule).map(|number| &view.rules[number]);
        let mut named: Vec<FieldId> = Vec::new();
        if let Some(rule) = winner {
            named.extend(rule.when.fields());
            self.collect(&rule.path, &mut named);
        } else {
            named.extend(self.fields.find("fileName"));
        }
        ViewExplanation {
            view: view.name.clone(),
            tried,
            rule: winner.map(|rule| rule.name.clone()),
            path: placement.map(|p| p.path),
            fields: self.uses(place, named),
        }
    }

    /// Fields of a template and of the templates it names.
    pub(in crate::vfs) fn collect(&self, template: &Template, out: &mut Vec<FieldId>) {
        out.extend(template.fields());
        for var in template.vars() {
            self.collect(&self.vars[var], out);
        }
    }

    fn uses(&self, place: &Place<'_>, named: Vec<FieldId>) -> Vec<FieldUse> {
        let mut seen = Vec::new();
        let mut uses = Vec::new();
        for id in named {
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            let found = place.scope.find(id);
            uses.push(FieldUse {
                field: self.field_name(id).to_owned(),
                value: found.map(|found| found.value.text().into_owned()),
                source: found.map(|found| found.source.to_owned()),
            });
        }
        uses
    }

    fn missing_text(&self, missing: Missing) -> String {
        match missing {
            Missing::Field(Some(id)) => self.field_name(id).to_owned(),
            Missing::Field(None) => "a value".to_owned(),
            Missing::Stem => "@stem (the file belongs to no video)".to_owned(),
            Missing::Name => "a file name".to_owned(),
        }
    }
}
