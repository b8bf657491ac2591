//! What a `RaftReplicator` is told: where, who, how fast, how much.
//!
//! Not here: any behaviour. Must always hold: every limit of this replicator is a field here, with its unit.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::faults::{Faults, NoFaults};
use crate::transport::Transport;

/// How long members wait for each other.
///
/// A dead leader is replaced after between `election_min + election_max` and `2 × election_max` from its last word, plus a few
/// round trips: followers keep faith for `election_max`, then wait a random time between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A leader says something at least this often.
    pub heartbeat: Duration,
    /// The shortest time that a follower waits before it asks to lead.
    pub election_min: Duration,
    /// The longest; also for how long a follower keeps faith in a silent leader, and a leader in a silent quorum.
    pub election_max: Duration,
}

impl Timing {
    /// One building, disks that sync within 10 ms: a new leader after 0.6 to 0.8 s.
    pub const FAST: Timing = Timing::millis(100, 200, 400);
    /// The default, one network: a new leader after 1.5 to 2 s.
    pub const LAN: Timing = Timing::millis(150, 500, 1000);
    /// Several sites, or slow disks: a new leader after 3 to 4 s.
    pub const WAN: Timing = Timing::millis(250, 1000, 2000);

    const fn millis(heartbeat: u64, election_min: u64, election_max: u64) -> Self {
        Self {
            heartbeat: Duration::from_millis(heartbeat),
            election_min: Duration::from_millis(election_min),
            election_max: Duration::from_millis(election_max),
        }
    }
}

/// What a member does that has never belonged to a cluster. Later starts ignore it: the log knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Formation {
    /// Becomes a cluster of one and leads it.
    #[default]
    Alone,
    /// Waits until the leader of a cluster adds it.
    Wait,
    /// Forms a cluster of exactly these voters, itself among them. Every one of them is started with the same set.
    Voters(BTreeSet<u64>),
}

/// The settings of a [`RaftReplicator`](super::RaftReplicator).
#[derive(Clone)]
pub struct Options {
    /// Directory of the log and its snapshots; created when missing.
    pub dir: PathBuf,
    /// This node's id.
    pub id: u64,
    /// The way to the other members; `None` for a node that has none.
    pub transport: Option<Arc<dyn Transport>>,
    /// What a new member does first.
    pub formation: Formation,
    /// How long members wait for each other. The same on all of them.
    pub timing: Timing,
    /// Longest entry in bytes; longer ones are `TooLarge`.
    pub entry_bytes_max: usize,
    /// Proposals that may be in flight, in bytes; beyond that they are `Busy`.
    pub queue_bytes_max: usize,
    /// Proposals that may be in flight, in entries; beyond that they are `Busy`.
    pub queue_entries_max: usize,
    /// Free bytes that the disk must keep; below that, proposals are `NoSpace` and entries of a leader are not taken.
    pub reserve_bytes: u64,
    /// Entries in the log that make a snapshot due.
    pub snapshot_entries: u64,
    /// Bytes in the log that make a snapshot due.
    pub snapshot_bytes: u64,
    /// Entries that stay in the log behind a snapshot.
    pub tail_entries: u64,
    /// Bytes of one piece of a snapshot on its way to another member.
    pub chunk_bytes: usize,
    /// The disk as tests want it.
    pub faults: Arc<dyn Faults>,
}

impl Options {
    /// The defaults for a directory: node 1, alone, entries up to 16 MiB, a snapshot every 50,000 entries or 64 MiB.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            dir: dir.into(),
            id: 1,
            transport: None,
            formation: Formation::Alone,
            timing: Timing::LAN,
            entry_bytes_max: 16 * MIB,
            queue_bytes_max: 64 * MIB,
            queue_entries_max: 65_536,
            reserve_bytes: 64 * MIB as u64,
            snapshot_entries: 50_000,
            snapshot_bytes: 64 * MIB as u64,
            tail_entries: 10_000,
            chunk_bytes: 512 * 1024,
            faults: Arc::new(NoFaults),
        }
    }
}
