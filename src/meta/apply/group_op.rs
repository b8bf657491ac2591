//! Operations on the consumer groups of streams: which stream and which group is meant, and what is refused.
//!
//! Not here: what groups do (`group`, `delivery`).
//! Must always hold: as in Redis 7.2; a refused operation changes nothing, however many streams it names.

use bytes::Bytes;
use metad_raft::Fatal;

use super::delivery::{self, Claiming, Reading};
use super::group::Group;
use super::stream::Open;
use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::response::{Reject, Response};
use crate::meta::stream::StreamId;
use crate::meta::stream_op::{Delivered, GroupOp, GroupStart, ReadFrom};

/// Refusals inside an operation; the outer error is a fault of the node.
type Refusable<T> = Result<Result<T, Reject>, Fatal>;

/// Applies one operation on consumer groups.
pub fn apply(tx: &mut Tx<'_>, op: GroupOp) -> Result<Response, Fatal> {
    let answer = match op {
        GroupOp::Create { key, group, start, read, create } => {
            create_group(tx, &key.0, &group.0, (start, read), create)
        }
        GroupOp::Destroy { key, group } => destroy(tx, &key.0, &group),
        GroupOp::SetId { key, group, start, read } => {
            with(tx, &key.0, &group, Absent::Key, |_, open, group| {
                group.state.last = first_id(start, open);
                group.state.read = read;
                Ok(Response::Done)
            })
        }
        GroupOp::CreateConsumer { key, group, consumer } => match delivery::check_names(&[&consumer.0]) {
            Ok(()) => with(tx, &key.0, &group, Absent::Key, |tx, _, group| {
                Ok(Response::Flag(group.ensure_consumer(tx, &consumer.0)?))
            }),
            Err(reject) => Ok(Err(reject)),
        },
        GroupOp::DeleteConsumer { key, group, consumer } => delete_consumer(tx, &key.0, &group, &consumer.0),
        GroupOp::Read { group, consumer, streams, count, no_ack } => {
            read(tx, &group, &consumer.0, &streams, (count, no_ack))
        }
        GroupOp::Ack { key, group, ids } => acknowledge(tx, &key.0, &group, &ids),
        claim @ (GroupOp::Claim { .. } | GroupOp::AutoClaim { .. }) => self::claim(tx, claim),
    }?;
    Ok(answer.unwrap_or_else(Response::Rejected))
}

/// What is refused when there is no such stream.
#[derive(Clone, Copy)]
enum Absent {
    Key,
    Group,
}

/// Does something to a group of a stream.
fn with(
    tx: &mut Tx<'_>,
    key: &Bytes,
    name: &[u8],
    absent: Absent,
    act: impl FnOnce(&mut Tx<'_>, &Open, &mut Group) -> Result<Response, Fatal>,
) -> Refusable<Response> {
    let open = match Open::find(tx, key)? {
        Ok(Some(open)) => open,
        Ok(None) => {
            return Ok(Err(match absent {
                Absent::Key => Reject::NoSuchKey,
                Absent::Group => Reject::NoGroup { stream: 0 },
            }));
        }
        Err(reject) => return Ok(Err(reject)),
    };
    let Some(mut group) = Group::find(tx, open.object, name)? else {
        return Ok(Err(Reject::NoGroup { stream: 0 }));
    };
    let answer = act(tx, &open, &mut group)?;
    group.close(tx)?;
    Ok(Ok(answer))
}

fn first_id(start: GroupStart, open: &Open) -> StreamId {
    match start {
        GroupStart::Last => open.head.last,
        GroupStart::After(id) => id,
    }
}

fn create_group(
    tx: &mut Tx<'_>,
    key: &Bytes,
    name: &Bytes,
    (start, read): (GroupStart, Option<u64>),
    create: bool,
) -> Refusable<Response> {
    if let Err(reject) = delivery::check_names(&[name]) {
        return Ok(Err(reject));
    }
    let mut open = match Open::find(tx, key)? {
        Ok(Some(open)) => open,
        Ok(None) if create => Open::create(tx, key),
        Ok(None) => return Ok(Err(Reject::NoSuchKey)),
        Err(reject) => return Ok(Err(reject)),
    };
    if Group::find(tx, open.object, name)?.is_some() {
        return Ok(Err(Reject::BusyGroup));
    }
    Group::create(tx, open.object, name, first_id(start, &open), read)?;
    open.head.groups += 1;
    open.changed = true;
    open.close(tx)?;
    Ok(Ok(Response::Done))
}

fn destroy(tx: &mut Tx<'_>, key: &Bytes, name: &[u8]) -> Refusable<Response> {
    let mut open = match Open::find(tx, key)? {
        Ok(Some(open)) => open,
        Ok(None) => return Ok(Err(Reject::NoSuchKey)),
        Err(reject) => return Ok(Err(reject)),
    };
    let Some(group) = Group::find(tx, open.object, name)? else { return Ok(Ok(Response::Flag(false))) };
    group.destroy(tx)?;
    open.head.groups -= 1;
    open.changed = true;
    open.close(tx)?;
    Ok(Ok(Response::Flag(true)))
}

fn delete_consumer(tx: &mut Tx<'_>, key: &Bytes, name: &[u8], consumer: &Bytes) -> Refusable<Response> {
    let limit = limits::OPERATION_ELEMENTS_MAX;
    with(tx, key, name, Absent::Key, |tx, _, group| {
        let Some(state) = group.consumer(tx, consumer)? else { return Ok(Response::Count(0)) };
        let pending = state.pending;
        if pending > limit {
            return Ok(Response::Rejected(Reject::TooManyElements { limit }));
        }
        group.delete_consumer(tx, consumer)?;
        Ok(Response::Count(pending as i64))
    })
}

fn read(
    tx: &mut Tx<'_>,
    name: &[u8],
    consumer: &Bytes,
    streams: &[(Blob, ReadFrom)],
    (count, no_ack): (Option<u64>, bool),
) -> Refusable<Response> {
    if let Err(reject) = delivery::check_names(&[consumer]) {
        return Ok(Err(reject));
    }
    for (stream, (key, _)) in (0..).zip(streams) {
        let found = match Open::find(tx, &key.0)? {
            Ok(Some(open)) => Group::find(tx, open.object, name)?.is_some(),
            Ok(None) => false,
            Err(reject) => return Ok(Err(reject)),
        };
        if !found {
            return Ok(Err(Reject::NoGroup { stream }));
        }
    }
    let count = count.unwrap_or(u64::MAX);
    let mut answers = Vec::with_capacity(streams.len());
    for (key, from) in streams {
        let reading = Reading { consumer, from: *from, count, no_ack };
        let answer = with(tx, &key.0, name, Absent::Group, |tx, open, group| {
            delivery::read(tx, open, group, &reading)
        })?;
        match answer {
            Ok(answer) => answers.push(answer),
            Err(reject) => return Ok(Err(reject)),
        }
    }
    Ok(Ok(Response::List(answers)))
}

fn acknowledge(tx: &mut Tx<'_>, key: &Bytes, name: &[u8], ids: &[StreamId]) -> Refusable<Response> {
    let answer = with(tx, key, name, Absent::Group, |tx, _, group| {
        Ok(Response::Count(delivery::acknowledge(tx, group, ids)?))
    })?;
    Ok(match answer {
        Err(Reject::NoGroup { .. }) => Ok(Response::Count(0)),
        other => other,
    })
}

fn claim(tx: &mut Tx<'_>, op: GroupOp) -> Refusable<Response> {
    let (GroupOp::Claim { key, group: name, consumer, min_idle_ms, just_ids, .. }
    | GroupOp::AutoClaim { key, group: name, consumer, min_idle_ms, just_ids, .. }) = &op
    else {
        return Err(Fatal::new("an operation that does not claim was taken for one that does"));
    };
    if let Err(reject) = delivery::check_names(&[&consumer.0]) {
        return Ok(Err(reject));
    }
    let claiming = Claiming {
        consumer: &consumer.0,
        min_idle_ms: *min_idle_ms,
        delivered: Delivered::Now,
        deliveries: None,
        force: false,
        just_ids: *just_ids,
    };
    with(tx, &key.0, name, Absent::Group, |tx, open, group| match &op {
        GroupOp::Claim { ids, delivered, deliveries, force, last, .. } => {
            let claiming =
                Claiming { delivered: *delivered, deliveries: *deliveries, force: *force, ..claiming };
            group.state.last = last.map_or(group.state.last, |last| last.max(group.state.last));
            claiming.claim_all(tx, open, group, ids)
        }
        GroupOp::AutoClaim { start, count, .. } => claiming.claim_from(tx, open, group, *start, *count),
        _ => Err(Fatal::new("an operation that does not claim was taken for one that does")),
    })
}
