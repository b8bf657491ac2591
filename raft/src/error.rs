//! Why a proposal, a read barrier or a start was refused.
//!
//! Not here: errors of the state machine's commands; a refused command is a normal result inside the machine.
//! Must always hold: each variant tells whether the entry was applied (no, or unknown), so that doors can pass it on.

use std::fmt;

/// Where the leader is, as far as this node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Node id of the leader; ids are allocated by the cluster and never reused.
    pub id: u64,
    /// Peer address of the leader as `ip:port`, when the address book has it.
    pub peer: Option<String>,
}

/// A refused proposal or read barrier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplicateError {
    /// This node does not lead. Not applied. `leader` is a hint and may be stale.
    #[error("not the leader")]
    NotLeader {
        /// The leader this node follows, if it follows one.
        leader: Option<Leader>,
    },
    /// Too much is in flight. Not applied; try again.
    #[error("too many proposals in flight")]
    Busy,
    /// The entry is larger than the log takes. Not applied; never retry as it is.
    #[error("entry of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Size of the refused entry in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The disk has no room for the log. Not applied.
    #[error("no space left for the log")]
    NoSpace,
    /// The deadline passed, or leadership was lost on the way: the entry may or may not be applied.
    #[error("the outcome is unknown")]
    Unknown,
    /// The replicator is stopped, or stopped by a local fault. Nothing that was not acknowledged is promised.
    #[error("the replicator is stopped")]
    Stopped,
}

/// A local fault that must stop the node: a disk that fails, a store that lies.
///
/// It is never retried and never turned into an answer: the node stops, says why, and its peers go on without it.
#[derive(Debug)]
pub struct Fatal {
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Fatal {
    /// A fault with words only.
    pub fn new(context: impl Into<String>) -> Self {
        Self { context: context.into(), source: None }
    }

    /// A fault with the error that caused it.
    pub fn with(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { context: context.into(), source: Some(source.into()) }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{}: {source}", self.context),
            None => f.write_str(&self.context),
        }
    }
}

impl std::error::Error for Fatal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// Why a replicator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process holds the data directory.
    #[error("the data directory {dir} is in use by another process")]
    Locked {
        /// The directory.
        dir: String,
    },
    /// The directory was written by another version or another kind of node.
    #[error("the data directory {dir} cannot be used: {reason}")]
    Refused {
        /// The directory.
        dir: String,
        /// What is wrong, and what to do about it.
        reason: String,
    },
    /// The log is damaged in a way that recovery must not guess at.
    #[error("the log in {dir} is damaged: {reason}")]
    Damaged {
        /// The directory.
        dir: String,
        /// What was found.
        reason: String,
    },
    /// A local fault.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}
