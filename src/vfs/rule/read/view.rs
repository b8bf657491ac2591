//! Reading `[vars]`, `[[view]]` and `[[view.rule]]`.
//!
//! Not here: conditions (`condition`), templates (`template::parse`).
//! Must always hold: names of views and rules are unique where they must be; a rule without `path` is an error.

use super::Builder;
use crate::limits::{RULE_VIEWS_MAX, RULES_PER_VIEW_MAX};
use crate::vfs::condition::Condition;
use crate::vfs::name::{NameRules, fold};
use crate::vfs::rule::document::{Data, Node};
use crate::vfs::rule::error::RuleErrorKind;
use crate::vfs::rule::{Rule, View};
use crate::vfs::template::{self, Dialect, Template};

impl Builder<'_> {
    pub(in crate::vfs) fn vars(&mut self, node: Option<&Node>) -> Vec<Template> {
        let Some(node) = node else { return Vec::new() };
        let Data::Table(entries) = &node.data else {
            self.fail(RuleErrorKind::Value, "vars", Some(node), "a table of templates was expected");
            return Vec::new();
        };
        for (name, at, _) in entries {
            if name == "stem" || !template::is_field_name(name) {
                let message = format!("`{name}` cannot be the name of a template");
                self.fail_at(RuleErrorKind::Value, "vars", *at, message);
            }
        }
        self.var_names = entries.iter().map(|(name, _, _)| name.clone()).collect();
        let mut templates = Vec::new();
        for (name, _, node) in entries {
            let path = format!("vars.{name}");
            let text = self.string(&path, node).unwrap_or_default();
            templates.push(self.template(&path, Some(node), &text, Dialect::Ours));
        }
        templates
    }

    pub(super) fn views(&mut self, node: Option<&Node>) -> Vec<View> {
        let items = match node.map(|node| &node.data) {
            None => return Vec::new(),
            Some(Data::List(items)) => items,
            Some(_) => {
                self.fail(RuleErrorKind::Value, "view", node, "views are written `[[view]]`");
                return Vec::new();
            }
        };
        if items.len() > RULE_VIEWS_MAX {
            self.fail(
                RuleErrorKind::Limit,
                "view",
                node,
                format!("at most {RULE_VIEWS_MAX} views are allowed"),
            );
        }
        let mut views: Vec<View> = Vec::new();
        for (at, item) in items.iter().enumerate().take(RULE_VIEWS_MAX) {
            let path = format!("view[{at}]");
            let Some(view) = self.view(&path, item) else { continue };
            if views.iter().any(|other| fold(&other.name) == fold(&view.name)) {
                let message = format!("two views are called `{}`", view.name);
                self.fail(RuleErrorKind::Value, &path, Some(item), message);
            }
            views.push(view);
        }
        views
    }

    fn view(&mut self, path: &str, node: &Node) -> Option<View> {
        let [name, rules, unmatched] = self.entries(node, path, ["name", "rule", "unmatched"])?;
        let name_node = name;
        let name = name.and_then(|node| self.string(path, node)).unwrap_or_default();
        if !name.is_empty() && NameRules::default().component(&name) != name {
            let message = format!("`{name}` cannot be the name of a folder");
            self.fail(RuleErrorKind::Value, &format!("{path}.name"), name_node, message);
        }
        let unmatched = unmatched.map(|node| self.unmatched(&format!("{path}.unmatched"), node));
        let items: &[Node] = match rules.map(|node| &node.data) {
            None => &[],
            Some(Data::List(items)) => items,
            Some(_) => {
                self.fail(RuleErrorKind::Value, path, rules, "rules are written `[[view.rule]]`");
                &[]
            }
        };
        if items.len() > RULES_PER_VIEW_MAX {
            let message = format!("at most {RULES_PER_VIEW_MAX} rules are allowed in one view");
            self.fail(RuleErrorKind::Limit, path, rules, message);
        }
        let mut seen = Vec::new();
        let items = items.iter().enumerate().take(RULES_PER_VIEW_MAX);
        let rules: Vec<Rule> = items
            .filter_map(|(at, item)| self.rule(&format!("{path}.rule[{at}]"), at, item, &mut seen))
            .collect();
        Some(View { name, rules, unmatched })
    }

    fn rule(&mut self, path: &str, number: usize, node: &Node, seen: &mut Vec<String>) -> Option<Rule> {
        let keys = ["name", "description", "enabled", "when", "conditions", "path", "attach", "missing"];
        let [name, description, enabled, when, conditions, template, attach, missing] =
            self.entries(node, path, keys)?;
        let name = match name {
            Some(name) => self.string(&format!("{path}.name"), name)?,
            None => format!("rule {}", number + 1),
        };
        if seen.contains(&name) {
            self.fail(RuleErrorKind::Value, path, Some(node), format!("two rules are called `{name}`"));
        }
        seen.push(name.clone());
        let description = description.and_then(|node| self.string(path, node));
        let enabled = self.boolean(&format!("{path}.enabled"), enabled, true);
        let mut all = Vec::new();
        if let Some(node) = when {
            all.push(self.when(&format!("{path}.when"), node, 0));
        }
        if let Some(node) = conditions {
            all.push(self.long_form(&format!("{path}.conditions"), node));
        }
        let Some(template) = template else {
            self.fail(RuleErrorKind::MissingKey, path, Some(node), "`path` is missing");
            return None;
        };
        let template_path = format!("{path}.path");
        let text = self.string(&template_path, template)?;
        let parsed = self.template(&template_path, Some(template), &text, Dialect::Ours);
        let attach = self.word(&format!("{path}.attach"), attach, &[("video", Some(()))]).is_some();
        let stop_when_missing =
            self.word(&format!("{path}.missing"), missing, &[("next", false), ("unmatched", true)]);
        let when = Condition::all(all);
        Some(Rule { name, description, enabled, when, path: parsed, attach, stop_when_missing })
    }
}
