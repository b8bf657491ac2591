//! Changes of the cluster: what may be asked for, and what comes of it.
//!
//! Not here: who makes them (`node`), the book (`cluster`). Must always hold: an error says whether something was done;
//! variants are only appended, because they travel between nodes.

use std::time::Instant;

use bincode::{Decode, Encode};
use metad_raft::Fut;

/// A change of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ClusterChange {
    /// Admit the node that waits at an address; it gets a vote once it has caught up.
    Add {
        /// Its peer address.
        address: String,
        /// The name it must have, when the caller says so.
        name: Option<String>,
        /// Whether it stays a learner.
        learner: bool,
    },
    /// Give a learner a vote.
    Promote {
        /// Its name or id.
        node: String,
    },
    /// Take a voter's vote.
    Demote {
        /// Its name or id.
        node: String,
    },
    /// Take a member out for good.
    Remove {
        /// Its name or id.
        node: String,
    },
    /// Take a member out and admit another node in its place.
    Replace {
        /// The member's name or id.
        node: String,
        /// The new node's peer address.
        address: String,
        /// Whether it stays a learner.
        learner: bool,
    },
    /// Hand the lead over.
    Transfer {
        /// To this member, else to the one that is furthest.
        to: Option<String>,
    },
}

/// A change that was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Done {
    /// Index of its last entry.
    pub index: u64,
    /// The node that it was about, or that leads now.
    pub id: u64,
    /// What was done, step by step, and what to look after.
    pub told: Vec<String>,
}

/// A change that was not made, or not wholly. The texts say what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum ControlError {
    /// Nobody leads. Not done.
    #[error("no leader: a majority of the voters must be up before the members can change")]
    NoLeader,
    /// No such member. Not done.
    #[error("{0}")]
    NotFound(String),
    /// It does not fit to what there is. Not done.
    #[error("{0}")]
    Conflict(String),
    /// The node at the address is not the one that is meant, or of another cluster. Not done.
    #[error("{0}")]
    Identity(String),
    /// The node cannot be reached. Not done.
    #[error("{0}")]
    Unreachable(String),
    /// It did not end in time. What was begun goes on, or can be asked for again.
    #[error("{0}")]
    TimedOut(String),
}

/// Changes of who belongs to the cluster and who leads it. Every node takes them.
pub trait ClusterControl: Send + Sync {
    /// Makes a change, here or on the leader.
    fn change(&self, change: ClusterChange, deadline: Instant) -> Fut<'_, Result<Done, ControlError>>;
}
