//! The suite: the real binary and the public interfaces, one link step for all of it.
//!
//! ```text
//! config_docs   settings, completions, manual, version, exit codes: the binary without a server
//! scan_cli      `metad scan --dry-run` on real folders
//! support       starts the binary, isolated from this machine's settings
//! ```
//!
//! Not here: mounts (`tests/fuse`), house rules (`tests/tidy`).
//! Must always hold: a test starts from an empty environment and a folder of its own, and takes no fixed port.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot do its part must fail the test")]

mod config_docs;
mod scan_cli;
mod support;
