//! Reading a rules file: from a tree of values to a checked rule set.
//!
//! ```text
//!   document ─► Builder: options · vars · views · conditions ─► check ─► RuleSet
//! ```
//!
//! Not here: the grammar of templates (`template::parse`) and filters, the old JSON (`upstream`).
//! Must always hold: a key that means nothing is an error; every mistake is reported, not only the first; a rule set that
//! comes out is within limits.rs.

mod check;
mod condition;
mod options;
mod view;

use super::RuleSet;
use super::document::{self, Data, Node};
use super::error::{Position, RuleError, RuleErrorKind, RuleErrors, suggestion};
use crate::limits::RULES_BYTES_MAX;
use crate::vfs::field::FieldTable;
use crate::vfs::template::{self, Dialect, Template};

pub use check::finish;
pub use options::{BLANKS, CHARSETS, COLLISIONS, COLONS};

/// The version of the format that this build reads and writes.
pub const VERSION: f64 = 1.0;
/// Parses any of the three forms.
pub fn parse(text: &str) -> Result<RuleSet, RuleErrors> {
    if text.len() > RULES_BYTES_MAX {
        let message = format!("the rules have {} bytes; {RULES_BYTES_MAX} are allowed", text.len());
        let kind = RuleErrorKind::Limit;
        return Err(RuleErrors(vec![RuleError { kind, path: String::new(), position: None, message }]));
    }
    let one = |error| RuleErrors(vec![error]);
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        let json = document::json(text.trim_start_matches('\u{feff}')).map_err(one)?;
        if json.get("rules").is_some() {
            return crate::vfs::upstream::import(json);
        }
        return read(&document::of_json(&json), None);
    }
    read(&document::toml(text).map_err(one)?, Some(text))
}

fn read(root: &Node, text: Option<&str>) -> Result<RuleSet, RuleErrors> {
    let mut builder = Builder::new(text);
    let [version, options, vars, views] =
        builder.entries(root, "", ["version", "options", "vars", "view"]).unwrap_or_default();
    match version.map(|node| &node.data) {
        Some(Data::Number(number)) if *number == VERSION => {}
        Some(_) => builder.fail(RuleErrorKind::Value, "version", version, "this build reads version 1"),
        None => builder.fail(RuleErrorKind::MissingKey, "", Some(root), "`version = 1` is missing"),
    }
    let vars = builder.vars(vars);
    let options = builder.options(options);
    let views = builder.views(views);
    finish(builder, options, vars, views)
}

/// Collects what a rules file says, and what is wrong with it.
pub struct Builder<'t> {
    text: Option<&'t str>,
    /// Names of the templates in `[vars]`.
    pub var_names: Vec<String>,
    /// Fields that have been named so far.
    pub fields: FieldTable,
    /// Mistakes.
    pub errors: Vec<RuleError>,
}

impl<'t> Builder<'t> {
    /// A builder for a rules file; its text, when there is one, turns offsets into lines.
    pub fn new(text: Option<&'t str>) -> Self {
        Self { text, var_names: Vec::new(), fields: FieldTable::default(), errors: Vec::new() }
    }

    /// Notes a mistake.
    pub fn fail(&mut self, kind: RuleErrorKind, path: &str, node: Option<&Node>, message: impl Into<String>) {
        self.fail_at(kind, path, node.and_then(|node| node.at), message);
    }

    pub(super) fn fail_at(
        &mut self,
        kind: RuleErrorKind,
        path: &str,
        at: Option<usize>,
        message: impl Into<String>,
    ) {
        let position = at.and_then(|at| self.text.map(|text| Position::of(text, at)));
        self.errors.push(RuleError { kind, path: path.to_owned(), position, message: message.into() });
    }

    /// The values of a table's keys; any other key is a mistake.
    pub(super) fn entries<'n, const N: usize>(
        &mut self,
        node: &'n Node,
        path: &str,
        keys: [&str; N],
    ) -> Option<[Option<&'n Node>; N]> {
        let Data::Table(entries) = &node.data else {
            let message = format!("a table was expected, not {}", node.kind());
            self.fail(RuleErrorKind::Value, path, Some(node), message);
            return None;
        };
        let mut found = [None; N];
        for (key, at, value) in entries {
            match keys.iter().position(|known| known == key) {
                Some(slot) => found[slot] = Some(value),
                None => {
                    let message = format!("unknown key `{key}`{}", suggestion(key, keys));
                    self.fail_at(RuleErrorKind::UnknownKey, path, *at, message);
                }
            }
        }
        Some(found)
    }

    pub(super) fn string(&mut self, path: &str, node: &Node) -> Option<String> {
        match &node.data {
            Data::Text(text) => Some(text.clone()),
            _ => {
                self.fail(
                    RuleErrorKind::Value,
                    path,
                    Some(node),
                    format!("a string was expected, not {}", node.kind()),
                );
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, path: &str, node: Option<&Node>, default: bool) -> bool {
        match node.map(|node| &node.data) {
            None => default,
            Some(Data::Bool(value)) => *value,
            Some(_) => {
                self.fail(RuleErrorKind::Value, path, node, "`true` or `false` was expected");
                default
            }
        }
    }

    pub(super) fn strings(&mut self, path: &str, node: &Node) -> Vec<String> {
        let Data::List(items) = &node.data else {
            self.fail(RuleErrorKind::Value, path, Some(node), "a list of strings was expected");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.string(path, item)).collect()
    }

    /// One of several words.
    pub(super) fn word<T: Copy + Default>(
        &mut self,
        path: &str,
        node: Option<&Node>,
        words: &[(&str, T)],
    ) -> T {
        let Some(node) = node else { return T::default() };
        let Some(text) = self.string(path, node) else { return T::default() };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message =
            format!("`{text}` is none of {}{}", all.join(", "), suggestion(&text, all.iter().copied()));
        self.fail(RuleErrorKind::Value, path, Some(node), message);
        T::default()
    }

    /// A template; an empty one when it does not parse.
    pub fn template(&mut self, path: &str, node: Option<&Node>, text: &str, dialect: Dialect) -> Template {
        match template::parse(text, dialect, &self.var_names, &mut self.fields) {
            Ok(template) => template,
            Err(error) => {
                let at = node.and_then(|node| node.at).map(|at| self.inside(at, text, error.at));
                self.fail_at(RuleErrorKind::Template, path, at, error.message);
                Template { parts: Vec::new(), suffix: 0 }
            }
        }
    }

    /// The offset of a character inside a quoted string that begins at `at`; the string's own when it has escapes.
    fn inside(&self, at: usize, text: &str, offset: usize) -> usize {
        let source = self.text.and_then(|all| all.get(at..)).unwrap_or_default();
        let quotes = source.len() - source.trim_start_matches(['\'', '"']).len();
        let quotes = if quotes >= 3 { 3 } else { 1 };
        let same = source.get(quotes..).is_some_and(|inner| inner.starts_with(text));
        if same { at + quotes + offset } else { at }
    }
}
