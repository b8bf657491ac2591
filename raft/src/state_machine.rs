//! `StateMachine`: what the log calls when entries are committed.
//!
//! Not here: any state. Must always hold: all methods but `digest` are called by one thread at a time, in log order;
//! a machine never needs to guard against two applies at once.

use bytes::Bytes;

use crate::error::Fatal;

/// A committed entry on its way into the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A proposal's bytes.
    Ops {
        /// Position in the log; strictly rising, holes are possible. A cluster's first entry is a `Blank` at 0.
        index: u64,
        /// The proposal's payload.
        ops: Bytes,
    },
    /// An entry of the log's own (a new leader's first entry, a membership change): it only moves the applied index.
    Blank {
        /// Position in the log.
        index: u64,
    },
}

impl Entry {
    /// Position of the entry in the log.
    pub fn index(&self) -> u64 {
        match self {
            Entry::Ops { index, .. } | Entry::Blank { index } => *index,
        }
    }
}

/// How far a state machine is, in the log's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Index of the last applied entry.
    pub index: u64,
    /// Log id and membership as of that index: opaque to the machine, which stores it in the same atomic write as the
    /// data of the entries up to `index`, and gives it back unchanged.
    pub mark: Bytes,
}

/// The replicated state: a deterministic function of the log.
///
/// The words follow hashicorp/raft's `fsm.go` and toydb's `raft::State`.
///
/// *Determinism.* The state after entry N is the same on every node, whatever way entries were cut into chunks and
/// however often the node restarted. Time and randomness come out of entries, never from the machine's surroundings.
///
/// *Two kinds of failure.* A command that is refused is a normal result, equal on every node. `Fatal` is a fault of
/// this node alone (its disk); returning it stops the node and nothing else is called afterwards.
pub trait StateMachine: Send + Sync {
    /// The last stored checkpoint, or `None` for an empty machine. Called once, before any other method.
    ///
    /// The checkpoint may be older than what was applied before a crash, never half of an entry. The caller compares
    /// it with its log and either replays from there or calls [`StateMachine::discard`].
    fn recovered(&self) -> Result<Option<Applied>, Fatal>;

    /// Forgets everything, as if the machine were new. Called when the checkpoint does not fit the log.
    fn discard(&self) -> Result<(), Fatal>;

    /// Applies `chunk` in order. On return its effects are visible to readers and waiters have been woken.
    ///
    /// `upto` is the mark of the chunk's last entry. After a crash the same entries may come again, starting right
    /// after the recovered checkpoint. Chunks are never empty and indexes never repeat within one life.
    fn apply(&self, chunk: &[Entry], upto: &Applied) -> Result<(), Fatal>;

    /// The log is on disk up to `index`: stored state may follow to there, and not beyond.
    ///
    /// May be called from another thread than `apply`, and with an index that was reported before.
    fn log_flushed(&self, index: u64);

    /// A fixed view of the state as of the last applied entry, to be read while applies go on.
    ///
    /// Returns quickly; the reading happens later, on another thread.
    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, Fatal>;

    /// Where a snapshot is written to replace this state. Nothing changes until [`SnapshotSink::commit`].
    fn install(&self) -> Result<Box<dyn SnapshotSink>, Fatal>;

    /// Applied index and state hash, read at one instant. May be called from any thread.
    fn digest(&self) -> (u64, [u8; 16]);
}

/// A snapshot being read.
pub trait SnapshotSource: Send {
    /// What the snapshot contains.
    fn applied(&self) -> Applied;

    /// The state hash as of `applied`.
    fn state_hash(&self) -> [u8; 16];

    /// The next block, encoded and checksummed by the machine; `None` after the last. Blocks are at most about 256 KiB.
    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal>;
}

/// A snapshot being installed. Dropping it before `commit` leaves the old state untouched.
pub trait SnapshotSink: Send {
    /// Takes the next block, in the order the source gave them. A block that fails its checksum is `Fatal`.
    fn put_block(&mut self, block: Bytes) -> Result<(), Fatal>;

    /// Checks `state_hash` against what was written, makes the new state durable and switches to it atomically.
    ///
    /// A crash before or during leaves the old state or the new one, whole.
    fn commit(self: Box<Self>, applied: &Applied, state_hash: [u8; 16]) -> Result<(), Fatal>;
}
