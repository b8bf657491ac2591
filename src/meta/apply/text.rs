//! What operations on strings do.
//!
//! Not here: how long strings are cut (`keyspace`). Must always hold: as in Redis 7.2; no string grows beyond
//! [`limits::VALUE_BYTES_MAX`]; numbers are exact.

use bytes::Bytes;
use metad_raft::Fatal;

use super::keyspace;
use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::decimal::Decimal;
use crate::meta::key_op::{Expiry, SetExpiry, SetIf, StrOp};
use crate::meta::object::Key;
use crate::meta::response::{Reject, Response};

/// Longest string in bytes, as a length.
const MAX: u64 = limits::VALUE_BYTES_MAX as u64;

/// Applies one operation on strings.
pub fn apply(tx: &mut Tx<'_>, op: StrOp) -> Result<Response, Fatal> {
    match op {
        StrOp::Set { key, value, only, expiry, get } => set(tx, &key.0, &value.0, only, expiry, get),
        StrOp::SetMany { pairs, if_absent } => set_many(tx, pairs, if_absent),
        StrOp::Append { key, value } => splice(tx, &key.0, None, &value),
        StrOp::SetRange { key, offset, value } => splice(tx, &key.0, Some(offset), &value),
        StrOp::IncrBy { key, by } => incr_by(tx, &key.0, by),
        StrOp::IncrByFloat { key, by } => incr_by_float(tx, &key.0, by),
        StrOp::GetDelete { key } => get_delete(tx, &key.0),
        StrOp::GetExpire { key, expiry } => get_expire(tx, &key.0, expiry),
    }
}

/// A string that is there, with its key.
type Found = Option<(Key, Bytes)>;

/// The string of a key; `Err` when the key holds something else.
fn find(tx: &Tx<'_>, name: &Bytes) -> Result<Result<Found, Reject>, Fatal> {
    let Some(key) = keyspace::find(tx, name)? else { return Ok(Ok(None)) };
    Ok(match keyspace::text(tx, &key)? {
        Some(bytes) => Ok(Some((key, bytes))),
        None => Err(Reject::WrongType),
    })
}

pub(super) fn value_or_nil(bytes: Option<Bytes>) -> Response {
    bytes.map_or(Response::Nil, |bytes| Response::Value(Blob(bytes)))
}

/// Stores a string in place of what the key holds.
fn store(
    tx: &mut Tx<'_>,
    name: &Bytes,
    old: Option<&Key>,
    value: &Bytes,
    expire_ms: u64,
) -> Result<(), Fatal> {
    let (object, content) = keyspace::store_text(tx, old, value)?;
    keyspace::write(tx, name, Key { expire_ms, mod_index: 0, object, content })
}

/// Whether a present key satisfies the condition of SET.
pub(super) fn holds(only: SetIf, present: bool) -> bool {
    match only {
        SetIf::Always => true,
        SetIf::Absent => !present,
        SetIf::Present => present,
    }
}

fn set(
    tx: &mut Tx<'_>,
    name: &Bytes,
    value: &Bytes,
    only: SetIf,
    expiry: SetExpiry,
    get: bool,
) -> Result<Response, Fatal> {
    if value.len() as u64 > MAX {
        return Ok(Response::Rejected(Reject::TooLong { limit: MAX }));
    }
    let old = keyspace::find(tx, name)?;
    let mut answer = Response::Done;
    if get {
        answer = match find(tx, name)? {
            Ok(found) => value_or_nil(found.map(|(_, bytes)| bytes)),
            Err(reject) => return Ok(Response::Rejected(reject)),
        };
    }
    if !holds(only, old.is_some()) {
        return Ok(if get { answer } else { Response::Nil });
    }
    let expire_ms = match expiry {
        SetExpiry::Clear => Some(0),
        SetExpiry::Keep => Some(old.as_ref().map_or(0, |key| key.expire_ms)),
        SetExpiry::To(expiry) => keyspace::moment(tx, expiry),
    };
    match (expire_ms, &old) {
        (Some(expire_ms), _) => store(tx, name, old.as_ref(), value, expire_ms)?,
        // Its time has passed already: what was there is replaced by nothing.
        (None, Some(old)) => keyspace::erase(tx, name, old)?,
        (None, None) => {}
    }
    Ok(answer)
}

fn set_many(tx: &mut Tx<'_>, pairs: Vec<(Blob, Blob)>, if_absent: bool) -> Result<Response, Fatal> {
    if pairs.iter().any(|(_, value)| value.len() as u64 > MAX) {
        return Ok(Response::Rejected(Reject::TooLong { limit: MAX }));
    }
    if if_absent {
        for (name, _) in &pairs {
            if keyspace::find(tx, name)?.is_some() {
                return Ok(Response::Flag(false));
            }
        }
    }
    for (name, value) in pairs {
        let old = keyspace::find(tx, &name)?;
        store(tx, &name.0, old.as_ref(), &value.0, 0)?;
    }
    Ok(if if_absent { Response::Flag(true) } else { Response::Done })
}

/// Writes bytes into a string at `offset`, or behind its end.
fn splice(tx: &mut Tx<'_>, name: &Bytes, offset: Option<u64>, value: &[u8]) -> Result<Response, Fatal> {
    let (old, bytes) = match find(tx, name)? {
        Ok(found) => found.map_or((None, None), |(key, bytes)| (Some(key), Some(bytes))),
        Err(reject) => return Ok(Response::Rejected(reject)),
    };
    let new = match spliced(bytes.as_ref(), offset, value) {
        Ok(Some(new)) => new,
        Ok(None) => return Ok(Response::Count(bytes.map_or(0, |bytes| bytes.len() as i64))),
        Err(reject) => return Ok(Response::Rejected(reject)),
    };
    let expire_ms = old.as_ref().map_or(0, |key| key.expire_ms);
    let len = new.len() as i64;
    store(tx, name, old.as_ref(), &new, expire_ms)?;
    Ok(Response::Count(len))
}

/// A string with bytes written into it at `offset`, or behind its end; `None` when nothing is to be written.
pub fn spliced(old: Option<&Bytes>, offset: Option<u64>, value: &[u8]) -> Result<Option<Bytes>, Reject> {
    if value.is_empty() && (offset.is_some() || old.is_some()) {
        return Ok(None);
    }
    let old = old.map_or(&[][..], |bytes| bytes);
    let offset = offset.unwrap_or(old.len() as u64);
    let end = offset.checked_add(value.len() as u64).filter(|end| *end <= MAX);
    let (offset, end) = (offset as usize, end.ok_or(Reject::TooLong { limit: MAX })? as usize);
    let mut new = old.to_vec();
    new.resize(new.len().max(end), 0);
    new[offset..end].copy_from_slice(value);
    Ok(Some(Bytes::from(new)))
}

fn incr_by(tx: &mut Tx<'_>, name: &Bytes, by: i64) -> Result<Response, Fatal> {
    let (old, number) = match find(tx, name)? {
        Ok(None) => (None, Some(0)),
        Ok(Some((key, bytes))) => (Some(key), integer(&bytes)),
        Err(reject) => return Ok(Response::Rejected(reject)),
    };
    let Some(number) = number else { return Ok(Response::Rejected(Reject::NotInteger)) };
    let Some(sum) = number.checked_add(by) else { return Ok(Response::Rejected(Reject::Overflow)) };
    let expire_ms = old.as_ref().map_or(0, |key| key.expire_ms);
    store(tx, name, old.as_ref(), &Bytes::from(sum.to_string()), expire_ms)?;
    Ok(Response::Count(sum))
}

fn incr_by_float(tx: &mut Tx<'_>, name: &Bytes, by: Decimal) -> Result<Response, Fatal> {
    let (old, number) = match find(tx, name)? {
        Ok(None) => (None, Some(Decimal::ZERO)),
        Ok(Some((key, bytes))) => (Some(key), Decimal::parse(&bytes)),
        Err(reject) => return Ok(Response::Rejected(reject)),
    };
    let Some(number) = number else { return Ok(Response::Rejected(Reject::NotFloat)) };
    let Some(sum) = number.checked_add(by) else { return Ok(Response::Rejected(Reject::Overflow)) };
    let text = Bytes::from(sum.to_string());
    let expire_ms = old.as_ref().map_or(0, |key| key.expire_ms);
    store(tx, name, old.as_ref(), &text, expire_ms)?;
    Ok(Response::Value(Blob(text)))
}

/// A 64-bit integer as Redis accepts it: no sign but `-`, no zeros in front, nothing around.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == bytes).then_some(number)
}

fn get_delete(tx: &mut Tx<'_>, name: &Bytes) -> Result<Response, Fatal> {
    match find(tx, name)? {
        Ok(Some((key, bytes))) => {
            keyspace::erase(tx, name, &key)?;
            Ok(value_or_nil(Some(bytes)))
        }
        Ok(None) => Ok(Response::Nil),
        Err(reject) => Ok(Response::Rejected(reject)),
    }
}

fn get_expire(tx: &mut Tx<'_>, name: &Bytes, expiry: Option<Expiry>) -> Result<Response, Fatal> {
    let (key, bytes) = match find(tx, name)? {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Response::Nil),
        Err(reject) => return Ok(Response::Rejected(reject)),
    };
    match expiry.map_or(Some(0), |expiry| keyspace::moment(tx, expiry)) {
        Some(expire_ms) => keyspace::write(tx, name, Key { expire_ms, ..key })?,
        None => keyspace::erase(tx, name, &key)?,
    }
    Ok(value_or_nil(Some(bytes)))
}
