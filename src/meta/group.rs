//! Consumer groups: what is stored of them, and reading it.
//!
//! ```text
//! object of the owner    part 1 groups by name
//! object of the group    part 2 consumers by name   part 3 pending entries by id   part 4 the same by consumer, id
//! ```
//!
//! The owner is a stream's object; no key leads to object 0, whose part 1 is kept free for the groups of `meta:events`.
//!
//! Not here: who changes a group (`apply`), where its entries come from (`stream`).
//! Must always hold: nothing here depends on where the entries are; a pending entry belongs to one consumer that is
//! there; the numbers in groups and consumers are those of what lies below them.
//!
//! Source: decision 003; <https://redis.io/docs/latest/develop/data-types/streams/#consumer-groups>.

use std::ops::Bound;

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;
use metad_raft::Fatal;

use super::layout;
use super::object;
use super::stream::{StreamId, next};
use super::view::{View, successor};
use crate::codec::{self, Blob};
use crate::limits;

/// A group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct GroupState {
    /// The last id that was delivered to anyone.
    pub last: StreamId,
    /// How many entries were read up to there; `None` when nobody knows.
    pub read: Option<u64>,
    /// Entries that were delivered and not acknowledged.
    pub pending: u64,
    /// Consumers.
    pub consumers: u64,
    /// Id of the object that holds consumers and pending entries.
    pub object: u64,
}

/// A consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ConsumerState {
    /// When it was last heard of, in milliseconds of the log's time.
    pub seen_ms: u64,
    /// When it was last given an entry; `None` before the first.
    pub active_ms: Option<u64>,
    /// Entries that are pending for it.
    pub pending: u64,
}

/// A pending entry.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub struct Pending {
    /// Whom it was delivered to.
    pub consumer: Blob,
    /// When, in milliseconds of the log's time.
    pub delivered_ms: u64,
    /// How often.
    pub deliveries: u64,
}

impl Pending {
    /// How long ago it was delivered, in milliseconds.
    pub fn idle_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.delivered_ms)
    }
}

/// The stored form of a group, consumer or pending entry.
pub fn encode<T: Encode>(value: &T) -> Bytes {
    object::encode_element(&codec::encode(value))
}

/// Reads a stored group, consumer or pending entry.
pub fn decode<T: for<'a> BorrowDecode<'a, Bytes>>(stored: &Bytes) -> Result<T, Fatal> {
    let body = object::decode_element(stored)?;
    codec::decode_shared(&body).map_err(|e| Fatal::with("decode a part of a consumer group", e))
}

/// A group of an owner's object.
pub fn find(view: &dyn View, generation: u32, owner: u64, name: &[u8]) -> Result<Option<GroupState>, Fatal> {
    view.get(&layout::group(generation, owner, name))?.map(|stored| decode(&stored)).transpose()
}

/// At most `limit` groups of an owner's object after the name `after`, by name.
/// `None` begins with the first.
pub fn page(
    view: &dyn View,
    generation: u32,
    owner: u64,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(Bytes, GroupState)>, Fatal> {
    named(view, after.map(|name| layout::group(generation, owner, name)), limit, || {
        (layout::group(generation, owner, b""), layout::groups_end(generation, owner))
    })
}

/// A consumer of a group's object.
pub fn consumer(
    view: &dyn View,
    generation: u32,
    object: u64,
    name: &[u8],
) -> Result<Option<ConsumerState>, Fatal> {
    view.get(&layout::consumer(generation, object, name))?.map(|stored| decode(&stored)).transpose()
}

/// At most `limit` consumers of a group's object after the name `after`, by name.
pub fn consumers(
    view: &dyn View,
    generation: u32,
    object: u64,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<(Bytes, ConsumerState)>, Fatal> {
    named(view, after.map(|name| layout::consumer(generation, object, name)), limit, || {
        (layout::consumer(generation, object, b""), layout::consumers_end(generation, object))
    })
}

fn named<T: for<'a> BorrowDecode<'a, Bytes>>(
    view: &dyn View,
    after: Option<Bytes>,
    limit: usize,
    bounds: impl Fn() -> (Bytes, Bytes),
) -> Result<Vec<(Bytes, T)>, Fatal> {
    let (first, end) = bounds();
    let from = after.map_or(first, |key| successor(&key));
    let pairs = view.scan(&from, &end, limit)?.into_iter();
    pairs.map(|(key, stored)| Ok((layout::part_name(&key), decode(&stored)?))).collect()
}

/// A pending entry of a group's object.
pub fn pending(
    view: &dyn View,
    generation: u32,
    object: u64,
    id: StreamId,
) -> Result<Option<Pending>, Fatal> {
    view.get(&layout::pending(generation, object, id))?.map(|stored| decode(&stored)).transpose()
}

/// At most `limit` pending entries of a group's object from an id on, lowest first.
pub fn pending_from(
    view: &dyn View,
    generation: u32,
    object: u64,
    from: StreamId,
    limit: usize,
) -> Result<Vec<(StreamId, Pending)>, Fatal> {
    let (from, to) = (layout::pending(generation, object, from), layout::pending_end(generation, object));
    let pairs = view.scan(&from, &to, limit)?.into_iter();
    pairs.map(|(key, stored)| Ok((id_of(&key)?, decode(&stored)?))).collect()
}

/// Ids of at most `limit` entries from an id on that are pending for one consumer, lowest first.
pub fn pending_ids(
    view: &dyn View,
    generation: u32,
    object: u64,
    consumer: &[u8],
    from: StreamId,
    limit: usize,
) -> Result<Vec<StreamId>, Fatal> {
    let last = StreamId { ms: u64::MAX, seq: u64::MAX };
    let key = |id| layout::pending_of(generation, object, consumer, id);
    let pairs = view.scan(&key(from), &successor(&key(last)), limit)?;
    pairs.iter().map(|(key, _)| id_of(key)).collect()
}

fn id_of(key: &[u8]) -> Result<StreamId, Fatal> {
    layout::trailing_id(key).ok_or_else(|| Fatal::new("a pending entry has no id"))
}

/// What XPENDING answers without a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Pending entries of the group.
    pub count: u64,
    /// The lowest and the highest id of them.
    pub ends: Option<(StreamId, StreamId)>,
}

/// How much is pending in a group. Who has how much is in [`consumers`].
pub fn summary(view: &dyn View, generation: u32, group: &GroupState) -> Result<Summary, Fatal> {
    let (from, to) = (
        layout::pending(generation, group.object, StreamId::default()),
        layout::pending_end(generation, group.object),
    );
    let (first, last) = (view.scan(&from, &to, 1)?.pop(), view.scan_back(&from, &to, 1)?.pop());
    let ends = match (first, last) {
        (Some((first, _)), Some((last, _))) => Some((id_of(&first)?, id_of(&last)?)),
        (Some(_) | None, _) => None,
    };
    Ok(Summary { count: group.pending, ends })
}

/// Which pending entries XPENDING is to tell.
#[derive(Clone, Copy, Debug)]
pub struct PendingQuery<'a> {
    /// The lowest id.
    pub from: Bound<StreamId>,
    /// The highest id.
    pub to: Bound<StreamId>,
    /// Only what was delivered at least so long ago, in milliseconds.
    pub min_idle_ms: u64,
    /// Only of this consumer.
    pub consumer: Option<&'a [u8]>,
    /// Most entries in the answer.
    pub limit: usize,
}

/// A page of pending entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingPage {
    /// What was found, lowest first.
    pub found: Vec<(StreamId, Pending)>,
    /// Where to go on when enough was looked at and the limit is not reached; `None` at the end.
    pub next: Option<StreamId>,
}

/// Pending entries of a group's object, at most [`limits::SCAN_PAGE_KEYS`] looked at: go on at `next`.
pub fn query(
    view: &dyn View,
    generation: u32,
    object: u64,
    now_ms: u64,
    asked: &PendingQuery<'_>,
) -> Result<PendingPage, Fatal> {
    let from = match asked.from {
        Bound::Included(id) => Some(id),
        Bound::Excluded(id) => next(id),
        Bound::Unbounded => Some(StreamId::default()),
    };
    let Some(from) = from else { return Ok(PendingPage::default()) };
    let within = |id: &StreamId| match asked.to {
        Bound::Included(to) => *id <= to,
        Bound::Excluded(to) => *id < to,
        Bound::Unbounded => true,
    };
    let looked = looked_at(view, generation, object, asked.consumer, from)?;
    let more = (looked.len() >= limits::SCAN_PAGE_KEYS).then(|| looked.last().map(|(id, _)| *id)).flatten();
    let mut page = PendingPage { found: Vec::new(), next: more.filter(within).and_then(next) };
    for (id, pending) in looked.into_iter().take_while(|(id, _)| within(id)) {
        if page.found.len() >= asked.limit {
            page.next = None;
            break;
        }
        if pending.idle_ms(now_ms) >= asked.min_idle_ms {
            page.found.push((id, pending));
        }
    }
    if page.found.len() >= asked.limit {
        page.next = None;
    }
    Ok(page)
}

fn looked_at(
    view: &dyn View,
    generation: u32,
    object: u64,
    consumer: Option<&[u8]>,
    from: StreamId,
) -> Result<Vec<(StreamId, Pending)>, Fatal> {
    let Some(consumer) = consumer else {
        return pending_from(view, generation, object, from, limits::SCAN_PAGE_KEYS);
    };
    let ids = pending_ids(view, generation, object, consumer, from, limits::SCAN_PAGE_KEYS)?;
    let with = |id| match pending(view, generation, object, id)? {
        Some(pending) => Ok((id, pending)),
        None => Err(Fatal::new("a consumer's pending entry is not the group's")),
    };
    ids.into_iter().map(with).collect()
}
