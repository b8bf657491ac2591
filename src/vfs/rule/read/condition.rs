//! Reading conditions: tables of fields and tests.
//!
//! Not here: what they mean (`crate::vfs::condition`).
//! Must always hold: nesting is bounded; every test that means nothing is an error with a suggestion.

use super::Builder;
use crate::limits::CONDITION_DEPTH_MAX;
use crate::vfs::condition::{Condition, Order, Scalar, Test};
use crate::vfs::filter::Pattern;
use crate::vfs::rule::document::{Data, Node};
use crate::vfs::rule::error::{RuleErrorKind, suggestion};
use crate::vfs::template;

impl Builder<'_> {
    /// A condition table: fields and their tests, `all`, `any`, `none`.
    pub fn when(&mut self, path: &str, node: &Node, depth: usize) -> Condition {
        if depth > CONDITION_DEPTH_MAX {
            let message = format!("conditions are nested deeper than {CONDITION_DEPTH_MAX} levels");
            self.fail(RuleErrorKind::Limit, path, Some(node), message);
            return Condition::ALWAYS;
        }
        let Data::Table(entries) = &node.data else {
            let message = format!("a table of fields was expected, not {}", node.kind());
            self.fail(RuleErrorKind::Condition, path, Some(node), message);
            return Condition::ALWAYS;
        };
        let mut all = Vec::new();
        for (key, at, value) in entries {
            let path = format!("{path}.{key}");
            match key.as_str() {
                "all" => all.push(Condition::all(self.several(&path, value, depth))),
                "any" => all.push(Condition::Any(self.several(&path, value, depth))),
                "none" => all.push(Condition::None(self.several(&path, value, depth))),
                name if template::is_field_name(name) => all.push(self.field_test(&path, name, value)),
                name => {
                    self.fail_at(RuleErrorKind::Condition, &path, *at, format!("`{name}` is no field name"));
                }
            }
        }
        Condition::all(all)
    }

    fn several(&mut self, path: &str, node: &Node, depth: usize) -> Vec<Condition> {
        let Data::List(items) = &node.data else {
            self.fail(RuleErrorKind::Condition, path, Some(node), "a list of tables was expected");
            return Vec::new();
        };
        items.iter().map(|item| self.when(path, item, depth + 1)).collect()
    }

    /// `season = 1`, `["a","b"]`, `"present"`, `{ ge = 2 }`.
    fn field_test(&mut self, path: &str, name: &str, node: &Node) -> Condition {
        let field = self.fields.intern(name);
        let tests = match &node.data {
            Data::Text(word) if word == "present" => vec![Test::Present],
            Data::Text(word) if word == "absent" => vec![Test::Absent],
            Data::Table(entries) => {
                entries.iter().filter_map(|(key, at, value)| self.test(path, key, *at, value)).collect()
            }
            _ => vec![Test::OneOf(self.scalars(path, node))],
        };
        Condition::all(tests.into_iter().map(|test| Condition::Test(field, test)).collect())
    }

    fn test(&mut self, path: &str, key: &str, at: Option<usize>, node: &Node) -> Option<Test> {
        if let Some((_, order)) = Order::KEYS.iter().find(|(known, _)| *known == key) {
            let bound = self.scalars(path, node).into_iter().next()?;
            return Some(Test::Compare(*order, bound));
        }
        match (key, &node.data) {
            ("not", Data::Text(word)) if word == "present" => Some(Test::Absent),
            ("not", Data::Text(word)) if word == "absent" => Some(Test::Present),
            ("not", _) => Some(Test::Not(self.scalars(path, node))),
            ("contains", _) => self.string(path, node).map(Test::Contains),
            ("matches", _) => {
                let text = self.string(path, node)?;
                match Pattern::new(&text) {
                    Ok(pattern) => Some(Test::Matches(pattern)),
                    Err(message) => {
                        self.fail(RuleErrorKind::Condition, path, Some(node), message);
                        None
                    }
                }
            }
            _ => {
                let known = ["not", "contains", "matches", "lt", "le", "gt", "ge"];
                let message = format!("unknown test `{key}`{}", suggestion(key, known));
                self.fail_at(RuleErrorKind::UnknownKey, path, at, message);
                None
            }
        }
    }

    /// A scalar, or a list of them.
    pub fn scalars(&mut self, path: &str, node: &Node) -> Vec<Scalar> {
        match &node.data {
            Data::Text(text) => vec![Scalar::Text(text.clone())],
            Data::Number(number) => vec![Scalar::Number(*number)],
            Data::Bool(value) => vec![Scalar::Bool(*value)],
            Data::List(items) if items.iter().all(|i| !matches!(i.data, Data::List(_))) => {
                items.iter().flat_map(|item| self.scalars(path, item)).collect()
            }
            Data::List(_) | Data::Table(_) | Data::Other(_) => {
                let message =
                    format!("a string, number, boolean or list of them was expected, not {}", node.kind());
                self.fail(RuleErrorKind::Condition, path, Some(node), message);
                Vec::new()
            }
        }
    }

    /// `[{ field = "fileType", value = "video" }]`: the long form of the seeds.
    pub(super) fn long_form(&mut self, path: &str, node: &Node) -> Condition {
        let Data::List(items) = &node.data else {
            self.fail(RuleErrorKind::Condition, path, Some(node), "a list of tables was expected");
            return Condition::ALWAYS;
        };
        let mut all = Vec::new();
        for item in items {
            let Some([field, value]) = self.entries(item, path, ["field", "value"]) else { continue };
            let Some(name) = field.and_then(|node| self.string(path, node)) else {
                self.fail(RuleErrorKind::MissingKey, path, Some(item), "`field` is missing");
                continue;
            };
            if !template::is_field_name(&name) {
                self.fail(RuleErrorKind::Condition, path, field, format!("`{name}` is no field name"));
                continue;
            }
            match value {
                Some(value) => all.push(self.field_test(path, &name, value)),
                None => all.push(Condition::Test(self.fields.intern(&name), Test::Present)),
            }
        }
        Condition::all(all)
    }
}
