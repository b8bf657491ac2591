//! What is kept of a request that carried a key, so that the same request again gets the first answer.
//!
//! ```text
//! 03 00 | key ─► Kept: which request it was, what it answered         03 01 | number ─► key, in order of arrival
//!                                                                     01 05          ─► Line: first, next, bytes
//! ```
//!
//! Not here: when it is asked for (`apply::once`), headers (the HTTP door). Must always hold: the oldest goes first, by order
//! in the log alone, so every node forgets the same key at the same entry.
//!
//! Source: draft-ietf-httpapi-idempotency-key-header-07, section 2.

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;

use super::response::Response;
use crate::codec::{self, CodecError};

/// Version byte in front of both.
const VERSION: u8 = 1;

/// Which request it was: its door's hash of method, target and operations.
pub type RequestHash = [u8; 16];

/// The first answer to a request with a key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub struct Kept {
    /// Which request it was.
    pub request: RequestHash,
    /// Index of its entry.
    pub index: u64,
    /// One response per operation; `None` when all of them were `Done`.
    pub responses: Option<Vec<Response>>,
}

impl Kept {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        codec::decode_shared(&body(stored)?)
    }
}

/// The keys that are kept, in the order in which they came: numbers `first..next`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Line {
    /// Number of the oldest.
    pub first: u64,
    /// Number of the next one.
    pub next: u64,
    /// Bytes of all keys and stored answers.
    pub bytes: u64,
}

impl Line {
    /// How many are kept.
    pub fn len(&self) -> u64 {
        self.next - self.first
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The stored form.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        codec::decode(&body(stored)?)
    }
}

fn encode(value: &impl Encode) -> Bytes {
    let mut out = vec![VERSION];
    codec::encode_into(value, &mut out);
    Bytes::from(out)
}

fn body(stored: &Bytes) -> Result<Bytes, CodecError> {
    match stored.first() {
        None => Err(CodecError::Truncated(0)),
        Some(&VERSION) => Ok(stored.slice(1..)),
        Some(&found) => Err(CodecError::Newer { found, supported: VERSION }),
    }
}
