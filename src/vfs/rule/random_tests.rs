//! Random rules files and random records: nothing panics, everything placed is legal, printing loses nothing.
//!
//! Not here: what rules mean, which golden scripts say (`scripts`).
//! Must always hold: generators make wrong rules as often as right ones; a failure prints both the rules and the record.

use std::collections::BTreeMap;

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::RuleSet;
use crate::vfs::name::{NameRules, fold};
use crate::vfs::presets::PRESETS;

/// A piece that stands in a right template anywhere.
fn right_piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "{title}",
        "{season|\"1\":pad2}",
        "{titles/eng|title|originalTitle:trunc(9)}",
        "{episode:pad2:range(\"-E\")}",
        "{genre:first}",
        "{title:initial}",
        "{aired:date(\"%Y\")}",
        "{year?( ({year}))}",
        "{version?}",
        "< - {version}>",
        "<< [{artist}]> {album:the}>",
        "{@v}",
        "{@v|title:upper}",
        "{@stem}",
        "{fileName}",
        "{none|\"a/b: {c}\"}",
        "{{x}}",
        "/",
        " . ",
        "Folder/",
        ".{extension}",
        "<.{flags:join(\".\")}>",
    ])
    .prop_map(str::to_owned)
}

/// Text that looks like a template: mostly right, sometimes not.
fn template() -> impl Strategy<Value = String> {
    let right = prop::collection::vec(right_piece(), 1..7).prop_map(|pieces| pieces.concat());
    let noise = prop_oneof![right_piece(), "[ -~]{0,6}", "[{}<>|:?()\"@a-z0-9/.]{0,8}", "\\PC{0,3}"];
    let wrong = prop::collection::vec(noise, 0..8).prop_map(|pieces| pieces.concat());
    prop_oneof![12 => right, 1 => wrong]
}

/// Text that looks like a condition.
fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just("{}".to_owned()),
        2 => Just("{ fileType = \"video\" }".to_owned()),
        2 => Just("{ season = \"present\", any = [{ year = { ge = 1990 } }, { genre = [\"a\", 1] }] }".to_owned()),
        2 => Just("{ none = [{ title = { matches = \"^A\" } }, { extra = true }] }".to_owned()),
        1 => "\\{ [a-z]{1,5} = [\"a-z0-9{}= ]{0,12} \\}",
    ]
}

fn rules_text() -> impl Strategy<Value = String> {
    let rule = (template(), condition());
    (prop::collection::vec(rule, 0..5), template(), template()).prop_map(|(rules, var, unmatched)| {
        let var = var.replace("@v", "title");
        let quoted = |text: &str| super::print::string(text);
        let mut text = format!(
            "version = 1\n[options]\nunmatched = {}\n[vars]\nv = {}\n[[view]]\n",
            quoted(&unmatched),
            quoted(&var)
        );
        for (at, (path, when)) in rules.iter().enumerate() {
            text.push_str(&format!(
                "[[view.rule]]\nname = \"r{at}\"\nwhen = {when}\npath = {}\n",
                quoted(path)
            ));
        }
        text
    })
}

fn record() -> impl Strategy<Value = BTreeMap<String, String>> {
    let names = prop::sample::select(vec![
        "filePath",
        "fileName",
        "extension",
        "fileType",
        "title",
        "titles/eng",
        "originalTitle",
        "season",
        "episode",
        "year",
        "movieYear",
        "version",
        "genre",
        "extra",
        "anime",
        "subtitleLanguage",
        "flags",
        "artist",
        "album",
        "track",
        "disc",
        "aired",
        "videoType",
        "mimeType",
    ]);
    let values = prop_oneof![
        any::<String>(),
        "[0-9]{1,4}",
        "[a-zA-Z ./:-]{0,20}",
        Just("video".to_owned()),
        Just("true".to_owned()),
        Just("[1,2]".to_owned()),
        Just("2020-04-02".to_owned()),
        Just("/files/a/b.mkv".to_owned()),
        "\\PC{100,400}",
    ];
    prop::collection::btree_map(names.prop_map(str::to_owned), values, 2..20)
}

/// Every component is what the name rules would make of it, and not more than that.
fn check(
    rules: &RuleSet,
    record: &BTreeMap<String, String>,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let placed = rules.place(record);
    prop_assert_eq!(&placed, &rules.place(record), "placing is a function");
    for placement in &placed {
        for component in placement.components() {
            prop_assert_eq!(rules.names().component(component), component, "in {:?}", placement.path);
        }
        prop_assert!(placement.path.is_char_boundary(placement.suffix_at));
        prop_assert!(!placement.stem().is_empty() && !placement.stem().ends_with('/'));
        let labelled = rules.labelled(placement, "[0a1b2c3d]");
        prop_assert!(fold(&labelled) != fold(&placement.path));
        for component in labelled.split('/') {
            prop_assert!(component.len() <= rules.names().bytes_max);
            prop_assert_eq!(rules.names().component(component), component);
        }
    }
    for (view, explained) in rules.views().iter().zip(rules.explain(record).views) {
        let path = placed.iter().find(|p| rules.views()[p.view].name == view.name).map(|p| p.path.clone());
        prop_assert_eq!(explained.path, path, "the path explained is the path placed");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), toml in "[a-z\\[\\]=\"'{}0-9. \n]{0,80}", json in "\\{\"(rules|version|view)\": ?[\\[\\]{}\":,a-z0-9 ]{0,60}") {
        for text in [text, toml, json] {
            if let Ok(rules) = RuleSet::parse(&text) {
                prop_assert_eq!(RuleSet::parse(&rules.to_string()).map(|r| r.to_string()), Ok(rules.to_string()));
            }
        }
    }

    #[test]
    fn rules_that_parse_print_themselves_and_place_legally(text in rules_text(), record in record()) {
        if let Ok(rules) = RuleSet::parse(&text) {
            let printed = rules.to_string();
            prop_assert_eq!(RuleSet::parse(&printed).map(|r| r.to_string()), Ok(printed));
            check(&rules, &record)?;
            let json = rules.to_renaming_config().to_string();
            let back = RuleSet::parse(&json).map_err(|e| proptest::test_runner::TestCaseError::fail(format!("{e} in {json}")))?;
            prop_assert_eq!(back.place(&record), rules.place(&record), "after export and import");
        }
    }

    #[test]
    fn presets_show_every_record_exactly_once(record in record()) {
        for (name, _) in PRESETS {
            let rules = RuleSet::preset(name).expect("the table names it");
            check(&rules, &record)?;
            let named = record.contains_key("filePath") && !record["filePath"].is_empty();
            prop_assert!(!named || rules.place(&record).len() == 1);
        }
    }

    #[test]
    fn a_value_never_makes_a_folder(title in any::<String>()) {
        let rules = RuleSet::parse("version = 1\n[[view]]\n[[view.rule]]\npath = 'A/{title}/B{title}.x'").unwrap();
        let record = BTreeMap::from([("title".to_owned(), title), ("fileName".to_owned(), "f".to_owned())]);
        let placed = rules.place(&record);
        let depth = placed[0].components().count();
        prop_assert_eq!(depth, if placed[0].rule.is_some() { 3 } else { 2 });
        prop_assert_eq!(NameRules::default(), *rules.names());
    }
}
