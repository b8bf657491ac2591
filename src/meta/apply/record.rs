//! What record operations do.
//!
//! Not here: naming rules (only which properties name), reading for doors.
//! Must always hold: one event per property write, also when the value is unchanged (consumers wait for the echo); an
//! inode number is given once per life of a record; the naming order moves only when a naming property changes value,
//! so that no other file's path moves; a pin changes nothing that a client can see, and goes with its naming order.

use bytes::Bytes;
use metad_raft::Fatal;
use xxhash_rust::xxh3::xxh3_128;

use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::event::EventKind;
use crate::meta::layout::{self, Kind};
use crate::meta::op::RecordOp;
use crate::meta::pin::LinkPin;
use crate::meta::record::{Header, Property, Record, Value};
use crate::meta::response::{Reject, Response};

/// The property that makes a record a file.
pub const FILE_PATH: &[u8] = b"filePath";

/// Separates the members of a set property, as the old system stored them.
const MEMBER_SEPARATOR: u8 = b'|';

/// Applies one operation on records.
pub fn apply(tx: &mut Tx<'_>, op: RecordOp) -> Result<Response, Fatal> {
    match op {
        RecordOp::Put { id, properties } => put(tx, &id.0, properties),
        RecordOp::Remove { id, properties } => remove(tx, &id.0, &properties),
        RecordOp::Delete { id } => delete(tx, &id.0),
        RecordOp::AddMember { id, property, member } => add_member(tx, &id.0, property, &member),
        RecordOp::List { id } => set_listed(tx, &id.0, true),
        RecordOp::Unlist { id } => set_listed(tx, &id.0, false),
        RecordOp::Clear => {
            let records = tx.core.counters.records;
            tx.clear();
            Ok(Response::Count(i64::try_from(records).unwrap_or(i64::MAX)))
        }
        RecordOp::Pin { id, order, rules, links } => pin(tx, &id.0, (order, rules), links),
    }
}

/// A record on its way through one operation, with what must be settled at its end.
struct Change {
    id: Bytes,
    record: Record,
    was_listed: bool,
    live_before: u64,
    renamed: bool,
}

impl Change {
    fn begin(tx: &mut Tx<'_>, id: &Bytes) -> Result<Self, Fatal> {
        let record = tx.take_record(id)?;
        let (was_listed, live_before) = (is_listed(&record), live(&record));
        Ok(Self { id: id.clone(), record, was_listed, live_before, renamed: false })
    }

    /// Gives a record that is new, or was deleted, its beginning.
    fn revive(&mut self, tx: &mut Tx<'_>) -> Result<(), Fatal> {
        if self.record.is_deleted() {
            let tombstone =
                layout::by_event(Kind::Tombstone, tx.core.counters.generation, self.record.header.event);
            tx.put(tombstone, None)?;
            tx.core.counters.tombstones -= 1;
            self.record = Record::default();
        }
        if self.record.header.inode == 0 {
            self.record.header.inode = tx.core.counters.next_inode;
            tx.core.counters.next_inode += 1;
        }
        Ok(())
    }

    /// Writes one property with its event.
    fn set(&mut self, tx: &mut Tx<'_>, name: Bytes, bytes: Bytes) -> Result<(), Fatal> {
        let old = self.record.property(&name).map(|p| p.value.clone());
        let value = store_value(tx, &self.id, &name, bytes, old.as_ref(), inline_max(&self.record))?;
        if old.as_ref() != Some(&value) && tx.core.rules.is_naming(&name) {
            self.renamed = true;
        }
        let event = tx.event(EventKind::Set, &self.id, &name);
        self.record.put(Property { name, event, mod_index: tx.index(), expire_ms: 0, value });
        Ok(())
    }

    /// Deletes one property with its event; answers whether it was there.
    fn unset(&mut self, tx: &mut Tx<'_>, name: &Bytes) -> Result<bool, Fatal> {
        let Some(old) = self.record.property(name).filter(|p| !matches!(p.value, Value::Deleted)) else {
            return Ok(false);
        };
        let (name, old) = (old.name.clone(), old.value.clone());
        drop_chunks(tx, &self.id, &name, Some(&old), 0)?;
        self.renamed |= tx.core.rules.is_naming(&name);
        let event = tx.event(EventKind::Del, &self.id, &name);
        let tombstone = Property { name, event, mod_index: tx.index(), expire_ms: 0, value: Value::Deleted };
        self.record.put(tombstone);
        Ok(true)
    }

    /// Settles header, naming order and totals, and gives the record back.
    fn end(mut self, tx: &mut Tx<'_>) {
        let header = &mut self.record.header;
        header.mod_index = tx.index();
        header.event = tx.core.counters.last_event;
        let has_path = matches!(
            self.record.property(FILE_PATH).map(|p| &p.value),
            Some(Value::Inline(_) | Value::Chunked { .. })
        );
        let header = &mut self.record.header;
        if !has_path {
            (header.order, header.order_ms) = (0, 0);
            self.record.pin = None;
        } else if self.renamed || header.order == 0 {
            header.order = tx.core.counters.next_order;
            header.order_ms = tx.core.counters.now_ms;
            tx.core.counters.next_order += 1;
            self.record.pin = None;
        }
        drop_old_tombstones(&mut self.record);
        let counters = &mut tx.core.counters;
        counters.properties = counters.properties - self.live_before + live(&self.record);
        counters.records = counters.records - u64::from(self.was_listed) + u64::from(is_listed(&self.record));
        tx.put_record(&self.id, self.record);
    }
}

fn put(tx: &mut Tx<'_>, id: &Bytes, properties: Vec<(Blob, Blob)>) -> Result<Response, Fatal> {
    if properties.is_empty() {
        return Ok(Response::Done);
    }
    let mut change = Change::begin(tx, id)?;
    if grows_too_large(&change.record, &properties) {
        tx.restore_record(id, change.record);
        return Ok(Response::Rejected(Reject::TooManyProperties {
            limit: limits::RECORD_PROPERTIES_MAX as u32,
        }));
    }
    change.revive(tx)?;
    for (name, value) in properties {
        change.set(tx, name.0, value.0)?;
    }
    change.end(tx);
    Ok(Response::Done)
}

fn grows_too_large(record: &Record, properties: &[(Blob, Blob)]) -> bool {
    if record.properties.len() + properties.len() <= limits::RECORD_PROPERTIES_MAX {
        return false;
    }
    let mut names: Vec<&[u8]> = properties.iter().map(|(name, _)| name.0.as_ref()).collect();
    names.sort_unstable();
    names.dedup();
    let new =
        names.iter().filter(|name| record.property(name).is_none_or(|p| matches!(p.value, Value::Deleted)));
    live(record) as usize + new.count() > limits::RECORD_PROPERTIES_MAX
}

fn remove(tx: &mut Tx<'_>, id: &Bytes, names: &[Blob]) -> Result<Response, Fatal> {
    let mut change = Change::begin(tx, id)?;
    let mut removed = 0;
    for name in names {
        removed += i64::from(change.unset(tx, &name.0)?);
    }
    if removed == 0 {
        tx.restore_record(id, change.record);
    } else if live(&change.record) == 0 && change.record.header.flags & Header::LISTED == 0 {
        // The last property went: the record is gone, and one tombstone stands for all its properties.
        bury(tx, change)?;
    } else {
        change.end(tx);
    }
    Ok(Response::Count(removed))
}

fn delete(tx: &mut Tx<'_>, id: &Bytes) -> Result<Response, Fatal> {
    let mut change = Change::begin(tx, id)?;
    if change.record.is_deleted() || change.record.header.inode == 0 {
        tx.restore_record(id, change.record);
        return Ok(Response::Count(0));
    }
    let mut names: Vec<Bytes> = change.record.properties.iter().map(|p| p.name.clone()).collect();
    // A file leaves the filesystem with its path: what follows is only tidying up for its consumers.
    names.sort_by_key(|name| name.as_ref() != FILE_PATH);
    let mut deleted = 0;
    for name in &names {
        deleted += i64::from(change.unset(tx, name)?);
    }
    if deleted == 0 {
        // Nothing of it but its place in the index: an event all the same, because a tombstone is known by its event.
        tx.event(EventKind::Del, id, &Bytes::from_static(FILE_PATH));
    }
    bury(tx, change)?;
    Ok(Response::Count(deleted))
}

/// Turns a record without properties into a tombstone, and forgets the oldest tombstone when there are too many.
fn bury(tx: &mut Tx<'_>, change: Change) -> Result<(), Fatal> {
    let Change { id, was_listed, live_before, .. } = change;
    let event = tx.core.counters.last_event;
    let generation = tx.core.counters.generation;
    let header = Header { event, mod_index: tx.index(), flags: Header::DELETED, ..Header::default() };
    let counters = &mut tx.core.counters;
    counters.properties -= live_before;
    counters.records -= u64::from(was_listed);
    counters.tombstones += 1;
    tx.put_record(&id, Record { header, ..Record::default() });
    tx.put(layout::by_event(Kind::Tombstone, generation, event), Some(id))?;
    if tx.core.counters.tombstones > limits::TOMBSTONES_MAX {
        forget_oldest_tombstone(tx)?;
    }
    Ok(())
}

fn forget_oldest_tombstone(tx: &mut Tx<'_>) -> Result<(), Fatal> {
    let generation = tx.core.counters.generation;
    let (from, to) =
        (layout::first_of(Kind::Tombstone, generation), layout::end_of(Kind::Tombstone, generation));
    let Some((key, id)) = tx.scan(&from, &to, 1)?.into_iter().next() else { return Ok(()) };
    tx.replace(key, Some(&id), None);
    tx.forget_record(&id)?;
    tx.core.counters.tombstones -= 1;
    Ok(())
}

fn add_member(tx: &mut Tx<'_>, id: &Bytes, property: Blob, member: &Blob) -> Result<Response, Fatal> {
    let record = tx.record(id)?;
    let old = record.property(&property).map(|p| p.value.clone());
    let text = match &old {
        Some(value) => load_value(tx, id, &property.0, value)?,
        None => Bytes::new(),
    };
    let known = text.split(|b| *b == MEMBER_SEPARATOR).any(|m| m == member.0.as_ref());
    if known && !text.is_empty() {
        return Ok(Response::Flag(false));
    }
    if text.len() + 1 + member.0.len() > limits::VALUE_BYTES_MAX {
        return Ok(Response::Rejected(Reject::TooLong { limit: limits::VALUE_BYTES_MAX as u64 }));
    }
    let joined = if text.is_empty() {
        member.0.clone()
    } else {
        Bytes::from([text.as_ref(), &[MEMBER_SEPARATOR], member].concat())
    };
    match put(tx, id, vec![(property, Blob(joined))])? {
        Response::Done => Ok(Response::Flag(true)),
        other => Ok(other),
    }
}

fn set_listed(tx: &mut Tx<'_>, id: &Bytes, listed: bool) -> Result<Response, Fatal> {
    let mut change = Change::begin(tx, id)?;
    if change.was_listed == listed {
        tx.restore_record(id, change.record);
        return Ok(Response::Flag(false));
    }
    if listed {
        change.revive(tx)?;
        change.record.header.flags = (change.record.header.flags & !Header::HIDDEN) | Header::LISTED;
    } else {
        change.record.header.flags = (change.record.header.flags & !Header::LISTED) | Header::HIDDEN;
    }
    let event = change.record.header.event;
    change.record.header.mod_index = tx.index();
    change.record.header.event = event;
    let counters = &mut tx.core.counters;
    counters.records = if listed { counters.records + 1 } else { counters.records - 1 };
    tx.put_record(id, change.record);
    Ok(Response::Flag(true))
}

/// Neither event nor modification index: for clients nothing has happened.
fn pin(
    tx: &mut Tx<'_>,
    id: &Bytes,
    (order, rules): (u64, u64),
    links: Vec<LinkPin>,
) -> Result<Response, Fatal> {
    let current = tx.core.rules.version == rules;
    let mut record = tx.take_record(id)?;
    if !current || order == 0 || record.header.order != order {
        tx.restore_record(id, record);
        return Ok(Response::Rejected(Reject::Precondition));
    }
    let before = record.pin.as_deref().cloned().unwrap_or_default();
    record.pin = Some(Box::new(before.renewed(rules, links)));
    tx.put_record(id, record);
    Ok(Response::Done)
}

fn live(record: &Record) -> u64 {
    record.properties.iter().filter(|p| !matches!(p.value, Value::Deleted)).count() as u64
}

/// Whether `file:__index__` names the record.
pub fn is_listed(record: &Record) -> bool {
    let flags = record.header.flags;
    flags & (Header::HIDDEN | Header::DELETED) == 0 && (flags & Header::LISTED != 0 || live(record) > 0)
}

/// Keeps only the newest tombstones of a record's properties.
fn drop_old_tombstones(record: &mut Record) {
    let dead = |p: &Property| matches!(p.value, Value::Deleted);
    let mut events: Vec<_> = record.properties.iter().filter(|p| dead(p)).map(|p| p.event).collect();
    if events.len() <= limits::PROPERTY_TOMBSTONES_MAX {
        return;
    }
    events.sort_unstable();
    let oldest_kept = events[events.len() - limits::PROPERTY_TOMBSTONES_MAX];
    record.properties.retain(|p| !dead(p) || p.event >= oldest_kept);
}

/// Longest value that stays inside the record: less once the record is large, so that it stays cheap to rewrite.
fn inline_max(record: &Record) -> usize {
    let inline = |p: &Property| match &p.value {
        Value::Inline(bytes) => bytes.len(),
        Value::Chunked { .. } | Value::Deleted => 0,
    };
    let total: usize = record.properties.iter().map(inline).sum();
    if total > limits::RECORD_INLINE_BYTES { limits::INLINE_BYTES_LATE } else { limits::INLINE_BYTES }
}

fn store_value(
    tx: &mut Tx<'_>,
    id: &Bytes,
    name: &Bytes,
    bytes: Bytes,
    old: Option<&Value>,
    inline_max: usize,
) -> Result<Value, Fatal> {
    if bytes.len() <= inline_max {
        drop_chunks(tx, id, name, old, 0)?;
        return Ok(Value::Inline(bytes));
    }
    let generation = tx.core.counters.generation;
    let mut chunks = 0;
    for part in bytes.chunks(limits::CHUNK_BYTES) {
        tx.put(layout::chunk(generation, id, name, chunks), Some(bytes.slice_ref(part)))?;
        chunks += 1;
    }
    drop_chunks(tx, id, name, old, chunks)?;
    Ok(Value::Chunked { len: bytes.len() as u64, chunks, hash: xxh3_128(&bytes) })
}

/// Deletes the chunks of an old value from number `from` on.
fn drop_chunks(
    tx: &mut Tx<'_>,
    id: &Bytes,
    name: &Bytes,
    old: Option<&Value>,
    from: u32,
) -> Result<(), Fatal> {
    let Some(Value::Chunked { chunks, .. }) = old else { return Ok(()) };
    for number in from..*chunks {
        tx.put(layout::chunk(tx.core.counters.generation, id, name, number), None)?;
    }
    Ok(())
}

pub(super) fn load_value(tx: &Tx<'_>, id: &Bytes, name: &Bytes, value: &Value) -> Result<Bytes, Fatal> {
    read_value(|key: &[u8]| tx.get(key), tx.core.counters.generation, id, name, value)
}

/// The bytes of a value, put together from its chunks. A tombstone is empty.
pub fn read_value(
    get: impl Fn(&[u8]) -> Result<Option<Bytes>, Fatal>,
    generation: u32,
    id: &[u8],
    name: &[u8],
    value: &Value,
) -> Result<Bytes, Fatal> {
    match value {
        Value::Inline(bytes) => Ok(bytes.clone()),
        Value::Deleted => Ok(Bytes::new()),
        Value::Chunked { len, chunks, .. } => {
            let mut out = Vec::with_capacity(*len as usize);
            for number in 0..*chunks {
                let part = get(&layout::chunk(generation, id, name, number))?;
                out.extend_from_slice(&part.ok_or_else(|| Fatal::new("a chunk of a long value is missing"))?);
            }
            Ok(Bytes::from(out))
        }
    }
}
