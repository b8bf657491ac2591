//! Reading `meta:events`: the raw tail, and before it what can be derived.
//!
//! ```text
//! 0 ───────── derived: last event of every key ──────────► │ tail: every event ─────────► last
//!             (ids beside the values, tombstones)          │ blocks, one per log entry
//! ```
//!
//! Not here: writing events (`apply`). Must always hold: reading from 0 gives every live key at least once and in order
//! of ids, so a consumer that starts over rebuilds the state; a consumer that resumes below the tail converges and can
//! see that it was compacted.
//!
//! Source: design D11.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::Fatal;
use parking_lot::Mutex;

use super::apply::record::FILE_PATH;
use super::event::{Event, EventKind};
use super::layout::{self, Kind};
use super::record::{EventId, Record, Value};
use super::service::EventPage;
use super::state::{Pinned, State};
use super::tail;
use super::view::{View, successor};
use crate::limits;

/// Reads the stream of a state.
#[derive(Default)]
pub struct History {
    /// The last derived window, which consumers page through, and when one did last.
    window: Mutex<Option<(Arc<Window>, Instant)>>,
}

/// How long an unread window is kept.
const IDLE: Duration = Duration::from_secs(limits::DERIVED_IDLE_SECONDS);

/// Derived events of a range of ids, sorted.
struct Window {
    /// Generation of the content: clearing leaves nothing of it.
    generation: u32,
    /// Ids after this one are covered, up to that of the last event.
    after: EventId,
    events: Vec<Event>,
}

impl History {
    /// Events after `after`, at most `count` and at least one when there is one.
    pub fn page(&self, state: &State, after: EventId, count: usize) -> Result<EventPage, Fatal> {
        loop {
            let floor = state.head().counters.tail_floor;
            if after < floor {
                let page = self.derived(state, after, floor, count)?;
                if !page.events.is_empty() {
                    return Ok(page);
                }
            }
            if let Some(mut page) = tail_page(state, floor, after.max(floor), count)? {
                self.forget_when_idle();
                page.compacted = after < floor;
                return Ok(page);
            }
            // The tail was trimmed between the two looks: look again.
        }
    }

    fn derived(
        &self,
        state: &State,
        after: EventId,
        floor: EventId,
        count: usize,
    ) -> Result<EventPage, Fatal> {
        let window = self.window(state, after, floor)?;
        let start = window.events.partition_point(|e| e.id <= after);
        let events: Vec<Event> = window.events[start..].iter().take(count.max(1)).cloned().collect();
        let next = events.last().map_or(after, |e| e.id);
        Ok(EventPage { events, next, compacted: true, at_end: false, index: state.head().applied.index })
    }

    /// A window that covers what comes after `after`: the remembered one, or one derived by a scan of all records.
    fn window(&self, state: &State, after: EventId, upto: EventId) -> Result<Arc<Window>, Fatal> {
        let mut remembered = self.window.lock();
        if let Some((window, used)) = remembered.as_mut()
            && window.generation == state.head().counters.generation
            && window.after <= after
            && window.events.last().is_some_and(|e| e.id > after)
        {
            *used = Instant::now();
            return Ok(Arc::clone(window));
        }
        let window = Arc::new(derive(state, after, upto)?);
        *remembered = Some((Arc::clone(&window), Instant::now()));
        Ok(window)
    }

    /// Gives the memory of a window back that nobody pages through any more.
    fn forget_when_idle(&self) {
        // Somebody who derives a window holds the lock for the whole scan: then it is not idle.
        let Some(mut remembered) = self.window.try_lock() else { return };
        if remembered.as_ref().is_some_and(|(_, used)| used.elapsed() >= IDLE) {
            *remembered = None;
        }
    }
}

/// A page of the tail; `None` when the tail does not begin at `floor` any more.
fn tail_page(
    state: &State,
    floor: EventId,
    after: EventId,
    count: usize,
) -> Result<Option<EventPage>, Fatal> {
    let pinned = state.pinned();
    let head = pinned.head();
    let generation = head.counters.generation;
    if head.counters.tail_floor != floor {
        return Ok(None);
    }
    let mut events = Vec::new();
    let to = layout::end_of(Kind::Tail, generation);
    let mut from = block_at(&pinned, generation, after)?;
    while events.len() < count.max(1) {
        let page = pinned.scan(&from, &to, limits::TAIL_PAGE_BLOCKS)?;
        let Some((last, _)) = page.last() else { break };
        from = successor(last);
        for (key, stored) in &page {
            let first = layout::event_of(key).ok_or_else(|| Fatal::new("a tail block has no id"))?;
            let block = tail::decode(first, stored).map_err(|e| Fatal::with("decode a tail block", e))?;
            events.extend(block.into_iter().filter(|e| e.id > after));
            if events.len() >= count {
                break;
            }
        }
    }
    events.truncate(count.max(1));
    let next = events.last().map_or(after, |e| e.id);
    let at_end = next >= head.counters.last_event || events.is_empty();
    Ok(Some(EventPage { events, next, compacted: false, at_end, index: head.applied.index }))
}

/// Key of the block that may hold the event after `after`: the last one that begins at or before it.
fn block_at(pinned: &Pinned<'_>, generation: u32, after: EventId) -> Result<Bytes, Fatal> {
    // Blocks are found forwards only, so the one before is looked for in growing steps back.
    let floor = layout::first_of(Kind::Tail, generation);
    let here = layout::by_event(Kind::Tail, generation, after);
    for back_ms in [0, 1, 64, 4096, 1 << 20] {
        let from = EventId { ms: after.ms.saturating_sub(back_ms), seq: 0 };
        let from = layout::by_event(Kind::Tail, generation, from).max(floor.clone());
        if let Some(key) = last_key(pinned, from, &here)? {
            return Ok(key);
        }
    }
    Ok(last_key(pinned, floor.clone(), &here)?.unwrap_or(floor))
}

fn last_key(pinned: &Pinned<'_>, mut from: Bytes, upto: &[u8]) -> Result<Option<Bytes>, Fatal> {
    let to = successor(upto);
    let mut found = None;
    loop {
        let page = pinned.scan(&from, &to, limits::SCAN_PAGE_KEYS)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        from = successor(last);
        found = Some(last.clone());
    }
}

/// Derives the events with `after < id <= upto` by a scan of all records, at most a window's worth of the lowest ids.
fn derive(state: &State, after: EventId, upto: EventId) -> Result<Window, Fatal> {
    let mut events: Vec<Event> = Vec::new();
    let mut end = upto;
    let generation = state.head().counters.generation;
    let to = layout::end_of(Kind::Record, generation);
    let mut from = layout::first_of(Kind::Record, generation);
    loop {
        let page = state.scan(&from, &to, limits::SCAN_PAGE_KEYS)?;
        let Some((last, _)) = page.last() else { break };
        from = successor(last);
        for (key, stored) in &page {
            let record = Record::decode(stored).map_err(|e| Fatal::with("decode a record", e))?;
            let id = layout::record_id(key).ok_or_else(|| Fatal::new("a record's key has no id"))?;
            collect(&id, &record, after, end, &mut events);
        }
        if events.len() > 2 * limits::DERIVED_EVENTS_MAX {
            end = keep_lowest(&mut events);
        }
    }
    if events.len() > limits::DERIVED_EVENTS_MAX {
        keep_lowest(&mut events);
    }
    events.sort_unstable_by_key(|e| e.id);
    Ok(Window { generation, after, events })
}

/// Keeps a window's worth of the lowest ids and answers the highest of them.
fn keep_lowest(events: &mut Vec<Event>) -> EventId {
    let at = limits::DERIVED_EVENTS_MAX - 1;
    events.select_nth_unstable_by_key(at, |e| e.id);
    events.truncate(limits::DERIVED_EVENTS_MAX);
    events[at].id
}

fn collect(id: &Bytes, record: &Record, after: EventId, upto: EventId, out: &mut Vec<Event>) {
    let mut push = |event: EventId, kind, property: Bytes| {
        if after < event && event <= upto {
            out.push(Event { id: event, kind, record: id.clone(), property });
        }
    };
    if record.is_deleted() {
        push(record.header.event, EventKind::Del, Bytes::from_static(FILE_PATH));
        return;
    }
    for property in &record.properties {
        let kind = if matches!(property.value, Value::Deleted) { EventKind::Del } else { EventKind::Set };
        // A copy: a slice would keep the whole record in memory for as long as the window lives.
        push(property.event, kind, Bytes::copy_from_slice(&property.name));
    }
}
