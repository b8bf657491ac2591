//! The fault harness of metad: cluster, clients, nemeses, workloads and checkers.
//!
//! Not here: any code of the daemon. This crate depends on no other crate of the workspace.
//! Must always hold: whatever it learns of a node, it learns through a door that users have.
//!
//! The harness is not written yet; see `README.md` beside this file.
