//! Random operations on hashes and sets, and what they do to a plain map: the part of `keys` that knows collections.
//!
//! Not here: the comparison (`keys`). Must always hold: the model knows no slots, seeds or counts; what SPOP may
//! choose it takes from the answer, and checks that it was there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::keys::{Held, Model, name};
use crate::codec::Blob;
use crate::meta::collection_op::{Combine, HashOp, SetOp};
use crate::meta::decimal::Decimal;
use crate::meta::op::Op;
use crate::meta::response::{Reject, Response};

fn member() -> impl Strategy<Value = Blob> {
    (0..12u8).prop_map(|n| Blob::from(format!("m{n}")))
}

fn members() -> impl Strategy<Value = Vec<Blob>> {
    prop::collection::vec(member(), 1..6)
}

fn field_value() -> impl Strategy<Value = Blob> {
    prop_oneof![(-9..9i64).prop_map(|n| Blob::from(n.to_string())), Just(Blob::from("1.5")), member()]
}

fn hash_op() -> impl Strategy<Value = HashOp> {
    let pairs = prop::collection::vec((member(), field_value()), 1..5);
    prop_oneof![
        4 => (name(), pairs).prop_map(|(key, pairs)| HashOp::Set { key, pairs }),
        1 => (name(), member(), field_value())
            .prop_map(|(key, field, value)| HashOp::SetIfAbsent { key, field, value }),
        2 => (name(), members()).prop_map(|(key, fields)| HashOp::Delete { key, fields }),
        1 => (name(), member(), -3..3i64).prop_map(|(key, field, by)| HashOp::IncrBy { key, field, by }),
        1 => (name(), member())
            .prop_map(|(key, field)| HashOp::IncrByFloat { key, field, by: Decimal::parse(b"-.5").unwrap() }),
    ]
}

fn set_op() -> impl Strategy<Value = SetOp> {
    let how = prop::sample::select(vec![Combine::Inter, Combine::Union, Combine::Diff]);
    let keys = prop::collection::vec(name(), 1..4);
    prop_oneof![
        4 => (name(), members()).prop_map(|(key, members)| SetOp::Add { key, members }),
        2 => (name(), members()).prop_map(|(key, members)| SetOp::Remove { key, members }),
        2 => (name(), prop::option::of(0..5u64), any::<u64>())
            .prop_map(|(key, count, seed)| SetOp::Pop { key, count, seed }),
        1 => (name(), name(), member()).prop_map(|(from, to, member)| SetOp::Move { from, to, member }),
        2 => (name(), how, keys).prop_map(|(to, how, keys)| SetOp::Store { to, how, keys }),
    ]
}

/// Any operation on hashes and sets.
pub fn op() -> impl Strategy<Value = Op> {
    prop_oneof![hash_op().prop_map(Op::Hash), set_op().prop_map(Op::Set)]
}

type Fields = BTreeMap<Vec<u8>, Vec<u8>>;
type Members = BTreeSet<Vec<u8>>;

fn fields(state: &Model, key: &Blob) -> Result<(Fields, u64), Reject> {
    match state.get(&key.0) {
        None => Ok(Default::default()),
        Some((Held::Hash(fields), at)) => Ok((fields.clone(), *at)),
        Some(_) => Err(Reject::WrongType),
    }
}

fn set(state: &Model, key: &Blob) -> Result<(Members, u64), Reject> {
    match state.get(&key.0) {
        None => Ok(Default::default()),
        Some((Held::Set(members), at)) => Ok((members.clone(), *at)),
        Some(_) => Err(Reject::WrongType),
    }
}

fn keep(state: &mut Model, key: &Blob, held: Held, at: u64) {
    state.insert(key.0.clone(), (held, at));
    let empty = |held: &Held| match held {
        Held::Text(_) => false,
        Held::Hash(fields) => fields.is_empty(),
        Held::Set(members) => members.is_empty(),
    };
    state.retain(|_, (held, _)| !empty(held));
}

/// What a hash operation does and answers.
pub fn run_hash(state: &mut Model, op: &HashOp) -> Result<Response, Reject> {
    let (HashOp::Set { key, .. }
    | HashOp::SetIfAbsent { key, .. }
    | HashOp::Delete { key, .. }
    | HashOp::IncrBy { key, .. }
    | HashOp::IncrByFloat { key, .. }) = op;
    let (mut fields, at) = fields(state, key)?;
    let answer = match op {
        HashOp::Set { pairs, .. } => {
            let before = fields.len();
            fields.extend(pairs.iter().map(|(f, v)| (f.to_vec(), v.to_vec())));
            Response::Count((fields.len() - before) as i64)
        }
        HashOp::SetIfAbsent { field, value, .. } => {
            let absent = !fields.contains_key(field.as_ref() as &[u8]);
            fields.entry(field.to_vec()).or_insert_with(|| value.to_vec());
            Response::Flag(absent)
        }
        HashOp::Delete { fields: names, .. } => {
            Response::Count(names.iter().filter(|f| fields.remove(&f.to_vec()).is_some()).count() as i64)
        }
        HashOp::IncrBy { field, by, .. } => {
            let old = fields.get(&field.to_vec()).cloned().unwrap_or_else(|| b"0".to_vec());
            let number: i64 =
                String::from_utf8(old).ok().and_then(|t| t.parse().ok()).ok_or(Reject::NotInteger)?;
            fields.insert(field.to_vec(), (number + by).to_string().into_bytes());
            Response::Count(number + by)
        }
        HashOp::IncrByFloat { field, by, .. } => {
            let old = fields.get(&field.to_vec()).cloned().unwrap_or_else(|| b"0".to_vec());
            let number = Decimal::parse(&old).ok_or(Reject::NotFloat)?;
            let sum = number.checked_add(*by).unwrap().to_string();
            fields.insert(field.to_vec(), sum.clone().into_bytes());
            Response::Value(Blob::from(sum))
        }
    };
    keep(state, key, Held::Hash(fields), at);
    Ok(answer)
}

/// What a set operation does and answers; `seen` is what the machine answered.
pub fn run_set(state: &mut Model, op: &SetOp, seen: &Response) -> Result<Response, Reject> {
    Ok(match op {
        SetOp::Add { key, members } => {
            let (mut set, at) = set(state, key)?;
            let new = members.iter().filter(|m| set.insert(m.to_vec())).count();
            keep(state, key, Held::Set(set), at);
            Response::Count(new as i64)
        }
        SetOp::Remove { key, members } => {
            let (mut set, at) = set(state, key)?;
            let removed = members.iter().filter(|m| set.remove(&m.to_vec())).count();
            keep(state, key, Held::Set(set), at);
            Response::Count(removed as i64)
        }
        SetOp::Pop { key, count, .. } => {
            let (mut set, at) = set(state, key)?;
            let popped: Vec<&Response> = match seen {
                Response::List(popped) => popped.iter().collect(),
                Response::Nil => Vec::new(),
                single => vec![single],
            };
            assert_eq!(popped.len(), set.len().min(count.unwrap_or(1) as usize));
            for member in popped {
                assert!(matches!(member, Response::Value(m) if set.remove(&m.to_vec())), "{member:?}");
            }
            assert_eq!(count.is_some(), matches!(seen, Response::List(_)));
            keep(state, key, Held::Set(set), at);
            seen.clone()
        }
        SetOp::Move { from, to, member } => {
            if !state.contains_key(&from.0) {
                return Ok(Response::Flag(false));
            }
            let ((mut source, _), _) = (set(state, from)?, set(state, to)?);
            let known = source.remove(&member.to_vec());
            if known && from != to {
                run_set(state, &SetOp::Remove { key: from.clone(), members: vec![member.clone()] }, seen)?;
                run_set(state, &SetOp::Add { key: to.clone(), members: vec![member.clone()] }, seen)?;
            }
            Response::Flag(known)
        }
        SetOp::Store { to, how, keys } => {
            let sets = keys.iter().map(|key| Ok(set(state, key)?.0)).collect::<Result<Vec<_>, Reject>>()?;
            let result = sets.into_iter().reduce(|one, two| match how {
                Combine::Inter => &one & &two,
                Combine::Union => &one | &two,
                Combine::Diff => &one - &two,
            });
            let result = result.unwrap_or_default();
            let count = result.len() as i64;
            keep(state, to, Held::Set(result), 0);
            Response::Count(count)
        }
    })
}
