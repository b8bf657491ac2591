//! Sets.
//!
//! Not here: how they are stored (`meta::object`). Must always hold: a key of another type is refused by every command; an
//! absent one is an empty set; SPOP's picks are made when the entry is applied, from a seed in it.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::super::codec::{Reply, Request, unsigned};
use super::super::command::{DENYOOM, FAST, Group, Keys, READONLY, Row, Run, Shape, Step, WRITE};
use super::super::door::seed;
use super::super::error::{NOT_INTEGER, NOT_POSITIVE, Refusal, SYNTAX, Stop, WRONG_TYPE};
use super::super::reader::{ReadFn, Reader};
use super::elements::{self, Elements, ScanOptions};
use super::hashes::picks;
use super::parse::int;
use super::shapes;
use crate::meta::collection_op::{Combine, SetOp};
use crate::meta::key::Family;
use crate::meta::object::Content;
use crate::meta::op::Op;
use crate::meta::response::Response;

const fn write(
    name: &'static str,
    arity: i32,
    flags: u32,
    keys: Keys,
    run: fn(&Request<'_>) -> Result<Step, Refusal>,
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, WRITE | flags, keys, Group::Set, Run::Write(run), reply, summary)
}

const fn read(
    name: &'static str,
    arity: i32,
    keys: Keys,
    run: ReadFn,
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, READONLY, keys, Group::Set, Run::Read(run), reply, summary)
}

/// The rows.
pub const ROWS: &[Row] = &[
    write("sadd", -3, DENYOOM | FAST, Keys::ONE, add, "integer", "Adds members."),
    read("scard", 2, Keys::ONE, count, "integer", "How many members there are."),
    read(
        "sdiff",
        -2,
        Keys::ALL,
        |s, r, out| combined(s, r, out, Combine::Diff),
        "set",
        "What is in the first set only.",
    ),
    write(
        "sdiffstore",
        -3,
        DENYOOM,
        Keys::ALL,
        |r| store(r, Combine::Diff),
        "integer",
        "Stores what is in the first set only.",
    ),
    read(
        "sinter",
        -2,
        Keys::ALL,
        |s, r, out| combined(s, r, out, Combine::Inter),
        "set",
        "What is in all sets.",
    ),
    read(
        "sintercard",
        -3,
        Keys::Counted { at: 1, destination: 0 },
        inter_count,
        "integer",
        "How much is in all sets.",
    ),
    write(
        "sinterstore",
        -3,
        DENYOOM,
        Keys::ALL,
        |r| store(r, Combine::Inter),
        "integer",
        "Stores what is in all sets.",
    ),
    read("sismember", 3, Keys::ONE, is_member, "integer", "Whether something is a member."),
    read("smembers", 2, Keys::ONE, members, "set", "All members."),
    read("smismember", -3, Keys::ONE, are_members, "array", "Which are members."),
    write("smove", 4, FAST, Keys::TWO, shift, "integer", "Moves a member to another set."),
    write("spop", -2, FAST, Keys::ONE, pop, "string, null or set", "Takes members by chance."),
    read("srandmember", -2, Keys::ONE, random, "string, null or array", "Members by chance."),
    write("srem", -3, FAST, Keys::ONE, remove, "integer", "Removes members."),
    read("sscan", -3, Keys::ONE, scan, "array", "Walks a set."),
    read(
        "sunion",
        -2,
        Keys::ALL,
        |s, r, out| combined(s, r, out, Combine::Union),
        "set",
        "What is in any set.",
    ),
    write(
        "sunionstore",
        -3,
        DENYOOM,
        Keys::ALL,
        |r| store(r, Combine::Union),
        "integer",
        "Stores what is in any set.",
    ),
];

/// A set, or the index of files; `None` when the key is absent.
fn find(state: &Reader<'_>, name: &[u8]) -> Result<Option<Elements>, Stop> {
    match state.key(name)? {
        None => Ok(None),
        Some(key) => match key.content {
            Content::Set { .. } if state.place(name, Family::Any).is_some() => Ok(Some(Elements::Index)),
            Content::Set { members } => Ok(Some(Elements::Object { object: key.object, count: members })),
            _ => Err(Stop::Refused(WRONG_TYPE)),
        },
    }
}

fn all(state: &Reader<'_>, found: Option<&Elements>) -> Result<Vec<Bytes>, Stop> {
    let Some(set) = found else { return Ok(Vec::new()) };
    state.walks(set.len(state))?;
    Ok(set.all(state)?.into_iter().map(|(name, _)| name).collect())
}

fn has(state: &Reader<'_>, found: Option<&Elements>, member: &[u8]) -> Result<bool, Stop> {
    let Some(set) = found else { return Ok(false) };
    Ok(set.one(state, member)?.is_some())
}

fn count(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    reply.int(find(state, request.arg(1))?.map_or(0, |set| set.len(state) as i64));
    Ok(())
}

fn is_member(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let found = find(state, request.arg(1))?;
    reply.flag(has(state, found.as_ref(), request.arg(2))?);
    Ok(())
}

fn are_members(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let found = find(state, request.arg(1))?;
    reply.array(request.len() - 2);
    for member in request.args().skip(2) {
        reply.flag(has(state, found.as_ref(), member)?);
    }
    Ok(())
}

fn set_of(names: &[Bytes], reply: &mut Reply) {
    reply.set(names.len());
    names.iter().for_each(|name| reply.bulk(name));
}

fn members(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let found = find(state, request.arg(1))?;
    set_of(&all(state, found.as_ref())?, reply);
    Ok(())
}

fn scan(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let options = ScanOptions::read(request, 2)?;
    match find(state, request.arg(1))? {
        Some(set) => set.scan(state, &options, reply, false),
        None => {
            elements::scan_nothing(reply);
            Ok(())
        }
    }
}

fn random(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let wanted = match request.len() {
        2 => None,
        3 => Some(picks(request)?),
        _ => return Err(Stop::Refused(SYNTAX)),
    };
    let found = find(state, request.arg(1))?;
    let picked = found.map(|set| set.random(state, wanted.unwrap_or(1))).transpose()?.unwrap_or_default();
    match wanted {
        None => reply.bulk_or_null(picked.first().map(|(name, _)| &name[..])),
        Some(_) => {
            reply.array(picked.len());
            picked.iter().for_each(|(name, _)| reply.bulk(name));
        }
    }
    Ok(())
}

/// The members of a combination of sets, at most `limit` of them.
fn combine(state: &Reader<'_>, names: &[&[u8]], how: Combine, limit: usize) -> Result<Vec<Bytes>, Stop> {
    let found = names.iter().map(|name| find(state, name)).collect::<Result<Vec<_>, _>>()?;
    let Some((first, others)) = found.split_first() else { return Ok(Vec::new()) };
    if how == Combine::Union {
        let mut union = BTreeSet::new();
        for set in &found {
            union.extend(all(state, set.as_ref())?);
        }
        return Ok(union.into_iter().collect());
    }
    let keep_if = how == Combine::Inter;
    let mut out = Vec::new();
    for member in all(state, first.as_ref())? {
        let mut kept = true;
        for other in others {
            if has(state, other.as_ref(), &member)? != keep_if {
                kept = false;
                break;
            }
        }
        if kept {
            out.push(member);
        }
        if out.len() >= limit {
            break;
        }
    }
    Ok(out)
}

fn combined(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply, how: Combine) -> Result<(), Stop> {
    let names: Vec<&[u8]> = request.args().skip(1).collect();
    set_of(&combine(state, &names, how, usize::MAX)?, reply);
    Ok(())
}

fn inter_count(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let keys = unsigned(request.arg(1)).filter(|keys| *keys > 0);
    let keys = keys.ok_or(Refusal::fixed("ERR numkeys should be greater than 0"))? as usize;
    if keys > request.len() - 2 {
        return Err(Refusal::fixed("ERR Number of keys can't be greater than number of args").into());
    }
    let mut limit = usize::MAX;
    match request.len() - 2 - keys {
        0 => {}
        2 if request.is(2 + keys, "limit") => {
            let value = unsigned(request.arg(3 + keys));
            let value = value.ok_or(Refusal::fixed("ERR LIMIT can't be negative"))? as usize;
            limit = if value == 0 { usize::MAX } else { value };
        }
        _ => return Err(SYNTAX.into()),
    }
    let names: Vec<&[u8]> = request.args().skip(2).take(keys).collect();
    reply.count(combine(state, &names, Combine::Inter, limit)?.len());
    Ok(())
}

fn op(op: SetOp) -> Result<Step, Refusal> {
    Ok(Step::Write(Op::Set(op), Shape::Plain(shapes::value)))
}

fn add(request: &Request<'_>) -> Result<Step, Refusal> {
    op(SetOp::Add { key: request.blob(1), members: request.blobs(2) })
}

fn remove(request: &Request<'_>) -> Result<Step, Refusal> {
    op(SetOp::Remove { key: request.blob(1), members: request.blobs(2) })
}

fn shift(request: &Request<'_>) -> Result<Step, Refusal> {
    op(SetOp::Move { from: request.blob(1), to: request.blob(2), member: request.blob(3) })
}

fn store(request: &Request<'_>, how: Combine) -> Result<Step, Refusal> {
    op(SetOp::Store { to: request.blob(1), how, keys: request.blobs(2) })
}

fn pop(request: &Request<'_>) -> Result<Step, Refusal> {
    let count = match request.len() {
        2 => return op(SetOp::Pop { key: request.blob(1), count: None, seed: seed() }),
        3 => int(request, 2).map_err(|_| NOT_INTEGER)?,
        _ => return Err(SYNTAX),
    };
    let count = u64::try_from(count).map_err(|_| NOT_POSITIVE)?;
    let pop = SetOp::Pop { key: request.blob(1), count: Some(count), seed: seed() };
    Ok(Step::Write(Op::Set(pop), Shape::Plain(popped)))
}

fn popped(response: Response, reply: &mut Reply) {
    match response {
        Response::List(items) => {
            reply.set(items.len());
            items.into_iter().for_each(|item| shapes::value(item, reply));
        }
        Response::Nil => reply.set(0),
        other => shapes::value(other, reply),
    }
}
