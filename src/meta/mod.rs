//! The truth: records and keys, the operations on them, and the one service that reads and writes them.
//!
//! ```text
//! door ─► MetadataService ─► intake ─► log ─► machine ─► apply (pure) ─► state (RAM) ─► feed ─► followers
//!                                                                          └─► store (sled), behind the log
//! ```
//!
//! Not here: protocols (doors), folders (vfs), the log (`metad-raft`).
//! Must always hold: state is a pure function of the log; apply reads no clock, no randomness, no hash-map order.

pub mod apply;
pub mod cluster;
pub mod collection_op;
pub mod control;
pub mod counters;
pub mod decimal;
pub mod digests;
pub mod entry;
pub mod event;
pub mod feed;
mod flights;
pub mod forward;
mod freshness;
pub mod group;
pub mod hash;
pub mod history;
pub mod intake;
pub mod key;
pub mod key_op;
pub mod key_service;
pub mod layout;
pub mod leader_clock;
pub mod log_clock;
pub mod log_service;
pub mod lookers;
pub mod machine;
pub mod object;
pub mod once;
pub mod op;
mod packer;
pub mod pin;
mod recent;
pub mod record;
pub mod response;
pub mod rules;
pub mod service;
pub mod session;
pub mod snapshot;
pub mod snapshot_file;
pub mod state;
pub mod store;
pub mod stream;
pub mod stream_op;
pub mod tail;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod view;
pub mod waiters;
mod write_behind;
