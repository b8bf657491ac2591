//! What operations on a stream's entries do, and a stream on its way through one operation.
//!
//! Not here: consumer groups (`group`, `delivery`), `meta:events` (`record` writes it).
//! Must always hold: as in Redis 7.2; ids come from the log's time and never go back; no operation removes more than
//! [`limits::OPERATION_ELEMENTS_MAX`] entries one by one: what trimming leaves moves to a new object when that is less.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use bytes::Bytes;
use metad_raft::Fatal;

use super::keyspace;
use super::tx::Tx;
use crate::limits;
use crate::meta::layout;
use crate::meta::object::{Content, Key};
use crate::meta::response::{Reject, Response};
use crate::meta::stream::{self, Fields, Stream, StreamHead, StreamId};
use crate::meta::stream_op::{Keep, NewId, StreamOp, Trim};

/// The last id that there can be.
const LAST_ID: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

/// Applies one operation on streams.
pub fn apply(tx: &mut Tx<'_>, op: StreamOp) -> Result<Response, Fatal> {
    let (StreamOp::Add { key, .. }
    | StreamOp::Trim { key, .. }
    | StreamOp::Delete { key, .. }
    | StreamOp::SetId { key, .. }) = &op;
    if let Some(reject) = impossible(&op) {
        return Ok(Response::Rejected(reject));
    }
    let name = key.0.clone();
    let mut open = match Open::find(tx, &name)? {
        Ok(Some(open)) => open,
        Ok(None) => match &op {
            StreamOp::Add { create: true, .. } => Open::create(tx, &name),
            StreamOp::Add { .. } => return Ok(Response::Nil),
            StreamOp::Trim { .. } | StreamOp::Delete { .. } => return Ok(Response::Count(0)),
            StreamOp::SetId { .. } => return Ok(Response::Rejected(Reject::NoSuchKey)),
        },
        Err(reject) => return Ok(Response::Rejected(reject)),
    };
    let answer = match op {
        StreamOp::Add { id, fields, trim, .. } => add(tx, &mut open, id, &fields, trim)?,
        StreamOp::Trim { trim, .. } => Ok(Response::Count(open.trim(tx, trim)? as i64)),
        StreamOp::Delete { ids, .. } => Ok(Response::Count(delete(tx, &mut open, &ids)?)),
        StreamOp::SetId { last, added, max_deleted, .. } => set_id(tx, &mut open, last, added, max_deleted)?,
    };
    match answer {
        Ok(answer) => {
            open.close(tx)?;
            Ok(answer)
        }
        // Nothing was changed: a stream that was to be made is not.
        Err(reject) => Ok(Response::Rejected(reject)),
    }
}

/// Why an operation is refused whatever the key holds, also when it is absent.
fn impossible(op: &StreamOp) -> Option<Reject> {
    match op {
        StreamOp::Add { id: NewId::Exact(StreamId { ms: 0, seq: 0 }), .. } => Some(Reject::IdZero),
        StreamOp::Add { fields, .. } => {
            let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
            let limit = limits::VALUE_BYTES_MAX;
            (bytes > limit).then_some(Reject::TooLong { limit: limit as u64 })
        }
        StreamOp::SetId { last, max_deleted: Some(deleted), .. } if last < deleted => {
            Some(Reject::IdBelowDeleted)
        }
        StreamOp::Trim { .. } | StreamOp::Delete { .. } | StreamOp::SetId { .. } => None,
    }
}

fn add(
    tx: &mut Tx<'_>,
    open: &mut Open,
    id: NewId,
    fields: &Fields,
    trim: Option<Trim>,
) -> Result<Result<Response, Reject>, Fatal> {
    let id = match new_id(id, open.head.last, tx.core.counters.now_ms) {
        Ok(id) => id,
        Err(reject) => return Ok(Err(reject)),
    };
    let key = layout::stream_entry(tx.core.counters.generation, open.object, id);
    keyspace::put_element(tx, key, Some(stream::encode_fields(fields)))?;
    open.head.entries += 1;
    open.head.added += 1;
    open.head.last = id;
    open.changed = true;
    if let Some(trim) = trim {
        open.trim(tx, trim)?;
    }
    Ok(Ok(Response::Id(id)))
}

/// The id of an entry that comes after `last`.
fn new_id(asked: NewId, last: StreamId, now_ms: u64) -> Result<StreamId, Reject> {
    let next = stream::next(last).ok_or(Reject::IdsExhausted)?;
    let id = match asked {
        NewId::Exact(id) => id,
        NewId::AutoSeq(ms) if ms == last.ms => StreamId { ms, seq: last.seq.saturating_add(1) },
        NewId::AutoSeq(ms) => StreamId { ms, seq: 0 },
        NewId::Auto if now_ms > last.ms => StreamId { ms: now_ms, seq: 0 },
        NewId::Auto => next,
    };
    if id > last { Ok(id) } else { Err(Reject::IdTooSmall) }
}

fn delete(tx: &mut Tx<'_>, open: &mut Open, ids: &[StreamId]) -> Result<i64, Fatal> {
    let mut deleted = 0;
    for id in ids {
        let key = layout::stream_entry(tx.core.counters.generation, open.object, *id);
        if keyspace::put_element(tx, key, None)? {
            deleted += 1;
            open.head.entries -= 1;
            open.head.max_deleted = open.head.max_deleted.max(*id);
            open.changed = true;
        }
    }
    Ok(deleted)
}

fn set_id(
    tx: &Tx<'_>,
    open: &mut Open,
    last: StreamId,
    added: Option<u64>,
    max_deleted: Option<StreamId>,
) -> Result<Result<Response, Reject>, Fatal> {
    if last < open.head.max_deleted {
        return Ok(Err(Reject::IdBelowDeleted));
    }
    if let Some(top) = open.view(tx).last()? {
        if last < top.id {
            return Ok(Err(Reject::IdTooSmall));
        }
        if added.is_some_and(|added| added < open.head.entries) {
            return Ok(Err(Reject::AddedBelowLength));
        }
    }
    open.head.last = last;
    open.head.added = added.unwrap_or(open.head.added);
    open.head.max_deleted =
        max_deleted.filter(|id| *id != StreamId::default()).unwrap_or(open.head.max_deleted);
    open.changed = true;
    Ok(Ok(Response::Done))
}

/// A stream on its way through one operation; close it to keep what was changed.
pub struct Open {
    name: Bytes,
    expire_ms: u64,
    /// Id of its object.
    pub object: u64,
    /// Its numbers.
    pub head: StreamHead,
    /// Whether the header is to be written.
    pub changed: bool,
}

impl Open {
    /// The stream at a key; `None` when there is no such key.
    pub fn find(tx: &Tx<'_>, name: &Bytes) -> Result<Result<Option<Self>, Reject>, Fatal> {
        Ok(match keyspace::find(tx, name)? {
            None => Ok(None),
            Some(Key { expire_ms, object, content: Content::Stream(head), .. }) => {
                Ok(Some(Self { name: name.clone(), expire_ms, object, head, changed: false }))
            }
            Some(_) => Err(Reject::WrongType),
        })
    }

    /// A stream that is made with this operation.
    pub fn create(tx: &mut Tx<'_>, name: &Bytes) -> Self {
        let object = keyspace::new_object(tx);
        Self { name: name.clone(), expire_ms: 0, object, head: StreamHead::default(), changed: true }
    }

    /// Reading it as of now.
    pub fn view<'a>(&self, tx: &'a Tx<'_>) -> Stream<'a> {
        Stream::of(tx, tx.core.counters.generation, self.object, self.head)
    }

    /// Settles the header.
    pub fn close(self, tx: &mut Tx<'_>) -> Result<(), Fatal> {
        if !self.changed {
            return Ok(());
        }
        let Self { name, expire_ms, object, head, .. } = self;
        keyspace::write(tx, &name, Key { expire_ms, mod_index: 0, object, content: Content::Stream(head) })
    }

    /// Removes the oldest entries; answers how many.
    fn trim(&mut self, tx: &mut Tx<'_>, trim: Trim) -> Result<u64, Fatal> {
        let most = limits::OPERATION_ELEMENTS_MAX;
        let limit = trim.limit.unwrap_or(most).min(most);
        let below = match trim.keep {
            Keep::Last(count) => {
                let over = self.head.entries.saturating_sub(count);
                if trim.limit.is_none() && over > most && count <= most {
                    return self.move_out(tx, count);
                }
                return self.remove_first(tx, over.min(limit), LAST_ID);
            }
            Keep::From(id) => id,
        };
        // What goes is mostly little, so it is counted before what stays.
        if trim.limit.is_none()
            && self.head.entries > most
            && self.count(tx, (Unbounded, Excluded(below)))? > most
        {
            let kept = self.count(tx, (Included(below), Unbounded))?;
            if kept <= most {
                return self.move_out(tx, kept);
            }
        }
        self.remove_first(tx, limit, below)
    }

    /// How many entries lie between two ids, counted until they are too many for one operation.
    fn count(&self, tx: &Tx<'_>, (mut from, to): (Bound<StreamId>, Bound<StreamId>)) -> Result<u64, Fatal> {
        let mut count = 0;
        while count <= limits::OPERATION_ELEMENTS_MAX {
            let page = self.view(tx).range(from, to, limits::SCAN_PAGE_KEYS)?;
            let Some(last) = page.last() else { break };
            from = Excluded(last.id);
            count += page.len() as u64;
        }
        Ok(count)
    }

    /// Moves the last `kept` entries and the groups to a new object; the old one is swept away later.
    fn move_out(&mut self, tx: &mut Tx<'_>, kept: u64) -> Result<u64, Fatal> {
        let generation = tx.core.counters.generation;
        let (old, new) = (self.object, keyspace::new_object(tx));
        let mut to = layout::members_end(generation, old);
        let mut left = kept;
        while left > 0 {
            let from = layout::members_from(generation, old, 0);
            let page = limits::SCAN_PAGE_KEYS.min(left as usize);
            let page = crate::meta::view::View::scan_back(tx, &from, &to, page)?;
            let Some((last, _)) = page.last() else { break };
            to = last.clone();
            left -= page.len() as u64;
            for (key, value) in page {
                keyspace::put_element(tx, layout::in_object(&key, new), Some(value))?;
            }
        }
        keyspace::move_groups(tx, old, new)?;
        let removed = self.head.entries - (kept - left);
        self.object = new;
        self.head.entries -= removed;
        self.changed = true;
        Ok(removed)
    }

    /// Removes at most `count` of the first entries with ids below `below`.
    fn remove_first(&mut self, tx: &mut Tx<'_>, count: u64, below: StreamId) -> Result<u64, Fatal> {
        let generation = tx.core.counters.generation;
        let from = layout::members_from(generation, self.object, 0);
        let to = if below == LAST_ID {
            layout::members_end(generation, self.object)
        } else {
            layout::stream_entry(generation, self.object, below)
        };
        let mut removed = 0;
        while removed < count {
            let page = limits::SCAN_PAGE_KEYS.min((count - removed) as usize);
            let page = tx.scan(&from, &to, page)?;
            if page.is_empty() {
                break;
            }
            removed += page.len() as u64;
            for (key, value) in page {
                tx.replace(key, Some(&value), None);
            }
        }
        self.head.entries -= removed;
        self.changed |= removed > 0;
        Ok(removed)
    }
}
