//! Rule sets: which file goes where, in which view.
//!
//! ```text
//!   text ─► document ─► read ──┐                       ┌─► place ─► Placement
//!   old JSON ─► upstream ──────┴─► RuleSet (checked) ──┼─► explain
//!                                                      └─► print, properties
//! ```
//!
//! A view is a tree of its own; in each view the first rule in file order whose condition holds and whose required
//! fields are there places the file. What no rule places goes where `unmatched` says.
//!
//! Not here: the tree, collisions between files (`tree`), where rules are stored (meta).
//! Must always hold: a `RuleSet` is complete and checked, placing never fails; the same record gives the same placements
//! on every node; `parse(print(r)) == r`.

mod document;
mod error;
mod explain;
mod place;
mod print;
#[cfg(test)]
mod random_tests;
mod read;
#[cfg(test)]
mod scripts;

use super::condition::Condition;
use super::field::{FieldId, FieldTable};
use super::filter::Words;
use super::name::NameRules;
use super::template::Template;

pub use document::{Data, Node, of_json};
pub use error::{Position, RuleError, RuleErrorKind, RuleErrors, nearest, suggestion};
pub use explain::{Explanation, FieldUse, Outcome, RuleTrial, ViewExplanation};
pub use place::{Label, Placement};
pub use read::{Builder, finish};

/// A checked set of rules.
#[derive(Clone, Debug)]
pub struct RuleSet {
    pub(super) options: Options,
    pub(super) var_names: Vec<String>,
    pub(super) vars: Vec<Template>,
    pub(super) views: Vec<View>,
    pub(super) fields: FieldTable,
    /// Always in the table: it decides where the suffix of a file name begins.
    pub(super) extension: FieldId,
    pub(super) warnings: Vec<RuleError>,
    pub(super) origin: Option<serde_json::Value>,
}

/// What holds for all views.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How names are made legal.
    pub names: NameRules,
    /// What filters need to know.
    pub words: Words,
    /// How files that want one path are told apart.
    pub collision: Collision,
    /// Fields that tell them apart, best first.
    pub labels: Vec<FieldId>,
    /// Where files go that no rule of the view at `/` places.
    pub unmatched: Unmatched,
}

/// How files that want one path are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collision {
    /// By the first label field that sets them apart, else by a hash.
    #[default]
    Label,
    /// By a hash.
    Hash,
}

/// What happens to files that no rule places.
#[derive(Clone, Debug, PartialEq)]
pub enum Unmatched {
    /// They are not in the view.
    Hide,
    /// They are placed by this template.
    At(Template),
}

/// One tree.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The folder that holds it; empty for the view at `/`.
    pub name: String,
    /// Its rules, first match wins.
    pub rules: Vec<Rule>,
    /// Where files go that no rule places; `None` means as the options say at `/`, and hidden in other views.
    pub unmatched: Option<Unmatched>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its name, unique in its view.
    pub name: String,
    /// What it is for, in words.
    pub description: Option<String>,
    /// Whether it is used at all.
    pub enabled: bool,
    /// Which files it is for.
    pub when: Condition,
    /// Where they go.
    pub path: Template,
    /// Whether its files belong beside a video (`attach = "video"`): `{@stem}` is that video's path.
    pub attach: bool,
    /// Whether a file that lacks a required field is unmatched at once, without trying the next rule.
    pub stop_when_missing: bool,
}

impl RuleSet {
    /// Parses TOML, JSON of the same shape, or the old system's `RenamingConfig` JSON, told apart by their first
    /// character and keys. Reports every mistake it finds.
    pub fn parse(text: &str) -> Result<RuleSet, RuleErrors> {
        read::parse(text)
    }

    /// Things that may be mistakes: fields that no known writer sets but whose name is close to one.
    pub fn warnings(&self) -> &[RuleError] {
        &self.warnings
    }

    /// The old system's JSON that this set was read from, as it was.
    pub fn origin(&self) -> Option<&serde_json::Value> {
        self.origin.as_ref()
    }

    /// The views, in file order.
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// How files that want one path are told apart.
    pub fn collision(&self) -> Collision {
        self.options.collision
    }

    /// How names are made legal.
    pub fn names(&self) -> &NameRules {
        &self.options.names
    }

    /// Where unmatched files of a view go.
    pub(super) fn unmatched<'a>(&'a self, view: &'a View) -> &'a Unmatched {
        match (&view.unmatched, view.name.is_empty()) {
            (Some(own), _) => own,
            (None, true) => &self.options.unmatched,
            (None, false) => &Unmatched::Hide,
        }
    }
}

/// Equal meaning: the same canonical text.
impl PartialEq for RuleSet {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
