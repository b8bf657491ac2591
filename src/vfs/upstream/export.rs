//! Writing a `RenamingConfig`.
//!
//! Not here: reading one (`import`).
//! Must always hold: a rule set that came from this format gives back exactly what it came from.

use serde_json::{Map, Value as Json, json};

use crate::vfs::condition::{Condition, Order, Scalar, Test};
use crate::vfs::rule::{Rule, RuleSet, Unmatched};
use crate::vfs::template;

impl RuleSet {
    /// The rules of the view at `/` as the old system's JSON: the JSON they came from, or one that says the same.
    pub fn to_renaming_config(&self) -> Json {
        if let Some(origin) = self.origin() {
            return origin.clone();
        }
        let rules: &[Rule] =
            self.views.iter().find(|view| view.name.is_empty()).map_or(&[], |view| &view.rules);
        let rules: Vec<Json> =
            rules.iter().enumerate().map(|(at, rule)| self.rule_json(rules.len() - at, rule)).collect();
        let mut config = json!({ "version": 1, "dialect": "metad", "rules": rules });
        // Options and named templates have no place in the old format; they are what the printed rules say.
        let printed: Map<String, Json> =
            toml::from_str(&self.to_string()).expect("a rule set prints as TOML: a test reads it back");
        for key in ["options", "vars"] {
            if let Some(value) = printed.get(key) {
                config[key] = value.clone();
            }
        }
        if let Unmatched::At(template) = &self.options.unmatched {
            config["defaultRule"] = json!({
                "id": "unmatched", "name": "Unmatched", "enabled": true, "priority": 0,
                "conditions": group("AND", Vec::new()), "template": self.template_text(template),
                "fallbackToUnsorted": false,
            });
        }
        config
    }

    fn rule_json(&self, place: usize, rule: &Rule) -> Json {
        let conditions = match self.condition_json(&rule.when) {
            leaf if leaf.get("conditions").is_none() => group("AND", vec![leaf]),
            group => group,
        };
        let mut json = json!({
            "id": rule.name, "name": rule.name, "enabled": rule.enabled, "priority": place * 10,
            "conditions": conditions, "template": self.template_text(&rule.path),
            "fallbackToUnsorted": rule.stop_when_missing,
        });
        if let Some(description) = &rule.description {
            json["description"] = json!(description);
        }
        if rule.attach {
            json["attach"] = json!("video");
        }
        json
    }

    fn template_text(&self, template: &template::Template) -> String {
        template::print(&template.parts, &self.fields, &self.var_names)
    }

    fn condition_json(&self, condition: &Condition) -> Json {
        let all = |inner: &[Condition]| inner.iter().map(|c| self.condition_json(c)).collect::<Vec<_>>();
        match condition {
            Condition::All(inner) => group("AND", all(inner)),
            // An empty OR would always hold in the old system.
            Condition::Any(inner) if inner.is_empty() => never(),
            Condition::Any(inner) => group("OR", all(inner)),
            Condition::None(inner) => group("NONE", all(inner)),
            Condition::Test(field, test) => self.test_json(self.fields.name(*field), test),
        }
    }

    fn test_json(&self, field: &str, test: &Test) -> Json {
        let leaf = |kind: &str, value: Json| json!({ "type": kind, "field": field, "value": value });
        match test {
            Test::Present => json!({ "type": "EXISTS", "field": field }),
            Test::Absent => json!({ "type": "NOT_EXISTS", "field": field }),
            Test::OneOf(all) => match all.as_slice() {
                [] => never(),
                [only] => leaf("EQUALS", scalar(only)),
                all => leaf("EQUALS", all.iter().map(scalar).collect()),
            },
            Test::Not(all) => match all.as_slice() {
                [] => group("AND", Vec::new()),
                [only] => leaf("NOT_EQUALS", scalar(only)),
                all => leaf("NOT_EQUALS", all.iter().map(scalar).collect()),
            },
            Test::Contains(text) => leaf("CONTAINS", json!(text)),
            Test::Matches(pattern) => leaf("MATCHES", json!(pattern.text())),
            Test::Compare(order, bound) => {
                let operator = match order {
                    Order::Lt => "lessThan",
                    Order::Le => "lessOrEqual",
                    Order::Gt => "greaterThan",
                    Order::Ge => "greaterOrEqual",
                };
                json!({ "operator": operator, "field": field, "value": scalar(bound) })
            }
        }
    }
}

fn group(operator: &str, conditions: Vec<Json>) -> Json {
    json!({ "operator": operator, "conditions": conditions })
}

/// A condition that never holds.
fn never() -> Json {
    group("NONE", vec![group("AND", Vec::new())])
}

/// Whole numbers stay whole, so that old readers compare them as they always did.
fn scalar(value: &Scalar) -> Json {
    match value {
        Scalar::Text(text) => json!(text),
        Scalar::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => json!(*number as i64),
        Scalar::Number(number) => json!(number),
        Scalar::Bool(value) => json!(value),
    }
}
