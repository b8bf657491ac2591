//! Fields of hashes and members of sets, as commands read them.
//!
//! Not here: the commands. Must always hold: what is walked is walked in the order of slots, which is the same on every
//! node; elements of one slot come together.

use bytes::Bytes;
use metad_raft::Fatal;

use super::super::codec::{Reply, Request, integer, unsigned};
use super::super::error::{NOT_INTEGER, Refusal, SYNTAX, Stop};
use super::super::reader::Reader;
use super::pattern::matches;
use crate::limits;
use crate::meta::apply::record::is_listed;
use crate::meta::layout::{self, Kind};
use crate::meta::object;
use crate::meta::record::{Property, Record};

/// A name and its value.
pub type Pair = (Bytes, Bytes);

/// All elements of an object that has `count` of them.
pub fn all(state: &Reader<'_>, object: u64, count: u64) -> Result<Vec<Pair>, Fatal> {
    object::members(state.view, state.generation(), object, 0, count.max(1) as usize)
}

/// The value of one element.
pub fn one(state: &Reader<'_>, object: u64, name: &[u8]) -> Result<Option<Bytes>, Fatal> {
    object::member(state.view, state.generation(), object, name)
}

/// A hash or a set, wherever its elements are.
pub enum Elements {
    /// A generic key's.
    Object {
        /// The object that has them.
        object: u64,
        /// How many there are.
        count: u64,
    },
    /// The properties of a file.
    Record {
        /// Its hashId.
        id: Bytes,
        /// What is stored of it.
        record: Record,
    },
    /// The ids of all listed files.
    Index,
}

impl Elements {
    /// How many there are.
    pub fn len(&self, state: &Reader<'_>) -> u64 {
        match self {
            Self::Object { count, .. } => *count,
            Self::Record { record, .. } => {
                record.properties.iter().filter(|p| p.is_live(state.now_ms())).count() as u64
            }
            Self::Index => state.records(),
        }
    }

    /// All of them.
    pub fn all(&self, state: &Reader<'_>) -> Result<Vec<Pair>, Fatal> {
        match self {
            Self::Object { object, count } => all(state, *object, *count),
            Self::Record { id, record } => {
                let live = record.properties.iter().filter(|p| p.is_live(state.now_ms()));
                let pair = |p: &Property| -> Result<Pair, Fatal> {
                    Ok((p.name.clone(), state.property(id, record, &p.name)?.unwrap_or_default()))
                };
                live.map(pair).collect()
            }
            Self::Index => {
                let (mut slot, mut ids) = (0, Vec::new());
                loop {
                    let (found, next) = page(slot, limits::SCAN_PAGE_KEYS, record_slot, |slot, limit| {
                        records_from(state, slot, limit)
                    })?;
                    ids.extend(
                        found.into_iter().filter(|(_, r)| is_listed(r)).map(|(id, _)| (id, Bytes::new())),
                    );
                    if next == 0 {
                        return Ok(ids);
                    }
                    slot = next;
                }
            }
        }
    }

    /// The value of one of them; empty for a member of a set.
    pub fn one(&self, state: &Reader<'_>, name: &[u8]) -> Result<Option<Bytes>, Fatal> {
        match self {
            Self::Object { object, .. } => one(state, *object, name),
            Self::Record { id, record } => state.property(id, record, name),
            Self::Index => {
                let stored = state.view.get(&layout::record(state.generation(), name))?;
                let record = stored.map(|stored| Record::decode(&stored)).transpose();
                let record = record.map_err(|e| Fatal::with("decode a record", e))?;
                Ok(record.filter(is_listed).map(|_| Bytes::new()))
            }
        }
    }

    /// HSCAN and SSCAN.
    pub fn scan(
        &self,
        state: &Reader<'_>,
        options: &ScanOptions<'_>,
        reply: &mut Reply,
        with_values: bool,
    ) -> Result<(), Stop> {
        let (pairs, next) = match self {
            Self::Object { object, .. } => return scan(state, *object, options, reply, with_values),
            // A record is as small as what redis-server tells in one piece.
            Self::Record { .. } => (self.all(state)?, 0),
            Self::Index => {
                let read = |slot, limit| records_from(state, slot, limit);
                let (found, next) = page(options.cursor, options.count, record_slot, read)?;
                (
                    found
                        .into_iter()
                        .filter(|(_, r)| is_listed(r))
                        .map(|(id, _)| (id, Bytes::new()))
                        .collect(),
                    next,
                )
            }
        };
        tell(pairs, next, options, reply, with_values);
        Ok(())
    }

    /// `count` different ones by chance, or so many with repetition when negative.
    pub fn random(&self, state: &Reader<'_>, count: i64) -> Result<Vec<Pair>, Fatal> {
        Ok(pick(state, self.all(state)?, count))
    }
}

/// At most `limit` records from a slot on, with those that are only remembered, in order of their slots.
pub fn records_from(state: &Reader<'_>, slot: u64, limit: usize) -> Result<Vec<(Bytes, Record)>, Fatal> {
    let generation = state.generation();
    let mut from = layout::first_of(Kind::Record, generation).to_vec();
    from.extend_from_slice(&slot.to_be_bytes());
    let to = layout::end_of(Kind::Record, generation);
    let found = state.view.scan(&from, &to, limit)?.into_iter().map(|(key, stored)| {
        let id = layout::record_id(&key).ok_or_else(|| Fatal::new("a record has no id"))?;
        let record = Record::decode(&stored).map_err(|e| Fatal::with("decode a record", e))?;
        Ok((id, record))
    });
    found.collect()
}

fn record_slot((id, _): &(Bytes, Record)) -> u64 {
    layout::slot(id)
}

/// Options of SCAN and its kin.
pub struct ScanOptions<'a> {
    /// Where to go on; 0 at the beginning.
    pub cursor: u64,
    /// COUNT: about how many are looked at.
    pub count: usize,
    /// MATCH; `None` for everything.
    pub pattern: Option<&'a [u8]>,
    /// TYPE: keys of this type only.
    pub kind: Option<&'a [u8]>,
}

/// Most elements that one call of SCAN looks at.
const COUNT_MAX: i64 = 100_000;

impl<'a> ScanOptions<'a> {
    /// Reads the cursor at `at` and the options behind it.
    pub fn read(request: &Request<'a>, at: usize) -> Result<Self, Refusal> {
        let cursor = unsigned(request.arg(at)).ok_or(Refusal::fixed("ERR invalid cursor"))?;
        let mut options = Self { cursor, count: 10, pattern: None, kind: None };
        let mut at = at + 1;
        while at < request.len() {
            let Some(value) = request.get(at + 1) else { return Err(SYNTAX) };
            match request.arg(at).to_ascii_lowercase().as_slice() {
                b"count" => {
                    let count = integer(value).ok_or(NOT_INTEGER)?;
                    if count < 1 {
                        return Err(SYNTAX);
                    }
                    options.count = count.min(COUNT_MAX) as usize;
                }
                b"match" => options.pattern = (value != b"*").then_some(value),
                b"type" if request.arg(0).eq_ignore_ascii_case(b"scan") => options.kind = Some(value),
                _ => return Err(SYNTAX),
            }
            at += 2;
        }
        Ok(options)
    }

    /// Whether a name is asked for.
    pub fn wants(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| matches(pattern, name, false))
    }
}

/// A page of things in slots: those of whole slots, and the cursor to go on with.
///
/// `read` gives at most so many from a slot on, in order of their slots.
pub fn page<T>(
    cursor: u64,
    count: usize,
    slot_of: impl Fn(&T) -> u64,
    read: impl Fn(u64, usize) -> Result<Vec<T>, Fatal>,
) -> Result<(Vec<T>, u64), Fatal> {
    let mut limit = count + 1;
    loop {
        let mut found = read(cursor, limit)?;
        if found.len() < limit {
            return Ok((found, 0));
        }
        // The last slot may go on behind the page: it comes with the next one.
        let next = found.last().map_or(0, &slot_of);
        found.retain(|item| slot_of(item) < next);
        if !found.is_empty() {
            return Ok((found, next));
        }
        limit *= 2;
    }
}

/// HSCAN and SSCAN over an object.
pub fn scan(
    state: &Reader<'_>,
    object: u64,
    options: &ScanOptions<'_>,
    reply: &mut Reply,
    with_values: bool,
) -> Result<(), Stop> {
    let read = |slot, limit| object::members(state.view, state.generation(), object, slot, limit);
    let (found, next) = page(options.cursor, options.count, |(name, _)| layout::slot(name), read)?;
    tell(found, next, options, reply, with_values);
    Ok(())
}

/// The answer of HSCAN and SSCAN.
fn tell(found: Vec<Pair>, next: u64, options: &ScanOptions<'_>, reply: &mut Reply, with_values: bool) {
    let wanted: Vec<Pair> = found.into_iter().filter(|(name, _)| options.wants(name)).collect();
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(wanted.len() * if with_values { 2 } else { 1 });
    for (name, value) in wanted {
        reply.bulk(&name);
        if with_values {
            reply.bulk(&value);
        }
    }
}

/// An empty answer of HSCAN and SSCAN.
pub fn scan_nothing(reply: &mut Reply) {
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
}

/// `count` different ones of `pool` by chance, or so many with repetition when negative.
fn pick(state: &Reader<'_>, mut pool: Vec<Pair>, count: i64) -> Vec<Pair> {
    if pool.is_empty() {
        return pool;
    }
    let below = |limit: usize| ((u128::from((state.seed)()) * limit as u128) >> 64) as usize;
    if count < 0 {
        let many = count.unsigned_abs() as usize;
        return (0..many).map(|_| pool[below(pool.len())].clone()).collect();
    }
    let many = (count as usize).min(pool.len());
    for at in 0..many {
        let other = at + below(pool.len() - at);
        pool.swap(at, other);
    }
    pool.truncate(many);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_whole_slots_and_leave_nothing_out() {
        let slots = [1u64, 2, 2, 2, 2, 5, 9, 9, u64::MAX];
        let read = |from: u64, limit: usize| {
            Ok(slots.iter().copied().filter(|slot| *slot >= from).take(limit).collect::<Vec<_>>())
        };
        for count in 1..12 {
            let (mut cursor, mut seen) = (0, Vec::new());
            loop {
                let (found, next) = page(cursor, count, |slot| *slot, read).unwrap();
                seen.extend(found);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(seen, slots, "count {count}");
        }
    }
}
