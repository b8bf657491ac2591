//! The keys of the state store, all of them, on one screen.
//!
//! ```text
//! 00 LOCAL      00 01                                     checkpoint of this node: not content, not hashed
//! 01 SYSTEM     01 01 counters · 01 02 rules
//! 02 SESSION    02 | node u64                             replies and acknowledged sequence numbers of a node's doors
//! 10 RECORD     10 | gen u32 | slot u64 | id              header and properties of one file
//! 11 CHUNK      11 | gen u32 | slot u64 | id len u16 | id | property len u16 | property | chunk u32
//! 12 TAIL       12 | gen u32 | ms u64 | seq u64           a block of events, one per log entry, by its first id
//! 13 TOMBSTONE  13 | gen u32 | ms u64 | seq u64           id of a deleted record, by its last event
//! ```
//!
//! Not here: the values (each has a file of its own). Must always hold: numbers are big-endian, so that byte order is
//! key order; kind numbers are never reused; `gen` rises when everything is cleared, which makes clearing one write.
//! `slot` is XXH3-64 of the id: SCAN walks slots, so a cursor is one number and stays valid on any node.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use super::record::EventId;

/// First byte of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// This node's own bookkeeping; never part of a snapshot.
    Local = 0x00,
    /// Singletons of the hidden keyspace.
    System = 0x01,
    /// One node's door session.
    Session = 0x02,
    /// A record.
    Record = 0x10,
    /// A piece of a long value.
    Chunk = 0x11,
    /// A block of the events' tail.
    Tail = 0x12,
    /// A deleted record's last event.
    Tombstone = 0x13,
}

/// Key of the checkpoint.
pub const CHECKPOINT: &[u8] = &[Kind::Local as u8, 1];
/// Key of the counters.
pub const COUNTERS: &[u8] = &[Kind::System as u8, 1];
/// Key of the rules.
pub const RULES: &[u8] = &[Kind::System as u8, 2];

/// Whether a key belongs to the replicated content of generation `generation` (or to no generation).
pub fn is_content(key: &[u8], generation: u32) -> bool {
    match key.first() {
        None => false,
        Some(kind) if *kind == Kind::Local as u8 => false,
        Some(kind) if *kind < Kind::Record as u8 => true,
        Some(_) => key.get(1..5) == Some(&generation.to_be_bytes()),
    }
}

/// Key of a node's session.
pub fn session(node: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(9);
    key.put_u8(Kind::Session as u8);
    key.put_u64(node);
    key.freeze()
}

/// The slot of a record's id: its place in the order of SCAN. Never 0, which is SCAN's beginning and end.
pub fn slot(id: &[u8]) -> u64 {
    xxh3_64(id).max(1)
}

/// Key of a record.
pub fn record(generation: u32, id: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(13 + id.len());
    key.put_u8(Kind::Record as u8);
    key.put_u32(generation);
    key.put_u64(slot(id));
    key.put_slice(id);
    key.freeze()
}

/// Bytes of a record's key before the id.
const RECORD_PREFIX: usize = 13;

/// The id in a record's key.
pub fn record_id(key: &Bytes) -> Option<Bytes> {
    (key.first() == Some(&(Kind::Record as u8)) && key.len() > RECORD_PREFIX)
        .then(|| key.slice(RECORD_PREFIX..))
}

/// First key of a kind in a generation.
pub fn first_of(kind: Kind, generation: u32) -> Bytes {
    let mut key = BytesMut::with_capacity(5);
    key.put_u8(kind as u8);
    key.put_u32(generation);
    key.freeze()
}

/// First key after a kind's keys of a generation.
pub fn end_of(kind: Kind, generation: u32) -> Bytes {
    match generation.checked_add(1) {
        Some(next) => first_of(kind, next),
        None => Bytes::copy_from_slice(&[kind as u8 + 1]),
    }
}

/// Key of one chunk of a long value.
pub fn chunk(generation: u32, id: &[u8], property: &[u8], number: u32) -> Bytes {
    let mut key = BytesMut::with_capacity(21 + id.len() + property.len());
    key.put_u8(Kind::Chunk as u8);
    key.put_u32(generation);
    key.put_u64(slot(id));
    for part in [id, property] {
        key.put_u16(u16::try_from(part.len()).expect("ids and property names are shorter than 64 KiB"));
        key.put_slice(part);
    }
    key.put_u32(number);
    key.freeze()
}

/// Key of a block of events or of a tombstone.
pub fn by_event(kind: Kind, generation: u32, id: EventId) -> Bytes {
    let mut key = BytesMut::with_capacity(21);
    key.put_u8(kind as u8);
    key.put_u32(generation);
    key.put_u64(id.ms);
    key.put_u64(id.seq);
    key.freeze()
}

/// The event id in such a key.
pub fn event_of(key: &[u8]) -> Option<EventId> {
    let word = |at: usize| key.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    Some(EventId { ms: word(5)?, seq: word(13)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_give_back_their_parts() {
        let key = record(3, b"midhash256:abc");
        assert_eq!(record_id(&key), Some(Bytes::from_static(b"midhash256:abc")));
        let id = EventId { ms: 1_700_000_000_000, seq: 42 };
        assert_eq!(event_of(&by_event(Kind::Tail, 3, id)), Some(id));
    }

    #[test]
    fn byte_order_is_the_order_of_event_ids() {
        let ids = [(1, 0), (1, 1), (1, 256), (2, 0), (256, 0)].map(|(ms, seq)| EventId { ms, seq });
        let keys = ids.map(|id| by_event(Kind::Tail, 0, id));
        assert!(keys.is_sorted());
    }

    #[test]
    fn a_generation_holds_its_own_keys_and_no_other() {
        let key = record(7, b"a");
        assert!(first_of(Kind::Record, 7) <= key && key < end_of(Kind::Record, 7));
        assert!(is_content(&key, 7));
        assert!(!is_content(&key, 8));
        assert!(is_content(COUNTERS, 8));
        assert!(!is_content(CHECKPOINT, 7));
    }

    #[test]
    fn chunks_of_neighbouring_names_never_share_a_key() {
        assert_ne!(chunk(0, b"a", b"bc", 0), chunk(0, b"ab", b"c", 0));
        assert!(chunk(0, b"a", b"b", 1) < chunk(0, b"a", b"b", 2));
    }
}
