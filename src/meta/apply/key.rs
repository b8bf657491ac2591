//! What operations on keys of any type do.
//!
//! Not here: strings, hashes, sets (files of their own).
//! Must always hold: as in Redis 7.2, with the log's time for the clock.

use bytes::Bytes;
use metad_raft::Fatal;

use super::keyspace;
use super::tx::Tx;
use crate::limits;
use crate::meta::key_op::{ExpireIf, Expiry, KeyOp};
use crate::meta::object::{self, Content, Key};
use crate::meta::response::{Reject, Response};

/// Applies one operation on keys.
pub fn apply(tx: &mut Tx<'_>, op: KeyOp) -> Result<Response, Fatal> {
    match op {
        KeyOp::Delete { keys } => {
            let mut deleted = 0;
            for key in keys {
                if let Some(found) = keyspace::find(tx, &key)? {
                    keyspace::erase(tx, &key.0, &found)?;
                    deleted += 1;
                }
            }
            Ok(Response::Count(deleted))
        }
        KeyOp::Expire { key, expiry, only } => expire(tx, &key.0, expiry, only),
        KeyOp::Persist { key } => match keyspace::find(tx, &key)? {
            Some(found) if found.expire_ms != 0 => {
                keyspace::write(tx, &key.0, Key { expire_ms: 0, ..found })?;
                Ok(Response::Flag(true))
            }
            Some(_) | None => Ok(Response::Flag(false)),
        },
        KeyOp::Rename { from, to, if_free } => rename(tx, &from.0, &to.0, if_free),
        KeyOp::Copy { from, to, replace } => copy(tx, &from.0, &to.0, replace),
    }
}

fn expire(tx: &mut Tx<'_>, name: &Bytes, expiry: Expiry, only: ExpireIf) -> Result<Response, Fatal> {
    let Some(key) = keyspace::find(tx, name)? else { return Ok(Response::Flag(false)) };
    let at = keyspace::moment(tx, expiry);
    // What has passed is sooner than anything, what never comes is later.
    let (present, new) = (if key.expire_ms == 0 { u64::MAX } else { key.expire_ms }, at.unwrap_or(0));
    let holds = match only {
        ExpireIf::Always => true,
        ExpireIf::Never => key.expire_ms == 0,
        ExpireIf::Already => key.expire_ms != 0,
        ExpireIf::Later => new > present,
        ExpireIf::Sooner => new < present,
        ExpireIf::AlreadySooner => key.expire_ms != 0 && new < present,
    };
    if !holds {
        return Ok(Response::Flag(false));
    }
    match at {
        Some(expire_ms) => keyspace::write(tx, name, Key { expire_ms, ..key })?,
        None => keyspace::erase(tx, name, &key)?,
    }
    Ok(Response::Flag(true))
}

fn rename(tx: &mut Tx<'_>, from: &Bytes, to: &Bytes, if_free: bool) -> Result<Response, Fatal> {
    let Some(key) = keyspace::find(tx, from)? else { return Ok(Response::Rejected(Reject::NoSuchKey)) };
    if if_free && keyspace::find(tx, to)?.is_some() {
        return Ok(Response::Flag(false));
    }
    if from != to {
        keyspace::release(tx, from, &key)?;
        keyspace::write(tx, to, key)?;
    }
    Ok(if if_free { Response::Flag(true) } else { Response::Done })
}

fn copy(tx: &mut Tx<'_>, from: &Bytes, to: &Bytes, replace: bool) -> Result<Response, Fatal> {
    let Some(key) = keyspace::find(tx, from)? else { return Ok(Response::Flag(false)) };
    if from == to || (!replace && keyspace::find(tx, to)?.is_some()) {
        return Ok(Response::Flag(false));
    }
    if elements(tx, &key)? > limits::OPERATION_ELEMENTS_MAX {
        return Ok(Response::Rejected(Reject::TooManyElements { limit: limits::OPERATION_ELEMENTS_MAX }));
    }
    let object = keyspace::copy_elements(tx, key.object)?;
    keyspace::write(tx, to, Key { object, ..key })?;
    Ok(Response::Flag(true))
}

/// How many elements a key's object has.
fn elements(tx: &Tx<'_>, key: &Key) -> Result<u64, Fatal> {
    Ok(match &key.content {
        Content::Text(_) => 0,
        Content::LongText { len } => u64::from(object::chunks(*len)),
        Content::Hash { fields } => *fields,
        Content::Set { members } => *members,
        Content::Stream(head) => head.entries + keyspace::group_elements(tx, key.object)?,
    })
}
