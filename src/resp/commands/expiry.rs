//! When keys expire: EXPIRE, TTL and their kin.
//!
//! Not here: expiry itself (`meta::apply`). Must always hold: moments are the log's time; what is left is told by the clock.

use super::super::codec::{Reply, Request};
use super::super::command::{FAST, Group, Keys, READONLY, Row, Run, Shape, Step, WRITE};
use super::super::error::{Refusal, Stop};
use super::super::reader::{ReadFn, Reader};
use super::parse::{Unit, moment};
use super::shapes;
use crate::meta::key_op::{ExpireIf, KeyOp};
use crate::meta::op::Op;

const fn write(
    name: &'static str,
    run: fn(&Request<'_>) -> Result<Step, Refusal>,
    summary: &'static str,
) -> Row {
    Row::new(name, -3, WRITE | FAST, Keys::ONE, Group::Generic, Run::Write(run), "integer", summary)
}

const fn read(name: &'static str, run: ReadFn, summary: &'static str) -> Row {
    Row::new(name, 2, READONLY | FAST, Keys::ONE, Group::Generic, Run::Read(run), "integer", summary)
}

/// The rows.
pub const ROWS: &[Row] = &[
    write("expire", |r| expire(r, Unit::Seconds, "expire"), "Sets when a key expires, in seconds from now."),
    write(
        "expireat",
        |r| expire(r, Unit::AtSeconds, "expireat"),
        "Sets when a key expires, in seconds since 1970.",
    ),
    read(
        "expiretime",
        |s, r, out| left(s, r, out, |_, ms| seconds(ms)),
        "When a key expires, in seconds since 1970.",
    ),
    Row::new(
        "persist",
        2,
        WRITE | FAST,
        Keys::ONE,
        Group::Generic,
        Run::Write(persist),
        "integer",
        "Lets a key never expire.",
    ),
    write(
        "pexpire",
        |r| expire(r, Unit::Millis, "pexpire"),
        "Sets when a key expires, in milliseconds from now.",
    ),
    write(
        "pexpireat",
        |r| expire(r, Unit::AtMillis, "pexpireat"),
        "Sets when a key expires, in milliseconds since 1970.",
    ),
    read(
        "pexpiretime",
        |s, r, out| left(s, r, out, |_, ms| ms),
        "When a key expires, in milliseconds since 1970.",
    ),
    read(
        "pttl",
        |s, r, out| left(s, r, out, |now, ms| (ms - now).max(0)),
        "The time that a key has left, in milliseconds.",
    ),
    read(
        "ttl",
        |s, r, out| left(s, r, out, |now, ms| seconds((ms - now).max(0))),
        "The time that a key has left, in seconds.",
    ),
];

fn expire(request: &Request<'_>, unit: Unit, command: &str) -> Result<Step, Refusal> {
    let only = condition(request)?;
    let expiry = moment(request, 2, unit, command)?;
    let op = KeyOp::Expire { key: request.blob(1), expiry, only };
    Ok(Step::Write(Op::Key(op), Shape::Plain(shapes::value)))
}

fn condition(request: &Request<'_>) -> Result<ExpireIf, Refusal> {
    let (mut nx, mut xx, mut gt, mut lt) = (false, false, false, false);
    for at in 3..request.len() {
        match request.arg(at).to_ascii_lowercase().as_slice() {
            b"nx" => nx = true,
            b"xx" => xx = true,
            b"gt" => gt = true,
            b"lt" => lt = true,
            _ => {
                let option = String::from_utf8_lossy(request.arg(at));
                return Err(Refusal::of(format!("ERR Unsupported option {option}")));
            }
        }
    }
    if nx && (xx || gt || lt) {
        let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
        return Err(Refusal::fixed(text));
    }
    if gt && lt {
        return Err(Refusal::fixed("ERR GT and LT options at the same time are not compatible"));
    }
    Ok(match (nx, xx, gt, lt) {
        (true, ..) => ExpireIf::Never,
        (_, true, false, true) => ExpireIf::AlreadySooner,
        // What never expires is later than anything: GT holds for no such key, with XX or without.
        (_, _, true, _) => ExpireIf::Later,
        (_, _, _, true) => ExpireIf::Sooner,
        (_, true, ..) => ExpireIf::Already,
        _ => ExpireIf::Always,
    })
}

fn persist(request: &Request<'_>) -> Result<Step, Refusal> {
    let op = KeyOp::Persist { key: request.blob(1) };
    Ok(Step::Write(Op::Key(op), Shape::Plain(shapes::value)))
}

/// -2 without a key, -1 when it never expires, else `tell(clock, moment)`.
fn left(
    state: &Reader<'_>,
    request: &Request<'_>,
    reply: &mut Reply,
    tell: fn(i64, i64) -> i64,
) -> Result<(), Stop> {
    reply.int(match state.key(request.arg(1))? {
        None => -2,
        Some(key) if key.expire_ms == 0 => -1,
        Some(key) => tell(state.clock_ms as i64, key.expire_ms as i64),
    });
    Ok(())
}

/// Milliseconds as seconds, rounded; also the last moment that can be told.
fn seconds(ms: i64) -> i64 {
    ms.saturating_add(500) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_moment_that_can_be_set_can_be_told_in_seconds() {
        assert_eq!(seconds(i64::MAX), i64::MAX / 1000);
        assert_eq!((seconds(499), seconds(500)), (0, 1));
    }
}
