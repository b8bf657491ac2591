//! Operations on streams and their consumer groups.
//!
//! Not here: how they change the state (`apply`), the commands' spelling (doors): `$`, `~` and partial ids are resolved
//! into these types there.
//! Must always hold: variants and fields are only appended, because their numbers are in every log on disk; time is
//! the entry's, or relative to it.

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;

use super::stream::StreamId;
use crate::codec::Blob;

/// The id of a new entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum NewId {
    /// `*`: the log's time, or right after the last id when that is not later.
    Auto,
    /// `ms-*`: the lowest free sequence number of these milliseconds.
    AutoSeq(u64),
    /// This id; 0-0 is refused, and what is not above the last id.
    Exact(StreamId),
}

/// What trimming leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Keep {
    /// MAXLEN: the last so many entries.
    Last(u64),
    /// MINID: the entries from this id on.
    From(StreamId),
}

/// How a stream is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Trim {
    /// What stays.
    pub keep: Keep,
    /// LIMIT: at most so many entries go. Approximate trimming is exact up to its limit.
    pub limit: Option<u64>,
}

/// Operations on a stream's entries.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum StreamOp {
    /// XADD. Answers the `Id`, or `Nil` when there is no stream and none is to be made.
    Add {
        /// The key.
        key: Blob,
        /// The id.
        id: NewId,
        /// Names and values, in order; a name may come twice.
        fields: Vec<(Blob, Blob)>,
        /// Whether an absent stream is made (without NOMKSTREAM).
        create: bool,
        /// Trimmed after the entry was added.
        trim: Option<Trim>,
    },
    /// XTRIM. Answers how many entries went.
    Trim {
        /// The key.
        key: Blob,
        /// How.
        trim: Trim,
    },
    /// XDEL. Answers how many entries were there.
    Delete {
        /// The key.
        key: Blob,
        /// The entries.
        ids: Vec<StreamId>,
    },
    /// XSETID. Answers `Done`.
    SetId {
        /// The key.
        key: Blob,
        /// The last id, below which none is given any more.
        last: StreamId,
        /// ENTRIESADDED: how many entries were ever added.
        added: Option<u64>,
        /// MAXDELETEDID: the highest deleted id.
        max_deleted: Option<StreamId>,
    },
}

/// Where a group begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum GroupStart {
    /// `$`: with what is added from now on.
    Last,
    /// After this id.
    After(StreamId),
}

/// What a consumer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ReadFrom {
    /// `>`: entries that no consumer of the group was given.
    New,
    /// Its own pending entries after this id, once more.
    Pending(StreamId),
}

/// The moment of delivery that XCLAIM writes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Delivered {
    /// The entry's time.
    Now,
    /// TIME: this moment in milliseconds, never after the entry's time.
    At(u64),
    /// IDLE: so many milliseconds before the entry's time.
    Ago(u64),
}

/// Operations on the consumer groups of a stream.
///
/// What answers `Entries` answers `Ids` when the hand-over is repeated after its first answer was lost: sessions keep
/// answers small.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum GroupOp {
    /// XGROUP CREATE. Answers `Done`.
    Create {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
        /// Where it begins.
        start: GroupStart,
        /// ENTRIESREAD: how many entries it counts as read; `None` is unknown.
        read: Option<u64>,
        /// MKSTREAM: an absent stream is made.
        create: bool,
    },
    /// XGROUP DESTROY. Answers whether it was there.
    Destroy {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
    },
    /// XGROUP SETID. Answers `Done`.
    SetId {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
        /// Where it goes on.
        start: GroupStart,
        /// ENTRIESREAD, as above.
        read: Option<u64>,
    },
    /// XGROUP CREATECONSUMER. Answers whether it is new.
    CreateConsumer {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
        /// The consumer.
        consumer: Blob,
    },
    /// XGROUP DELCONSUMER. Answers how many entries were pending for it.
    DeleteConsumer {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
        /// The consumer.
        consumer: Blob,
    },
    /// XREADGROUP. Answers a `List` with `Entries` for each stream, or `Nil` where nothing is new.
    Read {
        /// The group, one of that name in every stream.
        group: Blob,
        /// The consumer; made when it is new.
        consumer: Blob,
        /// The streams.
        streams: Vec<(Blob, ReadFrom)>,
        /// Most entries of each stream; `None`: as many as an operation may.
        count: Option<u64>,
        /// NOACK: what is new does not become pending.
        no_ack: bool,
    },
    /// XACK. Answers how many entries were pending.
    Ack {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
        /// The entries.
        ids: Vec<StreamId>,
    },
    /// XCLAIM. Answers `Entries`, or `Ids`.
    Claim {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
        /// Who claims; made when it is new.
        consumer: Blob,
        /// Only what was delivered at least so long ago.
        min_idle_ms: u64,
        /// The entries.
        ids: Vec<StreamId>,
        /// The moment of delivery from now on.
        delivered: Delivered,
        /// RETRYCOUNT: deliveries from now on; `None` counts one more.
        deliveries: Option<u64>,
        /// FORCE: also what is pending for nobody.
        force: bool,
        /// JUSTID: answers ids and does not count a delivery.
        just_ids: bool,
        /// LASTID: the group's last delivered id is at least this one.
        last: Option<StreamId>,
    },
    /// XAUTOCLAIM. Answers a `List`: `Id` where to go on (0-0 at the end), `Entries` or `Ids`, and the `Ids` of
    /// entries that are not pending any more because they were deleted.
    AutoClaim {
        /// The stream.
        key: Blob,
        /// The group.
        group: Blob,
        /// Who claims; made when it is new.
        consumer: Blob,
        /// Only what was delivered at least so long ago.
        min_idle_ms: u64,
        /// The first id that is looked at.
        start: StreamId,
        /// Most entries claimed or found deleted.
        count: u64,
        /// JUSTID: answers ids and does not count a delivery.
        just_ids: bool,
    },
}

impl StreamOp {
    /// Bytes that the operation takes, see `Op::weight`.
    pub fn weight(&self) -> usize {
        match self {
            StreamOp::Add { key, fields, .. } => {
                let field = |(name, value): &(Blob, Blob)| name.len() + value.len() + 2 * EACH;
                key.len() + fields.iter().map(field).sum::<usize>() + 8 * EACH
            }
            StreamOp::Trim { key, .. } => key.len() + 5 * EACH,
            StreamOp::Delete { key, ids } => key.len() + ids.len() * 2 * EACH + EACH,
            StreamOp::SetId { key, .. } => key.len() + 8 * EACH,
        }
    }
}

impl GroupOp {
    /// Bytes that the operation takes, see `Op::weight`.
    pub fn weight(&self) -> usize {
        let names = match self {
            GroupOp::Create { key, group, .. }
            | GroupOp::Destroy { key, group }
            | GroupOp::SetId { key, group, .. } => key.len() + group.len(),
            GroupOp::CreateConsumer { key, group, consumer }
            | GroupOp::DeleteConsumer { key, group, consumer }
            | GroupOp::AutoClaim { key, group, consumer, .. } => key.len() + group.len() + consumer.len(),
            GroupOp::Read { group, consumer, streams, .. } => {
                let streams: usize = streams.iter().map(|(key, _)| key.len() + 3 * EACH).sum();
                group.len() + consumer.len() + streams
            }
            GroupOp::Ack { key, group, ids } => key.len() + group.len() + ids.len() * 2 * EACH,
            GroupOp::Claim { key, group, consumer, ids, .. } => {
                key.len() + group.len() + consumer.len() + ids.len() * 2 * EACH
            }
        };
        names + 10 * EACH
    }
}

/// Bytes of a number or a length, at most.
const EACH: usize = 9;
