//! The suite: the real binary and the public interfaces, one link step for all of it.
//!
//! ```text
//! bad_input     refusals of the node: statuses, exit codes, nothing lost
//! campaign      real processes under load and faults, with a ledger and figures
//! clean_stop    SIGTERM
//! cluster       several nodes: formation, members, the same state everywhere
//! config_docs   settings, completions, manual, version, exit codes: the binary without a server
//! crash         kill -9 under load, again and again
//! demo          `metad demo`: three nodes, a mount, one is killed
//! doctor        `metad doctor` on a node that is well, and on none
//! fsync         the log is synced before an answer: from the binary's system calls
//! names         no change of a file moves another one
//! real_input    films, release names and videos that were not made for us
//! resp          the Redis door: shapes, order, refusals
//! scan_cli      `metad scan --dry-run` on real folders
//! survivor      two of three are lost; snapshots of three under load
//! tree          the tree over restarts, batches and changes, and through the mount
//! watch         `metad status --watch`
//! snapshot      the whole state as a file, a new cluster out of it or out of the last survivor
//! support       starts the binary, isolated from this machine's settings
//! ```
//!
//! Not here: the FUSE door by itself (`tests/fuse`), house rules (`tests/tidy`).
//! Must always hold: a test starts from an empty environment and a folder of its own, and takes no fixed port.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot do its part must fail the test")]

mod bad_input;
mod campaign;
mod clean_stop;
mod cluster;
mod config_docs;
mod crash;
mod demo;
mod doctor;
mod fsync;
mod names;
mod real_input;
mod resp;
mod resp_files;
mod scan_cli;
mod snapshot;
mod support;
mod survivor;
#[path = "../../raft/tests/suite/synced.rs"]
mod synced;
#[path = "../../raft/tests/suite/trace.rs"]
mod trace;
mod tree;
mod watch;
