//! Operations on generic keys: strings, hashes, sets, and what is the same for all of them.
//!
//! Not here: how they change the state (`apply`), which keys are records (`key`), the commands' spelling (doors).
//! Must always hold: variants and fields are only appended, because their numbers are in every log on disk; chance comes
//! as a seed, time as a moment or as milliseconds after the entry's.

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;

use super::decimal::Decimal;
use crate::codec::Blob;

/// When a key is to expire, in the log's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Expiry {
    /// At this moment, in milliseconds since the Unix epoch. A moment that has passed deletes the key.
    At(u64),
    /// So many milliseconds after the entry's time; not after it deletes the key.
    In(i64),
}

/// Condition of EXPIRE. A key that never expires counts as one that expires last of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ExpireIf {
    /// No condition.
    Always,
    /// NX: only if the key does not expire yet.
    Never,
    /// XX: only if it does.
    Already,
    /// GT: only if the new moment is later.
    Later,
    /// LT: only if the new moment is sooner.
    Sooner,
    /// XX and LT.
    AlreadySooner,
}

/// Condition of SET.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SetIf {
    /// No condition.
    Always,
    /// NX: only if the key is absent.
    Absent,
    /// XX: only if it is there.
    Present,
}

/// What SET does with the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SetExpiry {
    /// The key does not expire any more.
    Clear,
    /// It keeps what it has (KEEPTTL).
    Keep,
    /// It expires then.
    To(Expiry),
}

/// Operations on keys of any type.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum KeyOp {
    /// DEL. Answers how many were there.
    Delete {
        /// The keys.
        keys: Vec<Blob>,
    },
    /// EXPIRE and its kin. Answers whether it was done.
    Expire {
        /// The key.
        key: Blob,
        /// The moment.
        expiry: Expiry,
        /// The condition.
        only: ExpireIf,
    },
    /// PERSIST. Answers whether the key expired before.
    Persist {
        /// The key.
        key: Blob,
    },
    /// RENAME, RENAMENX. Answers `Done`, or whether it was done.
    Rename {
        /// The key.
        from: Blob,
        /// Its new name; what is there is replaced.
        to: Blob,
        /// Only if the new name is free.
        if_free: bool,
    },
    /// COPY. Answers whether it was done.
    Copy {
        /// The key.
        from: Blob,
        /// Where the copy goes.
        to: Blob,
        /// Whether what is there is replaced.
        replace: bool,
    },
}

/// Operations on strings.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum StrOp {
    /// SET. Answers `Done` or `Nil`; with `get` the old value or `Nil`.
    Set {
        /// The key.
        key: Blob,
        /// The value.
        value: Blob,
        /// The condition.
        only: SetIf,
        /// What becomes of the expiry.
        expiry: SetExpiry,
        /// Whether the old value is answered; then it must be a string.
        get: bool,
    },
    /// MSET, MSETNX. Answers `Done`, or whether it was done.
    SetMany {
        /// Keys and values, in order.
        pairs: Vec<(Blob, Blob)>,
        /// Only if all the keys are absent.
        if_absent: bool,
    },
    /// APPEND. Answers the new length.
    Append {
        /// The key.
        key: Blob,
        /// What is put behind the value.
        value: Blob,
    },
    /// SETRANGE. Answers the new length.
    SetRange {
        /// The key.
        key: Blob,
        /// Where the bytes go; zeros fill what lies before.
        offset: u64,
        /// The bytes.
        value: Blob,
    },
    /// INCRBY and its kin. Answers the new number.
    IncrBy {
        /// The key.
        key: Blob,
        /// What is added.
        by: i64,
    },
    /// INCRBYFLOAT. Answers the new value.
    IncrByFloat {
        /// The key.
        key: Blob,
        /// What is added.
        by: Decimal,
    },
    /// GETDEL. Answers the value or `Nil`.
    GetDelete {
        /// The key.
        key: Blob,
    },
    /// GETEX with an option. Answers the value or `Nil`.
    GetExpire {
        /// The key.
        key: Blob,
        /// When it expires from now on; `None` is never (PERSIST).
        expiry: Option<Expiry>,
    },
}

impl KeyOp {
    /// Bytes that the operation takes, see `Op::weight`.
    pub fn weight(&self) -> usize {
        match self {
            KeyOp::Delete { keys } => list(keys),
            KeyOp::Expire { key, .. } => key.len() + NUMBER,
            KeyOp::Persist { key } => key.len(),
            KeyOp::Rename { from, to, .. } | KeyOp::Copy { from, to, .. } => from.len() + to.len() + NUMBER,
        }
    }
}

impl StrOp {
    /// Bytes that the operation takes, see `Op::weight`.
    pub fn weight(&self) -> usize {
        match self {
            StrOp::Set { key, value, .. }
            | StrOp::Append { key, value }
            | StrOp::SetRange { key, value, .. } => key.len() + value.len() + 2 * NUMBER,
            StrOp::SetMany { pairs, .. } => self::pairs(pairs),
            StrOp::IncrBy { key, .. } | StrOp::IncrByFloat { key, .. } => key.len() + 2 * NUMBER,
            StrOp::GetDelete { key } | StrOp::GetExpire { key, .. } => key.len() + 2 * NUMBER,
        }
    }
}

/// Bytes of a number or a length, at most.
const NUMBER: usize = 9;

fn list(items: &[Blob]) -> usize {
    items.iter().map(|item| item.len() + NUMBER).sum()
}

fn pairs(items: &[(Blob, Blob)]) -> usize {
    items.iter().map(|(name, value)| name.len() + value.len() + NUMBER).sum()
}
