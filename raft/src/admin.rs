//! `ClusterAdmin`: changes of who belongs to the cluster, and of who leads it.
//!
//! Not here: addresses and names of nodes (the layer above replicates them), the allocation of ids.
//! Must always hold: one change at a time, each against the membership that the caller saw; a voter is made only of a learner
//! that has caught up; no change leaves the cluster without a quorum that is reachable now.
//!
//! Source: Ongaro's dissertation, chapter 4; design D18.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::error::{Leader, ReplicateError};
use crate::replicator::Fut;

/// Who belongs to the cluster. Ids are allocated above and never reused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Index of the entry that holds this membership.
    pub index: u64,
    /// Nodes that vote. While a change is on its way: those of both its sides.
    pub voters: BTreeSet<u64>,
    /// Nodes that receive the log and have no vote.
    pub learners: BTreeSet<u64>,
    /// A change is half-way: until it is finished, both its majorities are needed.
    pub joint: bool,
}

/// What the leader knows of another member; on other nodes all is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProgress {
    /// The member.
    pub id: u64,
    /// Index up to which its log is known to match the leader's.
    pub matched_index: Option<u64>,
    /// How long ago it last answered.
    pub last_contact: Option<Duration>,
}

/// A refused change of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// This node does not lead: ask the leader. Not done.
    #[error("not the leader")]
    NotLeader {
        /// The leader this node follows, if it follows one.
        leader: Option<Leader>,
    },
    /// Another change is on its way, or the membership is not the one the caller saw. Not done.
    #[error("another change of the members is on its way")]
    Conflict,
    /// No such member. Not done.
    #[error("node {0} is not a member")]
    NoSuchMember(u64),
    /// The change would be unsafe; the text says why and what to do. Not done.
    #[error("{0}")]
    Unsafe(String),
    /// The change was begun and this node lost the lead before its end: it is in the log that others go on with, or it is not.
    /// Where it is, the next change finishes it, or [`ClusterAdmin::finish`].
    #[error(
        "the change was begun, and the lead was lost before its end: the next leader finishes it, or it was not done"
    )]
    Begun,
    /// The node did not catch up, or did not take the lead, in time. What was begun goes on or can be asked for again.
    #[error("{0}")]
    TimedOut(String),
    /// The outcome is unknown, or the replicator is stopped.
    #[error(transparent)]
    Replicate(#[from] ReplicateError),
}

/// Changes of the cluster. All but [`ClusterAdmin::membership`] and [`ClusterAdmin::progress`] work on the leader only.
pub trait ClusterAdmin: Send + Sync {
    /// Who belongs to the cluster, as this node's log says (committed or not).
    fn membership(&self) -> Membership;

    /// What the leader knows of each member.
    fn progress(&self) -> Vec<PeerProgress>;

    /// Makes `id` a learner: from now on it receives the log. Done at once when it is a member already.
    fn add_learner(&self, id: u64) -> Fut<'_, Result<u64, AdminError>>;

    /// Makes a voter of a learner, once it has caught up; waits for that until `deadline`.
    fn promote(&self, id: u64, deadline: Instant) -> Fut<'_, Result<u64, AdminError>>;

    /// Takes a voter's vote; it stays a learner. The last voter cannot be demoted.
    fn demote(&self, id: u64) -> Fut<'_, Result<u64, AdminError>>;

    /// Removes a member, voter or learner. The leader hands over before it removes itself.
    fn remove(&self, id: u64) -> Fut<'_, Result<u64, AdminError>>;

    /// Hands the lead to `to`, or to the voter that is furthest; returns who leads once that node does.
    fn transfer(&self, to: Option<u64>, deadline: Instant) -> Fut<'_, Result<u64, AdminError>>;

    /// Finishes a change that an earlier leader left half-way; does nothing when there is none. Whether there was one.
    fn finish(&self) -> Fut<'_, Result<bool, AdminError>>;

    /// Writes a snapshot now; its index once it is durable. Works on every member.
    fn snapshot(&self, deadline: Instant) -> Fut<'_, Result<u64, AdminError>>;
}
