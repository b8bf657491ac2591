//! Numbers in strings: INCR and its kin.
//!
//! Not here: the sums (`meta::apply`). Must always hold: decimals are exact, the same on every node.

use super::super::codec::Request;
use super::super::command::{DENYOOM, FAST, Group, Keys, Row, Run, Shape, Step, WRITE};
use super::super::error::{NOT_FLOAT, Refusal};
use super::parse::int;
use super::shapes;
use crate::meta::decimal::Decimal;
use crate::meta::key_op::StrOp;
use crate::meta::op::Op;

const fn row(
    name: &'static str,
    arity: i32,
    run: fn(&Request<'_>) -> Result<Step, Refusal>,
    summary: &'static str,
) -> Row {
    Row::new(
        name,
        arity,
        WRITE | DENYOOM | FAST,
        Keys::ONE,
        Group::String,
        Run::Write(run),
        "integer",
        summary,
    )
}

/// The rows.
pub const ROWS: &[Row] = &[
    row("decr", 2, |r| add(r, -1), "Subtracts one."),
    row("decrby", 3, decrease, "Subtracts a number."),
    row("incr", 2, |r| add(r, 1), "Adds one."),
    row("incrby", 3, |r| add(r, int(r, 2)?), "Adds a number."),
    Row { reply: "string", ..row("incrbyfloat", 3, add_decimal, "Adds a decimal number.") },
];

fn add(request: &Request<'_>, by: i64) -> Result<Step, Refusal> {
    let op = StrOp::IncrBy { key: request.blob(1), by };
    Ok(Step::Write(Op::Str(op), Shape::Plain(shapes::value)))
}

fn decrease(request: &Request<'_>) -> Result<Step, Refusal> {
    let by = int(request, 2)?.checked_neg().ok_or(Refusal::fixed("ERR decrement would overflow"))?;
    add(request, by)
}

fn add_decimal(request: &Request<'_>) -> Result<Step, Refusal> {
    let Some(by) = Decimal::parse(request.arg(2)) else {
        // The type of the key is looked at first.
        return Ok(Step::Read(|state, request, _| {
            state.text(request.arg(1))?;
            Err(NOT_FLOAT.into())
        }));
    };
    let op = StrOp::IncrByFloat { key: request.blob(1), by };
    Ok(Step::Write(Op::Str(op), Shape::Plain(shapes::value)))
}
