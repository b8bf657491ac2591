//! What nodes that look for each other say: a question that tells of the asker, and an answer.
//!
//! Not here: what follows from it (`decide`), who asks whom (`talk`). Must always hold: variants are only appended;
//! golden bytes pin each of them.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::codec::{self, CodecError, Kind};
use crate::meta::cluster::{Member, NodeCard};

/// Format version of questions and answers.
const VERSION: u8 = 1;

/// A node asks another one, found by its address.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Question {
    /// Who asks.
    pub card: NodeCard,
    /// Its `--peers`, sorted.
    pub peers: Vec<String>,
    /// Whether it has no cluster yet.
    pub pristine: bool,
}

/// What a node is, to one that looks for a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// It has never belonged to a cluster.
    Pristine {
        /// The node.
        card: NodeCard,
        /// Its `--peers`, sorted.
        peers: Vec<String>,
    },
    /// It has taken a cluster's id, and the cluster's first entry is still to come.
    Chosen {
        /// The node.
        card: NodeCard,
        /// The cluster's id.
        cluster_id: String,
        /// The first voters.
        first: Vec<Member>,
    },
    /// It belongs to a cluster that lives.
    Member {
        /// The node.
        card: NodeCard,
        /// The cluster's id.
        cluster_id: String,
        /// The cluster's members, as this node knows them.
        members: Vec<Member>,
    },
}

impl Question {
    /// The bytes that travel.
    pub fn encode(&self) -> Bytes {
        codec::seal(Kind::Formation, VERSION, &codec::encode(self))
    }

    /// Reads them.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (_, body) = codec::open(Kind::Formation, VERSION, bytes)?;
        codec::decode(&body)
    }
}

impl Answer {
    /// The bytes that travel.
    pub fn encode(&self) -> Bytes {
        codec::seal(Kind::FormationAnswer, VERSION, &codec::encode(self))
    }

    /// Reads them.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (_, body) = codec::open(Kind::FormationAnswer, VERSION, bytes)?;
        codec::decode(&body)
    }
}
