//! Printing a rule set as a rules file.
//!
//! Not here: templates (`template::print`) and filters, which print themselves.
//! Must always hold: `parse(print(r)) == r`; equal rule sets print equal text.

use std::fmt::{self, Write as _};

use super::read::{BLANKS, CHARSETS, COLLISIONS, COLONS};
use super::{Rule, RuleSet, Unmatched, View};
use crate::vfs::condition::{Condition, Scalar, Test};
use crate::vfs::template::{self, Template};

impl fmt::Display for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "version = 1\n")?;
        self.write_options(f)?;
        if !self.vars.is_empty() {
            writeln!(f, "\n[vars]")?;
            let mut vars: Vec<_> = self.var_names.iter().zip(&self.vars).collect();
            vars.sort_by_key(|(name, _)| *name);
            for (name, template) in vars {
                writeln!(f, "{} = {}", key(name), self.template(template))?;
            }
        }
        self.views.iter().try_for_each(|view| self.write_view(f, view))
    }
}

impl RuleSet {
    fn write_options(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        writeln!(f, "[options]")?;
        writeln!(f, "charset = {}", string(word(&CHARSETS, options.names.charset)))?;
        writeln!(f, "colon = {}", string(word(&COLONS, options.names.colon)))?;
        writeln!(f, "blanks = {}", string(word(&BLANKS, options.names.blanks)))?;
        writeln!(f, "max-name = {}", options.names.bytes_max)?;
        writeln!(f, "articles = {}", list(options.words.articles.iter().map(|a| string(a))))?;
        writeln!(f, "collision = {}", string(word(&COLLISIONS, options.collision)))?;
        let labels = options.labels.iter().map(|id| string(self.fields.name(*id)));
        writeln!(f, "labels = {}", list(labels))?;
        writeln!(f, "unmatched = {}", self.unmatched_text(&options.unmatched))
    }

    fn write_view(&self, f: &mut fmt::Formatter<'_>, view: &View) -> fmt::Result {
        writeln!(f, "\n[[view]]\nname = {}", string(&view.name))?;
        if let Some(unmatched) = &view.unmatched {
            writeln!(f, "unmatched = {}", self.unmatched_text(unmatched))?;
        }
        view.rules.iter().try_for_each(|rule| self.write_rule(f, rule))
    }

    fn write_rule(&self, f: &mut fmt::Formatter<'_>, rule: &Rule) -> fmt::Result {
        writeln!(f, "\n  [[view.rule]]\n  name = {}", string(&rule.name))?;
        if let Some(description) = &rule.description {
            writeln!(f, "  description = {}", string(description))?;
        }
        if !rule.enabled {
            writeln!(f, "  enabled = false")?;
        }
        if rule.when != Condition::ALWAYS {
            writeln!(f, "  when = {}", self.condition_text(&rule.when))?;
        }
        if rule.attach {
            writeln!(f, "  attach = \"video\"")?;
        }
        if rule.stop_when_missing {
            writeln!(f, "  missing = \"unmatched\"")?;
        }
        writeln!(f, "  path = {}", self.template(&rule.path))
    }

    fn template(&self, template: &Template) -> String {
        string(&template::print(&template.parts, &self.fields, &self.var_names))
    }

    fn unmatched_text(&self, unmatched: &Unmatched) -> String {
        match unmatched {
            Unmatched::Hide => string("hide"),
            Unmatched::At(template) => self.template(template),
        }
    }

    /// A condition as an inline table.
    pub(in crate::vfs) fn condition_text(&self, condition: &Condition) -> String {
        match condition {
            Condition::All(inner) => match self.merged(inner) {
                Some(entries) => format!("{{ {entries} }}"),
                None => format!("{{ all = {} }}", list(inner.iter().map(|c| self.condition_text(c)))),
            },
            other => format!("{{ {} }}", self.entry(other).1),
        }
    }

    /// The conditions as entries of one table, if no key is there twice.
    fn merged(&self, conditions: &[Condition]) -> Option<String> {
        let entries: Vec<(String, String)> = conditions.iter().map(|c| self.entry(c)).collect();
        let unique = (1..entries.len()).all(|at| entries[..at].iter().all(|(key, _)| *key != entries[at].0));
        let texts: Vec<String> = entries.into_iter().map(|(_, text)| text).collect();
        (unique && !texts.is_empty()).then(|| texts.join(", "))
    }

    /// The key and the whole entry of one condition.
    fn entry(&self, condition: &Condition) -> (String, String) {
        let (name, value) = match condition {
            Condition::All(inner) => ("all".to_owned(), self.conditions(inner)),
            Condition::Any(inner) => ("any".to_owned(), self.conditions(inner)),
            Condition::None(inner) => ("none".to_owned(), self.conditions(inner)),
            Condition::Test(field, test) => (key(self.fields.name(*field)), test_text(test)),
        };
        let entry = format!("{name} = {value}");
        (name, entry)
    }

    fn conditions(&self, inner: &[Condition]) -> String {
        list(inner.iter().map(|c| self.condition_text(c)))
    }
}

fn test_text(test: &Test) -> String {
    match test {
        Test::Present => string("present"),
        Test::Absent => string("absent"),
        Test::OneOf(all) => one_or_list(all),
        Test::Not(all) => format!("{{ not = {} }}", one_or_list(all)),
        Test::Contains(text) => format!("{{ contains = {} }}", string(text)),
        Test::Matches(pattern) => format!("{{ matches = {} }}", string(pattern.text())),
        Test::Compare(order, bound) => format!("{{ {} = {} }}", order.key(), scalar(bound)),
    }
}

/// One constant alone, unless it is a word that would be read as a test.
fn one_or_list(all: &[Scalar]) -> String {
    match all {
        [Scalar::Text(word)] if word == "present" || word == "absent" => list([string(word)]),
        [only] => scalar(only),
        _ => list(all.iter().map(scalar)),
    }
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => string(text),
        Scalar::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        Scalar::Number(number) => format!("{number:?}"),
        Scalar::Bool(value) => value.to_string(),
    }
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// A TOML string: literal where that is possible, so that templates read as they were written.
pub(in crate::vfs) fn string(text: &str) -> String {
    if !text.contains('\'') && !text.chars().any(char::is_control) {
        let quote = if text.contains(['"', '\\', '{']) { '\'' } else { '"' };
        return format!("{quote}{text}{quote}");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => write!(out, "\\u{:04x}", c as u32).expect("strings take all text"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn key(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare && !name.is_empty() { name.to_owned() } else { string(name) }
}

fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}
