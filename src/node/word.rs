//! What members say to each other beside the log: pulses and changes of the cluster.
//!
//! Not here: what follows from it (`pulse`, `control`). Must always hold: variants are only appended; golden bytes pin
//! each of them.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::codec::{self, CodecError, Kind};
use crate::meta::control::{ClusterChange, ControlError, Done};
use crate::meta::digests::Digest;

/// Format version of both.
const VERSION: u8 = 1;

/// A request of a member.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Word {
    /// Here are my digests; what are yours?
    Pulse {
        /// The asker's recent digests.
        digests: Vec<Digest>,
    },
    /// Make a change: only the leader does.
    Change {
        /// What to change.
        change: ClusterChange,
        /// How long the asker waits, in milliseconds.
        patience_ms: u64,
    },
    /// What time is it on your wall?
    Clock,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Reply {
    /// The answerer's recent digests; the last is its newest.
    Pulse {
        /// Them.
        digests: Vec<Digest>,
    },
    /// The change was made.
    Done(Done),
    /// It was not, or not wholly.
    Failed(ControlError),
    /// The answerer's wall clock.
    Clock {
        /// Milliseconds since the epoch.
        wall_ms: u64,
    },
}

impl Word {
    /// The bytes that travel.
    pub fn encode(&self) -> Bytes {
        codec::seal(Kind::Cluster, VERSION, &codec::encode(self))
    }

    /// Reads them.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (_, body) = codec::open(Kind::Cluster, VERSION, bytes)?;
        codec::decode(&body)
    }
}

impl Reply {
    /// The bytes that travel.
    pub fn encode(&self) -> Bytes {
        codec::seal(Kind::ClusterAnswer, VERSION, &codec::encode(self))
    }

    /// Reads them.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (_, body) = codec::open(Kind::ClusterAnswer, VERSION, bytes)?;
        codec::decode(&body)
    }
}
