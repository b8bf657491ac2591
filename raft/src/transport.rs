//! `Transport`: how a node's bytes reach another node, and what a node that is asked does with them.
//!
//! Not here: sockets (see `peer`), what the bytes mean (each channel's owner knows).
//! Must always hold:
//! * a request goes from one named node to another named node of one cluster, and to nobody else: the receiver refuses the rest;
//! * every error says whether the receiver may have seen the request;
//! * a node never calls itself.
//!
//! Source: design D16, D18; research "Consensus and storage", section 1.3, items 11 and 14.

use std::time::Instant;

use bytes::Bytes;

use crate::replicator::Fut;

/// Which connection a request takes: what is large must not delay what is urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Votes, appends, forwarded requests: small, and somebody waits for each.
    Control,
    /// Snapshots and file ranges: as much as the wire takes.
    Bulk,
}

/// What a request is for; its owner on the receiving node takes it. 0 is never used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(pub u8);

impl Channel {
    /// The log's own requests.
    pub const RAFT: Channel = Channel(1);
    /// Requests of doors, sent on to the leader.
    pub const FORWARD: Channel = Channel(2);
    /// Nodes that look for each other: the only channel that an unnamed node may use.
    pub const FORMATION: Channel = Channel(3);
    /// Members that look after each other: digests of their states, changes of the cluster.
    pub const CLUSTER: Channel = Channel(4);
}

/// Why the receiver did not take a request. Not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The receiver belongs to another cluster.
    #[error("the peer belongs to cluster {theirs}, not to ours")]
    WrongCluster {
        /// The receiver's cluster.
        theirs: String,
    },
    /// Another node than the one that was meant answers at this address.
    #[error("node {theirs} answers at this address")]
    WrongAddressee {
        /// The receiver's id.
        theirs: u64,
    },
    /// The secrets differ, or one side has none.
    #[error("the peer does not accept our secret")]
    Unauthenticated,
    /// The sender was removed from the cluster, for good.
    #[error("this node was removed from the cluster")]
    Removed,
    /// The receiver speaks another version of the peer protocol.
    #[error("the peer speaks version {theirs} of the peer protocol")]
    WrongVersion {
        /// The receiver's version.
        theirs: u16,
    },
    /// Nobody on the receiver owns the channel (yet).
    #[error("the peer does not serve this")]
    NotServed,
    /// The receiver has too much in hand.
    #[error("the peer is busy")]
    Busy,
    /// The address leads back to the sender, or the receiver runs on a copy of the sender's data directory.
    #[error("the node at this address is this node itself, or runs under its id")]
    Itself,
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nothing was sent. The receiver has certainly not seen the request.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Sent, at least in part, and no answer came in time. The receiver may have acted on it.
    #[error("no answer: {0}")]
    Lost(String),
    /// The receiver looked at the request's head and did not take it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// One node's way to all the others.
pub trait Transport: Send + Sync {
    /// Sends `request` to node `to` and waits for its answer until `deadline`.
    ///
    /// Requests of one lane to one node are delivered in the order of the calls as long as the connection holds, and
    /// several may be on their way. Dropping the future gives up the answer, not the request.
    fn call(
        &self,
        to: u64,
        channel: Channel,
        lane: Lane,
        request: Bytes,
        deadline: Instant,
    ) -> Fut<'_, Result<Bytes, TransportError>>;
}

/// The owner of a channel on the receiving node.
pub trait PeerService: Send + Sync {
    /// Answers a request of node `from`, whose name and cluster have been checked (0: an unnamed node, formation only).
    ///
    /// Errors of the owner travel inside the answer. Called at once for each request, so answers may overtake each other.
    fn handle(&self, from: u64, request: Bytes) -> Fut<'_, Result<Bytes, Refusal>>;
}
