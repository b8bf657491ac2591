//! Operations on hashes and sets.
//!
//! Not here: how they change the state (`apply`), the commands' spelling (doors).
//! Must always hold: variants and fields are only appended, because their numbers are in every log on disk; chance comes
//! as a seed.

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;

use super::decimal::Decimal;
use crate::codec::Blob;

/// Operations on hashes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum HashOp {
    /// HSET. Answers how many fields are new.
    Set {
        /// The key.
        key: Blob,
        /// Fields and values, in order.
        pairs: Vec<(Blob, Blob)>,
    },
    /// HSETNX. Answers whether it was done.
    SetIfAbsent {
        /// The key.
        key: Blob,
        /// The field.
        field: Blob,
        /// Its value.
        value: Blob,
    },
    /// HDEL. Answers how many were there.
    Delete {
        /// The key.
        key: Blob,
        /// The fields.
        fields: Vec<Blob>,
    },
    /// HINCRBY. Answers the new number.
    IncrBy {
        /// The key.
        key: Blob,
        /// The field.
        field: Blob,
        /// What is added.
        by: i64,
    },
    /// HINCRBYFLOAT. Answers the new value.
    IncrByFloat {
        /// The key.
        key: Blob,
        /// The field.
        field: Blob,
        /// What is added.
        by: Decimal,
    },
}

/// How sets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Combine {
    /// What is in all of them.
    Inter,
    /// What is in any of them.
    Union,
    /// What is in the first and in no other.
    Diff,
}

/// Operations on sets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum SetOp {
    /// SADD. Answers how many are new.
    Add {
        /// The key.
        key: Blob,
        /// The members.
        members: Vec<Blob>,
    },
    /// SREM. Answers how many were there.
    Remove {
        /// The key.
        key: Blob,
        /// The members.
        members: Vec<Blob>,
    },
    /// SPOP. Answers a member or `Nil`; with a count the list of them.
    Pop {
        /// The key.
        key: Blob,
        /// How many; `None` is one, not as a list.
        count: Option<u64>,
        /// Chooses them.
        seed: u64,
    },
    /// SMOVE. Answers whether it was done.
    Move {
        /// The set that has the member.
        from: Blob,
        /// The set that gets it.
        to: Blob,
        /// The member.
        member: Blob,
    },
    /// SINTERSTORE, SUNIONSTORE, SDIFFSTORE. Answers how many members there are.
    Store {
        /// The key of the result; what is there is replaced.
        to: Blob,
        /// How they are combined.
        how: Combine,
        /// The sets.
        keys: Vec<Blob>,
    },
}

impl HashOp {
    /// Bytes that the operation takes, see `Op::weight`.
    pub fn weight(&self) -> usize {
        match self {
            HashOp::Set { key, pairs } => {
                key.len() + pairs.iter().map(|(field, value)| field.len() + value.len() + EACH).sum::<usize>()
            }
            HashOp::SetIfAbsent { key, field, value } => key.len() + field.len() + value.len() + EACH,
            HashOp::Delete { key, fields } => key.len() + list(fields),
            HashOp::IncrBy { key, field, .. } | HashOp::IncrByFloat { key, field, .. } => {
                key.len() + field.len() + 2 * EACH
            }
        }
    }
}

impl SetOp {
    /// Bytes that the operation takes, see `Op::weight`.
    pub fn weight(&self) -> usize {
        match self {
            SetOp::Add { key, members } | SetOp::Remove { key, members } => key.len() + list(members),
            SetOp::Pop { key, .. } => key.len() + 2 * EACH,
            SetOp::Move { from, to, member } => from.len() + to.len() + member.len() + EACH,
            SetOp::Store { to, keys, .. } => to.len() + list(keys),
        }
    }
}

/// Bytes of a number or a length, at most.
const EACH: usize = 9;

fn list(items: &[Blob]) -> usize {
    items.iter().map(|item| item.len() + EACH).sum()
}
