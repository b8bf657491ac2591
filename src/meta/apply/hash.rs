//! What operations on hashes do.
//!
//! Not here: records under HASH commands (`files`).
//! Must always hold: as in Redis 7.2; numbers are exact.

use bytes::Bytes;
use metad_raft::Fatal;

use super::collection::{Collection, Sort};
use super::text;
use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::collection_op::HashOp;
use crate::meta::decimal::Decimal;
use crate::meta::response::{Reject, Response};

/// Applies one operation on hashes.
pub fn apply(tx: &mut Tx<'_>, op: HashOp) -> Result<Response, Fatal> {
    if let Some(reject) = too_long(&op) {
        return Ok(Response::Rejected(reject));
    }
    let (HashOp::Set { key, .. }
    | HashOp::SetIfAbsent { key, .. }
    | HashOp::Delete { key, .. }
    | HashOp::IncrBy { key, .. }
    | HashOp::IncrByFloat { key, .. }) = &op;
    let mut hash = match Collection::open(tx, &key.0, Sort::Hash)? {
        Ok(hash) => hash,
        Err(reject) => return Ok(Response::Rejected(reject)),
    };
    let answer = change(tx, &mut hash, op)?;
    hash.close(tx)?;
    Ok(answer)
}

fn change(tx: &mut Tx<'_>, hash: &mut Collection, op: HashOp) -> Result<Response, Fatal> {
    Ok(match op {
        HashOp::Set { pairs, .. } => {
            let mut new = 0;
            for (field, value) in pairs {
                new += i64::from(hash.put(tx, &field, &value)?);
            }
            Response::Count(new)
        }
        HashOp::SetIfAbsent { field, value, .. } => {
            let absent = hash.get(tx, &field)?.is_none();
            if absent {
                hash.put(tx, &field, &value)?;
            }
            Response::Flag(absent)
        }
        HashOp::Delete { fields, .. } => {
            let mut deleted = 0;
            for field in fields {
                deleted += i64::from(hash.remove(tx, &field)?);
            }
            Response::Count(deleted)
        }
        HashOp::IncrBy { field, by, .. } => match sum(hash.get(tx, &field)?.as_deref(), by) {
            Ok(sum) => {
                hash.put(tx, &field, sum.to_string().as_bytes())?;
                Response::Count(sum)
            }
            Err(reject) => Response::Rejected(reject),
        },
        HashOp::IncrByFloat { field, by, .. } => match decimal_sum(hash.get(tx, &field)?.as_deref(), by) {
            Ok(sum) => {
                let text = Bytes::from(sum.to_string());
                hash.put(tx, &field, &text)?;
                Response::Value(Blob(text))
            }
            Err(reject) => Response::Rejected(reject),
        },
    })
}

pub(super) fn sum(old: Option<&[u8]>, by: i64) -> Result<i64, Reject> {
    let number = old.map_or(Some(0), text::integer).ok_or(Reject::NotInteger)?;
    number.checked_add(by).ok_or(Reject::Overflow)
}

pub(super) fn decimal_sum(old: Option<&[u8]>, by: Decimal) -> Result<Decimal, Reject> {
    let number = old.map_or(Some(Decimal::ZERO), Decimal::parse).ok_or(Reject::NotFloat)?;
    number.checked_add(by).ok_or(Reject::Overflow)
}

/// Whether a field's name or value that would be stored is too long.
pub(super) fn too_long(op: &HashOp) -> Option<Reject> {
    let longer =
        |bytes: &Blob, limit: usize| (bytes.len() > limit).then_some(Reject::TooLong { limit: limit as u64 });
    let pair = |field: &Blob, value: &Blob| {
        longer(field, limits::MEMBER_BYTES_MAX).or_else(|| longer(value, limits::VALUE_BYTES_MAX))
    };
    match op {
        HashOp::Set { pairs, .. } => pairs.iter().find_map(|(field, value)| pair(field, value)),
        HashOp::SetIfAbsent { field, value, .. } => pair(field, value),
        HashOp::IncrBy { field, .. } | HashOp::IncrByFloat { field, .. } => {
            longer(field, limits::MEMBER_BYTES_MAX)
        }
        HashOp::Delete { .. } => None,
    }
}
