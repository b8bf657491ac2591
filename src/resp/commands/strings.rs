//! Strings.
//!
//! Not here: numbers in strings (`numbers`), bits. Must always hold: options are read as Redis reads them: case does not
//! matter, order does not matter, and what makes no sense together is a syntax error.

use super::super::codec::{Reply, Request};
use super::super::command::{DENYOOM, FAST, Group, Keys, READONLY, Row, Run, Shape, Step, WRITE};
use super::super::error::{Refusal, SYNTAX, Stop, wrong_arity};
use super::super::reader::{ReadFn, Reader};
use super::parse::{Unit, int, positive_moment};
use super::shapes;
use crate::meta::key_op::{Expiry, SetExpiry, SetIf, StrOp};
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
    Row::new(name, arity, WRITE | flags, keys, Group::String, Run::Write(run), reply, summary)
}

const fn read(
    name: &'static str,
    arity: i32,
    flags: u32,
    run: ReadFn,
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, READONLY | flags, Keys::ONE, Group::String, Run::Read(run), reply, summary)
}

/// The rows.
pub const ROWS: &[Row] = &[
    write("append", 3, DENYOOM | FAST, Keys::ONE, append, "integer", "Puts bytes behind a string."),
    read("get", 2, FAST, get, "string or null", "A string."),
    write("getdel", 2, FAST, Keys::ONE, get_delete, "string or null", "A string, and deletes it."),
    write("getex", -2, FAST, Keys::ONE, get_expire, "string or null", "A string, and sets when it expires."),
    read("getrange", 4, 0, get_range, "string", "A part of a string."),
    write(
        "getset",
        3,
        DENYOOM | FAST,
        Keys::ONE,
        get_set,
        "string or null",
        "The old string in exchange for a new one.",
    ),
    Row::new(
        "mget",
        -2,
        READONLY | FAST,
        Keys::ALL,
        Group::String,
        Run::Read(get_many),
        "array",
        "Several strings.",
    ),
    write("mset", -3, DENYOOM, Keys::PAIRS, set_many, "OK", "Sets several strings."),
    write(
        "msetnx",
        -3,
        DENYOOM,
        Keys::PAIRS,
        set_many_if_absent,
        "integer",
        "Sets several strings if none of the keys is there.",
    ),
    write(
        "psetex",
        4,
        DENYOOM,
        Keys::ONE,
        |r| set_for(r, Unit::Millis, "psetex"),
        "OK",
        "Sets a string that expires.",
    ),
    write("set", -3, DENYOOM, Keys::ONE, set, "OK, string or null", "Sets a string."),
    write(
        "setex",
        4,
        DENYOOM,
        Keys::ONE,
        |r| set_for(r, Unit::Seconds, "setex"),
        "OK",
        "Sets a string that expires.",
    ),
    write(
        "setnx",
        3,
        DENYOOM | FAST,
        Keys::ONE,
        set_if_absent,
        "integer",
        "Sets a string if the key is not there.",
    ),
    write("setrange", 4, DENYOOM, Keys::ONE, set_range, "integer", "Writes bytes into a string."),
    read("strlen", 2, FAST, length, "integer", "The length of a string."),
    read("substr", 4, 0, get_range, "string", "A part of a string."),
];

fn get(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let text = state.text(request.arg(1))?;
    reply.bulk_or_null(text.as_deref());
    Ok(())
}

fn length(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let text = state.text(request.arg(1))?;
    reply.count(text.map_or(0, |text| text.len()));
    Ok(())
}

fn get_many(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    reply.array(request.len() - 1);
    for name in request.args().skip(1) {
        match state.text(name) {
            Ok(text) => reply.bulk_or_null(text.as_deref()),
            // Another type counts as nothing.
            Err(Stop::Refused(_)) => reply.null(),
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

fn get_range(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let (start, end) = (int(request, 2)?, int(request, 3)?);
    let text = state.text(request.arg(1))?.unwrap_or_default();
    reply.bulk(&text[part(text.len(), start, end)]);
    Ok(())
}

/// The part from `start` to `end`, both included, counted from the end when negative.
pub fn part(len: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let len = len as i64;
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from = if start < 0 { (len + start).max(0) } else { start };
    let to = if end < 0 { (len + end).max(0) } else { end.min(len - 1) };
    if len == 0 || from > to { 0..0 } else { from as usize..to as usize + 1 }
}

fn op(op: StrOp, shape: super::super::command::ShapeFn) -> Result<Step, Refusal> {
    Ok(Step::Write(Op::Str(op), Shape::Plain(shape)))
}

fn plain_set(request: &Request<'_>, value: usize, only: SetIf, expiry: SetExpiry, get: bool) -> StrOp {
    StrOp::Set { key: request.blob(1), value: request.blob(value), only, expiry, get }
}

fn set(request: &Request<'_>) -> Result<Step, Refusal> {
    if request.len() == 3 {
        return op(plain_set(request, 2, SetIf::Always, SetExpiry::Clear, false), shapes::done);
    }
    let (mut only, mut time, mut keep, mut get) = (SetIf::Always, None, false, false);
    let mut at = 3;
    while at < request.len() {
        match request.arg(at).to_ascii_lowercase().as_slice() {
            b"nx" if only != SetIf::Present => only = SetIf::Absent,
            b"xx" if only != SetIf::Absent => only = SetIf::Present,
            b"get" => get = true,
            b"keepttl" if time.is_none() => keep = true,
            word if !keep => {
                time = Some(timed(word, time, at + 1, request)?);
                at += 1;
            }
            _ => return Err(SYNTAX),
        }
        at += 1;
    }
    let expiry = match time {
        Some((unit, at)) => SetExpiry::To(positive_moment(request, at, unit, "set")?),
        None if keep => SetExpiry::Keep,
        None => SetExpiry::Clear,
    };
    op(plain_set(request, 2, only, expiry, get), if get { shapes::value } else { shapes::done })
}

/// A unit and where its value is. The same one may come twice, two of them may not.
fn timed(
    word: &[u8],
    before: Option<(Unit, usize)>,
    at: usize,
    request: &Request<'_>,
) -> Result<(Unit, usize), Refusal> {
    let unit = match word {
        b"ex" => Unit::Seconds,
        b"px" => Unit::Millis,
        b"exat" => Unit::AtSeconds,
        b"pxat" => Unit::AtMillis,
        _ => return Err(SYNTAX),
    };
    let fits = at < request.len() && before.is_none_or(|(other, _)| other == unit);
    if fits { Ok((unit, at)) } else { Err(SYNTAX) }
}

fn set_for(request: &Request<'_>, unit: Unit, command: &str) -> Result<Step, Refusal> {
    let expiry = SetExpiry::To(positive_moment(request, 2, unit, command)?);
    op(plain_set(request, 3, SetIf::Always, expiry, false), shapes::done)
}

fn set_if_absent(request: &Request<'_>) -> Result<Step, Refusal> {
    let shape = |response, reply: &mut Reply| match response {
        Response::Done => reply.int(1),
        Response::Nil => reply.int(0),
        other => shapes::value(other, reply),
    };
    op(plain_set(request, 2, SetIf::Absent, SetExpiry::Clear, false), shape)
}

fn get_set(request: &Request<'_>) -> Result<Step, Refusal> {
    op(plain_set(request, 2, SetIf::Always, SetExpiry::Clear, true), shapes::value)
}

fn set_many(request: &Request<'_>) -> Result<Step, Refusal> {
    if request.len().is_multiple_of(2) {
        return Err(wrong_arity("mset"));
    }
    op(StrOp::SetMany { pairs: request.pairs(1), if_absent: false }, shapes::done)
}

fn set_many_if_absent(request: &Request<'_>) -> Result<Step, Refusal> {
    if request.len().is_multiple_of(2) {
        return Err(wrong_arity("msetnx"));
    }
    op(StrOp::SetMany { pairs: request.pairs(1), if_absent: true }, shapes::value)
}

fn append(request: &Request<'_>) -> Result<Step, Refusal> {
    op(StrOp::Append { key: request.blob(1), value: request.blob(2) }, shapes::value)
}

fn set_range(request: &Request<'_>) -> Result<Step, Refusal> {
    let offset = int(request, 2)?;
    let offset = u64::try_from(offset).map_err(|_| Refusal::fixed("ERR offset is out of range"))?;
    op(StrOp::SetRange { key: request.blob(1), offset, value: request.blob(3) }, shapes::value)
}

fn get_delete(request: &Request<'_>) -> Result<Step, Refusal> {
    op(StrOp::GetDelete { key: request.blob(1) }, shapes::value)
}

fn get_expire(request: &Request<'_>) -> Result<Step, Refusal> {
    let (mut time, mut persist) = (None, false);
    let mut at = 2;
    while at < request.len() {
        match request.arg(at).to_ascii_lowercase().as_slice() {
            b"persist" if time.is_none() => persist = true,
            word if !persist => {
                time = Some(timed(word, time, at + 1, request)?);
                at += 1;
            }
            _ => return Err(SYNTAX),
        }
        at += 1;
    }
    let expiry: Option<Expiry> = match time {
        Some((unit, at)) => Some(positive_moment(request, at, unit, "getex")?),
        None if persist => None,
        None => return Ok(Step::Read(get)),
    };
    op(StrOp::GetExpire { key: request.blob(1), expiry }, shapes::value)
}
