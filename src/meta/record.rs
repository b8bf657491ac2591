//! A record: one file's metadata, as one value in the store.
//!
//! ```text
//! Record = header { inode, naming order, latest event, modification index, … } + properties sorted by name + pin
//! Property = name, event id, modification index, expiry, value (inline, chunked, or a tombstone)
//! ```
//!
//! Not here: who changes a record (`apply`), where it lies (`store`).
//! Must always hold: properties are sorted by name and unique; the encoding is canonical (equal records, equal bytes),
//! because the state hash is taken over it; a property's name is never empty.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::pin::Pin;
use crate::codec::{self, CodecError};

/// Version byte in front of every stored record.
const VERSION: u8 = 1;

/// Id of an entry of `meta:events`: milliseconds of the log's time, then a sequence number. Never goes back.
///
/// Source: <https://redis.io/docs/latest/develop/data-types/streams/#entry-ids>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, bincode::Decode)]
pub struct EventId {
    /// Milliseconds since the Unix epoch, in the log's time.
    pub ms: u64,
    /// Counts up within one millisecond.
    pub seq: u64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// What a record knows about itself beside its properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, bincode::Decode)]
pub struct Header {
    /// Inode number of the file, from a replicated counter; constant for the life of the record, never reused.
    pub inode: u64,
    /// Naming order: who comes first when two files want one path. From a replicated counter, moved to the back only
    /// when one of the record's own naming properties changes its value; 0 while the record has no `filePath`.
    pub order: u64,
    /// The log's time in milliseconds when `order` was given.
    pub order_ms: u64,
    /// Id of the record's last event.
    pub event: EventId,
    /// Index of the log entry that last changed the record.
    pub mod_index: u64,
    /// Bit set, see [`Header::HIDDEN`] and [`Header::DELETED`].
    pub flags: u32,
}

impl Header {
    /// The record is left out of `file:__index__` (a client took it out with SREM).
    pub const HIDDEN: u32 = 1;
    /// A tombstone: the record is gone and only its last event id is remembered.
    pub const DELETED: u32 = 2;
    /// The record is listed though it has no property (a client put it in with SADD).
    pub const LISTED: u32 = 4;
}

/// The bytes of a property, or where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The bytes themselves.
    Inline(Bytes),
    /// The bytes lie beside the record in `chunks` chunks.
    Chunked {
        /// Length of the whole value in bytes.
        len: u64,
        /// Number of chunks.
        chunks: u32,
        /// XXH3-128 of the whole value: the record's own encoding stays a function of its content.
        hash: u128,
    },
    /// The property was deleted; its last event is remembered for consumers that resume below the tail.
    Deleted,
}

/// One property of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Name, without the record's id. May contain `/`.
    pub name: Bytes,
    /// Id of the property's last event.
    pub event: EventId,
    /// Index of the log entry that last wrote it.
    pub mod_index: u64,
    /// The log's time in milliseconds at which it expires; 0 means never.
    pub expire_ms: u64,
    /// Its bytes.
    pub value: Value,
}

impl Property {
    /// Whether the property is there for readers at the log's time `now_ms`.
    pub fn is_live(&self, now_ms: u64) -> bool {
        !matches!(self.value, Value::Deleted) && (self.expire_ms == 0 || self.expire_ms > now_ms)
    }
}

/// A file's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What the record knows about itself.
    pub header: Header,
    /// Properties, tombstones included, sorted by name.
    pub properties: Vec<Property>,
    /// Where its file stays when it did not get the place it asked for. Goes away when `order` changes.
    pub pin: Option<Box<Pin>>,
}

impl Record {
    /// The property called `name`, tombstones and expired ones included.
    pub fn property(&self, name: &[u8]) -> Option<&Property> {
        self.properties.binary_search_by(|p| p.name.as_ref().cmp(name)).ok().map(|at| &self.properties[at])
    }

    /// The inline bytes of a property that is not a tombstone. Chunked values answer `None`: no property that the
    /// filesystem reads is that long.
    pub fn inline(&self, name: &str) -> Option<&[u8]> {
        match &self.property(name.as_bytes())?.value {
            Value::Inline(bytes) => Some(bytes),
            Value::Chunked { .. } | Value::Deleted => None,
        }
    }

    /// The inline text of a property: `None` when it is absent, empty or not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.inline(name)?).ok().filter(|t| !t.is_empty())
    }

    /// Whether the record was deleted and is only a tombstone now.
    pub fn is_deleted(&self) -> bool {
        self.header.flags & Header::DELETED != 0
    }

    /// Puts a property in its place, replacing one of the same name.
    pub fn put(&mut self, property: Property) {
        match self.properties.binary_search_by(|p| p.name.cmp(&property.name)) {
            Ok(at) => self.properties[at] = property,
            Err(at) => self.properties.insert(at, property),
        }
    }

    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(64 + self.properties.len() * 64);
        out.push(VERSION);
        let stored = StoredRecord {
            header: self.header,
            properties: self.properties.iter().map(StoredProperty::of).collect(),
            pin: self.pin.clone(),
        };
        codec::encode_into(&stored, &mut out);
        Bytes::from(out)
    }

    /// Reads the stored form. Names and inline values share the bytes of `stored`.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        let (version, body) = stored.split_first().ok_or(CodecError::Truncated(0))?;
        if *version > VERSION {
            return Err(CodecError::Newer { found: *version, supported: VERSION });
        }
        let decoded: StoredRecord<'_> = codec::decode_borrowed(body)?;
        let properties = decoded.properties.into_iter().map(|p| p.into_owned(stored)).collect();
        Ok(Self { header: decoded.header, properties, pin: decoded.pin })
    }
}

/// The stored form of a record, borrowing from its bytes.
#[derive(Encode, BorrowDecode)]
struct StoredRecord<'a> {
    header: Header,
    properties: Vec<StoredProperty<'a>>,
    pin: Option<Box<Pin>>,
}

/// The stored form of a property.
#[derive(Encode, BorrowDecode)]
struct StoredProperty<'a> {
    name: &'a [u8],
    event: EventId,
    mod_index: u64,
    expire_ms: u64,
    value: StoredValue<'a>,
}

/// The stored form of a value. Variants are only appended.
#[derive(Encode, BorrowDecode)]
enum StoredValue<'a> {
    Inline(&'a [u8]),
    Chunked { len: u64, chunks: u32, hash: u128 },
    Deleted,
}

impl<'a> StoredProperty<'a> {
    fn of(property: &'a Property) -> Self {
        let value = match &property.value {
            Value::Inline(bytes) => StoredValue::Inline(bytes),
            Value::Chunked { len, chunks, hash } => {
                StoredValue::Chunked { len: *len, chunks: *chunks, hash: *hash }
            }
            Value::Deleted => StoredValue::Deleted,
        };
        Self {
            name: &property.name,
            event: property.event,
            mod_index: property.mod_index,
            expire_ms: property.expire_ms,
            value,
        }
    }

    fn into_owned(self, stored: &Bytes) -> Property {
        let value = match self.value {
            StoredValue::Inline(bytes) => Value::Inline(share(stored, bytes)),
            StoredValue::Chunked { len, chunks, hash } => Value::Chunked { len, chunks, hash },
            StoredValue::Deleted => Value::Deleted,
        };
        Property {
            name: share(stored, self.name),
            event: self.event,
            mod_index: self.mod_index,
            expire_ms: self.expire_ms,
            value,
        }
    }
}

/// A slice of `stored` as bytes of its own reference; an empty slice needs none.
fn share(stored: &Bytes, part: &[u8]) -> Bytes {
    if part.is_empty() { Bytes::new() } else { stored.slice_ref(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        let mut record = Record {
            header: Header {
                inode: 7,
                order: 3,
                order_ms: 1_700_000_000_000,
                mod_index: 9,
                ..Header::default()
            },
            properties: Vec::new(),
            pin: Some(Box::new(Pin { rules: 2, ..Pin::default() })),
        };
        for (name, value) in [
            ("title", Value::Inline(Bytes::from_static(b"Face/Off"))),
            ("empty", Value::Inline(Bytes::new())),
            ("gone", Value::Deleted),
            ("plot", Value::Chunked { len: 70_000, chunks: 2, hash: 5 }),
        ] {
            record.put(Property {
                name: Bytes::from_static(name.as_bytes()),
                event: EventId { ms: 1_700_000_000_000, seq: 1 },
                mod_index: 9,
                expire_ms: 0,
                value,
            });
        }
        record
    }

    #[test]
    fn a_record_survives_its_encoding() {
        let record = sample();
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn properties_stay_sorted_whatever_the_order_of_puts() {
        let names: Vec<_> = sample().properties.iter().map(|p| p.name.clone()).collect();
        assert_eq!(names, ["empty", "gone", "plot", "title"].map(|n| Bytes::from_static(n.as_bytes())));
    }

    #[test]
    fn text_is_absent_for_empty_deleted_and_chunked_values() {
        let record = sample();
        assert_eq!(record.text("title"), Some("Face/Off"));
        for name in ["empty", "gone", "plot", "never"] {
            assert_eq!(record.text(name), None, "{name}");
        }
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut bytes = sample().encode().to_vec();
        bytes[0] = VERSION + 1;
        assert!(matches!(Record::decode(&Bytes::from(bytes)), Err(CodecError::Newer { .. })));
    }
}
