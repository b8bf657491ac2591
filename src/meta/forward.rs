//! Forwarding: a follower's hand-overs on their one hop to the leader.
//!
//! ```text
//! follower's intake ─► Transport ─► ForwardService of the leader ─► the leader's packer ─► log
//!        ▲                                                                                  │
//!        └──────────────────────────── the follower's own apply ◄───────────────────────────┘
//! ```
//!
//! Not here: when to send again (`intake`), sockets (`metad-raft`). Must always hold: a forwarded hand-over is never
//! forwarded again; what does not decode never enters the log; an answer says "not applied" only when that is certain.
//!
//! Source: design D7, D8; research/redis-facade.md §2.3 (RedisRaft's issue 13: one command forwarded for ever).

use std::sync::Arc;
use std::time::Instant;

use bincode::{Decode, Encode};
use bytes::Bytes;
use metad_raft::{Channel, Fut, Lane, PeerService, Refusal, ReplicateError, Transport, TransportError};

use super::entry::{HandOver, Sealed};
use super::packer::Packer;
use crate::codec::{self, CodecError, ENVELOPE_BYTES, Kind};

/// Format version of requests and answers.
const VERSION: u8 = 1;
/// First byte of a request's body: a hand-over follows.
const HAND_OVER: u8 = 1;

/// What the leader says of a forwarded hand-over.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Answer {
    /// Its entry is committed, and applied on the leader. What it did is told by the sender's own apply.
    Committed {
        /// Index of the entry.
        index: u64,
    },
    /// The receiver does not lead. Not applied.
    NotLeader {
        /// Whom it follows.
        leader: Option<u64>,
    },
    /// Too much is in flight. Not applied.
    Busy,
    /// The entry would be larger than the log takes. Not applied.
    TooLarge {
        /// Size in bytes.
        bytes: u64,
        /// Limit in bytes.
        limit: u64,
    },
    /// The leader's disk has no room. Not applied.
    NoSpace,
    /// It may or may not be applied.
    Unknown,
    /// The receiver cannot read the request: another version. Not applied.
    Unreadable,
}

impl Answer {
    /// The bytes that travel.
    pub fn encode(&self) -> Bytes {
        codec::seal(Kind::ForwardAnswer, VERSION, &codec::encode(self))
    }

    /// Reads them.
    pub fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (_, body) = codec::open(Kind::ForwardAnswer, VERSION, bytes)?;
        codec::decode(&body)
    }
}

/// The bytes of a request that forwards a hand-over.
pub(super) fn request(hand_over: &Sealed) -> Bytes {
    let mut out = vec![0; ENVELOPE_BYTES];
    out.push(HAND_OVER);
    hand_over.encode_into(&mut out);
    codec::seal_in_place(Kind::Forward, VERSION, &mut out);
    Bytes::from(out)
}

/// Reads a request and checks every operation in it.
pub(super) fn read(request: &Bytes) -> Result<Sealed, CodecError> {
    let (_, body) = codec::open(Kind::Forward, VERSION, request)?;
    match body.first() {
        Some(&HAND_OVER) => {}
        other => return Err(CodecError::Malformed(format!("a request of kind {other:?}"))),
    }
    let body = body.slice(1..);
    let HandOver { id, floor, .. } = codec::decode_shared(&body)?;
    let mut head = codec::encode(&id);
    codec::encode_into(&floor, &mut head);
    Ok(Sealed { id, floor, ops: body.slice(head.len()..) })
}

/// Sends a hand-over to the leader. `Ok` when it is committed there; its effects come by the log.
pub(super) async fn send(
    transport: &dyn Transport,
    leader: u64,
    hand_over: &Sealed,
    deadline: Instant,
) -> Result<u64, ReplicateError> {
    let call = transport.call(leader, Channel::FORWARD, Lane::Control, request(hand_over), deadline);
    let answer = match call.await {
        Ok(answer) => answer,
        Err(TransportError::Lost(_)) => return Err(ReplicateError::Unknown),
        Err(TransportError::Unreachable(_)) => return Err(ReplicateError::NotLeader { leader: None }),
        Err(TransportError::Refused(Refusal::Busy)) => return Err(ReplicateError::Busy),
        Err(TransportError::Refused(refusal)) => {
            tracing::debug!(leader, %refusal, "the leader did not take a request");
            return Err(ReplicateError::NotLeader { leader: None });
        }
    };
    match Answer::decode(&answer) {
        Ok(answer) => answer.into_result(),
        Err(error) => {
            tracing::warn!(leader, %error, "an answer of the leader cannot be read");
            Err(ReplicateError::Unknown)
        }
    }
}

impl Answer {
    fn of(result: Result<u64, ReplicateError>) -> Self {
        match result {
            Ok(index) => Answer::Committed { index },
            Err(ReplicateError::NotLeader { leader }) => {
                Answer::NotLeader { leader: leader.map(|leader| leader.id) }
            }
            Err(ReplicateError::Busy) => Answer::Busy,
            Err(ReplicateError::TooLarge { bytes, limit }) => {
                Answer::TooLarge { bytes: bytes as u64, limit: limit as u64 }
            }
            Err(ReplicateError::NoSpace) => Answer::NoSpace,
            // The leader stops: whether the entry made it is for the next one to say.
            Err(ReplicateError::Unknown | ReplicateError::Stopped) => Answer::Unknown,
        }
    }

    fn into_result(self) -> Result<u64, ReplicateError> {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        match self {
            Answer::Committed { index } => Ok(index),
            Answer::NotLeader { leader } => {
                let leader = leader.map(|id| metad_raft::Leader { id, peer: None });
                Err(ReplicateError::NotLeader { leader })
            }
            Answer::Busy => Err(ReplicateError::Busy),
            Answer::TooLarge { bytes, limit } => {
                Err(ReplicateError::TooLarge { bytes: size(bytes), limit: size(limit) })
            }
            Answer::NoSpace => Err(ReplicateError::NoSpace),
            Answer::Unknown => Err(ReplicateError::Unknown),
            Answer::Unreadable => Err(ReplicateError::NotLeader { leader: None }),
        }
    }
}

/// The owner of [`Channel::FORWARD`]: takes the hand-overs of other nodes' doors where this node leads.
pub(super) struct ForwardService {
    packer: Packer,
}

impl ForwardService {
    /// A service that gives everything to `packer`.
    pub fn new(packer: Packer) -> Arc<Self> {
        Arc::new(Self { packer })
    }
}

impl PeerService for ForwardService {
    /// Offers before it returns, so that requests that arrive in order enter the log in order.
    fn handle(&self, from: u64, request: Bytes) -> Fut<'_, Result<Bytes, Refusal>> {
        let offered = match read(&request) {
            Ok(hand_over) if hand_over.id.node == from => Ok(self.packer.offer(hand_over)),
            Ok(hand_over) => Err(format!("it is of the doors of node {}", hand_over.id.node)),
            Err(error) => Err(error.to_string()),
        };
        Box::pin(async move {
            let answer = match offered {
                Ok(answered) => Answer::of(answered.await),
                Err(reason) => {
                    tracing::warn!(from, reason, "a forwarded request was not taken");
                    Answer::Unreadable
                }
            };
            Ok(answer.encode())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Blob;
    use crate::meta::entry::OpId;
    use crate::meta::op::{Op, RecordOp};

    fn sealed() -> Sealed {
        let op = codec::encode(&Op::Record(RecordOp::Delete { id: Blob::from("a") }));
        let ops = Sealed::list(1, [op.as_slice()].into_iter());
        Sealed { id: OpId { node: 2, boot: 1_700_000_000_000, seq: 300 }, floor: 299, ops }
    }

    #[test]
    fn a_forwarded_hand_over_arrives_as_it_was_sealed() {
        assert_eq!(read(&request(&sealed())), Ok(sealed()));
    }

    #[test]
    fn a_hand_over_with_a_malformed_operation_is_not_taken() {
        let mut bad = sealed();
        bad.ops = Bytes::from_static(&[1, 77]);
        assert!(matches!(read(&request(&bad)), Err(CodecError::Malformed(_))));
    }
}
