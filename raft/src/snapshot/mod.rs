//! Snapshots of the state machine as files of our own.
//!
//! Not here: what a block holds; the machine encodes it. When to take a snapshot; that is the replicator's business.
//! Must always hold: a file under its final name was complete and on disk before it got that name; a reader returns
//! blocks only in order, each checked, and says at the end whether the file was whole.
//!
//! ```text
//! header   envelope 32 v1: applied index u64 | state hash 16 bytes | mark length u32 | mark
//! block    envelope 33 v1: the machine's bytes                          (any number of them)
//! footer   envelope 34 v1: blocks u64 | their bytes u64 | CRC32C of all bytes before the footer u32
//! ```
//! All numbers are little-endian; the envelope is that of `codec`. Nothing follows the footer.

mod files;
mod format;
mod incoming;

pub(crate) use files::{SnapshotStore, WriteError, export_from, is_full};
pub(crate) use format::{SnapshotError, SnapshotReader, SnapshotWriter, Summary};
pub(crate) use incoming::{Incoming, ReceiveError};
