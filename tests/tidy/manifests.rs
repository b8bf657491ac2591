//! The manifests: each dependency has a reason and an exact version; jepsen knows no crate of ours.
//!
//! Not here: licences and advisories (`.deny.toml`). Must always hold: versions and lints are named in the root
//! manifest, once.

use std::collections::BTreeSet;

use toml::Table;

use crate::source::Source;

/// A comment above dependencies speaks for at most this many of them.
const GROUP_LINES_MAX: usize = 8;
/// The members of the workspace that must stay apart, and the start of the names that they must not depend on.
const APART: [(&str, &str); 2] = [("jepsen/Cargo.toml", "metad"), ("raft/Cargo.toml", "metad")];
const MEMBERS: [&str; 3] = ["Cargo.toml", "raft/Cargo.toml", "jepsen/Cargo.toml"];
const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

fn parse(text: &str) -> Table {
    text.parse().expect("cargo has read this manifest before us")
}

/// Lines of `[workspace.dependencies]` that no comment speaks for.
fn unexplained(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let (mut inside, mut left) = (false, 0);
    for (n, line) in text.lines().enumerate() {
        match line.chars().next() {
            Some('[') => inside = line == "[workspace.dependencies]",
            Some('#') => left = GROUP_LINES_MAX,
            None => left = 0,
            Some(_) if inside && line.contains("path =") => {}
            Some(_) if inside && left == 0 => {
                out.push(format!("Cargo.toml:{}: no comment says why: {line}", n + 1));
            }
            Some(_) => left = left.saturating_sub(1),
        }
    }
    out
}

/// Dependencies of the workspace that are not pinned with `=`.
fn unpinned(manifest: &Table) -> Vec<String> {
    let dependencies = manifest["workspace"]["dependencies"].as_table().expect("it is a table");
    let is_pinned = |value: &toml::Value| {
        let version = value.as_str().or_else(|| value.get("version")?.as_str());
        value.get("path").is_some() || version.is_some_and(|v| v.starts_with('='))
    };
    dependencies
        .iter()
        .filter(|(_, v)| !is_pinned(v))
        .map(|(name, _)| format!("{name} is not pinned"))
        .collect()
}

/// Dependencies that wait for what will use them: `(member, dependency, what)`. To be taken off when it is there.
const WAITING: [(&str, &str, &str); 6] = [
    ("Cargo.toml", "httpdate", "content over HTTP"),
    ("Cargo.toml", "lz4_flex", "snapshots"),
    ("Cargo.toml", "sled", "the state store"),
    ("Cargo.toml", "xxhash-rust", "the state hash"),
    ("raft/Cargo.toml", "parking_lot", "the local journal"),
    ("raft/Cargo.toml", "tracing", "the local journal"),
];

/// Dependencies of a member that no file of it names.
fn unused(path: &str, manifest: &Table, sources: &[Source]) -> Vec<String> {
    let folder = path.trim_end_matches("Cargo.toml");
    let is_of_member = |s: &&Source| match folder {
        "" => s.path.starts_with("src/") || s.path.starts_with("tests/"),
        _ => s.path.starts_with(folder),
    };
    let mut words = BTreeSet::new();
    for source in sources.iter().filter(is_of_member) {
        words.extend((0..source.len()).map(|i| source.token(i)));
    }
    let tables = SECTIONS.iter().filter_map(|s| manifest.get(*s)?.as_table());
    let names = tables
        .flat_map(|t| t.keys())
        .filter(|n| WAITING.iter().all(|(m, w, _)| (*m, *w) != (path, n.as_str())));
    names
        .filter(|name| !words.contains(name.replace('-', "_").as_str()))
        .map(|name| format!("{path}: no file of this member names {name}"))
        .collect()
}

/// Dependencies of a member whose names start with `prefix`.
fn forbidden(manifest: &Table, prefix: &str) -> Vec<String> {
    let tables = SECTIONS.iter().filter_map(|s| manifest.get(*s)?.as_table());
    tables.flat_map(|t| t.keys()).filter(|name| name.starts_with(prefix)).cloned().collect()
}

/// What a member states by itself though the workspace states it for all.
fn stated_twice(path: &str, manifest: &Table) -> Vec<String> {
    let mut out = Vec::new();
    let inherits = |v: &toml::Value| v.get("workspace").and_then(toml::Value::as_bool) == Some(true);
    if !manifest.get("lints").is_some_and(inherits) {
        out.push(format!("{path}: needs `[lints] workspace = true`"));
    }
    let tables = SECTIONS.iter().filter_map(|s| manifest.get(*s)?.as_table());
    let own = tables.flatten().filter(|(_, v)| !inherits(v));
    out.extend(own.map(|(name, _)| format!("{path}: {name} needs `workspace = true`")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{none, tree};

    fn manifest(path: &str) -> String {
        tree::read(path).expect("manifests are text")
    }

    #[test]
    fn every_dependency_has_a_reason_and_an_exact_version() {
        let text = manifest("Cargo.toml");
        none(&[unexplained(&text), unpinned(&parse(&text))].concat());
    }

    #[test]
    fn members_state_nothing_that_the_workspace_states() {
        none(&MEMBERS.iter().flat_map(|p| stated_twice(p, &parse(&manifest(p)))).collect::<Vec<_>>());
    }

    #[test]
    fn every_dependency_is_used() {
        let found = MEMBERS.iter().flat_map(|p| unused(p, &parse(&manifest(p)), tree::sources()));
        none(&found.collect::<Vec<_>>());
    }

    #[test]
    fn an_unused_dependency_is_seen() {
        let sources =
            [Source::new("raft/src/lib.rs", "use a_b::C; // d"), Source::new("src/lib.rs", "use d::E;")];
        let manifest = parse("[dependencies]\na-b = \"1\"\nd = \"1\"");
        assert_eq!(unused("raft/Cargo.toml", &manifest, &sources).len(), 1);
        assert_eq!(unused("Cargo.toml", &manifest, &sources).len(), 1);
    }

    #[test]
    fn raft_and_jepsen_depend_on_no_crate_of_ours() {
        none(
            &APART
                .iter()
                .flat_map(|(path, ours)| forbidden(&parse(&manifest(path)), ours))
                .collect::<Vec<_>>(),
        );
    }

    #[test]
    fn a_dependency_without_a_reason_is_seen() {
        let text = "[workspace.dependencies]\nours = { path = \"x\" }\na = \"=1\"\n# Why.\nb = \"=1\"\n\nc = \"=1\"\n";
        assert_eq!(unexplained(text).len(), 2);
        let group =
            format!("[workspace.dependencies]\n# Why.\n{}", "d = \"=1\"\n".repeat(GROUP_LINES_MAX + 1));
        assert_eq!(unexplained(&group).len(), 1);
    }

    #[test]
    fn a_loose_version_is_seen() {
        let text = "[workspace.dependencies]\na = \"1\"\nb = { version = \"1\" }\nc = { path = \"c\" }\nd = \"=1.0.0\"";
        assert_eq!(unpinned(&parse(text)).len(), 2);
    }

    #[test]
    fn a_member_that_goes_its_own_way_is_seen() {
        let text =
            "[dependencies]\na = \"1\"\nb.workspace = true\n[dev-dependencies]\nmetad.workspace = true";
        assert_eq!(stated_twice("x", &parse(text)).len(), 2);
        assert_eq!(forbidden(&parse(text), "metad"), ["metad"]);
    }
}
