//! Which properties matter: `RulesPropertyExtractor` of the VFS seed.
//!
//! *Relevant* properties are kept in memory for each file; *naming* properties are those of them whose change can move
//! the file (design D12: only they move a record's naming order to the back).
//!
//! Not here: what the properties do (`rule`, `field`).
//! Must always hold: every property that a placement, a label or an attribute may read is relevant; every one that can
//! change a path is naming; `/` and `.` are the same, and a property matters when it lies above or below one that does.

use super::field::{self, FieldId};
use super::rule::{RuleSet, Unmatched};
use crate::codec::Blob;
use crate::meta::op::{Op, SystemOp};

/// Properties that attributes are made of. They never change a path.
/// Source: the VFS seed, "Core Properties"; `sizeByte` is what real writers set.
const ATTRIBUTES: [&str; 5] = ["size", "fileSize", "sizeByte", "mtime", "ctime"];
/// Properties that every file needs for a name.
const NAMES: [&str; 3] = ["filePath", "fileName", "extension"];

/// A set of properties, with everything above and below them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertySet {
    /// The properties themselves, with `/`, sorted.
    exact: Vec<String>,
    /// Everything above them: `titles` of `titles/eng`. Sorted.
    above: Vec<String>,
}

impl PropertySet {
    /// A set of these properties.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut exact: Vec<String> = names.into_iter().map(|name| name.replace('.', "/")).collect();
        exact.sort();
        exact.dedup();
        let parents =
            |name: &String| name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect::<Vec<_>>();
        let mut above: Vec<String> = exact.iter().flat_map(parents).collect();
        above.sort();
        above.dedup();
        Self { exact, above }
    }

    /// Whether a property is in the set, or above or below one that is. Allocates only for names with dots.
    pub fn contains(&self, property: &str) -> bool {
        if property.contains('.') {
            return self.contains(&property.replace('.', "/"));
        }
        let is_in =
            |all: &[String], name: &str| all.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
        is_in(&self.exact, property)
            || property.match_indices('/').any(|(at, _)| is_in(&self.exact, &property[..at]))
            || is_in(&self.above, property)
    }

    /// The properties themselves, sorted, with `/`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exact.iter().map(String::as_str)
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.exact.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty()
    }
}

impl RuleSet {
    /// Properties that can change the path of a file: those of enabled rules, of labels, and all they are derived from.
    pub fn naming_properties(&self) -> PropertySet {
        let fields = self.used_fields();
        let named = fields.into_iter().flat_map(|id| field::sources(self.fields.name(id)));
        PropertySet::new(named.chain(NAMES.map(str::to_owned)))
    }

    /// Properties that the filesystem needs to know of a file: the naming ones, and those of its attributes.
    pub fn relevant_properties(&self) -> PropertySet {
        let naming = self.naming_properties();
        PropertySet::new(naming.exact.into_iter().chain(ATTRIBUTES.map(str::to_owned)))
    }

    /// The operation that puts these rules in force: their text and, because apply evaluates no rules, the properties
    /// that name. `text` is what `self` was parsed from, or its printed form.
    pub fn set_operation(&self, text: impl Into<Blob>) -> Op {
        let naming = self.naming_properties();
        let naming = naming.names().map(|name| Blob::from(name.to_owned())).collect();
        Op::System(SystemOp::SetRules { text: text.into(), naming })
    }

    fn used_fields(&self) -> Vec<FieldId> {
        let mut used = self.options.labels.clone();
        for view in &self.views {
            for rule in view.rules.iter().filter(|rule| rule.enabled) {
                used.extend(rule.when.fields());
                self.collect(&rule.path, &mut used);
            }
            if let Unmatched::At(template) = self.unmatched(view) {
                self.collect(template, &mut used);
            }
        }
        used.sort();
        used.dedup();
        used
    }
}
