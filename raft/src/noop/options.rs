//! What a `NoOpReplicator` is told: where, how durable, how much.
//!
//! Not here: any behaviour. Must always hold: every limit of this replicator is a field here, with its unit.

use std::path::PathBuf;
use std::sync::Arc;

use crate::faults::{Faults, NoFaults};

/// When an entry counts as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Once its bytes are in the kernel: survives kill -9 of this process, not a loss of power.
    #[default]
    Os,
    /// Once `fdatasync` has returned: survives a loss of power.
    Fsync,
}

/// The settings of a [`NoOpReplicator`](super::NoOpReplicator).
#[derive(Clone)]
pub struct Options {
    /// Directory of the journal and its snapshots; created when missing. The machine's own files live elsewhere.
    pub dir: PathBuf,
    /// When an entry counts as written.
    pub durability: Durability,
    /// Longest entry in bytes; longer ones are `TooLarge`.
    pub entry_bytes_max: usize,
    /// Proposals that may wait, in bytes; beyond that they are `Busy`.
    pub queue_bytes_max: usize,
    /// Proposals that may wait, in entries; beyond that they are `Busy`.
    pub queue_entries_max: usize,
    /// Bytes that one write takes from the queue before it stops taking more calls.
    pub batch_bytes_max: usize,
    /// Free bytes that the disk must keep; below that, proposals are `NoSpace`.
    pub reserve_bytes: u64,
    /// Entries in the journal that make a snapshot due.
    pub snapshot_entries: u64,
    /// Bytes in the journal that make a snapshot due.
    pub snapshot_bytes: u64,
    /// Entries that stay in the journal behind a snapshot, so that a machine that is a little behind needs no rebuild.
    pub tail_entries: u64,
    /// The same in bytes; the smaller tail counts.
    pub tail_bytes: u64,
    /// The disk as tests want it.
    pub faults: Arc<dyn Faults>,
}

impl Options {
    /// The defaults for a directory: durability `Os`, entries up to 16 MiB, a snapshot every 50,000 entries or 64 MiB.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            dir: dir.into(),
            durability: Durability::Os,
            entry_bytes_max: 16 * MIB,
            queue_bytes_max: 64 * MIB,
            queue_entries_max: 65_536,
            batch_bytes_max: 4 * MIB,
            reserve_bytes: 64 * MIB as u64,
            snapshot_entries: 50_000,
            snapshot_bytes: 64 * MIB as u64,
            tail_entries: 10_000,
            tail_bytes: 16 * MIB as u64,
            faults: Arc::new(NoFaults),
        }
    }
}
