//! What operations on streams and groups do to plain maps: Redis' rules, written down once more.
//!
//! Not here: which operations, and the comparison (`streams`).
//! Must always hold: the model knows no objects, indexes, headers or limits.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec::Blob;
use crate::meta::key_op::{Expiry, KeyOp};
use crate::meta::op::Op;
use crate::meta::response::{Reject, Response};
use crate::meta::stream::{Entry, Fields, StreamId};
use crate::meta::stream_op::{Delivered, GroupOp, GroupStart, Keep, NewId, ReadFrom, StreamOp, Trim};

/// A stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    pub entries: BTreeMap<StreamId, Fields>,
    pub added: u64,
    pub last: StreamId,
    pub max_deleted: StreamId,
    pub groups: BTreeMap<Bytes, Group>,
    pub expire_ms: u64,
}

/// A group: consumers with the moments they were seen and active, and for each pending entry its consumer, the moment
/// and the number of deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub last: StreamId,
    pub read: Option<u64>,
    pub consumers: BTreeMap<Bytes, (u64, Option<u64>)>,
    pub pending: BTreeMap<StreamId, (Bytes, u64, u64)>,
}

/// The obvious state.
pub type Model = BTreeMap<Bytes, Stream>;

/// What an operation does and answers.
pub fn run(state: &mut Model, now: u64, op: &Op) -> Response {
    state.retain(|_, stream| stream.expire_ms == 0 || stream.expire_ms > now);
    match op {
        Op::Stream(op) => run_stream(state, now, op),
        Op::Group(op) => run_group(state, now, op),
        Op::Key(op) => Ok(run_key(state, now, op)),
        other => panic!("not an operation on streams: {other:?}"),
    }
    .unwrap_or_else(Response::Rejected)
}

fn run_key(state: &mut Model, now: u64, op: &KeyOp) -> Response {
    match op {
        KeyOp::Delete { keys } => {
            Response::Count(keys.iter().filter(|key| state.remove(&key.0).is_some()).count() as i64)
        }
        KeyOp::Expire { key, expiry: Expiry::In(ms), .. } => match state.get_mut(&key.0) {
            Some(stream) if *ms > 0 => {
                stream.expire_ms = now + *ms as u64;
                Response::Flag(true)
            }
            Some(_) => Response::Flag(state.remove(&key.0).is_some()),
            None => Response::Flag(false),
        },
        KeyOp::Rename { from, to, .. } => match state.remove(&from.0) {
            Some(stream) => {
                state.insert(to.0.clone(), stream);
                Response::Done
            }
            None => Response::Rejected(Reject::NoSuchKey),
        },
        KeyOp::Copy { from, to, .. } => match state.get(&from.0).cloned() {
            Some(stream) if from != to => {
                state.insert(to.0.clone(), stream);
                Response::Flag(true)
            }
            Some(_) | None => Response::Flag(false),
        },
        other => panic!("not generated: {other:?}"),
    }
}

impl Stream {
    fn new_id(&self, asked: NewId, now: u64) -> Result<StreamId, Reject> {
        let id = match asked {
            NewId::Exact(id) => id,
            NewId::AutoSeq(ms) if ms == self.last.ms => StreamId { ms, seq: self.last.seq + 1 },
            NewId::AutoSeq(ms) => StreamId { ms, seq: 0 },
            NewId::Auto if now > self.last.ms => StreamId { ms: now, seq: 0 },
            NewId::Auto => StreamId { ms: self.last.ms, seq: self.last.seq + 1 },
        };
        if id > self.last { Ok(id) } else { Err(Reject::IdTooSmall) }
    }

    fn trim(&mut self, trim: &Trim) -> i64 {
        let len = self.entries.len() as u64;
        let over = match trim.keep {
            Keep::Last(count) => len.saturating_sub(count),
            Keep::From(id) => self.entries.range(..id).count() as u64,
        };
        let over = over.min(trim.limit.unwrap_or(u64::MAX));
        for _ in 0..over {
            self.entries.pop_first();
        }
        over as i64
    }

    /// How many entries were added up to an id, if that can be known.
    fn added_upto(&self, id: StreamId) -> Option<u64> {
        let len = self.entries.len() as u64;
        if self.added == 0 {
            return Some(0);
        }
        let Some((first, _)) = self.entries.first_key_value() else {
            return (id <= self.last).then_some(self.added);
        };
        if id >= self.last {
            return (id == self.last).then_some(self.added);
        }
        let fragmented = self.max_deleted != StreamId::default() && self.max_deleted >= *first;
        if fragmented || id > *first {
            return None;
        }
        Some(self.added.saturating_sub(len) + u64::from(id == *first))
    }

    /// The next entries of a group, which moves on.
    fn deliver(&mut self, name: &Bytes, count: Option<u64>) -> Vec<Entry> {
        let last = self.groups[name].last;
        let new: Vec<StreamId> = self.entries.keys().copied().filter(|id| *id > last).collect();
        let mut out = Vec::new();
        for id in new.into_iter().take(count.unwrap_or(u64::MAX) as usize) {
            let first = self.entries.first_key_value().is_some_and(|(first, _)| *first <= self.max_deleted);
            let gap = first && self.max_deleted != StreamId::default() && self.max_deleted >= id;
            let read = self.groups[name].read.filter(|_| !gap).map(|read| read + 1);
            let read = read.or_else(|| self.added_upto(id));
            let group = self.groups.get_mut(name).unwrap();
            (group.read, group.last) = (read, id);
            out.push(Entry { id, fields: Some(self.entries[&id].clone()) });
        }
        out
    }
}

fn run_stream(state: &mut Model, now: u64, op: &StreamOp) -> Result<Response, Reject> {
    Ok(match op {
        StreamOp::Add { key, id, fields, create, trim } => {
            if *id == NewId::Exact(StreamId::default()) {
                return Err(Reject::IdZero);
            }
            if !create && !state.contains_key(&key.0) {
                return Ok(Response::Nil);
            }
            let mut stream = state.get(&key.0).cloned().unwrap_or_default();
            let id = stream.new_id(*id, now)?;
            stream.entries.insert(id, fields.clone());
            stream.added += 1;
            stream.last = id;
            if let Some(trim) = trim {
                stream.trim(trim);
            }
            state.insert(key.0.clone(), stream);
            Response::Id(id)
        }
        StreamOp::Trim { key, trim } => {
            Response::Count(state.get_mut(&key.0).map_or(0, |stream| stream.trim(trim)))
        }
        StreamOp::Delete { key, ids } => {
            let Some(stream) = state.get_mut(&key.0) else { return Ok(Response::Count(0)) };
            let mut deleted = 0;
            for id in ids {
                if stream.entries.remove(id).is_some() {
                    deleted += 1;
                    stream.max_deleted = stream.max_deleted.max(*id);
                }
            }
            Response::Count(deleted)
        }
        StreamOp::SetId { key, last, added, max_deleted } => {
            if max_deleted.is_some_and(|id| *last < id) {
                return Err(Reject::IdBelowDeleted);
            }
            let stream = state.get_mut(&key.0).ok_or(Reject::NoSuchKey)?;
            if *last < stream.max_deleted {
                return Err(Reject::IdBelowDeleted);
            }
            if stream.entries.keys().any(|id| id > last) {
                return Err(Reject::IdTooSmall);
            }
            if added.is_some_and(|added| added < stream.entries.len() as u64) {
                return Err(Reject::AddedBelowLength);
            }
            stream.last = *last;
            stream.added = added.unwrap_or(stream.added);
            if let Some(id) = max_deleted.filter(|id| *id != StreamId::default()) {
                stream.max_deleted = id;
            }
            Response::Done
        }
    })
}

/// A stream that must be there, with a group that must be.
fn at<'a>(state: &'a mut Model, key: &Blob, group: &Blob, absent: Reject) -> Result<&'a mut Stream, Reject> {
    let stream = state.get_mut(&key.0).ok_or(absent)?;
    if !stream.groups.contains_key(&group.0) {
        return Err(Reject::NoGroup { stream: 0 });
    }
    Ok(stream)
}

fn run_group(state: &mut Model, now: u64, op: &GroupOp) -> Result<Response, Reject> {
    match op {
        GroupOp::Create { .. }
        | GroupOp::Destroy { .. }
        | GroupOp::SetId { .. }
        | GroupOp::CreateConsumer { .. }
        | GroupOp::DeleteConsumer { .. } => run_managing(state, now, op),
        GroupOp::Read { .. } => run_read(state, now, op),
        GroupOp::Ack { key, group, ids } => match at(state, key, group, Reject::NoSuchKey) {
            Ok(stream) => {
                let pending = &mut stream.groups.get_mut(&group.0).unwrap().pending;
                Ok(Response::Count(ids.iter().filter(|id| pending.remove(id).is_some()).count() as i64))
            }
            Err(_) => Ok(Response::Count(0)),
        },
        GroupOp::Claim { .. } => run_claim(state, now, op),
        GroupOp::AutoClaim { .. } => run_auto_claim(state, now, op),
    }
}

fn run_managing(state: &mut Model, now: u64, op: &GroupOp) -> Result<Response, Reject> {
    let first = |start: &GroupStart, stream: &Stream| match start {
        GroupStart::Last => stream.last,
        GroupStart::After(id) => *id,
    };
    Ok(match op {
        GroupOp::Create { key, group, start, read, create } => {
            if !create && !state.contains_key(&key.0) {
                return Err(Reject::NoSuchKey);
            }
            let stream = state.entry(key.0.clone()).or_default();
            if stream.groups.contains_key(&group.0) {
                return Err(Reject::BusyGroup);
            }
            let new = Group { last: first(start, stream), read: *read, ..Group::default() };
            stream.groups.insert(group.0.clone(), new);
            Response::Done
        }
        GroupOp::Destroy { key, group } => {
            let stream = state.get_mut(&key.0).ok_or(Reject::NoSuchKey)?;
            Response::Flag(stream.groups.remove(&group.0).is_some())
        }
        GroupOp::SetId { key, group, start, read } => {
            let stream = at(state, key, group, Reject::NoSuchKey)?;
            let last = first(start, stream);
            let group = stream.groups.get_mut(&group.0).unwrap();
            (group.last, group.read) = (last, *read);
            Response::Done
        }
        GroupOp::CreateConsumer { key, group, consumer } => {
            let stream = at(state, key, group, Reject::NoSuchKey)?;
            let consumers = &mut stream.groups.get_mut(&group.0).unwrap().consumers;
            let new = !consumers.contains_key(&consumer.0);
            consumers.entry(consumer.0.clone()).or_insert((now, None));
            Response::Flag(new)
        }
        GroupOp::DeleteConsumer { key, group, consumer } => {
            let stream = at(state, key, group, Reject::NoSuchKey)?;
            let group = stream.groups.get_mut(&group.0).unwrap();
            group.consumers.remove(&consumer.0);
            let before = group.pending.len();
            group.pending.retain(|_, (who, _, _)| *who != consumer.0);
            Response::Count((before - group.pending.len()) as i64)
        }
        other => panic!("not about managing: {other:?}"),
    })
}

fn hear_of(group: &mut Group, consumer: &Bytes, now: u64) {
    group.consumers.entry(consumer.clone()).or_insert((now, None)).0 = now;
}

fn run_read(state: &mut Model, now: u64, op: &GroupOp) -> Result<Response, Reject> {
    let GroupOp::Read { group: name, consumer, streams, count, no_ack } = op else {
        panic!("not READ: {op:?}")
    };
    for (stream, (key, _)) in (0..).zip(streams) {
        at(state, key, name, Reject::NoSuchKey).map_err(|_| Reject::NoGroup { stream })?;
    }
    let mut answers = Vec::new();
    for (key, from) in streams {
        let stream = state.get_mut(&key.0).unwrap();
        hear_of(stream.groups.get_mut(&name.0).unwrap(), &consumer.0, now);
        let answer = match from {
            ReadFrom::New => {
                let entries = stream.deliver(&name.0, *count);
                let group = stream.groups.get_mut(&name.0).unwrap();
                for entry in entries.iter().filter(|_| !no_ack) {
                    group.pending.insert(entry.id, (consumer.0.clone(), now, 1));
                }
                if entries.is_empty() {
                    Response::Nil
                } else {
                    group.consumers.get_mut(&consumer.0).unwrap().1 = Some(now);
                    Response::Entries(entries)
                }
            }
            ReadFrom::Pending(after) => {
                let pending = &mut stream.groups.get_mut(&name.0).unwrap().pending;
                let own = pending.iter_mut().filter(|(id, (who, _, _))| *id > after && *who == consumer.0);
                let mut entries = Vec::new();
                for (id, (_, at, times)) in own.take(count.unwrap_or(u64::MAX) as usize) {
                    let fields = stream.entries.get(id).cloned();
                    if fields.is_some() {
                        (*at, *times) = (now, *times + 1);
                    }
                    entries.push(Entry { id: *id, fields });
                }
                Response::Entries(entries)
            }
        };
        answers.push(answer);
    }
    Ok(Response::List(answers))
}

/// Whether an entry is claimed, and what it is.
enum Claimed {
    Yes(Entry),
    Deleted,
    No,
}

struct Claim<'a> {
    consumer: &'a Blob,
    min_idle_ms: u64,
    at: u64,
    deliveries: Option<u64>,
    force: bool,
    just_ids: bool,
}

impl Claim<'_> {
    fn claim(&self, stream: &mut Stream, name: &Blob, now: u64, id: StreamId) -> Claimed {
        let group = stream.groups.get_mut(&name.0).unwrap();
        let Some(fields) = stream.entries.get(&id).cloned() else {
            return if group.pending.remove(&id).is_some() { Claimed::Deleted } else { Claimed::No };
        };
        let times = match group.pending.get(&id) {
            Some((_, at, _)) if now - at < self.min_idle_ms => return Claimed::No,
            Some((_, _, times)) => *times,
            None if self.force => 1,
            None => return Claimed::No,
        };
        let times = self.deliveries.unwrap_or(if self.just_ids { times } else { times + 1 });
        group.pending.insert(id, (self.consumer.0.clone(), self.at, times));
        group.consumers.get_mut(&self.consumer.0).unwrap().1 = Some(now);
        Claimed::Yes(Entry { id, fields: Some(fields) })
    }

    fn answer(&self, entries: Vec<Entry>) -> Response {
        if self.just_ids {
            return Response::Ids(entries.iter().map(|entry| entry.id).collect());
        }
        Response::Entries(entries)
    }
}

fn run_claim(state: &mut Model, now: u64, op: &GroupOp) -> Result<Response, Reject> {
    let GroupOp::Claim {
        key,
        group,
        consumer,
        min_idle_ms,
        ids,
        delivered,
        deliveries,
        force,
        just_ids,
        last,
    } = op
    else {
        panic!("not CLAIM: {op:?}")
    };
    let stream = at(state, key, group, Reject::NoGroup { stream: 0 })?;
    let held = stream.groups.get_mut(&group.0).unwrap();
    held.last = held.last.max(last.unwrap_or_default());
    hear_of(held, &consumer.0, now);
    let at = match delivered {
        Delivered::Now => now,
        Delivered::At(ms) => now.min(*ms),
        Delivered::Ago(ms) => now.saturating_sub(*ms),
    };
    let (deliveries, force, just_ids) = (*deliveries, *force, *just_ids);
    let claim = Claim { consumer, min_idle_ms: *min_idle_ms, at, deliveries, force, just_ids };
    let claimed = ids.iter().filter_map(|id| match claim.claim(stream, group, now, *id) {
        Claimed::Yes(entry) => Some(entry),
        Claimed::Deleted | Claimed::No => None,
    });
    let claimed = claimed.collect();
    Ok(claim.answer(claimed))
}

fn run_auto_claim(state: &mut Model, now: u64, op: &GroupOp) -> Result<Response, Reject> {
    let GroupOp::AutoClaim { key, group, consumer, min_idle_ms, start, count, just_ids } = op else {
        panic!("not AUTOCLAIM: {op:?}")
    };
    let stream = at(state, key, group, Reject::NoGroup { stream: 0 })?;
    let held = stream.groups.get_mut(&group.0).unwrap();
    hear_of(held, &consumer.0, now);
    let mut left: std::collections::VecDeque<StreamId> =
        held.pending.range(start..).map(|(id, _)| *id).collect();
    let (min_idle_ms, just_ids) = (*min_idle_ms, *just_ids);
    let claim = Claim { consumer, min_idle_ms, at: now, deliveries: None, force: false, just_ids };
    let (mut claimed, mut deleted) = (Vec::new(), Vec::new());
    for _ in 0..count * 10 {
        if (claimed.len() + deleted.len()) as u64 >= *count {
            break;
        }
        let Some(id) = left.pop_front() else { break };
        match claim.claim(stream, group, now, id) {
            Claimed::Yes(entry) => claimed.push(entry),
            Claimed::Deleted => deleted.push(id),
            Claimed::No => {}
        }
    }
    let next = left.front().copied().unwrap_or_default();
    Ok(Response::List(vec![Response::Id(next), claim.answer(claimed), Response::Ids(deleted)]))
}
