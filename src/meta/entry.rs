//! The envelope of a log entry: who hands over which operations, and the leader's time.
//!
//! Not here: the log (`metad-raft`), the meaning of operations (`apply`).
//! Must always hold: operations are encoded once, by the door that hands them over, and never again; an entry carries the feature level that a node must
//! support to apply it, so an old node stops instead of guessing.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::op::Op;
use crate::codec::{self, CodecError, ENVELOPE_BYTES, Kind};

/// Format version of the entry's body.
const VERSION: u8 = 1;

/// Highest feature level that this build can apply.
pub const FEATURE_LEVEL: u32 = 1;

/// An entry that this node cannot apply, because it is of a newer version. The rest of the cluster goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "log entry {index} needs {needs}, this build of metad knows feature level {known}: upgrade this node; nothing in its \
     data directory has to be removed"
)]
pub struct NewerEntry {
    /// Index of the entry.
    pub index: u64,
    /// What it needs.
    pub needs: Needs,
    /// The highest feature level that this build can apply.
    pub known: u32,
}

/// What an entry of a newer version needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Needs {
    /// A feature level.
    #[error("feature level {0}")]
    Level(u32),
    /// A newer format of entries.
    #[error("format version {0} of entries")]
    Format(u8),
}

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
    /// Every hand-over of this boot up to here was acknowledged or given up: its replies can be forgotten, and it must
    /// not be applied any more.
    pub floor: u64,
    /// The operations in order.
    pub ops: Vec<Op>,
}

/// A [`HandOver`] whose operations are encoded already: what travels to the leader and into its entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// As in [`HandOver`].
    pub id: OpId,
    /// As in [`HandOver`].
    pub floor: u64,
    /// The encoded list of operations.
    pub ops: Bytes,
}

impl Sealed {
    /// The list of operations of several requests: how many there are in all, and the requests' bytes one after the other.
    pub fn list<'a>(count: usize, parts: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
        let mut out = Vec::with_capacity(9 + parts.clone().map(<[u8]>::len).sum::<usize>());
        codec::encode_into(&(count as u64), &mut out);
        for part in parts {
            out.extend_from_slice(part);
        }
        Bytes::from(out)
    }

    /// Appends what [`HandOver`] would encode to.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        codec::encode_into(&self.id, out);
        codec::encode_into(&self.floor, out);
        out.extend_from_slice(&self.ops);
    }
}

/// Packs hand-overs into the payload of an entry of a feature level, as [`Entry::encode`] would.
pub fn pack(feature_level: u32, stamp_ms: u64, hand_overs: &[Sealed]) -> Bytes {
    let bytes: usize = hand_overs.iter().map(|h| h.ops.len() + HAND_OVER_HEAD_BYTES).sum();
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + ENTRY_HEAD_BYTES + bytes);
    out.resize(ENVELOPE_BYTES, 0);
    codec::encode_into(&feature_level, &mut out);
    codec::encode_into(&stamp_ms, &mut out);
    codec::encode_into(&(hand_overs.len() as u64), &mut out);
    for hand_over in hand_overs {
        hand_over.encode_into(&mut out);
    }
    codec::seal_in_place(Kind::Entry, VERSION, &mut out);
    Bytes::from(out)
}

/// Most bytes of four numbers.
const HAND_OVER_HEAD_BYTES: usize = 36;
/// Most bytes of three numbers.
const ENTRY_HEAD_BYTES: usize = 27;

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

    /// Reads a payload of the log, on a node that can apply entries up to feature level `known`. What the entry needs is looked at
    /// before anything else of it: the rest may be what this build cannot read.
    pub fn decode_at(known: u32, payload: &Bytes) -> Result<Result<Self, Needs>, CodecError> {
        let body = match codec::open(Kind::Entry, VERSION, payload) {
            Ok((_, body)) => body,
            Err(CodecError::Newer { found, .. }) => return Ok(Err(Needs::Format(found))),
            Err(error) => return Err(error),
        };
        let level: u32 = codec::decode_first(&body)?;
        if level > known {
            return Ok(Err(Needs::Level(level)));
        }
        codec::decode_shared(&body).map(Ok)
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
    fn an_entry_packed_of_sealed_hand_overs_is_the_entry() {
        let op = |n: u8| Op::Record(RecordOp::Delete { id: Blob::from(vec![n; usize::from(n)]) });
        let hand_over =
            |node, ops| HandOver { id: OpId { node, boot: 300, seq: 70_000 }, floor: 69_999, ops };
        let many: Vec<Op> = (0..255).map(op).collect();
        let hand_overs = vec![hand_over(1, many), hand_over(2, vec![op(9)]), hand_over(3, Vec::new())];
        let sealed: Vec<Sealed> = hand_overs
            .iter()
            .map(|h| {
                let parts: Vec<Vec<u8>> = h.ops.iter().map(codec::encode).collect();
                let ops = Sealed::list(h.ops.len(), parts.iter().map(Vec::as_slice));
                Sealed { id: h.id, floor: h.floor, ops }
            })
            .collect();
        let entry = Entry { feature_level: FEATURE_LEVEL, stamp_ms: 1_700_000_000_000, hand_overs };
        assert_eq!(pack(FEATURE_LEVEL, entry.stamp_ms, &sealed), entry.encode());
    }

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
