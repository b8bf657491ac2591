//! What a file name may look like on Linux, Windows and SMB: written from the platforms' own documents, and knowing
//! nothing of our sanitiser.
//!
//! Sources: <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>; MS-FSCC §2.1.5; path_resolution(7).
//!
//! Not here: what name a file gets. Must always hold: an objection says what is wrong.

use std::collections::BTreeMap;

/// Characters that Windows refuses, controls aside.
const REFUSED: &str = "<>:\"/\\|?*";
/// Names that are devices on Windows, with any extension.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// Longest name in bytes on Linux, and more than Windows' 255 UTF-16 units can be short of.
const BYTES_MAX: usize = 255;

/// What is wrong with one component.
pub fn objection(name: &str) -> Option<String> {
    let device = name.split('.').next().unwrap_or("").trim_end_matches(' ').to_uppercase();
    let numbered = ["COM", "LPT"].iter().filter_map(|port| device.strip_prefix(port)).any(|rest| {
        let mut rest = rest.chars();
        matches!((rest.next(), rest.next()), (Some('1'..='9' | '¹' | '²' | '³'), None))
    });
    let found = [
        (name.is_empty(), "empty"),
        (name.len() > BYTES_MAX, "too long"),
        (name == "." || name == "..", "a way up"),
        (name.ends_with('.') || name.ends_with(' '), "ends with a dot or a blank"),
        (name.starts_with(' '), "starts with a blank"),
        (name.chars().any(|c| u32::from(c) < 32 || u32::from(c) == 127), "holds a control character"),
        (name.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c)), "holds a C1 control character"),
        (name.chars().any(|c| REFUSED.contains(c)), "holds a character that Windows refuses"),
        (DEVICES.contains(&device.as_str()) || numbered, "a device on Windows"),
    ];
    found.iter().find(|(is_wrong, _)| *is_wrong).map(|(_, what)| format!("{name:?}: {what}"))
}

/// What is wrong with a list of paths: illegal names, and paths that a client which ignores case takes for one.
pub fn objections<'a>(paths: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for path in paths {
        found.extend(path.split('/').skip_while(|c| c.is_empty()).filter_map(objection));
        if let Some(other) = seen.insert(path.to_lowercase(), path) {
            found.push(format!("{path:?} and {other:?} are one to a client that ignores case"));
        }
    }
    found
}

#[test]
fn the_checker_sees_what_each_platform_refuses() {
    let long = "x".repeat(256);
    for bad in [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a:b",
        "a?",
        "tab\there",
        "CON",
        "con.txt",
        "Nul .mkv",
        "COM1.mkv",
        "lpt³",
        "dot.",
        "blank ",
        " blank",
        "\u{7f}",
        "\u{85}",
        &long,
    ] {
        assert!(objection(bad).is_some(), "{bad:?}");
    }
    for good in
        ["a", "Face-Off (1997).mkv", "Ünïcode 🎬.mkv", "CONtact.mkv", "COM.mkv", "COM10.mkv", ".hidden"]
    {
        assert_eq!(objection(good), None);
    }
    let both = [String::from("/A/b"), String::from("/a/B")];
    assert_eq!(objections(&both).len(), 1);
}
