//! House rules as a test: headers, for a start.
//!
//! Not here: behaviour. Must always hold: a rule that is written down for people is checked here.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot read the tree must fail")]

use std::path::{Path, PathBuf};

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn every_file_starts_with_a_header() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "raft/src", "jepsen/src", "tests"] {
        rust_files(&root.join(dir), &mut files);
    }
    assert!(files.len() > 5, "the walk found no files");
    let bare: Vec<_> =
        files.iter().filter(|f| !std::fs::read_to_string(f).unwrap().starts_with("//! ")).collect();
    assert!(bare.is_empty(), "files without a header: {bare:?}");
}
