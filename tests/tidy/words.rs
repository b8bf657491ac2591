//! What may not be written.
//!
//! Not here: what clippy sees by type (`unwrap`, `SystemTime::now` behind an alias).
//! Must always hold: code is judged without its comments and strings, comments without the code.

use crate::source::Source;

/// Sequences of tokens that no Rust file may hold, and why.
const BANNED_CODE: [(&[&str], &str); 7] = [
    (&["todo", "!"], "finish it or leave it out"),
    (&["unimplemented", "!"], "finish it or leave it out"),
    (&["dbg", "!"], "use tracing"),
    (&["#", "[", "ignore"], "a test that does not run proves nothing"),
    (&["allow", "(", "dead_code"], "take the dead code out"),
    (&["Timestamp", "::", "now"], "read time through clock::Clock"),
    (&["Zoned", "::", "now"], "read time through clock::Clock"),
];

/// Words that no text file may hold: unfinished thoughts belong into issues.
const BANNED_NOTES: [&str; 3] = [concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO")];

/// Paths of the machines this is written on.
const MACHINE_PATHS: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// A home that is nobody's, for examples.
const EXAMPLE_HOME: &str = concat!("/ho", "me/a");

/// Addresses of package registries: clients know them, and lock files record them.
const REGISTRIES: [&str; 7] = [
    concat!("crates.io", "-index"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("registry.", "npmjs"),
    concat!("py", "pi.org"),
    concat!("files.python", "hosted"),
    concat!("proxy.", "golang.org"),
];
const LOCK_FILES: [&str; 2] = ["Cargo.lock", "package-lock.json"];

/// Test files that may sleep: `(file, reason)`.
const SLEEPERS: [(&str, &str); 0] = [];

/// Where the type `SystemTime` may be named: the kernel, HTTP dates and file times come in it. Never below a door.
const SYSTEM_TIME: [&str; 5] = ["src/clock.rs", "src/fuse/", "src/http/", "src/webdav/", "src/scan/"];

/// What a file other than `codec.rs` may take from bincode: the names of derives.
const BINCODE_DERIVES: [&str; 3] = ["Encode", "Decode", "BorrowDecode"];

fn banned_code(source: &Source) -> Vec<String> {
    let at = |i: usize| BANNED_CODE.iter().filter(move |(words, _)| source.is(i, words)).map(move |b| (i, b));
    let found = (0..source.len()).flat_map(at);
    found.map(|(i, (words, why))| format!("{}: `{}`: {why}", source.place(i), words.concat())).collect()
}

fn system_time(source: &Source) -> Vec<String> {
    if SYSTEM_TIME.iter().any(|p| source.path.starts_with(p)) {
        return Vec::new();
    }
    let named = (0..source.len()).filter(|i| source.token(*i) == "SystemTime");
    named.map(|i| format!("{}: SystemTime stays in clock.rs and at the doors", source.place(i))).collect()
}

fn bincode_use(source: &Source) -> Vec<String> {
    if source.path.ends_with("src/codec.rs") {
        return Vec::new();
    }
    let is_derive = |i: usize| match source.token(i + 2) {
        // `#[bincode(…)]` steers a derive.
        _ if i > 0 && source.is(i - 1, &["[", "bincode", "("]) => true,
        "{" => (i + 3..source.closing(i + 2))
            .all(|t| matches!(source.token(t), "," | "self") || BINCODE_DERIVES.contains(&source.token(t))),
        word => BINCODE_DERIVES.contains(&word),
    };
    let wrong = (0..source.len()).filter(|i| source.token(*i) == "bincode" && !is_derive(*i));
    wrong
        .map(|i| format!("{}: only codec.rs speaks to bincode; elsewhere its derives", source.place(i)))
        .collect()
}

fn sleeps_in_tests(source: &Source, test_file: bool) -> Vec<String> {
    let excused = SLEEPERS.iter().any(|(f, _)| *f == source.path);
    (0..source.len())
        .filter(|i| !excused && source.is(*i, &["sleep", "("]) && (test_file || source.in_test(*i)))
        .map(|i| format!("{}: a test waits for an event, not for time", source.place(i)))
        .collect()
}

/// Unfinished thoughts: in comments of Rust files, anywhere in other texts.
fn notes(path: &str, text: &str) -> Vec<String> {
    let is_note = |word: &str| BANNED_NOTES.contains(&word);
    lines_with(
        path,
        text,
        |line| line.split(|c: char| !c.is_alphanumeric()).any(is_note),
        "an unfinished thought",
    )
}

fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let is_machine = |line: &str| {
        let mut homes = line.split(EXAMPLE_HOME).skip(1);
        let only_examples = homes.all(|rest| !rest.starts_with(char::is_alphanumeric));
        let line = if only_examples { line.replace(EXAMPLE_HOME, "") } else { line.to_owned() };
        MACHINE_PATHS.iter().any(|p| line.contains(p))
    };
    lines_with(path, text, is_machine, "a path of one machine")
}

fn registries(path: &str, text: &str) -> Vec<String> {
    if LOCK_FILES.iter().any(|f| path.ends_with(f)) {
        return Vec::new();
    }
    lines_with(path, text, |line| REGISTRIES.iter().any(|r| line.contains(r)), "the address of a registry")
}

fn lines_with(path: &str, text: &str, is_bad: impl Fn(&str) -> bool, why: &str) -> Vec<String> {
    let bad = text.lines().enumerate().filter(|(_, line)| is_bad(line));
    bad.map(|(n, line)| format!("{path}:{}: {why}: {}", n + 1, line.trim())).collect()
}

/// Scripts fail at the first error, and say what they are.
fn script(path: &str, text: &str) -> Option<String> {
    let mut lines = text.lines();
    let shebang = lines.next() == Some("#!/usr/bin/env bash");
    let says = lines.next().is_some_and(|l| l.starts_with("# "));
    let strict = text.lines().any(|l| l == "set -euo pipefail");
    (!(shebang && says && strict)).then(|| {
        format!("{path}:1: needs a shebang, a comment that says what it is, and `set -euo pipefail`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{none, tree};

    #[test]
    fn code_holds_no_banned_word() {
        let judge = |s: &Source| [banned_code(s), system_time(s), bincode_use(s)].concat();
        none(&tree::sources().iter().flat_map(judge).collect::<Vec<_>>());
    }

    #[test]
    fn tests_do_not_sleep() {
        let sources = tree::sources();
        let places = tree::places(sources);
        let judge = |s: &Source| sleeps_in_tests(s, places.get(&s.path).is_some_and(|p| p.test));
        none(&sources.iter().flat_map(judge).collect::<Vec<_>>());
    }

    #[test]
    fn texts_hold_no_notes_machine_paths_or_registry_addresses() {
        let mut found = Vec::new();
        for path in tree::files() {
            let Some(text) = tree::read(&path) else { continue };
            found.extend(machine_paths(&path, &text));
            found.extend(registries(&path, &text));
            let judged = if path.ends_with(".rs") { Source::new(&path, &text).comments } else { text };
            found.extend(notes(&path, &judged));
        }
        none(&found);
    }

    #[test]
    fn scripts_are_strict() {
        let files = tree::files();
        let scripts = files.iter().filter(|p| p.ends_with(".sh") || p.starts_with(".ci/"));
        none(&scripts.filter_map(|p| script(p, &tree::read(p)?)).collect::<Vec<_>>());
    }

    #[test]
    fn unfinished_code_is_seen_and_its_mention_is_not() {
        for bad in [
            "fn f() { todo!() }",
            "dbg!(x);",
            "#[ignore = \"slow\"] fn t() {}",
            "#[allow(dead_code)] fn f() {}",
        ] {
            assert_eq!(banned_code(&Source::new("x.rs", bad)).len(), 1, "{bad}");
        }
        assert!(
            banned_code(&Source::new("x.rs", "// todo!()\nconst S: &str = \"dbg!\"; fn todo() {}"))
                .is_empty()
        );
    }

    #[test]
    fn clocks_and_codecs_have_one_home() {
        let time = |path: &str| system_time(&Source::new(path, "fn f(t: SystemTime) {}")).len();
        assert_eq!((time("src/meta/apply.rs"), time("src/clock.rs"), time("src/fuse/attr.rs")), (1, 0, 0));
        let judge = |path: &str, text: &str| bincode_use(&Source::new(path, text)).len();
        assert_eq!(judge("src/meta/a.rs", "bincode::encode_to_vec(x, c);"), 1);
        assert_eq!(judge("src/meta/a.rs", "use bincode::{Encode, config};"), 1);
        assert_eq!(
            judge(
                "src/meta/a.rs",
                "use bincode::{BorrowDecode, Encode}; #[derive(bincode::Decode)] #[bincode(decode_context = \"B\")] struct S;"
            ),
            0
        );
        assert_eq!(judge("raft/src/codec.rs", "bincode::encode_to_vec(x, c);"), 0);
    }

    #[test]
    fn a_sleeping_test_is_seen() {
        let source =
            Source::new("src/a.rs", "fn w() { sleep(d); }\n#[test]\nfn t() { tokio::time::sleep(d); }");
        assert_eq!(sleeps_in_tests(&source, false).len(), 1);
        assert_eq!(sleeps_in_tests(&source, true).len(), 2);
    }

    #[test]
    fn bad_lines_are_seen() {
        assert_eq!(notes("x.md", &format!("a {} b", BANNED_NOTES[0])).len(), 1);
        assert!(notes("x.sh", "mktemp -d metad.XXXXXX").is_empty());
        assert_eq!(machine_paths("x.md", &format!("cd {}x", MACHINE_PATHS[0])).len(), 1);
        assert!(machine_paths("x.rs", EXAMPLE_HOME).is_empty());
        assert_eq!(machine_paths("x.rs", &format!("{EXAMPLE_HOME}nna/x")).len(), 1);
        let address = format!("https://{}/x", REGISTRIES[1]);
        assert_eq!((registries("x.toml", &address).len(), registries("Cargo.lock", &address).len()), (1, 0));
    }

    #[test]
    fn a_lax_script_is_seen() {
        assert_eq!(script("x.sh", "#!/usr/bin/env bash\n# What it is.\nset -euo pipefail\n"), None);
        assert!(script("x.sh", "#!/usr/bin/env bash\n# What it is.\n").is_some());
        assert!(script("x.sh", "#!/bin/sh\n# What it is.\nset -euo pipefail\n").is_some());
    }
}
