//! The shape of files: headers, lengths, and no file that nobody compiles.
//!
//! Not here: what the code says. Must always hold: an exception names its reason, and goes when its cause has gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;
use crate::tree::Place;

/// Longest function in lines, from `fn` to its closing brace. Readable code bases have 1–2 % beyond it; we want none.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest file in lines, its tests included.
const FILE_LINES_MAX: usize = 500;

/// Functions that may be longer: `(file, function, reason)`.
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];
/// Files that may be longer: `(file, reason)`.
const LONG_FILES: [(&str, &str); 0] = [];

/// What may stand at the top of the repository. Dot-files may, and the build's own directory.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "raft",
    "tests",
    "jepsen",
    "scripts",
    "Dockerfile",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
];

/// What stands at the top of the repository and should not.
fn strangers(files: &[String]) -> Vec<String> {
    let top: BTreeSet<_> = files.iter().filter_map(|path| path.split('/').next()).collect();
    let is_ours =
        |name: &&str| TOP_LEVEL.contains(name) || name.starts_with('.') || *name == "rust-toolchain.toml";
    top.into_iter()
        .filter(|name| !is_ours(name))
        .map(|name| format!("{name}: give it a room of the house"))
        .collect()
}

/// What is missing of a file's header: what it is, what is not here, what must always hold.
fn header(source: &Source) -> Option<String> {
    let lines: Vec<_> = source.text.lines().map_while(|l| l.strip_prefix("//!")).map(str::trim).collect();
    let head = lines.join(" ").to_lowercase();
    let missing: Vec<_> = [
        (lines.first().is_some_and(|l| l.len() > 4), "a first line that says what it is"),
        (head.contains("not here"), "\"Not here: …\""),
        (head.contains("must always hold"), "\"Must always hold: …\""),
    ]
    .into_iter()
    .filter(|(there, _)| !there)
    .map(|(_, what)| what)
    .collect();
    (!missing.is_empty()).then(|| format!("{}:1: header without {}", source.path, missing.join(", ")))
}

fn long_functions(source: &Source, allowed: &[(&str, &str, &str)]) -> Vec<String> {
    let is_allowed = |name: &str| allowed.iter().any(|(f, n, _)| *f == source.path && *n == name);
    source
        .functions()
        .into_iter()
        .filter(|f| f.lines > FUNCTION_LINES_MAX && !is_allowed(&f.name))
        .map(|f| format!("{}:{}: {} has {} lines", source.path, f.line, f.name, f.lines))
        .collect()
}

fn long_file(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    let allowed = LONG_FILES.iter().any(|(f, _)| *f == path);
    (lines > FILE_LINES_MAX && !allowed).then(|| format!("{path}:{lines}: split it by state or by message"))
}

fn dead_files(sources: &[Source], places: &BTreeMap<String, Place>) -> Vec<String> {
    let dead = sources.iter().filter(|s| !places.contains_key(&s.path));
    dead.map(|s| format!("{}:1: no `mod` names this file", s.path)).collect()
}

/// Exceptions whose cause is gone.
fn stale_exceptions(sources: &[Source], functions: &[(&str, &str, &str)]) -> Vec<String> {
    let still_long = |file: &str, name: &str| {
        let source = sources.iter().find(|s| s.path == file);
        source.is_some_and(|s| s.functions().iter().any(|f| f.name == name && f.lines > FUNCTION_LINES_MAX))
    };
    functions
        .iter()
        .filter(|(file, name, reason)| !still_long(file, name) || reason.len() < 10)
        .map(|(file, name, _)| format!("{file}: {name} needs no exception, or gives no reason for it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{none, tree};

    #[test]
    fn every_file_says_what_it_is_what_it_is_not_and_what_must_hold() {
        none(&tree::sources().iter().filter_map(header).collect::<Vec<_>>());
    }

    #[test]
    fn functions_fit_on_a_screen() {
        let sources = tree::sources();
        let mut found: Vec<_> = sources.iter().flat_map(|s| long_functions(s, &LONG_FUNCTIONS)).collect();
        found.extend(stale_exceptions(sources, &LONG_FUNCTIONS));
        none(&found);
    }

    #[test]
    fn files_have_one_subject() {
        let written = |path: &&String| [".rs", ".sh", ".py"].iter().any(|e| path.ends_with(e));
        let files = tree::files();
        let long = files.iter().filter(written).filter_map(|path| long_file(path, &tree::read(path)?));
        none(&long.collect::<Vec<_>>());
    }

    #[test]
    fn the_top_of_the_repository_stays_small() {
        none(&strangers(&tree::files()));
        let files = ["src/a.rs", "examples/b.rs", ".ci/run"].map(str::to_owned);
        assert_eq!(strangers(&files), ["examples: give it a room of the house"]);
    }

    #[test]
    fn every_rust_file_is_compiled() {
        let sources = tree::sources();
        none(&dead_files(sources, &tree::places(sources)));
    }

    #[test]
    fn a_header_must_have_its_three_parts() {
        let judge = |text: &str| header(&Source::new("x.rs", text));
        assert_eq!(judge("//! What it is.\n//!\n//! Not here: a.\n//! Must always\n//! hold: b.\n"), None);
        assert_eq!(judge("//! What it is.\n//! Not here: a. MUST ALWAYS HOLD: b.\n"), None);
        for bad in [
            "fn f() {}",
            "//! x\n",
            "//! What it is.\n//! Not here: a.\n",
            "// What. Not here. Must always hold.",
        ] {
            assert!(judge(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_long_function_is_seen_unless_it_is_excused() {
        let text = format!("fn f() {{\n{}}}\n", "x();\n".repeat(FUNCTION_LINES_MAX - 1));
        let source = Source::new("x.rs", &text);
        assert_eq!(long_functions(&source, &[]), ["x.rs:1: f has 71 lines"]);
        assert!(long_functions(&source, &[("x.rs", "f", "because")]).is_empty());
        let short = Source::new("x.rs", &text.replacen("x();\n", "", 1));
        assert!(long_functions(&short, &[]).is_empty());
        let excuse = [("x.rs", "f", "a table of modes")];
        assert!(stale_exceptions(&[source], &excuse).is_empty());
        assert_eq!(stale_exceptions(&[short], &excuse).len(), 1);
    }

    #[test]
    fn a_long_file_is_seen() {
        assert!(long_file("x.rs", &"\n".repeat(FILE_LINES_MAX)).is_none());
        assert!(long_file("x.rs", &"\n".repeat(FILE_LINES_MAX + 1)).is_some());
    }

    #[test]
    fn a_file_that_nobody_declares_is_seen() {
        let sources =
            [Source::new("src/lib.rs", "mod a;"), Source::new("src/a.rs", ""), Source::new("src/b.rs", "")];
        let found = dead_files(&sources, &tree::places(&sources));
        assert_eq!(found, ["src/b.rs:1: no `mod` names this file"]);
    }
}
