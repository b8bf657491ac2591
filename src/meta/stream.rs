//! Streams: what is stored of them beside the key's header, and reading it.
//!
//! ```text
//! object of the stream   part 0 entries by id       part 1 groups by name (`meta::group`)
//! ```
//!
//! Not here: who changes a stream (`apply`), `meta:events`, which has blocks of its own (`history`).
//! Must always hold: ids rise; the header's count is the number of entries; a stream without entries stays a key.
//!
//! Source: decision 003; <https://redis.io/docs/latest/develop/data-types/streams/>.

use std::ops::Bound;

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;
use metad_raft::Fatal;

use super::group::GroupState;
use super::layout;
use super::object::{self, Content, Key};
pub use super::record::EventId as StreamId;
use super::response::Reject;
use super::view::View;
use crate::codec::{self, Blob};

/// Names and values of an entry, in order.
pub type Fields = Vec<(Blob, Blob)>;

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub struct Entry {
    /// Its id.
    pub id: StreamId,
    /// Names and values; `None` when the entry is pending and was deleted.
    pub fields: Option<Fields>,
}

/// What a stream's header holds. Its formats are pinned with those of the other contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct StreamHead {
    /// Entries that are there.
    pub entries: u64,
    /// Entries that were ever added.
    pub added: u64,
    /// The last id; the next one is above.
    pub last: StreamId,
    /// The highest id that was deleted one by one; trimming does not count.
    pub max_deleted: StreamId,
    /// Consumer groups.
    pub groups: u32,
}

/// How far a source of entries goes: what a group's count of read entries is worked out from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Entries that are there.
    pub entries: u64,
    /// Entries that were ever added.
    pub added: u64,
    /// The id of the first one that is there; 0-0 without entries.
    pub first: StreamId,
    /// The last id.
    pub last: StreamId,
    /// The highest id that was deleted one by one.
    pub max_deleted: StreamId,
}

impl Extent {
    /// How many entries were added up to `id`; `None` when nobody knows.
    pub fn added_upto(&self, id: StreamId) -> Option<u64> {
        if self.added == 0 {
            return Some(0);
        }
        if (self.entries == 0 && id <= self.last) || id == self.last {
            return Some(self.added);
        }
        if id > self.last {
            return None;
        }
        let whole = self.max_deleted == StreamId::default() || self.max_deleted < self.first;
        match id.cmp(&self.first) {
            std::cmp::Ordering::Less if whole => Some(self.added.saturating_sub(self.entries)),
            std::cmp::Ordering::Equal if whole => Some((self.added + 1).saturating_sub(self.entries)),
            _ => None,
        }
    }

    /// Whether an entry after `id` may have been deleted one by one.
    pub fn has_gaps_after(&self, id: StreamId) -> bool {
        let deleted = self.max_deleted;
        self.entries > 0 && deleted != StreamId::default() && self.first <= deleted && id <= deleted
    }

    /// How many entries a group has not read yet; `None` when nobody knows.
    pub fn lag(&self, group: &GroupState) -> Option<i64> {
        if self.added == 0 {
            return Some(0);
        }
        let read = group.read.filter(|_| !self.has_gaps_after(group.last));
        let read = read.or_else(|| self.added_upto(group.last))?;
        Some((self.added as i64).wrapping_sub(read as i64))
    }
}

/// The id right after, if there is one.
pub fn next(id: StreamId) -> Option<StreamId> {
    match (id.ms.checked_add(1), id.seq.checked_add(1)) {
        (_, Some(seq)) => Some(StreamId { seq, ..id }),
        (Some(ms), None) => Some(StreamId { ms, seq: 0 }),
        (None, None) => None,
    }
}

/// The stored form of an entry.
pub fn encode_fields(fields: &Fields) -> Bytes {
    object::encode_element(&codec::encode(fields))
}

/// The names and values of a stored entry.
pub fn decode_fields(stored: &Bytes) -> Result<Fields, Fatal> {
    let body = object::decode_element(stored)?;
    codec::decode_shared(&body).map_err(|e| Fatal::with("decode a stream's entry", e))
}

/// A stream as readers see it.
pub struct Stream<'a> {
    view: &'a dyn View,
    generation: u32,
    /// Id of its object.
    pub object: u64,
    /// Its numbers.
    pub head: StreamHead,
}

impl<'a> Stream<'a> {
    /// The stream at `name` at the log's time `now_ms`; `None` when there is no such key.
    pub fn open(
        view: &'a dyn View,
        generation: u32,
        now_ms: u64,
        name: &[u8],
    ) -> Result<Result<Option<Self>, Reject>, Fatal> {
        Ok(match object::read(view, generation, now_ms, name)? {
            None => Ok(None),
            Some(Key { object, content: Content::Stream(head), .. }) => {
                Ok(Some(Self { view, generation, object, head }))
            }
            Some(_) => Err(Reject::WrongType),
        })
    }

    /// A stream whose header is known.
    pub fn of(view: &'a dyn View, generation: u32, object: u64, head: StreamHead) -> Self {
        Self { view, generation, object, head }
    }

    /// The entry with this id.
    pub fn entry(&self, id: StreamId) -> Result<Option<Fields>, Fatal> {
        let stored = self.view.get(&layout::stream_entry(self.generation, self.object, id))?;
        stored.map(|stored| decode_fields(&stored)).transpose()
    }

    /// At most `limit` entries between two ids, lowest first.
    pub fn range(
        &self,
        from: Bound<StreamId>,
        to: Bound<StreamId>,
        limit: usize,
    ) -> Result<Vec<Entry>, Fatal> {
        let Some((from, to)) = self.keys(from, to) else { return Ok(Vec::new()) };
        self.view.scan(&from, &to, limit)?.into_iter().map(entry).collect()
    }

    /// At most `limit` entries between two ids, highest first.
    pub fn range_back(
        &self,
        from: Bound<StreamId>,
        to: Bound<StreamId>,
        limit: usize,
    ) -> Result<Vec<Entry>, Fatal> {
        let Some((from, to)) = self.keys(from, to) else { return Ok(Vec::new()) };
        self.view.scan_back(&from, &to, limit)?.into_iter().map(entry).collect()
    }

    /// At most `limit` entries after an id, lowest first.
    pub fn after(&self, id: StreamId, limit: usize) -> Result<Vec<Entry>, Fatal> {
        self.range(Bound::Excluded(id), Bound::Unbounded, limit)
    }

    /// The first entry.
    pub fn first(&self) -> Result<Option<Entry>, Fatal> {
        Ok(self.range(Bound::Unbounded, Bound::Unbounded, 1)?.pop())
    }

    /// The last entry.
    pub fn last(&self) -> Result<Option<Entry>, Fatal> {
        Ok(self.range_back(Bound::Unbounded, Bound::Unbounded, 1)?.pop())
    }

    /// How far it goes.
    pub fn extent(&self) -> Result<Extent, Fatal> {
        let StreamHead { entries, added, last, max_deleted, .. } = self.head;
        let first = self.first()?.map_or_else(StreamId::default, |entry| entry.id);
        Ok(Extent { entries, added, first, last, max_deleted })
    }

    /// The keys of the store between two ids; `None` when no id is between them.
    fn keys(&self, from: Bound<StreamId>, to: Bound<StreamId>) -> Option<(Bytes, Bytes)> {
        let key = |id| layout::stream_entry(self.generation, self.object, id);
        let from = match from {
            Bound::Included(id) => id,
            Bound::Excluded(id) => next(id)?,
            Bound::Unbounded => StreamId::default(),
        };
        let end = match to {
            Bound::Included(id) => next(id),
            Bound::Excluded(id) => Some(id),
            Bound::Unbounded => None,
        };
        let end = end.map_or_else(|| layout::members_end(self.generation, self.object), key);
        Some((key(from), end))
    }
}

fn entry((key, stored): (Bytes, Bytes)) -> Result<Entry, Fatal> {
    let id = layout::trailing_id(&key).ok_or_else(|| Fatal::new("a stream's entry has no id"))?;
    Ok(Entry { id, fields: Some(decode_fields(&stored)?) })
}
