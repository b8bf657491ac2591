//! The truth: records and keys, the operations on them, and the one service that reads and writes them.
//!
//! Not here: protocols (doors), folders (vfs), the log (`metad-raft`).
//! Must always hold: state is a pure function of the log; apply reads no clock, no randomness, no hash-map order.

pub mod event;
pub mod feed;
pub mod op;
pub mod record;
pub mod response;
pub mod service;
