//! House rules as a test: whatever is written down for people is checked here, on every file of the tree.
//!
//! ```text
//!   tree     finds the files, and which module each one is
//!   source   cuts a Rust file into code, comments and tokens
//!   layers   doors → services → meta → base → log; raft and jepsen stay apart
//!   shape    headers, long functions, long files, dead files
//!   words    what may not be written: unfinished code, clocks, sleeps, paths of somebody's machine
//!   manifests  Cargo.toml: a reason and an exact version for each dependency
//!   metrics  what is declared is counted somewhere
//!   readme   tables and lists of README.md against the code
//! ```
//!
//! Not here: behaviour, and what the compiler or clippy see by themselves.
//! Must always hold: each rule has a test that feeds it a bad snippet and sees it fail; every finding is `file:line: why`.

mod layers;
mod manifests;
mod metrics;
mod readme;
mod shape;
mod source;
mod tree;
mod words;

/// Fails with all findings at once: whoever breaks three rules wants to hear of three.
#[track_caller]
fn none(findings: &[String]) {
    assert!(findings.is_empty(), "\n{} finding(s):\n{}\n", findings.len(), findings.join("\n"));
}
