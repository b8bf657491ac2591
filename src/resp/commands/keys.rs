//! Keys of any type: DEL, EXISTS, TYPE and what moves keys about.
//!
//! Not here: expiry, walking all keys (`scan`). Must always hold: names are bytes.

use super::super::codec::{Reply, Request};
use super::super::command::{FAST, Group, Keys, READONLY, Row, Run, Shape, Step, WRITE};
use super::super::error::{Refusal, Stop};
use super::super::reader::Reader;
use super::shapes;
use crate::meta::key_op::KeyOp;
use crate::meta::op::Op;

/// The rows.
pub const ROWS: &[Row] = &[
    Row::new("del", -2, WRITE, Keys::ALL, Group::Generic, Run::Write(delete), "integer", "Deletes keys."),
    Row::new(
        "exists",
        -2,
        READONLY | FAST,
        Keys::ALL,
        Group::Generic,
        Run::Read(exists),
        "integer",
        "Counts which of the keys are there.",
    ),
    Row::new(
        "touch",
        -2,
        READONLY | FAST,
        Keys::ALL,
        Group::Generic,
        Run::Read(exists),
        "integer",
        "Counts which of the keys are there.",
    ),
    Row::new(
        "type",
        2,
        READONLY | FAST,
        Keys::ONE,
        Group::Generic,
        Run::Read(type_of),
        "status",
        "The type of a key.",
    ),
    Row::new(
        "unlink",
        -2,
        WRITE | FAST,
        Keys::ALL,
        Group::Generic,
        Run::Write(delete),
        "integer",
        "Deletes keys; what they held is swept away later, as with DEL.",
    ),
];

fn delete(request: &Request<'_>) -> Result<Step, Refusal> {
    let op = KeyOp::Delete { keys: request.blobs(1) };
    Ok(Step::Write(Op::Key(op), Shape::Plain(shapes::value)))
}

fn exists(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let mut there = 0;
    for name in request.args().skip(1) {
        there += i64::from(state.key(name)?.is_some());
    }
    reply.int(there);
    Ok(())
}

fn type_of(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let key = state.key(request.arg(1))?;
    reply.simple(key.map_or("none", |key| key.content.type_name()));
    Ok(())
}
