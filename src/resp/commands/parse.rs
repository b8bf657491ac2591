//! Reading arguments: numbers and times, with Redis's refusals.
//!
//! Not here: options of single commands. Must always hold: a number that Redis refuses is refused with the same words.

use super::super::codec::{Request, integer};
use super::super::error::{NOT_INTEGER, Refusal};
use crate::meta::key_op::Expiry;

/// An integer argument.
pub fn int(request: &Request<'_>, at: usize) -> Result<i64, Refusal> {
    integer(request.arg(at)).ok_or(NOT_INTEGER)
}

/// How a command spells a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Seconds since the epoch.
    AtSeconds,
    /// Milliseconds since the epoch.
    AtMillis,
}

impl Unit {
    fn is_seconds(self) -> bool {
        matches!(self, Unit::Seconds | Unit::AtSeconds)
    }

    fn is_absolute(self) -> bool {
        matches!(self, Unit::AtSeconds | Unit::AtMillis)
    }
}

fn invalid_time(command: &str) -> Refusal {
    Refusal::of(format!("ERR invalid expire time in '{command}' command"))
}

/// A moment as EXPIRE and its kin take it: what has passed deletes the key.
pub fn moment(request: &Request<'_>, at: usize, unit: Unit, command: &str) -> Result<Expiry, Refusal> {
    let mut value = int(request, at)?;
    if unit.is_seconds() {
        value = value.checked_mul(1000).ok_or_else(|| invalid_time(command))?;
    }
    if unit.is_absolute() {
        return Ok(Expiry::At(u64::try_from(value).unwrap_or(0)));
    }
    // Redis adds its clock and refuses what does not fit; the log's clock is the leader's, near enough to this bound.
    if value > i64::MAX - FAR_MS {
        return Err(invalid_time(command));
    }
    Ok(Expiry::In(value))
}

/// Later than any clock, in milliseconds: the year 2100.
const FAR_MS: i64 = 4_102_444_800_000;

/// A moment as SET and GETEX take it: only positive ones.
pub fn positive_moment(
    request: &Request<'_>,
    at: usize,
    unit: Unit,
    command: &str,
) -> Result<Expiry, Refusal> {
    if int(request, at)? <= 0 {
        return Err(invalid_time(command));
    }
    moment(request, at, unit, command)
}
