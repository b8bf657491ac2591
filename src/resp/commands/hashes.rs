//! Hashes.
//!
//! Not here: how they are stored (`meta::object`). Must always hold: a key of another type is refused by every command;
//! an absent one is an empty hash.

use super::super::codec::{Reply, Request};
use super::super::command::{DENYOOM, FAST, Group, Keys, READONLY, Row, Run, Shape, Step, WRITE};
use super::super::error::{NOT_FLOAT, Refusal, SYNTAX, Stop, WRONG_TYPE, of_reject, wrong_arity};
use super::super::reader::{ReadFn, Reader};
use super::elements::{self, Elements, Pair, ScanOptions};
use super::parse::int;
use super::shapes;
use crate::meta::collection_op::HashOp;
use crate::meta::decimal::Decimal;
use crate::meta::key::{Family, Place};
use crate::meta::object::Content;
use crate::meta::op::Op;
use crate::meta::response::{Reject, Response};

const fn write(
    name: &'static str,
    arity: i32,
    run: fn(&Request<'_>) -> Result<Step, Refusal>,
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, WRITE | DENYOOM | FAST, Keys::ONE, Group::Hash, Run::Write(run), reply, summary)
}

const fn read(
    name: &'static str,
    arity: i32,
    flags: u32,
    run: ReadFn,
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, READONLY | flags, Keys::ONE, Group::Hash, Run::Read(run), reply, summary)
}

/// The rows.
pub const ROWS: &[Row] = &[
    Row { flags: WRITE | FAST, ..write("hdel", -3, delete, "integer", "Deletes fields.") },
    read("hexists", 3, FAST, exists, "integer", "Whether a field is there."),
    read("hget", 3, FAST, get, "string or null", "A field's value."),
    read("hgetall", 2, 0, get_all, "map", "All fields and values."),
    write("hincrby", 4, incr_by, "integer", "Adds a number to a field."),
    write("hincrbyfloat", 4, incr_by_float, "string", "Adds a decimal number to a field."),
    read("hkeys", 2, 0, names, "array", "All fields."),
    read("hlen", 2, FAST, length, "integer", "How many fields there are."),
    read("hmget", -3, FAST, get_many, "array", "Values of several fields."),
    write("hmset", -4, |r| set(r, "hmset", shape_ok), "OK", "Sets fields."),
    read("hrandfield", -2, 0, random, "string, null or array", "Fields by chance."),
    read("hscan", -3, 0, scan, "array", "Walks a hash."),
    write("hset", -4, |r| set(r, "hset", shapes::value), "integer", "Sets fields."),
    write("hsetnx", 4, set_if_absent, "integer", "Sets a field if it is not there."),
    read("hstrlen", 3, FAST, value_length, "integer", "The length of a field's value."),
    read("hvals", 2, 0, values, "array", "All values."),
];

/// A hash, or a file's record as one; `None` when the key is absent.
fn find(state: &Reader<'_>, request: &Request<'_>) -> Result<Option<Elements>, Stop> {
    let name = request.arg(1);
    match state.place(name, Family::Hash) {
        Some(Place::Record { id }) => {
            return Ok(state.record(&id)?.map(|record| Elements::Record { id, record }));
        }
        Some(_) => return if state.key(name)?.is_some() { Err(Stop::Refused(WRONG_TYPE)) } else { Ok(None) },
        None => {}
    }
    match state.key(name)? {
        None => Ok(None),
        Some(key) => match key.content {
            Content::Hash { fields } => Ok(Some(Elements::Object { object: key.object, count: fields })),
            _ => Err(Stop::Refused(WRONG_TYPE)),
        },
    }
}

fn pairs(state: &Reader<'_>, request: &Request<'_>) -> Result<Vec<Pair>, Stop> {
    match find(state, request)? {
        Some(hash) => {
            state.walks(hash.len(state))?;
            Ok(hash.all(state)?)
        }
        None => Ok(Vec::new()),
    }
}

fn value(state: &Reader<'_>, request: &Request<'_>) -> Result<Option<bytes::Bytes>, Stop> {
    match find(state, request)? {
        Some(hash) => Ok(hash.one(state, request.arg(2))?),
        None => Ok(None),
    }
}

fn get(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    reply.bulk_or_null(value(state, request)?.as_deref());
    Ok(())
}

fn exists(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    reply.flag(value(state, request)?.is_some());
    Ok(())
}

fn value_length(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    reply.count(value(state, request)?.map_or(0, |value| value.len()));
    Ok(())
}

fn length(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    reply.int(find(state, request)?.map_or(0, |hash| hash.len(state) as i64));
    Ok(())
}

fn get_many(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let found = find(state, request)?;
    reply.array(request.len() - 2);
    for field in request.args().skip(2) {
        let value = match &found {
            Some(hash) => hash.one(state, field)?,
            None => None,
        };
        reply.bulk_or_null(value.as_deref());
    }
    Ok(())
}

fn get_all(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let pairs = pairs(state, request)?;
    reply.map(pairs.len());
    for (field, value) in pairs {
        reply.bulk(&field);
        reply.bulk(&value);
    }
    Ok(())
}

fn names(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let pairs = pairs(state, request)?;
    reply.array(pairs.len());
    pairs.iter().for_each(|(field, _)| reply.bulk(field));
    Ok(())
}

fn values(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let pairs = pairs(state, request)?;
    reply.array(pairs.len());
    pairs.iter().for_each(|(_, value)| reply.bulk(value));
    Ok(())
}

fn scan(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let options = ScanOptions::read(request, 2)?;
    match find(state, request)? {
        Some(hash) => hash.scan(state, &options, reply, true),
        None => {
            elements::scan_nothing(reply);
            Ok(())
        }
    }
}

/// Most random picks with repetition in one answer.
const PICKS_MAX: u64 = 1_000_000;

/// The count of a random pick.
pub fn picks(request: &Request<'_>) -> Result<i64, Refusal> {
    let count = int(request, 2)?;
    if count.unsigned_abs() > PICKS_MAX && count < 0 {
        return Err(Refusal::fixed("ERR value is out of range"));
    }
    Ok(count)
}

fn random(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    if request.len() == 2 {
        let found = find(state, request)?;
        let pick = found.map(|hash| hash.random(state, 1)).transpose()?;
        let pick = pick.and_then(|mut pick| pick.pop());
        reply.bulk_or_null(pick.as_ref().map(|(field, _)| &field[..]));
        return Ok(());
    }
    let count = picks(request)?;
    let with_values = request.len() == 4 && request.is(3, "withvalues");
    if request.len() > 4 || (request.len() == 4 && !with_values) {
        return Err(Stop::Refused(SYNTAX));
    }
    let found = find(state, request)?;
    let picked = found.map(|hash| hash.random(state, count)).transpose()?;
    let picked = picked.unwrap_or_default();
    // RESP3 puts field and value together, RESP2 writes them one after the other.
    let nested = reply.is_resp3() && with_values;
    reply.array(picked.len() * if with_values && !nested { 2 } else { 1 });
    for (field, value) in picked {
        if nested {
            reply.array(2);
        }
        reply.bulk(&field);
        if with_values {
            reply.bulk(&value);
        }
    }
    Ok(())
}

fn op(op: HashOp, shape: Shape) -> Result<Step, Refusal> {
    Ok(Step::Write(Op::Hash(op), shape))
}

fn shape_ok(response: Response, reply: &mut Reply) {
    match response {
        Response::Count(_) => reply.ok(),
        other => shapes::value(other, reply),
    }
}

fn set(request: &Request<'_>, command: &str, shape: fn(Response, &mut Reply)) -> Result<Step, Refusal> {
    if !request.len().is_multiple_of(2) {
        return Err(wrong_arity(command));
    }
    op(HashOp::Set { key: request.blob(1), pairs: request.pairs(2) }, Shape::Plain(shape))
}

fn set_if_absent(request: &Request<'_>) -> Result<Step, Refusal> {
    let set = HashOp::SetIfAbsent { key: request.blob(1), field: request.blob(2), value: request.blob(3) };
    op(set, Shape::Plain(shapes::value))
}

fn delete(request: &Request<'_>) -> Result<Step, Refusal> {
    op(HashOp::Delete { key: request.blob(1), fields: request.blobs(2) }, Shape::Plain(shapes::value))
}

/// What was read from a hash is refused in words of its own.
fn sum(_: &[bytes::Bytes], response: Response, reply: &mut Reply) {
    match response {
        Response::Rejected(Reject::NotInteger) => reply.error("ERR hash value is not an integer"),
        Response::Rejected(Reject::NotFloat) => reply.error("ERR hash value is not a float"),
        Response::Rejected(reject) => reply.error(&of_reject(&reject).0),
        other => shapes::value(other, reply),
    }
}

fn incr_by(request: &Request<'_>) -> Result<Step, Refusal> {
    let by = int(request, 3)?;
    let add = HashOp::IncrBy { key: request.blob(1), field: request.blob(2), by };
    op(add, Shape::Named(Vec::new(), sum))
}

fn incr_by_float(request: &Request<'_>) -> Result<Step, Refusal> {
    let by = Decimal::parse(request.arg(3)).ok_or(NOT_FLOAT)?;
    let add = HashOp::IncrByFloat { key: request.blob(1), field: request.blob(2), by };
    op(add, Shape::Named(Vec::new(), sum))
}
