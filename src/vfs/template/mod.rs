//! Templates: how a path is put together from fields.
//!
//! ```text
//!   Movies/{titles/eng|title}< ({year})>/{fileName}
//!   literal  value with a fallback  group
//! ```
//!
//! | written | means |
//! |---|---|
//! | `{title}` | the field; without it the rule does not apply |
//! | `{a\|b\|"text"}` | the first that is there |
//! | `{season:pad2}`, `{episode:pad2:range("-E")}` | filters, left to right (see [`crate::vfs::filter`]) |
//! | `{x?}` | the field or nothing |
//! | `{x?(text {y})}` | the text when `x` is there |
//! | `< … >` | dropped as a whole when a required field inside is missing; may be nested |
//! | `{@name}` | the template called `name` in `[vars]` |
//! | `{@stem}` | the path of the video that a sidecar belongs to |
//! | `{{` `}}` | braces |
//! | `/` | a folder; a `/` inside a value never makes one |
//!
//! Not here: which rule's template is used (`rule`), what makes a name legal (`name`).
//! Must always hold: `parse(print(t)) == t`; a parsed template is small and shallow enough to be evaluated without a
//! second thought (limits.rs).

mod eval;
mod parse;
mod print;

use super::field::FieldId;
use super::filter::Filter;

pub use eval::{Missing, Place, Rendered};
pub use parse::{Dialect, TemplateError, is_field_name, parse};
pub use print::print;

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its parts, in order.
    pub parts: Vec<Part>,
    /// Index of the part at which the file's suffix (`.eng.srt`, `.mkv`) begins; `parts.len()` when the template does
    /// not show one. A collision label goes in front of it.
    pub suffix: usize,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text as it stands; `/` separates folders.
    Literal(String),
    /// A value.
    Value(Expr),
    /// Parts that are dropped together.
    Group(Vec<Part>),
    /// Parts that are shown, as a group, when a field is there.
    When(FieldId, Vec<Part>),
}

/// What stands between braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// Where the value may come from, first one wins.
    pub alternatives: Vec<Alternative>,
    /// What is done to it, in order.
    pub filters: Vec<Filter>,
    /// Whether nothing at all will do, too.
    pub optional: bool,
}

/// One source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alternative {
    /// A field of the record.
    Field(FieldId),
    /// Fixed text.
    Literal(String),
    /// A named template, by its place in the rule set.
    Var(usize),
    /// The path of the video that a sidecar belongs to.
    Stem,
}

impl Expr {
    /// The template that stands here bare, without fallback, filter or `?`: its folders are folders of the whole.
    pub fn bare(&self) -> Option<&Alternative> {
        match self.alternatives.as_slice() {
            [only] if self.filters.is_empty() && !self.optional => Some(only),
            _ => None,
        }
    }
}

impl Template {
    /// Every field that the template itself names (not those of its `@vars`), in order of appearance.
    pub fn fields(&self) -> Vec<FieldId> {
        let mut all = Vec::new();
        visit(&self.parts, &mut |found| {
            if let Alternative::Field(id) = found {
                all.push(*id);
            }
        });
        all
    }

    /// Every `@var` that the template names.
    pub fn vars(&self) -> Vec<usize> {
        let mut all = Vec::new();
        visit(&self.parts, &mut |found| {
            if let Alternative::Var(at) = found {
                all.push(*at);
            }
        });
        all
    }

    /// Number of parts and alternatives: what an evaluation costs at most, `@vars` not counted.
    pub fn size(&self) -> usize {
        count(&self.parts)
    }
}

fn count(parts: &[Part]) -> usize {
    parts
        .iter()
        .map(|part| match part {
            Part::Literal(_) => 1,
            Part::Value(expr) => expr.alternatives.len() + expr.filters.len(),
            Part::Group(inner) | Part::When(_, inner) => 1 + count(inner),
        })
        .sum()
}

fn visit(parts: &[Part], see: &mut dyn FnMut(&Alternative)) {
    for part in parts {
        match part {
            Part::Literal(_) => {}
            Part::Value(expr) => expr.alternatives.iter().for_each(&mut *see),
            Part::Group(inner) => visit(inner, see),
            Part::When(id, inner) => {
                see(&Alternative::Field(*id));
                visit(inner, see);
            }
        }
    }
}

/// Where the suffix of a file name begins: the longest end of the template that is made of nothing but a dot and one
/// of the fields that players read after the stem.
/// Source: Jellyfin, "External subtitles and audio tracks": `<video stem>[.title][.lang][.flags].srt`.
pub fn suffix_start(parts: &[Part], is_tail: &dyn Fn(&Expr) -> bool) -> usize {
    let mut at = parts.len();
    while at > 0 {
        let step = match &parts[at - 1] {
            Part::Group(inner) | Part::When(_, inner) if suffix_start(inner, is_tail) == 0 => 1,
            Part::Value(expr)
                if expr.bare().is_some_and(|a| matches!(a, Alternative::Var(_))) && is_tail(expr) =>
            {
                1
            }
            Part::Value(expr)
                if at > 1 && parts[at - 2] == Part::Literal(".".to_owned()) && is_tail(expr) =>
            {
                2
            }
            _ => break,
        };
        at -= step;
    }
    at
}
