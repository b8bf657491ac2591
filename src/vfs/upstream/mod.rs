//! The old system's rules: `RenamingConfig` version 1 as JSON, in and out.
//!
//! ```text
//!   {"version":1, "rules":[{id, name, enabled, priority, conditions, template, fallbackToUnsorted}], "defaultRule"}
//! ```
//!
//! Its code and its API reference speak different dialects of conditions (`type: "EQUALS"` and `operator: "equals"`);
//! both are read. What the old format cannot say is said in keys that old readers pass over: `dialect`, `options`,
//! `vars`.
//!
//! Not here: our own format (`rule`).
//! Must always hold: what was imported exports as the same JSON; an exported rule set imports with the same meaning, for
//! its view at `/` (the old format has no other).

mod export;
mod import;

pub use import::import;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use crate::vfs::RuleSet;

    fn place(rules: &RuleSet, pairs: &[(&str, &str)]) -> String {
        let record: BTreeMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        rules.place(&record)[0].path.clone()
    }

    fn rule(id: &str, priority: i64, conditions: &Value, template: &str) -> Value {
        json!({"id": id, "name": id, "enabled": true, "priority": priority, "conditions": conditions,
               "template": template, "fallbackToUnsorted": false})
    }

    fn import(rules: &[Value]) -> RuleSet {
        RuleSet::parse(&json!({"version": 1, "rules": rules}).to_string()).unwrap()
    }

    #[test]
    fn what_was_put_is_what_get_shows() {
        let text = json!({"version": 1, "lastModified": "2026-02-21T00:00:00Z", "rules": [
            rule("a", 5, &json!({"operator": "AND", "conditions": []}), "A/{title}.{extension}")
        ], "unknownToUs": {"kept": true}});
        let rules = RuleSet::parse(&text.to_string()).unwrap();
        assert_eq!(rules.to_renaming_config(), text);
    }

    #[test]
    fn the_highest_priority_goes_first_and_disabled_rules_do_not_count() {
        let always = json!({"operator": "AND", "conditions": []});
        let mut off = rule("off", 99, &always, "Off/{fileName}");
        off["enabled"] = json!(false);
        let rules = import(&[
            rule("low", 1, &always, "Low/{fileName}"),
            off,
            rule("high", 9, &always, "High/{title}"),
        ]);
        assert_eq!(place(&rules, &[("filePath", "a.mkv"), ("title", "T")]), "High/T");
        assert_eq!(place(&rules, &[("filePath", "a.mkv")]), "Low/a.mkv");
    }

    #[test]
    fn both_dialects_of_conditions_mean_the_same() {
        for conditions in [
            json!({"operator": "AND", "conditions": [
                {"type": "EQUALS", "field": "fileType", "value": "video"}, {"type": "NOT_EXISTS", "field": "season"}]}),
            json!({"operator": "and", "conditions": [
                {"operator": "equals", "field": "fileType", "value": "video"}, {"operator": "notExists", "field": "season"}]}),
            json!({"and": [{"operator": "startsWith", "field": "fileType", "value": "vid"},
                {"or": [{"operator": "notExists", "field": "season"}, {"operator": "greaterThan", "field": "season", "value": 7}]}]}),
        ] {
            let rules = import(&[rule("hit", 1, &conditions, "Hit/{fileName}")]);
            assert_eq!(place(&rules, &[("filePath", "a.mkv")]), "Hit/a.mkv", "{conditions}");
            assert_eq!(
                place(&rules, &[("filePath", "a.mkv"), ("season", "1")]),
                "Unsorted/a.mkv",
                "{conditions}"
            );
            assert_eq!(place(&rules, &[("filePath", "a.srt")]), "Unsorted/a.srt", "{conditions}");
        }
    }

    #[test]
    fn templates_of_the_old_system_mean_what_they_meant() {
        let always = json!({"operator": "OR", "conditions": []});
        for (template, expected) in [
            ("{title|originalTitle}{movieYear?( ({movieYear}))}.{extension}", "Heat (1995).mkv"),
            ("{nothing|Unknown Genre}/{title}", "Unknown Genre/Heat"),
            ("{nothing|\"Quoted\"}/{title}", "Quoted/Heat"),
            ("{movieYear:pad6} {title:upper}", "001995 HEAT"),
            ("a<b>{title?}{nothing?}", "abHeat"),
            ("{title} {unclosed", "Heat {unclosed"),
            ("{missing}/x", "Unsorted/a.mkv"),
            ("{movieYear|Unknown}/{nothing|fileName}", "1995/a.mkv"),
        ] {
            let rules = import(&[rule("r", 1, &always, template)]);
            let placed = place(&rules, &[("filePath", "a.mkv"), ("title", "Heat"), ("movieYear", "1995")]);
            assert_eq!(placed, expected, "{template}");
        }
    }

    #[test]
    fn an_exported_rule_set_imports_with_the_same_meaning() {
        for (name, _) in crate::vfs::presets::PRESETS {
            let rules = RuleSet::preset(name).unwrap();
            let json = rules.to_renaming_config();
            let back = RuleSet::parse(&json.to_string()).unwrap();
            assert_eq!(back.to_string(), rules.to_string(), "{name}");
        }
    }

    #[test]
    fn mistakes_name_the_rule_and_suggest() {
        let bad = json!({"version": 2, "rules": [
            rule("a", 1, &json!({"operator": "XOR", "conditions": []}), "{title:upperr}"),
            rule("a", 1, &json!({"type": "EXIST", "field": "x"}), "ok"),
            {"id": "b"}, 7]});
        let errors = RuleSet::parse(&bad.to_string()).unwrap_err().to_string();
        for part in [
            "version",
            "rules[0].conditions",
            "`upper`",
            "rules[1]",
            "EXISTS",
            "rules[2]",
            "template",
            "rules[3]",
        ] {
            assert!(errors.contains(part), "{part} in {errors}");
        }
    }
}
