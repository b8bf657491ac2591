//! Reading a `RenamingConfig`.
//!
//! Not here: writing one (`export`).
//! Must always hold: keys that we do not know are kept in the origin and otherwise ignored, because old clients add some;
//! a rule that cannot be understood is an error, never dropped.
//! Source: research of the old system, upstream §3.3.

use serde_json::Value as Json;

use crate::limits::{CONDITION_DEPTH_MAX, RULES_PER_VIEW_MAX};
use crate::vfs::condition::{Condition, Order, Scalar, Test};
use crate::vfs::filter::Pattern;
use crate::vfs::name::{Blanks, Colon, NameRules};
use crate::vfs::rule::{
    Builder, Data, Node, RuleErrorKind, RuleErrors, RuleSet, Unmatched, View, finish, of_json, suggestion,
};
use crate::vfs::template::{Dialect, is_field_name};

/// The names of all tests, in both dialects.
const TESTS: [&str; 18] = [
    "EXISTS",
    "NOT_EXISTS",
    "EQUALS",
    "NOT_EQUALS",
    "CONTAINS",
    "MATCHES",
    "exists",
    "notExists",
    "equals",
    "notEquals",
    "contains",
    "matches",
    "startsWith",
    "endsWith",
    "greaterThan",
    "lessThan",
    "greaterOrEqual",
    "lessOrEqual",
];

/// Imports a `RenamingConfig`. The rule set remembers it.
pub fn import(json: Json) -> Result<RuleSet, RuleErrors> {
    let root = of_json(&json);
    let mut builder = Builder::new(None);
    if get(&root, "version").is_some_and(|v| !matches!(v.data, Data::Number(1.0))) {
        builder.fail(RuleErrorKind::Value, "version", None, "this build reads version 1");
    }
    let ours = matches!(get(&root, "dialect").map(|d| &d.data), Some(Data::Text(d)) if d == "metad");
    let dialect = if ours { Dialect::Ours } else { Dialect::Upstream };
    let vars = builder.vars(get(&root, "vars").filter(|_| ours));
    let mut options = builder.options(get(&root, "options").filter(|_| ours));
    if !ours {
        options.names =
            NameRules { colon: Colon::Remove, blanks: Blanks::Keep, bytes_max: 255, ..options.names };
        if let Some(text) = get(&root, "defaultRule").and_then(|rule| text(rule, "template")) {
            options.unmatched = Unmatched::At(builder.template("defaultRule.template", None, text, dialect));
        }
    }
    let rules = rules(&mut builder, &root, dialect);
    let view = View { name: String::new(), rules, unmatched: None };
    let mut rules = finish(builder, options, vars, vec![view])?;
    rules.origin = Some(json);
    Ok(rules)
}

/// Rules by priority, highest first; equal ones as they stand.
fn rules(builder: &mut Builder<'_>, root: &Node, dialect: Dialect) -> Vec<crate::vfs::rule::Rule> {
    let Some(Data::List(items)) = get(root, "rules").map(|rules| &rules.data) else {
        builder.fail(RuleErrorKind::Value, "rules", None, "a list of rules was expected");
        return Vec::new();
    };
    if items.len() > RULES_PER_VIEW_MAX {
        let message = format!("at most {RULES_PER_VIEW_MAX} rules are allowed");
        builder.fail(RuleErrorKind::Limit, "rules", None, message);
    }
    let mut rules = Vec::new();
    for (at, item) in items.iter().enumerate().take(RULES_PER_VIEW_MAX) {
        let path = format!("rules[{at}]");
        if let Some((priority, rule)) = rule(builder, &path, item, dialect) {
            if rules.iter().any(|(_, other): &(f64, crate::vfs::rule::Rule)| other.name == rule.name) {
                let message = format!("two rules have the id `{}`", rule.name);
                builder.fail(RuleErrorKind::Value, &path, None, message);
            }
            rules.push((priority, rule));
        }
    }
    rules.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    rules.into_iter().map(|(_, rule)| rule).collect()
}

fn rule(
    builder: &mut Builder<'_>,
    path: &str,
    node: &Node,
    dialect: Dialect,
) -> Option<(f64, crate::vfs::rule::Rule)> {
    if !matches!(node.data, Data::Table(_)) {
        builder.fail(RuleErrorKind::Value, path, None, "a rule was expected");
        return None;
    }
    let Some(template) = text(node, "template") else {
        builder.fail(RuleErrorKind::MissingKey, path, None, "`template` is missing");
        return None;
    };
    let id = text(node, "id").or_else(|| text(node, "name")).unwrap_or(path).to_owned();
    let when = match get(node, "conditions") {
        Some(conditions) => condition(builder, &format!("{path}.conditions"), conditions, 0),
        None => Condition::ALWAYS,
    };
    let description = text(node, "description").or_else(|| text(node, "name").filter(|name| *name != id));
    let priority = match get(node, "priority").map(|p| &p.data) {
        Some(Data::Number(priority)) => *priority,
        _ => 0.0,
    };
    let rule = crate::vfs::rule::Rule {
        description: description.map(str::to_owned),
        enabled: flag(node, "enabled").unwrap_or(true),
        when,
        path: builder.template(&format!("{path}.template"), None, template, dialect),
        attach: text(node, "attach") == Some("video"),
        stop_when_missing: flag(node, "fallbackToUnsorted").unwrap_or(false),
        name: id,
    };
    Some((priority, rule))
}

/// A group or a test, in either dialect.
fn condition(builder: &mut Builder<'_>, path: &str, node: &Node, depth: usize) -> Condition {
    if depth > CONDITION_DEPTH_MAX {
        let message = format!("conditions are nested deeper than {CONDITION_DEPTH_MAX} levels");
        builder.fail(RuleErrorKind::Limit, path, None, message);
        return Condition::ALWAYS;
    }
    let group = ["and", "or"].iter().find_map(|key| Some((*key, get(node, key)?)));
    let group = group.or_else(|| Some((text(node, "operator")?, get(node, "conditions")?)));
    let Some((operator, inner)) = group else { return test(builder, path, node) };
    let Data::List(items) = &inner.data else {
        builder.fail(RuleErrorKind::Condition, path, None, "a list of conditions was expected");
        return Condition::ALWAYS;
    };
    let inner: Vec<Condition> = items.iter().map(|item| condition(builder, path, item, depth + 1)).collect();
    match operator.to_ascii_lowercase().as_str() {
        "and" => Condition::all(inner),
        // An empty group always holds in the old system, whatever its operator.
        "or" if inner.is_empty() => Condition::ALWAYS,
        "or" => Condition::Any(inner),
        "none" => Condition::None(inner),
        _ => {
            let message = format!("`{operator}` is neither AND nor OR");
            builder.fail(RuleErrorKind::Condition, path, None, message);
            Condition::ALWAYS
        }
    }
}

fn test(builder: &mut Builder<'_>, path: &str, node: &Node) -> Condition {
    let name = text(node, "type").or_else(|| text(node, "operator")).unwrap_or_default();
    let field = text(node, "field").unwrap_or_default();
    if !is_field_name(field) {
        builder.fail(RuleErrorKind::Condition, path, None, format!("`{field}` is no field name"));
        return Condition::ALWAYS;
    }
    let value = get(node, "value");
    let scalars = match value {
        Some(value) => builder.scalars(path, value),
        None => Vec::new(),
    };
    match test_of(name, &scalars) {
        Ok(test) => Condition::Test(builder.fields.intern(field), test),
        Err(message) => {
            builder.fail(RuleErrorKind::Condition, path, None, message);
            Condition::ALWAYS
        }
    }
}

/// The test called `name`, whatever its dialect.
fn test_of(name: &str, values: &[Scalar]) -> Result<Test, String> {
    let word = name.replace('_', "").to_ascii_lowercase();
    match word.as_str() {
        "exists" => return Ok(Test::Present),
        "notexists" => return Ok(Test::Absent),
        _ => {}
    }
    let known = TESTS.iter().any(|test| test.replace('_', "").eq_ignore_ascii_case(&word));
    if !known {
        return Err(format!("unknown test `{name}`{}", suggestion(name, TESTS)));
    }
    let Some(value) = values.first() else { return Err(format!("`{name}` needs a value")) };
    let plain = match value {
        Scalar::Text(text) => text.clone(),
        Scalar::Number(number) => number.to_string(),
        Scalar::Bool(value) => value.to_string(),
    };
    Ok(match word.as_str() {
        "equals" => Test::OneOf(values.to_vec()),
        "notequals" => Test::Not(values.to_vec()),
        "contains" => Test::Contains(plain),
        "matches" => Test::Matches(Pattern::new(&plain)?),
        "startswith" => Test::Matches(Pattern::new(&format!("^{}", regex::escape(&plain)))?),
        "endswith" => Test::Matches(Pattern::new(&format!("{}$", regex::escape(&plain)))?),
        "greaterthan" => Test::Compare(Order::Gt, value.clone()),
        "lessthan" => Test::Compare(Order::Lt, value.clone()),
        "greaterorequal" => Test::Compare(Order::Ge, value.clone()),
        _ => Test::Compare(Order::Le, value.clone()),
    })
}

fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Data::Table(entries) = &node.data else { return None };
    let entry = entries.iter().find(|(known, _, _)| known == key);
    entry.map(|(_, _, value)| value).filter(|value| !matches!(value.data, Data::Other(_)))
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match &get(node, key)?.data {
        Data::Text(text) => Some(text),
        Data::Number(_) | Data::Bool(_) | Data::List(_) | Data::Table(_) | Data::Other(_) => None,
    }
}

fn flag(node: &Node, key: &str) -> Option<bool> {
    match &get(node, key)?.data {
        Data::Bool(value) => Some(*value),
        Data::Text(_) | Data::Number(_) | Data::List(_) | Data::Table(_) | Data::Other(_) => None,
    }
}
