//! What operations on sets do.
//!
//! Not here: the set properties of records and `file:__index__` (`record`).
//! Must always hold: as in Redis 7.2; which members are popped follows from the seed alone; no operation visits more than
//! [`limits::OPERATION_ELEMENTS_MAX`] members.

use std::collections::BTreeSet;

use bytes::Bytes;
use metad_raft::Fatal;

use super::collection::{Collection, Sort};
use super::keyspace;
use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::collection_op::{Combine, SetOp};
use crate::meta::response::{Reject, Response};

/// Refusals inside an operation; the outer error is a fault of the node.
type Refusable<T> = Result<Result<T, Reject>, Fatal>;

/// Applies one operation on sets.
pub fn apply(tx: &mut Tx<'_>, op: SetOp) -> Result<Response, Fatal> {
    let answer = match op {
        SetOp::Add { key, members } => add(tx, &key.0, &members),
        SetOp::Remove { key, members } => remove(tx, &key.0, &members),
        SetOp::Pop { key, count, seed } => pop(tx, &key.0, count, seed),
        SetOp::Move { from, to, member } => move_member(tx, &from.0, &to.0, &member),
        SetOp::Store { to, how, keys } => store(tx, &to.0, how, &keys),
    }?;
    Ok(answer.unwrap_or_else(Response::Rejected))
}

fn open(tx: &Tx<'_>, name: &Bytes) -> Refusable<Collection> {
    Collection::open(tx, name, Sort::Set)
}

fn add(tx: &mut Tx<'_>, name: &Bytes, members: &[Blob]) -> Refusable<Response> {
    if members.iter().any(|member| member.len() > limits::MEMBER_BYTES_MAX) {
        return Ok(Err(Reject::TooLong { limit: limits::MEMBER_BYTES_MAX as u64 }));
    }
    let mut set = match open(tx, name)? {
        Ok(set) => set,
        Err(reject) => return Ok(Err(reject)),
    };
    let mut new = 0;
    for member in members {
        new += i64::from(set.put(tx, member, b"")?);
    }
    set.close(tx)?;
    Ok(Ok(Response::Count(new)))
}

fn remove(tx: &mut Tx<'_>, name: &Bytes, members: &[Blob]) -> Refusable<Response> {
    let mut set = match open(tx, name)? {
        Ok(set) => set,
        Err(reject) => return Ok(Err(reject)),
    };
    let mut removed = 0;
    for member in members {
        removed += i64::from(set.remove(tx, member)?);
    }
    set.close(tx)?;
    Ok(Ok(Response::Count(removed)))
}

fn pop(tx: &mut Tx<'_>, name: &Bytes, count: Option<u64>, seed: u64) -> Refusable<Response> {
    let mut set = match open(tx, name)? {
        Ok(set) => set,
        Err(reject) => return Ok(Err(reject)),
    };
    let wanted = count.unwrap_or(1).min(set.count());
    if wanted > limits::OPERATION_ELEMENTS_MAX {
        return Ok(Err(Reject::TooManyElements { limit: limits::OPERATION_ELEMENTS_MAX }));
    }
    let mut popped = Vec::new();
    let mut chance = seed;
    for _ in 0..wanted {
        chance = chance.wrapping_add(GOLDEN);
        let member = choose(tx, &set, mix(chance))?;
        set.remove(tx, &member)?;
        popped.push(Response::Value(Blob(member)));
    }
    set.close(tx)?;
    Ok(Ok(match count {
        Some(_) => Response::List(popped),
        None => popped.pop().unwrap_or(Response::Nil),
    }))
}

/// The first member from a slot on, around the end. Not every member is equally likely: one behind a wide gap is met
/// more often, as with the hash tables of Redis.
fn choose(tx: &Tx<'_>, set: &Collection, slot: u64) -> Result<Bytes, Fatal> {
    for from in [slot, 0] {
        if let Some((member, _)) = set.page(tx, from, 1)?.pop() {
            return Ok(member);
        }
    }
    Err(Fatal::new("a set has fewer members than it counts"))
}

/// Steps of the seed: 2⁶⁴ over the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64: every bit of the number decides about every bit of the result.
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn move_member(tx: &mut Tx<'_>, from: &Bytes, to: &Bytes, member: &[u8]) -> Refusable<Response> {
    if keyspace::find(tx, from)?.is_none() {
        return Ok(Ok(Response::Flag(false)));
    }
    let (mut source, mut target) = match (open(tx, from)?, open(tx, to)?) {
        (Ok(source), Ok(target)) => (source, target),
        (Err(reject), _) | (_, Err(reject)) => return Ok(Err(reject)),
    };
    let known = source.get(tx, member)?.is_some();
    if known && from != to {
        source.remove(tx, member)?;
        target.put(tx, member, b"")?;
        source.close(tx)?;
        target.close(tx)?;
    }
    Ok(Ok(Response::Flag(known)))
}

fn store(tx: &mut Tx<'_>, to: &Bytes, how: Combine, keys: &[Blob]) -> Refusable<Response> {
    let mut sets = Vec::with_capacity(keys.len());
    for key in keys {
        match open(tx, &key.0)? {
            Ok(set) => sets.push(set),
            Err(reject) => return Ok(Err(reject)),
        }
    }
    let visited: u64 = sets.iter().map(Collection::count).sum();
    if visited > limits::OPERATION_ELEMENTS_MAX {
        return Ok(Err(Reject::TooManyElements { limit: limits::OPERATION_ELEMENTS_MAX }));
    }
    let members = combined(tx, how, &sets)?;
    if let Some(old) = keyspace::find(tx, to)? {
        keyspace::erase(tx, to, &old)?;
    }
    let mut result = match open(tx, to)? {
        Ok(result) => result,
        Err(reject) => return Ok(Err(reject)),
    };
    for member in &members {
        result.put(tx, member, b"")?;
    }
    result.close(tx)?;
    Ok(Ok(Response::Count(members.len() as i64)))
}

fn combined(tx: &Tx<'_>, how: Combine, sets: &[Collection]) -> Result<BTreeSet<Bytes>, Fatal> {
    let mut members = BTreeSet::new();
    let Some((first, others)) = sets.split_first() else { return Ok(members) };
    members.extend(first.all(tx)?.into_iter().map(|(member, _)| member));
    for set in others {
        let other = set.all(tx)?.into_iter().map(|(member, _)| member);
        match how {
            Combine::Union => members.extend(other),
            Combine::Inter => {
                let other: BTreeSet<Bytes> = other.collect();
                members.retain(|member| other.contains(member));
            }
            Combine::Diff => {
                for member in other {
                    members.remove(&member);
                }
            }
        }
    }
    Ok(members)
}
