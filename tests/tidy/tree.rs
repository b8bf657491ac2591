//! The files of the repository, and which module each Rust file is.
//!
//! Not here: what may be in them. Must always hold: whatever cargo would compile is found, so that no rule is kept by
//! a file's not being looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::source::Source;

/// Directories that hold no work of ours.
const SKIPPED: [&str; 5] = ["target", ".git", "node_modules", ".venv", "__pycache__"];

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Paths of all files, relative to the root, sorted.
pub(crate) fn files() -> Vec<String> {
    let mut out = Vec::new();
    walk(root(), &mut out);
    out.sort();
    assert!(out.len() > 20, "the walk found only {} files", out.len());
    out
}

/// All Rust files, scanned once for all tests.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    let scan = |path: &String| Source::new(path, &read(path).expect("Rust files are UTF-8"));
    SOURCES.get_or_init(|| files().iter().filter(|path| path.ends_with(".rs")).map(scan).collect())
}

/// The text of a file; `None` when it is no text.
pub(crate) fn read(path: &str) -> Option<String> {
    let bytes = fs::read(root().join(path)).expect("the walk has just seen this file");
    String::from_utf8(bytes).ok()
}

fn walk(dir: &Path, out: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("the tree can be read") {
        let entry = entry.expect("the tree can be read");
        let name = entry.file_name();
        let kind = entry.file_type().expect("the tree can be read");
        if kind.is_dir() && !SKIPPED.iter().any(|s| name == *s) {
            walk(&entry.path(), out);
        } else if kind.is_file() && name != ".git" {
            let path = entry.path();
            let path = path.strip_prefix(root()).expect("the walk starts at the root");
            out.push(path.to_string_lossy().into_owned());
        }
    }
}

/// A file's place in its crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file that cargo starts the crate with.
    pub(crate) crate_root: String,
    /// Module path inside the crate; empty for the root itself.
    pub(crate) module: Vec<String>,
    /// Compiled for tests only.
    pub(crate) test: bool,
}

/// The module of every file that some crate reaches through `mod`.
pub(crate) fn places(sources: &[Source]) -> BTreeMap<String, Place> {
    let by_path: BTreeMap<_, _> = sources.iter().map(|s| (s.path.as_str(), s)).collect();
    let mut out = BTreeMap::new();
    for root in by_path.keys().filter(|p| is_crate_root(p)) {
        let under_tests = root.starts_with("tests/") || root.contains("/tests/");
        let place = Place { crate_root: (*root).to_owned(), module: Vec::new(), test: under_tests };
        reach(root, place, &by_path, &mut out);
    }
    out
}

/// What cargo finds by itself: `lib.rs`, `main.rs`, and one root per file or folder of tests, examples, benches, bin.
fn is_crate_root(path: &str) -> bool {
    let path = path.strip_prefix("raft/").or_else(|| path.strip_prefix("jepsen/")).unwrap_or(path);
    let parts: Vec<_> = path.split('/').collect();
    match parts.as_slice() {
        ["src", "lib.rs" | "main.rs"] | ["build.rs"] => true,
        ["tests" | "examples" | "benches", rest @ ..] | ["src", "bin", rest @ ..] => {
            rest.len() == 1 || (rest.len() == 2 && rest[1] == "main.rs")
        }
        _ => false,
    }
}

fn reach(file: &str, place: Place, all: &BTreeMap<&str, &Source>, out: &mut BTreeMap<String, Place>) {
    let Some(source) = all.get(file) else { return };
    let folder = children_folder(file, place.module.is_empty());
    for module in source.module_files() {
        let name = module.path.join("/");
        let candidates = match &module.file {
            Some(given) => vec![PathBuf::from(file).with_file_name(given)],
            None => vec![folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")],
        };
        let child = candidates.iter().filter_map(|c| c.to_str()).find(|c| all.contains_key(c));
        let Some(child) = child.filter(|c| !out.contains_key(*c)) else { continue };
        let mut path = place.module.clone();
        path.extend(module.path);
        let test = place.test || module.test;
        reach(child, Place { crate_root: place.crate_root.clone(), module: path, test }, all, out);
    }
    out.insert(file.to_owned(), place);
}

/// Where the modules declared in `file` lie.
fn children_folder(file: &str, crate_root: bool) -> PathBuf {
    let path = Path::new(file);
    let parent = path.parent().expect("files lie in folders");
    match path.file_stem().and_then(|s| s.to_str()) {
        Some(stem) if !crate_root && stem != "mod" => parent.join(stem),
        _ => parent.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_found_through_its_declarations_and_only_so() {
        let sources = [
            Source::new("src/lib.rs", "pub mod http; #[cfg(test)] mod helper;"),
            Source::new("src/http/mod.rs", "mod meta;"),
            Source::new("src/http/meta.rs", "mod deep;"),
            Source::new("src/http/meta/deep.rs", ""),
            Source::new("src/helper.rs", ""),
            Source::new("src/http/orphan.rs", ""),
            Source::new("tests/suite/main.rs", "mod single;"),
            Source::new("tests/suite/single.rs", ""),
        ];
        let places = places(&sources);
        assert_eq!(places["src/http/meta/deep.rs"].module, ["http", "meta", "deep"]);
        assert!(places["src/helper.rs"].test && places["tests/suite/single.rs"].test);
        assert!(!places.contains_key("src/http/orphan.rs"));
    }
}
