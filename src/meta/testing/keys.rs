//! Random operations on generic keys against a plain map: values, expiry and answers, however the log is cut.
//!
//! Not here: records (`model`), single promises of keys (`key_promises`).
//! Must always hold: the model is written the slow, obvious way and knows no chunks, objects or sweeping.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use metad_raft::StateMachine;
use proptest::prelude::*;

use super::collections::{self, run_hash, run_set};
use super::key_promises::{keys, replies};
use super::{Driver, content, stored};
use crate::codec::Blob;
use crate::limits;
use crate::meta::decimal::Decimal;
use crate::meta::key_op::{ExpireIf, Expiry, KeyOp, SetExpiry, SetIf, StrOp};
use crate::meta::layout::Kind;
use crate::meta::op::Op;
use crate::meta::response::{Reject, Response};

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// A string.
    Text(Vec<u8>),
    /// A hash.
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// A set.
    Set(BTreeSet<Vec<u8>>),
}

/// The obvious state: what each key holds and when it expires, 0 for never.
pub type Model = BTreeMap<Bytes, (Held, u64)>;

/// One of a few keys.
pub fn name() -> impl Strategy<Value = Blob> {
    (0..5u8).prop_map(|n| Blob::from(format!("key{n}")))
}

/// Mostly numbers and short texts, sometimes long enough for several chunks.
fn value() -> impl Strategy<Value = Blob> {
    prop_oneof![
        3 => (-9..9i64).prop_map(|n| Blob::from(n.to_string())),
        1 => Just(Blob::from(i64::MAX.to_string())),
        1 => Just(Blob::from("2.5")),
        2 => "[a-c]{0,8}".prop_map(Blob::from),
        2 => (4_000..200_000usize, any::<u8>()).prop_map(|(len, b)| Blob::from(vec![b; len])),
    ]
}

fn expiry() -> impl Strategy<Value = Expiry> {
    prop_oneof![(0..60u64).prop_map(Expiry::At), (-5..30i64).prop_map(Expiry::In)]
}

fn set() -> impl Strategy<Value = StrOp> {
    let only = prop_oneof![Just(SetIf::Always), Just(SetIf::Absent), Just(SetIf::Present)];
    let when = prop_oneof![Just(SetExpiry::Clear), Just(SetExpiry::Keep), expiry().prop_map(SetExpiry::To)];
    (name(), value(), only, when, any::<bool>()).prop_map(|(key, value, only, expiry, get)| StrOp::Set {
        key,
        value,
        only,
        expiry,
        get,
    })
}

fn text_op() -> impl Strategy<Value = StrOp> {
    let pairs = prop::collection::vec((name(), value()), 1..3);
    prop_oneof![
        6 => set(),
        1 => (pairs, any::<bool>()).prop_map(|(pairs, if_absent)| StrOp::SetMany { pairs, if_absent }),
        2 => (name(), value()).prop_map(|(key, value)| StrOp::Append { key, value }),
        1 => (name(), 0..150_000u64, value())
            .prop_map(|(key, offset, value)| StrOp::SetRange { key, offset, value }),
        2 => (name(), -3..3i64).prop_map(|(key, by)| StrOp::IncrBy { key, by }),
        1 => name().prop_map(|key| StrOp::IncrByFloat { key, by: Decimal::parse(b"0.25").unwrap() }),
        1 => name().prop_map(|key| StrOp::GetDelete { key }),
        1 => (name(), prop::option::of(expiry()))
            .prop_map(|(key, expiry)| StrOp::GetExpire { key, expiry }),
    ]
}

fn key_op() -> impl Strategy<Value = KeyOp> {
    use ExpireIf::{Already, AlreadySooner, Always, Later, Never, Sooner};
    let only = prop::sample::select(vec![Always, Never, Already, Later, Sooner, AlreadySooner]);
    prop_oneof![
        2 => prop::collection::vec(name(), 1..3).prop_map(|keys| KeyOp::Delete { keys }),
        3 => (name(), expiry(), only).prop_map(|(key, expiry, only)| KeyOp::Expire { key, expiry, only }),
        1 => name().prop_map(|key| KeyOp::Persist { key }),
        2 => (name(), name(), any::<bool>())
            .prop_map(|(from, to, if_free)| KeyOp::Rename { from, to, if_free }),
        2 => (name(), name(), any::<bool>())
            .prop_map(|(from, to, replace)| KeyOp::Copy { from, to, replace }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![3 => text_op().prop_map(Op::Str), 2 => key_op().prop_map(Op::Key), 5 => collections::op()]
}

/// The moment of an expiry; `None` when it has passed.
fn moment(expiry: Expiry, now: u64) -> Option<u64> {
    let at = match expiry {
        Expiry::At(ms) => ms as i64,
        Expiry::In(ms) => now as i64 + ms,
    };
    (at > now as i64).then_some(at as u64)
}

fn put(state: &mut Model, key: &Blob, held: Held, at: Option<u64>) {
    match at {
        Some(at) => state.insert(key.0.clone(), (held, at)),
        None => state.remove(&key.0),
    };
}

/// What an operation does and answers; `seen` is what the machine answered.
fn run(state: &mut Model, now: u64, op: &Op, seen: &Response) -> Response {
    state.retain(|_, (_, at)| *at == 0 || *at > now);
    match op {
        Op::Key(op) => run_key(state, now, op),
        Op::Str(op) => run_text(state, now, op).unwrap_or_else(Response::Rejected),
        Op::Hash(op) => run_hash(state, op).unwrap_or_else(Response::Rejected),
        Op::Set(op) => run_set(state, op, seen).unwrap_or_else(Response::Rejected),
        other => panic!("not an operation on keys: {other:?}"),
    }
}

fn run_key(state: &mut Model, now: u64, op: &KeyOp) -> Response {
    match op {
        KeyOp::Delete { keys } => {
            Response::Count(keys.iter().filter(|key| state.remove(&key.0).is_some()).count() as i64)
        }
        KeyOp::Expire { key, expiry, only } => {
            let Some((held, old)) = state.get(&key.0).cloned() else { return Response::Flag(false) };
            let new = moment(*expiry, now);
            let (later, sooner) = match (new, old) {
                (None, _) => (false, true),
                (Some(_), 0) => (false, true),
                (Some(new), old) => (new > old, new < old),
            };
            let holds = match only {
                ExpireIf::Always => true,
                ExpireIf::Never => old == 0,
                ExpireIf::Already => old != 0,
                ExpireIf::Later => later,
                ExpireIf::Sooner => sooner,
                ExpireIf::AlreadySooner => old != 0 && sooner,
            };
            if holds {
                put(state, key, held, new);
            }
            Response::Flag(holds)
        }
        KeyOp::Persist { key } => match state.get_mut(&key.0) {
            Some((_, at)) => Response::Flag(std::mem::take(at) != 0),
            None => Response::Flag(false),
        },
        KeyOp::Rename { from, to, if_free } => {
            if !state.contains_key(&from.0) {
                return Response::Rejected(Reject::NoSuchKey);
            }
            if *if_free && state.contains_key(&to.0) {
                return Response::Flag(false);
            }
            let moved = state.remove(&from.0).unwrap();
            state.insert(to.0.clone(), moved);
            if *if_free { Response::Flag(true) } else { Response::Done }
        }
        KeyOp::Copy { from, to, replace } => {
            let Some(held) = state.get(&from.0).cloned() else { return Response::Flag(false) };
            if from == to || (!replace && state.contains_key(&to.0)) {
                return Response::Flag(false);
            }
            state.insert(to.0.clone(), held);
            Response::Flag(true)
        }
    }
}

/// The string of a key, or that it holds something else.
fn text(state: &Model, key: &Blob) -> Result<Option<(Vec<u8>, u64)>, Reject> {
    match state.get(&key.0) {
        None => Ok(None),
        Some((Held::Text(bytes), at)) => Ok(Some((bytes.clone(), *at))),
        Some(_) => Err(Reject::WrongType),
    }
}

fn value_or_nil(bytes: Option<Vec<u8>>) -> Response {
    bytes.map_or(Response::Nil, |bytes| Response::Value(Blob::from(bytes)))
}

fn run_text(state: &mut Model, now: u64, op: &StrOp) -> Result<Response, Reject> {
    Ok(match op {
        StrOp::Set { .. } => run_set_text(state, now, op)?,
        StrOp::SetMany { pairs, if_absent } => {
            if *if_absent && pairs.iter().any(|(key, _)| state.contains_key(&key.0)) {
                return Ok(Response::Flag(false));
            }
            pairs.iter().for_each(|(key, value)| put(state, key, Held::Text(value.to_vec()), Some(0)));
            if *if_absent { Response::Flag(true) } else { Response::Done }
        }
        StrOp::Append { key, value } => {
            let (mut bytes, at) = text(state, key)?.unwrap_or_default();
            bytes.extend_from_slice(value);
            let len = bytes.len();
            put(state, key, Held::Text(bytes), Some(at));
            Response::Count(len as i64)
        }
        StrOp::SetRange { key, offset, value } => {
            let (mut bytes, at) = text(state, key)?.unwrap_or_default();
            if !value.is_empty() {
                let end = *offset as usize + value.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes.splice(*offset as usize..end, value.iter().copied());
                put(state, key, Held::Text(bytes.clone()), Some(at));
            }
            Response::Count(bytes.len() as i64)
        }
        StrOp::IncrBy { key, by } => {
            let (bytes, at) = text(state, key)?.unwrap_or_else(|| (b"0".to_vec(), 0));
            let number = String::from_utf8(bytes).ok().and_then(|t| {
                let number: i64 = t.parse().ok()?;
                (number.to_string() == t).then_some(number)
            });
            let number = number.ok_or(Reject::NotInteger)?;
            let sum = number.checked_add(*by).ok_or(Reject::Overflow)?;
            put(state, key, Held::Text(sum.to_string().into_bytes()), Some(at));
            Response::Count(sum)
        }
        StrOp::IncrByFloat { key, by } => {
            let (bytes, at) = text(state, key)?.unwrap_or_else(|| (b"0".to_vec(), 0));
            let sum = Decimal::parse(&bytes).ok_or(Reject::NotFloat)?.checked_add(*by).unwrap().to_string();
            put(state, key, Held::Text(sum.clone().into_bytes()), Some(at));
            Response::Value(Blob::from(sum))
        }
        StrOp::GetDelete { key } => {
            let old = text(state, key)?;
            state.remove(&key.0);
            value_or_nil(old.map(|(bytes, _)| bytes))
        }
        StrOp::GetExpire { key, expiry } => {
            let Some((bytes, _)) = text(state, key)? else { return Ok(Response::Nil) };
            let at = expiry.map_or(Some(0), |expiry| moment(expiry, now));
            put(state, key, Held::Text(bytes.clone()), at);
            value_or_nil(Some(bytes))
        }
    })
}

fn run_set_text(state: &mut Model, now: u64, op: &StrOp) -> Result<Response, Reject> {
    let StrOp::Set { key, value, only, expiry, get } = op else { panic!("not SET: {op:?}") };
    let old = state.get(&key.0).cloned();
    let answer = if *get { value_or_nil(text(state, key)?.map(|(b, _)| b)) } else { Response::Done };
    let holds = match only {
        SetIf::Always => true,
        SetIf::Absent => old.is_none(),
        SetIf::Present => old.is_some(),
    };
    if !holds {
        return Ok(if *get { answer } else { Response::Nil });
    }
    let at = match expiry {
        SetExpiry::Clear => Some(0),
        SetExpiry::Keep => Some(old.map_or(0, |(_, at)| at)),
        SetExpiry::To(expiry) => moment(*expiry, now),
    };
    put(state, key, Held::Text(value.to_vec()), at);
    Ok(answer)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_key_operations_cut_and_restarted_anywhere_give_the_models_state_and_answers(
        steps in prop::collection::vec((op(), 0..4u64), 1..60),
        cuts in prop::collection::vec((1..8usize, 1..6usize, any::<bool>()), 1..20),
    ) {
        let (mut driver, mut reference, mut expected) = (Driver::new(), Driver::new(), Model::new());
        let (mut now, mut rest) = (1, steps.as_slice());
        for (take, chunk, restart) in cuts.iter().cycle() {
            let (part, later) = rest.split_at(rest.len().min(*take));
            for (op, ms) in part {
                now += ms;
                driver.append(now, vec![op.clone()]);
                reference.append(now, vec![op.clone()]);
                let seen = replies(&mut reference);
                let answer = run(&mut expected, now, op, &seen[0]);
                prop_assert_eq!(seen, vec![answer], "{:?}", op);
            }
            driver.apply_all(*chunk);
            if *restart {
                driver.restart();
                driver.apply_all(*chunk);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&keys(&driver), &expected);
        prop_assert_eq!(content(&driver.machine), content(&reference.machine));
        prop_assert_eq!(driver.machine.digest(), reference.machine.digest());
        let expiring = expected.values().filter(|(_, at)| *at != 0).count();
        prop_assert_eq!(stored(&driver, Kind::Key), expected.len());
        prop_assert_eq!(stored(&driver, Kind::Expiry), expiring);
        // Deleted objects are swept away without leaving anything.
        prop_assert_eq!(stored(&driver, Kind::Doomed), 0);
        let long = |held: &Held| match held {
            Held::Text(bytes) if bytes.len() <= limits::INLINE_BYTES => 0,
            Held::Text(bytes) => bytes.len().div_ceil(limits::CHUNK_BYTES),
            Held::Hash(fields) => fields.len(),
            Held::Set(members) => members.len(),
        };
        let elements: usize = expected.values().map(|(held, _)| long(held)).sum();
        prop_assert_eq!(stored(&driver, Kind::Element), elements);
    }
}
