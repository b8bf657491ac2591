//! The envelope of a log entry: who hands over which operations, and the leader's time.
//!
//! Not here: the log (`metad-raft`), the meaning of operations (`apply`).
//! Must always hold: encoded once by the proposer and never again; an entry carries the feature level that a node must
//! support to apply it, so an old node stops instead of guessing.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::op::Op;
use crate::codec::{self, CodecError, ENVELOPE_BYTES, Kind};

/// Format version of the entry's body.
const VERSION: u8 = 1;

/// Highest feature level that this build can apply.
pub const FEATURE_LEVEL: u32 = 1;

/// Identity of one hand-over: a node's doors number what they hand over, so that a write that is submitted again
/// after a leader change is applied once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, bincode::Decode)]
pub struct OpId {
    /// The node whose doors took the operations.
    pub node: u64,
    /// Its boot: higher after each start. Hand-overs of an older boot are refused.
    pub boot: u64,
    /// Number of the hand-over within the boot, from 1.
    pub seq: u64,
}

/// Operations of one node's doors, packed by its intake.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub struct HandOver {
    /// Identity.
    pub id: OpId,
    /// Every hand-over of this boot up to here was acknowledged: its replies can be forgotten.
    pub floor: u64,
    /// The operations in order.
    pub ops: Vec<Op>,
}

/// A log entry.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub struct Entry {
    /// Feature level needed to apply the entry.
    pub feature_level: u32,
    /// The leader's clock in milliseconds when it packed the entry.
    pub stamp_ms: u64,
    /// The operations, by origin.
    pub hand_overs: Vec<HandOver>,
}

impl Entry {
    /// The payload of the log.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![0; ENVELOPE_BYTES];
        codec::encode_into(self, &mut out);
        codec::seal_in_place(Kind::Entry, VERSION, &mut out);
        Bytes::from(out)
    }

    /// Reads a payload of the log. Keys and values share its memory.
    pub fn decode(payload: &Bytes) -> Result<Self, CodecError> {
        let (_, body) = codec::open(Kind::Entry, VERSION, payload)?;
        codec::decode_shared(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Blob;
    use crate::meta::op::RecordOp;

    #[test]
    fn an_entry_survives_its_encoding() {
        let put = RecordOp::Put {
            id: Blob::from("midhash256:abc"),
            properties: vec![
                (Blob::from("title"), Blob::from("Face/Off")),
                (Blob::from("x"), Blob::from("")),
            ],
        };
        let entry = Entry {
            feature_level: 1,
            stamp_ms: 1_700_000_000_000,
            hand_overs: vec![HandOver {
                id: OpId { node: 1, boot: 2, seq: 3 },
                floor: 2,
                ops: vec![Op::Record(put)],
            }],
        };
        assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }
}
