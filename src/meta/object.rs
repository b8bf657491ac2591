//! Generic keys: what is stored for a key that is no record.
//!
//! ```text
//! KEY      version 1 | expiry, modification index, object id, content     short strings lie in here
//! ELEMENT  chunk of a long string: its bytes
//!          field of a hash: form 0, then the value       member of a set: form 0
//!          of a stream: see `stream` and `group`
//! ```
//!
//! Not here: who changes a key (`apply`), how clients spell keys (`key`).
//! Must always hold: object ids are never reused; variants are only appended; equal content has equal bytes; a hash or
//! a set without elements has no key, a stream without entries has.

use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;
use metad_raft::Fatal;

use super::layout;
use super::stream::StreamHead;
use super::view::View;
use crate::codec::{self, Blob, CodecError};

/// Version byte in front of every stored header.
const VERSION: u8 = 1;
/// Version byte in front of the stored key counters.
const COUNTERS_VERSION: u8 = 1;
/// Form of an element whose bytes follow; others may be added, for values in chunks.
const FORM_INLINE: u8 = 0;

/// The counters of the generic keys. Fields are only appended, with a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyCounters {
    /// Id of the next object; only rises, also when everything is cleared.
    pub next_object: u64,
    /// Keys, expired ones that were not removed yet included.
    pub keys: u64,
    /// Keys that expire.
    pub expiring: u64,
    /// Objects whose elements are still to be swept away.
    pub doomed: u64,
}

impl Default for KeyCounters {
    fn default() -> Self {
        Self { next_object: 1, keys: 0, expiring: 0, doomed: 0 }
    }
}

impl KeyCounters {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![COUNTERS_VERSION];
        codec::encode_into(self, &mut out);
        Bytes::from(out)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        codec::decode(&body(stored, COUNTERS_VERSION)?)
    }
}

/// The header of a generic key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub struct Key {
    /// The log's time in milliseconds at which it expires; 0 means never.
    pub expire_ms: u64,
    /// Index of the log entry that last changed it.
    pub mod_index: u64,
    /// Id of the object that holds its elements; 0 when there are none.
    pub object: u64,
    /// What it holds.
    pub content: Content,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum Content {
    /// A short string.
    Text(Blob),
    /// A string in chunks.
    LongText {
        /// Its length in bytes.
        len: u64,
    },
    /// A hash.
    Hash {
        /// How many fields it has.
        fields: u64,
    },
    /// A set.
    Set {
        /// How many members it has.
        members: u64,
    },
    /// A stream.
    Stream(StreamHead),
}

impl Content {
    /// The name that TYPE answers.
    pub fn type_name(&self) -> &'static str {
        match self {
            Content::Text(_) | Content::LongText { .. } => "string",
            Content::Hash { .. } => "hash",
            Content::Set { .. } => "set",
            Content::Stream(_) => "stream",
        }
    }
}

impl Key {
    /// Whether the key is there for readers at the log's time `now_ms`.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.expire_ms == 0 || self.expire_ms > now_ms
    }

    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        codec::encode_into(self, &mut out);
        Bytes::from(out)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        codec::decode_shared(&body(stored, VERSION)?)
    }
}

fn body(stored: &Bytes, supported: u8) -> Result<Bytes, CodecError> {
    let found = *stored.first().ok_or(CodecError::Truncated(0))?;
    if found != supported {
        return Err(CodecError::Newer { found, supported });
    }
    Ok(stored.slice(1..))
}

/// The stored form of a field's value, or of a member with an empty one.
pub fn encode_element(value: &[u8]) -> Bytes {
    Bytes::from([&[FORM_INLINE], value].concat())
}

/// The value in a stored element.
pub fn decode_element(stored: &Bytes) -> Result<Bytes, Fatal> {
    match stored.first() {
        Some(&FORM_INLINE) => Ok(stored.slice(1..)),
        Some(form) => Err(Fatal::new(format!("an element has form {form}, which this build does not know"))),
        None => Err(Fatal::new("an element has no form")),
    }
}

/// The key `name` for readers at the log's time `now_ms`: expired ones are absent.
pub fn read(view: &dyn View, generation: u32, now_ms: u64, name: &[u8]) -> Result<Option<Key>, Fatal> {
    let Some(stored) = view.get(&layout::key(generation, name))? else { return Ok(None) };
    let key = Key::decode(&stored).map_err(|e| Fatal::with("decode a key", e))?;
    Ok(key.is_live(now_ms).then_some(key))
}

/// The bytes of a string; `None` when the key holds something else.
pub fn text(view: &dyn View, generation: u32, key: &Key) -> Result<Option<Bytes>, Fatal> {
    match &key.content {
        Content::Text(bytes) => Ok(Some(bytes.0.clone())),
        Content::LongText { len } => {
            let mut out = Vec::with_capacity(*len as usize);
            for number in 0..chunks(*len) {
                let chunk = view.get(&layout::text_chunk(generation, key.object, number))?;
                out.extend_from_slice(&chunk.ok_or_else(|| Fatal::new("a chunk of a string is missing"))?);
            }
            Ok(Some(Bytes::from(out)))
        }
        Content::Hash { .. } | Content::Set { .. } | Content::Stream(_) => Ok(None),
    }
}

/// The value of a hash's field, or an empty one for a set's member.
pub fn member(view: &dyn View, generation: u32, object: u64, name: &[u8]) -> Result<Option<Bytes>, Fatal> {
    let stored = view.get(&layout::member(generation, object, name))?;
    stored.map(|stored| decode_element(&stored)).transpose()
}

/// At most `limit` fields or members with their values, from slot `from` on, in the order of slots.
pub fn members(
    view: &dyn View,
    generation: u32,
    object: u64,
    from: u64,
    limit: usize,
) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
    let (from, to) =
        (layout::members_from(generation, object, from), layout::members_end(generation, object));
    let pairs = view.scan(&from, &to, limit)?.into_iter().map(|(key, stored)| {
        let name = layout::member_name(&key).ok_or_else(|| Fatal::new("a member has no name"))?;
        Ok((name, decode_element(&stored)?))
    });
    pairs.collect()
}

/// Chunks of a string of `len` bytes.
pub fn chunks(len: u64) -> u32 {
    u32::try_from(len.div_ceil(crate::limits::CHUNK_BYTES as u64)).expect("strings are bounded far below")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::stream::StreamId;

    fn key(content: Content) -> Key {
        Key { expire_ms: 1_700_000_000_000, mod_index: 9, object: 7, content }
    }

    fn hex(bytes: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(bytes)
    }

    #[test]
    fn stored_headers_keep_their_bytes() {
        // The formats of released versions: a change here breaks every store and every snapshot.
        let cases = [
            (key(Content::Text(Blob::from("abc"))), "01fd0068e5cf8b01000009070003616263"),
            (key(Content::LongText { len: 70_000 }), "01fd0068e5cf8b010000090701fc70110100"),
            (key(Content::Hash { fields: 2 }), "01fd0068e5cf8b01000009070202"),
            (key(Content::Set { members: 300 }), "01fd0068e5cf8b010000090703fb2c01"),
        ];
        for (key, expected) in cases {
            assert_eq!(hex(&key.encode()), expected);
            assert_eq!(Key::decode(&key.encode()), Ok(key));
        }
        let id = |ms, seq| StreamId { ms, seq };
        let head = StreamHead {
            entries: 2,
            added: 3,
            last: id(1_700_000_000_000, 1),
            max_deleted: id(4, 5),
            groups: 6,
        };
        let stream = key(Content::Stream(head));
        assert_eq!(
            hex(&stream.encode()),
            "01fd0068e5cf8b010000090704 0203fd0068e5cf8b01000001 0405 06".replace(' ', "")
        );
        assert_eq!(Key::decode(&stream.encode()), Ok(stream));
        let counters = KeyCounters { next_object: 5, keys: 4, expiring: 3, doomed: 2 };
        assert_eq!(hex(&counters.encode()), "0105040302");
        assert_eq!(hex(&encode_element(b"v")), "0076");
    }

    #[test]
    fn a_newer_header_is_refused() {
        let mut bytes = key(Content::Hash { fields: 2 }).encode().to_vec();
        bytes[0] = VERSION + 1;
        assert!(matches!(Key::decode(&Bytes::from(bytes)), Err(CodecError::Newer { .. })));
    }
}
