//! What operations on consumer groups do: giving entries to consumers, and taking them back.
//!
//! Not here: how groups are kept (`group`), the entries themselves (`stream`).
//! Must always hold: as in Redis 7.2, the entry's time for the clock; where entries come from is behind [`Source`]; one
//! operation gives at most [`limits::DELIVERED_ENTRIES_MAX`] entries of a stream, and not many more bytes than a value has.

use bytes::Bytes;
use metad_raft::Fatal;

use super::group::Group;
use super::stream::Open;
use super::tx::Tx;
use crate::limits;
use crate::meta::response::{Reject, Response};
use crate::meta::stream::{self, Entry, Extent, Fields, StreamId};
use crate::meta::stream_op::{Delivered, ReadFrom};

/// Where a group's entries come from.
pub trait Source {
    /// At most `limit` entries after an id.
    fn after(&self, tx: &Tx<'_>, id: StreamId, limit: usize) -> Result<Vec<Entry>, Fatal>;
    /// The entry with this id.
    fn entry(&self, tx: &Tx<'_>, id: StreamId) -> Result<Option<Fields>, Fatal>;
    /// How far it goes.
    fn extent(&self, tx: &Tx<'_>) -> Result<Extent, Fatal>;
}

impl Source for Open {
    fn after(&self, tx: &Tx<'_>, id: StreamId, limit: usize) -> Result<Vec<Entry>, Fatal> {
        self.view(tx).after(id, limit)
    }

    fn entry(&self, tx: &Tx<'_>, id: StreamId) -> Result<Option<Fields>, Fatal> {
        self.view(tx).entry(id)
    }

    fn extent(&self, tx: &Tx<'_>) -> Result<Extent, Fatal> {
        self.view(tx).extent()
    }
}

/// Most entries that a client gets of what it asked for.
fn bounded(count: u64) -> usize {
    count.min(limits::DELIVERED_ENTRIES_MAX) as usize
}

/// XREADGROUP on one stream.
pub struct Reading<'a> {
    /// Who reads.
    pub consumer: &'a Bytes,
    /// What.
    pub from: ReadFrom,
    /// Most entries.
    pub count: u64,
    /// Whether new entries do not become pending.
    pub no_ack: bool,
}

/// Gives entries to a consumer: new ones, or its pending ones once more.
pub fn read(
    tx: &mut Tx<'_>,
    source: &dyn Source,
    group: &mut Group,
    reading: &Reading<'_>,
) -> Result<Response, Fatal> {
    group.hear_of(tx, reading.consumer)?;
    match reading.from {
        ReadFrom::New => read_new(tx, source, group, reading),
        ReadFrom::Pending(after) => read_pending(tx, source, group, reading, after),
    }
}

fn read_new(
    tx: &mut Tx<'_>,
    source: &dyn Source,
    group: &mut Group,
    reading: &Reading<'_>,
) -> Result<Response, Fatal> {
    let entries = next_entries(tx, source, group.state.last, bounded(reading.count))?;
    if entries.is_empty() {
        return Ok(Response::Nil);
    }
    let extent = source.extent(tx)?;
    let now_ms = tx.core.counters.now_ms;
    for entry in &entries {
        let counted = group.state.read.filter(|_| !extent.has_gaps_after(entry.id));
        group.state.read = match counted {
            Some(read) => Some(read.saturating_add(1)),
            None => extent.added_upto(entry.id),
        };
        group.state.last = entry.id;
        if !reading.no_ack {
            group.assign(tx, entry.id, reading.consumer, now_ms, 1)?;
        }
    }
    group.give(tx, reading.consumer);
    Ok(Response::Entries(entries))
}

/// New entries after the group's last one, as many as were asked for and fit into one answer.
fn next_entries(
    tx: &Tx<'_>,
    source: &dyn Source,
    mut last: StreamId,
    count: usize,
) -> Result<Vec<Entry>, Fatal> {
    let (mut entries, mut room) = (Vec::new(), Room::default());
    while entries.len() < count {
        let page = source.after(tx, last, PAGE_ENTRIES.min(count - entries.len()))?;
        let Some(end) = page.last() else { break };
        last = end.id;
        for entry in page {
            if !room.takes(entry.fields.as_ref()) {
                return Ok(entries);
            }
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// Entries that are read at a time: each may be as large as an answer.
const PAGE_ENTRIES: usize = 32;

/// The room that is left in one answer: the first entry always fits, whatever its size.
#[derive(Default)]
struct Room {
    used: Option<usize>,
}

impl Room {
    fn takes(&mut self, fields: Option<&Fields>) -> bool {
        let pairs = fields.into_iter().flatten();
        let size: usize = pairs.map(|(name, value)| name.len() + value.len()).sum();
        let used = self.used.map_or(size, |used| used + size);
        let fits = self.used.is_none() || used <= limits::VALUE_BYTES_MAX;
        self.used = Some(used);
        fits
    }
}

fn read_pending(
    tx: &mut Tx<'_>,
    source: &dyn Source,
    group: &mut Group,
    reading: &Reading<'_>,
    after: StreamId,
) -> Result<Response, Fatal> {
    let Some(from) = stream::next(after) else { return Ok(Response::Entries(Vec::new())) };
    let ids = group.pending_ids(tx, reading.consumer, from, bounded(reading.count))?;
    let now_ms = tx.core.counters.now_ms;
    let (mut entries, mut room) = (Vec::with_capacity(ids.len()), Room::default());
    for id in ids {
        let fields = source.entry(tx, id)?;
        if !room.takes(fields.as_ref()) {
            break;
        }
        if fields.is_some() {
            let deliveries = group.pending(tx, id)?.map_or(0, |pending| pending.deliveries);
            group.assign(tx, id, reading.consumer, now_ms, deliveries + 1)?;
        }
        entries.push(Entry { id, fields });
    }
    Ok(Response::Entries(entries))
}

/// XACK: how many of the entries were pending.
pub fn acknowledge(tx: &mut Tx<'_>, group: &mut Group, ids: &[StreamId]) -> Result<i64, Fatal> {
    let mut acknowledged = 0;
    for id in ids {
        if let Some(pending) = group.pending(tx, *id)? {
            group.release(tx, *id, &pending.consumer.0)?;
            acknowledged += 1;
        }
    }
    Ok(acknowledged)
}

/// What XCLAIM and XAUTOCLAIM have in common.
pub struct Claiming<'a> {
    /// Who claims.
    pub consumer: &'a Bytes,
    /// Only what was delivered at least so long ago.
    pub min_idle_ms: u64,
    /// The moment of delivery from now on.
    pub delivered: Delivered,
    /// Deliveries from now on.
    pub deliveries: Option<u64>,
    /// Also what is pending for nobody.
    pub force: bool,
    /// Answers ids and does not count a delivery.
    pub just_ids: bool,
}

/// What became of an entry that was to be claimed.
enum Claim {
    Claimed(Entry),
    /// It was pending and is deleted: it is not pending any more.
    Deleted,
    /// It was delivered too short a time ago, or is nobody's.
    Left,
    /// The answer has no room for it: it stays with whom it is.
    Full,
}

impl Claiming<'_> {
    fn moment(&self, now_ms: u64) -> u64 {
        match self.delivered {
            Delivered::Now => now_ms,
            Delivered::At(ms) => ms.min(now_ms),
            Delivered::Ago(ms) => now_ms.saturating_sub(ms),
        }
    }

    fn claim(
        &self,
        tx: &mut Tx<'_>,
        source: &dyn Source,
        group: &mut Group,
        (id, room): (StreamId, &mut Room),
    ) -> Result<Claim, Fatal> {
        let pending = group.pending(tx, id)?;
        let Some(fields) = source.entry(tx, id)? else {
            return Ok(match pending {
                Some(pending) => {
                    group.release(tx, id, &pending.consumer.0)?;
                    Claim::Deleted
                }
                None => Claim::Left,
            });
        };
        let now_ms = tx.core.counters.now_ms;
        let deliveries = match &pending {
            Some(pending) if pending.idle_ms(now_ms) < self.min_idle_ms => return Ok(Claim::Left),
            Some(pending) => pending.deliveries,
            // A new pending entry begins as one that was delivered once.
            None if self.force => 1,
            None => return Ok(Claim::Left),
        };
        if !self.just_ids && !room.takes(Some(&fields)) {
            return Ok(Claim::Full);
        }
        let deliveries = self.deliveries.unwrap_or(deliveries.saturating_add(u64::from(!self.just_ids)));
        group.assign(tx, id, self.consumer, self.moment(now_ms), deliveries)?;
        group.give(tx, self.consumer);
        Ok(Claim::Claimed(Entry { id, fields: Some(fields) }))
    }

    fn answer(&self, claimed: Vec<Entry>) -> Response {
        if self.just_ids {
            return Response::Ids(claimed.iter().map(|entry| entry.id).collect());
        }
        Response::Entries(claimed)
    }

    /// XCLAIM.
    pub fn claim_all(
        &self,
        tx: &mut Tx<'_>,
        source: &dyn Source,
        group: &mut Group,
        ids: &[StreamId],
    ) -> Result<Response, Fatal> {
        group.hear_of(tx, self.consumer)?;
        let (mut claimed, mut room) = (Vec::new(), Room::default());
        for id in ids {
            match self.claim(tx, source, group, (*id, &mut room))? {
                Claim::Claimed(entry) => claimed.push(entry),
                Claim::Deleted | Claim::Left => {}
                Claim::Full => break,
            }
        }
        Ok(self.answer(claimed))
    }

    /// XAUTOCLAIM.
    pub fn claim_from(
        &self,
        tx: &mut Tx<'_>,
        source: &dyn Source,
        group: &mut Group,
        start: StreamId,
        count: u64,
    ) -> Result<Response, Fatal> {
        group.hear_of(tx, self.consumer)?;
        let count = bounded(count);
        let looked = group.pending_from(tx, start, count.saturating_mul(LOOKED_AT_PER_CLAIM) + 1)?;
        let beyond = looked.get(count.saturating_mul(LOOKED_AT_PER_CLAIM)).map(|(id, _)| *id);
        let (mut claimed, mut deleted, mut cursor) = (Vec::new(), Vec::new(), beyond);
        let mut room = Room::default();
        for (at, (id, _)) in looked.iter().enumerate().take(count * LOOKED_AT_PER_CLAIM) {
            if claimed.len() + deleted.len() >= count {
                cursor = looked.get(at).map(|(id, _)| *id);
                break;
            }
            match self.claim(tx, source, group, (*id, &mut room))? {
                Claim::Claimed(entry) => claimed.push(entry),
                Claim::Deleted => deleted.push(*id),
                Claim::Left => {}
                Claim::Full => {
                    cursor = Some(*id);
                    break;
                }
            }
        }
        let next = Response::Id(cursor.unwrap_or_default());
        Ok(Response::List(vec![next, self.answer(claimed), Response::Ids(deleted)]))
    }
}

/// Pending entries that XAUTOCLAIM looks at for each that it may claim. Source: Redis.
const LOOKED_AT_PER_CLAIM: usize = 10;

/// Refuses names that are too long to be stored.
pub fn check_names(names: &[&Bytes]) -> Result<(), Reject> {
    if names.iter().any(|name| name.len() > limits::KEY_BYTES_MAX) {
        return Err(Reject::TooLong { limit: limits::KEY_BYTES_MAX as u64 });
    }
    Ok(())
}
