//! What operations on generic keys do when the key is a file's: the same as the operations on records.
//!
//! ```text
//! SET file:{id}/{p}  ─► Put one property        DEL file:{id}/{p} ─► Remove        DEL file:{id} ─► Delete
//! HSET file:{id}     ─► Put                     HDEL file:{id}    ─► Remove        SADD file:__index__ ─► List
//! ```
//!
//! Not here: what a key means (`meta::key`), what records are (`record`), which commands a client may use there (doors).
//! Must always hold: whatever spelling a write comes in, it is a record operation with that operation's events; a value
//! that depends on the old one is computed in the same step; a file's key never becomes a generic key.

use std::collections::BTreeSet;

use bytes::Bytes;
use metad_raft::Fatal;

use super::tx::Tx;
use super::{hash as hashes, key as keys, keyspace, record, set as sets, text as strings};
use crate::codec::Blob;
use crate::limits;
use crate::meta::collection_op::{HashOp, SetOp};
use crate::meta::decimal::Decimal;
use crate::meta::key::{Family, Place, may_be_of_a_file};
use crate::meta::key_op::{KeyOp, SetExpiry, StrOp};
use crate::meta::op::{Op, RecordOp};
use crate::meta::record::Record;
use crate::meta::response::{Reject, Response};

/// What a key means when it is a file's; `None` for a client's own. A key that no door lets through counts as a file's.
fn place(key: &Blob, family: Family) -> Option<Place> {
    if !may_be_of_a_file(key) {
        return None;
    }
    match Place::of(&key.0, family) {
        Ok(Place::Generic { .. }) => None,
        Ok(place) => Some(place),
        Err(_) => Some(Place::Index),
    }
}

const WRONG_TYPE: Response = Response::Rejected(Reject::WrongType);
const READ_ONLY: Response = Response::Rejected(Reject::ReadOnlySpelling);

/// Applies one operation on strings.
pub fn text(tx: &mut Tx<'_>, op: StrOp) -> Result<Response, Fatal> {
    let key = match &op {
        StrOp::SetMany { pairs, .. } => {
            return match pairs.iter().any(|(key, _)| place(key, Family::Text).is_some()) {
                true => set_many(tx, op),
                false => strings::apply(tx, op),
            };
        }
        StrOp::Set { key, .. }
        | StrOp::Append { key, .. }
        | StrOp::SetRange { key, .. }
        | StrOp::IncrBy { key, .. }
        | StrOp::IncrByFloat { key, .. }
        | StrOp::GetDelete { key }
        | StrOp::GetExpire { key, .. } => key,
    };
    match place(key, Family::Text) {
        None => strings::apply(tx, op),
        Some(Place::Property { id, name, writable: true }) => Property { id, name }.change(tx, op),
        Some(Place::Property { writable: false, .. }) => Ok(READ_ONLY),
        Some(_) => Ok(WRONG_TYPE),
    }
}

/// MSET and MSETNX of which at least one key is a file's.
fn set_many(tx: &mut Tx<'_>, op: StrOp) -> Result<Response, Fatal> {
    let StrOp::SetMany { pairs, if_absent } = op else { return Ok(WRONG_TYPE) };
    for (key, value) in &pairs {
        if value.len() > limits::VALUE_BYTES_MAX {
            return Ok(too_long());
        }
        let there = match place(key, Family::Text) {
            None => keyspace::find(tx, key)?.is_some(),
            Some(Place::Property { id, name, writable: true }) => Property { id, name }.is_live(tx)?,
            Some(Place::Property { writable: false, .. }) => return Ok(READ_ONLY),
            Some(_) => return Ok(WRONG_TYPE),
        };
        if if_absent && there {
            return Ok(Response::Flag(false));
        }
    }
    // Whether a record would grow too large shows only when it is written: the rest stands then, as in a pipeline.
    let mut refused = None;
    for (key, value) in pairs {
        let answer = match place(&key, Family::Text) {
            Some(Place::Property { id, name, .. }) => Property { id, name }.write(tx, value.0)?,
            Some(_) | None => {
                strings::apply(tx, StrOp::SetMany { pairs: vec![(key, value)], if_absent: false })?
            }
        };
        if matches!(answer, Response::Rejected(_)) {
            refused = refused.or(Some(answer));
        }
    }
    let done = if if_absent { Response::Flag(true) } else { Response::Done };
    Ok(refused.unwrap_or(done))
}

fn too_long() -> Response {
    Response::Rejected(Reject::TooLong { limit: limits::VALUE_BYTES_MAX as u64 })
}

fn rejected<T>(
    result: Result<T, Reject>,
    then: impl FnOnce(T) -> Result<Response, Fatal>,
) -> Result<Response, Fatal> {
    match result {
        Ok(value) => then(value),
        Err(reject) => Ok(Response::Rejected(reject)),
    }
}

/// One property as a string.
struct Property {
    id: Bytes,
    name: Bytes,
}

impl Property {
    fn is_live(&self, tx: &mut Tx<'_>) -> Result<bool, Fatal> {
        let now_ms = tx.core.counters.now_ms;
        Ok(tx.record(&self.id)?.property(&self.name).is_some_and(|p| p.is_live(now_ms)))
    }

    fn value(&self, tx: &mut Tx<'_>) -> Result<Option<Bytes>, Fatal> {
        let now_ms = tx.core.counters.now_ms;
        let found = tx.record(&self.id)?.property(&self.name).filter(|p| p.is_live(now_ms));
        let Some(value) = found.map(|p| p.value.clone()) else { return Ok(None) };
        record::load_value(tx, &self.id, &self.name, &value).map(Some)
    }

    /// Answers `Done` or the refusal.
    fn write(&self, tx: &mut Tx<'_>, value: Bytes) -> Result<Response, Fatal> {
        if value.len() > limits::VALUE_BYTES_MAX {
            return Ok(too_long());
        }
        let properties = vec![(Blob(self.name.clone()), Blob(value))];
        record::apply(tx, RecordOp::Put { id: Blob(self.id.clone()), properties })
    }

    /// Writes and answers `answer`, or the refusal.
    fn write_and(&self, tx: &mut Tx<'_>, value: Bytes, answer: Response) -> Result<Response, Fatal> {
        Ok(match self.write(tx, value)? {
            Response::Done => answer,
            refused => refused,
        })
    }

    fn change(self, tx: &mut Tx<'_>, op: StrOp) -> Result<Response, Fatal> {
        match op {
            StrOp::Set { value, only, expiry, get, .. } => {
                if matches!(expiry, SetExpiry::To(_)) {
                    return Ok(WRONG_TYPE);
                }
                let holds = strings::holds(only, self.is_live(tx)?);
                let old = if get { self.value(tx)? } else { None };
                let answer = if get { strings::value_or_nil(old) } else { Response::Done };
                match (holds, get) {
                    (true, _) => self.write_and(tx, value.0, answer),
                    (false, true) => Ok(answer),
                    (false, false) => Ok(Response::Nil),
                }
            }
            StrOp::Append { value, .. } => self.splice(tx, None, &value),
            StrOp::SetRange { offset, value, .. } => self.splice(tx, Some(offset), &value),
            StrOp::IncrBy { by, .. } => {
                let old = self.value(tx)?;
                rejected(hashes::sum(old.as_deref(), by), |sum| {
                    self.write_and(tx, Bytes::from(sum.to_string()), Response::Count(sum))
                })
            }
            StrOp::IncrByFloat { by, .. } => self.add_decimal(tx, by),
            StrOp::GetDelete { .. } => {
                let old = self.value(tx)?;
                let (id, properties) = (Blob(self.id), vec![Blob(self.name)]);
                record::apply(tx, RecordOp::Remove { id, properties })?;
                Ok(strings::value_or_nil(old))
            }
            // It never expires: PERSIST changes nothing, and no door lets a moment through.
            StrOp::GetExpire { expiry: None, .. } => Ok(strings::value_or_nil(self.value(tx)?)),
            StrOp::GetExpire { expiry: Some(_), .. } | StrOp::SetMany { .. } => Ok(WRONG_TYPE),
        }
    }

    fn splice(&self, tx: &mut Tx<'_>, offset: Option<u64>, value: &[u8]) -> Result<Response, Fatal> {
        let old = self.value(tx)?;
        rejected(strings::spliced(old.as_ref(), offset, value), |new| match new {
            Some(new) => {
                let answer = Response::Count(new.len() as i64);
                self.write_and(tx, new, answer)
            }
            None => Ok(Response::Count(old.map_or(0, |old| old.len() as i64))),
        })
    }

    fn add_decimal(&self, tx: &mut Tx<'_>, by: Decimal) -> Result<Response, Fatal> {
        let old = self.value(tx)?;
        rejected(hashes::decimal_sum(old.as_deref(), by), |sum| {
            let text = Bytes::from(sum.to_string());
            self.write_and(tx, text.clone(), Response::Value(Blob(text)))
        })
    }
}

/// Applies one operation on hashes.
pub fn hash(tx: &mut Tx<'_>, op: HashOp) -> Result<Response, Fatal> {
    let (HashOp::Set { key, .. }
    | HashOp::SetIfAbsent { key, .. }
    | HashOp::Delete { key, .. }
    | HashOp::IncrBy { key, .. }
    | HashOp::IncrByFloat { key, .. }) = &op;
    let id = match place(key, Family::Hash) {
        None => return hashes::apply(tx, op),
        Some(Place::Record { id }) => id,
        Some(_) => return Ok(WRONG_TYPE),
    };
    if let Some(reject) = hashes::too_long(&op) {
        return Ok(Response::Rejected(reject));
    }
    let property = |name: Blob| Property { id: id.clone(), name: name.0 };
    match op {
        HashOp::Set { pairs, .. } => {
            let names: BTreeSet<Bytes> = pairs.iter().map(|(name, _)| name.0.clone()).collect();
            let mut new = 0;
            for name in names {
                new += i64::from(!property(Blob(name)).is_live(tx)?);
            }
            Ok(match record::apply(tx, RecordOp::Put { id: Blob(id), properties: pairs })? {
                Response::Done => Response::Count(new),
                refused => refused,
            })
        }
        HashOp::SetIfAbsent { field, value, .. } => {
            let property = property(field);
            match property.is_live(tx)? {
                true => Ok(Response::Flag(false)),
                false => property.write_and(tx, value.0, Response::Flag(true)),
            }
        }
        HashOp::Delete { fields, .. } => {
            record::apply(tx, RecordOp::Remove { id: Blob(id), properties: fields })
        }
        HashOp::IncrBy { key, field, by } => property(field).change(tx, StrOp::IncrBy { key, by }),
        HashOp::IncrByFloat { field, by, .. } => property(field).add_decimal(tx, by),
    }
}

/// Applies one operation on sets.
pub fn set(tx: &mut Tx<'_>, op: SetOp) -> Result<Response, Fatal> {
    let keys: Vec<&Blob> = match &op {
        SetOp::Add { key, .. } | SetOp::Remove { key, .. } | SetOp::Pop { key, .. } => vec![key],
        SetOp::Move { from, to, .. } => vec![from, to],
        SetOp::Store { to, keys, .. } => keys.iter().chain([to]).collect(),
    };
    let found: Vec<Place> = keys.into_iter().filter_map(|key| place(key, Family::Any)).collect();
    let op = match (op, found.first()) {
        (op, None) => return sets::apply(tx, op),
        (SetOp::Add { members, .. }, Some(Place::Index)) => (members, true),
        (SetOp::Remove { members, .. }, Some(Place::Index)) => (members, false),
        (_, Some(_)) => return Ok(WRONG_TYPE),
    };
    let (members, list) = op;
    let mut changed = 0;
    for id in members {
        let op = if list { RecordOp::List { id } } else { RecordOp::Unlist { id } };
        changed += i64::from(record::apply(tx, op)? == Response::Flag(true));
    }
    Ok(Response::Count(changed))
}

/// Applies one operation on keys.
pub fn key(tx: &mut Tx<'_>, op: KeyOp) -> Result<Response, Fatal> {
    let of_a_file = match &op {
        KeyOp::Delete { keys } => keys.iter().any(|key| place(key, Family::Any).is_some()),
        KeyOp::Expire { key, .. } | KeyOp::Persist { key } => place(key, Family::Any).is_some(),
        KeyOp::Rename { from, to, .. } | KeyOp::Copy { from, to, .. } => {
            place(from, Family::Any).or_else(|| place(to, Family::Any)).is_some()
        }
    };
    match op {
        op if !of_a_file => keys::apply(tx, op),
        KeyOp::Delete { keys } => delete(tx, keys),
        // Nothing of a file ever expires.
        KeyOp::Persist { .. } => Ok(Response::Flag(false)),
        KeyOp::Expire { .. } | KeyOp::Rename { .. } | KeyOp::Copy { .. } => Ok(WRONG_TYPE),
    }
}

/// DEL of which at least one key is a file's; nothing is deleted when one of them can not be.
fn delete(tx: &mut Tx<'_>, names: Vec<Blob>) -> Result<Response, Fatal> {
    let mut ops = Vec::with_capacity(names.len());
    for key in names {
        let op = match place(&key, Family::Any) {
            None => Op::Key(KeyOp::Delete { keys: vec![key] }),
            Some(Place::Property { id, name, writable: true }) => {
                Op::Record(RecordOp::Remove { id: Blob(id), properties: vec![Blob(name)] })
            }
            Some(Place::Record { id }) => Op::Record(RecordOp::Delete { id: Blob(id) }),
            Some(Place::RecordOrProperty { record, id, name }) => {
                if !has_live(tx, &record)? && (Property { id, name }).is_live(tx)? {
                    return Ok(READ_ONLY);
                }
                Op::Record(RecordOp::Delete { id: Blob(record) })
            }
            Some(Place::Property { writable: false, .. }) => return Ok(READ_ONLY),
            Some(_) => return Ok(WRONG_TYPE),
        };
        ops.push(op);
    }
    let mut deleted = 0;
    for op in ops {
        let answer = match op {
            Op::Record(RecordOp::Delete { id }) if !has_live(tx, &id.0)? => Response::Count(0),
            Op::Record(op) => record::apply(tx, op)?,
            Op::Key(op) => keys::apply(tx, op)?,
            _ => Response::Nil,
        };
        deleted += i64::from(matches!(answer, Response::Count(1..)));
    }
    Ok(Response::Count(deleted))
}

fn has_live(tx: &mut Tx<'_>, id: &Bytes) -> Result<bool, Fatal> {
    let now_ms = tx.core.counters.now_ms;
    Ok(is_there(tx.record(id)?, now_ms))
}

/// Whether a record has a property for readers at the log's time `now_ms`: without one there is no hash.
pub fn is_there(record: &Record, now_ms: u64) -> bool {
    !record.is_deleted() && record.properties.iter().any(|p| p.is_live(now_ms))
}

/// The modification index of a key, a file's or not; 0 when it is absent (WATCH).
pub fn version(tx: &mut Tx<'_>, key: &Blob) -> Result<u64, Fatal> {
    let now_ms = tx.core.counters.now_ms;
    let (record, property) = match place(key, Family::Any) {
        None => return Ok(keyspace::find(tx, key)?.map_or(0, |found| found.mod_index)),
        Some(Place::Property { id, name, .. }) => (None, Some((id, name))),
        Some(Place::Record { id }) => (Some(id), None),
        Some(Place::RecordOrProperty { record, id, name }) => (Some(record), Some((id, name))),
        Some(_) => return Ok(0),
    };
    if let Some(id) = record {
        let record = tx.record(&id)?;
        if is_there(record, now_ms) {
            return Ok(record.header.mod_index);
        }
    }
    let Some((id, name)) = property else { return Ok(0) };
    let found = tx.record(&id)?.property(&name).filter(|p| p.is_live(now_ms));
    Ok(found.map_or(0, |p| p.mod_index))
}
