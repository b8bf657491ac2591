//! `PosixMetadataReplicator`: the one way into the log.
//!
//! Not here: how entries are ordered (see the implementations) and what they mean (see the layer above).
//! Must always hold: the layer above cannot tell the implementations apart but by their promises.
//!
//! Source: seed 002, "POSIX Metadata Replicator"; Raft (Ongaro and Ousterhout, 2014), section 5.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use crate::admin::ClusterAdmin;
use crate::error::{Leader, ReplicateError, StartError};
use crate::state_machine::StateMachine;

/// A boxed future: the price of a trait object, paid once per batch and not per operation.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One log entry to be: bytes, encoded once by the proposer and never looked into here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The entry's payload.
    pub ops: Bytes,
}

/// What this node is to the log right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Orders entries. A NoOp node always leads itself.
    Leader,
    /// A voter that follows.
    Follower,
    /// A voter that asks to lead.
    Candidate,
    /// Receives the log and has no vote.
    Learner,
}

/// A picture of the replicator, published whenever a part of it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node's id.
    pub id: u64,
    /// Its role.
    pub role: Role,
    /// The leader it knows, itself included: one that it heard since it started, in the present term.
    pub leader: Option<Leader>,
    /// The term (0 in NoOp).
    pub term: u64,
    /// Index of the last entry in the local log.
    pub last_log_index: u64,
    /// Index up to which entries are known to be committed.
    pub committed_index: u64,
    /// Index up to which the local state machine has applied.
    pub applied_index: u64,
    /// Index of the newest durable snapshot, 0 when there is none.
    pub snapshot_index: u64,
    /// Index up to which the log was cut off, 0 when it is whole: a member that needs less gets a snapshot.
    pub purged_index: u64,
    /// Whether everything has been applied that the disk held when the node started, as far as it is committed. Stays true.
    pub recovered: bool,
    /// Why the replicator stopped by itself, once it did.
    pub failure: Option<String>,
}

/// A snapshot file that is open for reading. It can be read to its end, however many newer ones are written meanwhile.
#[derive(Debug)]
pub struct SnapshotExport {
    /// Index of the last entry that it contains.
    pub index: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The file, at its beginning.
    pub file: std::fs::File,
}

impl Status {
    /// The status of a node that has not started: it follows nobody and holds nothing.
    pub fn initial(id: u64) -> Self {
        Self {
            id,
            role: Role::Follower,
            leader: None,
            term: 0,
            last_log_index: 0,
            committed_index: 0,
            applied_index: 0,
            snapshot_index: 0,
            purged_index: 0,
            recovered: false,
            failure: None,
        }
    }
}

/// An ordered, durable log of opaque entries with a state machine behind it.
///
/// Implementations: a local journal for one node, and, for several nodes, Raft.
pub trait PosixMetadataReplicator: Send + Sync {
    /// Recovers the log, brings `machine` to its end, and starts the background work.
    ///
    /// Called once, before anything else. When it returns, every entry that was ever acknowledged on this node alone
    /// (NoOp) is applied. After a crash the machine's own checkpoint is compared with the log first: a checkpoint
    /// that is ahead of the log or unknown to it is discarded and rebuilt.
    fn start(&self, machine: Arc<dyn StateMachine>) -> Fut<'_, Result<(), StartError>>;

    /// Proposes each of `batch` as one log entry, in order, with nothing of the same batch in between.
    ///
    /// `Ok(index)` means: committed (on disk as the durability setting says, on a quorum when there is one) and
    /// applied on this node. Any error says what is known in its variant. Proposals of one batch may fail one by one.
    /// On a follower every proposal is refused with `NotLeader`; forwarding lives above.
    /// Dropping the future does not take the proposals back.
    fn replicate(&self, batch: Vec<Proposal>) -> Fut<'_, Vec<Result<u64, ReplicateError>>>;

    /// Waits until the local state contains everything that was acknowledged anywhere before this call.
    ///
    /// Returns the applied index that is certain to contain it. With several nodes this is a read-index round
    /// (Raft section 6.4 of the dissertation); it never rests on a clock. `Unknown` when `deadline` passes first.
    fn read_barrier(&self, deadline: Instant) -> Fut<'_, Result<u64, ReplicateError>>;

    /// The current picture and its changes. Clone what you need out of a borrow at once; never hold it.
    fn status(&self) -> watch::Receiver<Status>;

    /// A snapshot that contains at least what is applied here at the time of the call, written now if none does.
    ///
    /// Appends nothing to the log; applies go on. `Unknown` when `deadline` passes first, `NoSpace` when the disk has no room
    /// for it. A replicator that keeps no snapshots answers `Stopped`.
    fn export(&self, deadline: Instant) -> Fut<'_, Result<SnapshotExport, ReplicateError>> {
        let _ = deadline;
        Box::pin(async { Err(ReplicateError::Stopped) })
    }

    /// Changes of the cluster; `None` where there is no cluster (NoOp).
    fn admin(&self) -> Option<&dyn ClusterAdmin> {
        None
    }

    /// Stops taking proposals, finishes what is in flight, flushes the log and stops all threads. Idempotent.
    fn stop(&self) -> Fut<'_, ()>;
}
