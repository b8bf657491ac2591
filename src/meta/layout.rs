//! The keys of the state store, all of them, on one screen.
//!
//! ```text
//! 00 LOCAL      00 01                                     checkpoint of this node: not content, not hashed
//! 01 SYSTEM     01 01 counters · 01 02 rules · 01 03 key counters · 01 04 book · 01 05 line of request keys
//! 02 SESSION    02 | node u64                             replies and acknowledged sequence numbers of a node's doors
//! 03 ONCE       03 00 | key · 03 01 | number u64          answers to requests with a key, and those keys in order
//! 10 RECORD     10 | gen u32 | slot u64 | id              header and properties of one file
//! 11 CHUNK      11 | gen u32 | slot u64 | id len u16 | id | property len u16 | property | chunk u32
//! 12 TAIL       12 | gen u32 | ms u64 | seq u64           a block of events, one per log entry, by its first id
//! 13 TOMBSTONE  13 | gen u32 | ms u64 | seq u64           id of a deleted record, by its last event
//! 20 KEY        20 | gen u32 | slot u64 | key             header of a generic key, and its value when that is short
//! 21 ELEMENT    21 | gen u32 | object u64 | part u8 | …   what a key's object holds beside the header (`meta::object`)
//! 22 EXPIRY     22 | gen u32 | ms u64 | key               keys that expire, in the order in which they do
//! 23 DOOMED     23 | gen u32 | object u64                 objects whose elements are still to be swept away
//! ```
//!
//! Not here: the values (each has a file of its own). Must always hold: numbers are big-endian, so that byte order is
//! key order; kind numbers are never reused; `gen` rises when everything is cleared, which makes clearing one write.
//! `slot` is XXH3-64 of the id or key: SCAN walks slots, so a cursor is one number and stays valid on any node.

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
    /// What is kept of requests with a key.
    Once = 0x03,
    /// A record.
    Record = 0x10,
    /// A piece of a long value.
    Chunk = 0x11,
    /// A block of the events' tail.
    Tail = 0x12,
    /// A deleted record's last event.
    Tombstone = 0x13,
    /// The header of a generic key.
    Key = 0x20,
    /// An element of an object.
    Element = 0x21,
    /// A moment at which a key expires.
    Expiry = 0x22,
    /// An object that no key leads to any more.
    Doomed = 0x23,
}

impl Kind {
    /// The kinds whose keys belong to a generation, and are garbage once everything is cleared.
    pub const OF_GENERATIONS: [Self; 8] = [
        Self::Record,
        Self::Chunk,
        Self::Tail,
        Self::Tombstone,
        Self::Key,
        Self::Element,
        Self::Expiry,
        Self::Doomed,
    ];
}

/// Key of the checkpoint.
pub const CHECKPOINT: &[u8] = &[Kind::Local as u8, 1];
/// Key of the counters.
pub const COUNTERS: &[u8] = &[Kind::System as u8, 1];
/// Key of the rules.
pub const RULES: &[u8] = &[Kind::System as u8, 2];

/// Key of the counters of the generic keys.
pub const KEY_COUNTERS: &[u8] = &[Kind::System as u8, 3];
/// Key of the cluster's book of members.
pub const BOOK: &[u8] = &[Kind::System as u8, 4];

/// Key of the line of request keys.
pub const ONCE_LINE: &[u8] = &[Kind::System as u8, 5];

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

/// Key of what is kept of a request with a key.
pub fn once(key: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(2 + key.len());
    out.put_u8(Kind::Once as u8);
    out.put_u8(0);
    out.put_slice(key);
    out.freeze()
}

/// Key of a place in the line of request keys.
pub fn once_place(number: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(10);
    out.put_u8(Kind::Once as u8);
    out.put_u8(1);
    out.put_u64(number);
    out.freeze()
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

/// The same place of the key's order in another generation, for cursors that outlive a clearing.
pub fn in_generation(key: &[u8], generation: u32) -> Bytes {
    let mut moved = BytesMut::from(key);
    if let Some(bytes) = moved.get_mut(1..5) {
        bytes.copy_from_slice(&generation.to_be_bytes());
    }
    moved.freeze()
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

/// Key of a generic key's header.
pub fn key(generation: u32, name: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(RECORD_PREFIX + name.len());
    key.put_u8(Kind::Key as u8);
    key.put_u32(generation);
    key.put_u64(slot(name));
    key.put_slice(name);
    key.freeze()
}

/// The client's key in the key of a header.
pub fn key_name(key: &Bytes) -> Option<Bytes> {
    (key.first() == Some(&(Kind::Key as u8)) && key.len() >= RECORD_PREFIX)
        .then(|| key.slice(RECORD_PREFIX..))
}

/// Beginning of the keys of an object's elements. What follows is the part's business.
pub fn elements(generation: u32, object: u64) -> BytesMut {
    let mut key = BytesMut::with_capacity(32);
    key.put_u8(Kind::Element as u8);
    key.put_u32(generation);
    key.put_u64(object);
    key
}

/// Key of a chunk of a long string: part 0, then its number.
pub fn text_chunk(generation: u32, object: u64, number: u32) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(PART_MAIN);
    key.put_u32(number);
    key.freeze()
}

/// Key of a member of a set or a field of a hash: part 0, its slot, then the name. The order is that of the slots, so
/// that a cursor is one number, and a random number leads to a random element.
pub fn member(generation: u32, object: u64, name: &[u8]) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(PART_MAIN);
    key.put_u64(slot(name));
    key.put_slice(name);
    key.freeze()
}

/// First possible key of an object's members from `from` on.
pub fn members_from(generation: u32, object: u64, from: u64) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(PART_MAIN);
    key.put_u64(from);
    key.freeze()
}

/// First possible key after an object's members.
pub fn members_end(generation: u32, object: u64) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(PART_MAIN + 1);
    key.freeze()
}

/// The name in the key of a member.
pub fn member_name(key: &Bytes) -> Option<Bytes> {
    (key.first() == Some(&(Kind::Element as u8)) && key.len() >= MEMBER_PREFIX)
        .then(|| key.slice(MEMBER_PREFIX..))
}

/// Key of a stream's entry: part 0, then its id.
pub fn stream_entry(generation: u32, object: u64, id: EventId) -> Bytes {
    by_id(generation, object, PART_MAIN, id)
}

/// Key of a consumer group: part 1 of its owner's object, then its name.
pub fn group(generation: u32, owner: u64, name: &[u8]) -> Bytes {
    part(generation, owner, PART_GROUPS, name)
}

/// First possible key after the groups of an owner's object.
pub fn groups_end(generation: u32, owner: u64) -> Bytes {
    part(generation, owner, PART_GROUPS + 1, b"")
}

/// Whether the key of an element is a group's.
pub fn is_group(key: &[u8]) -> bool {
    key.first() == Some(&(Kind::Element as u8)) && key.get(PART_AT) == Some(&PART_GROUPS)
}

/// Key of a consumer: part 2 of its group's object, then its name.
pub fn consumer(generation: u32, object: u64, name: &[u8]) -> Bytes {
    part(generation, object, PART_CONSUMERS, name)
}

/// First possible key after the consumers of a group's object.
pub fn consumers_end(generation: u32, object: u64) -> Bytes {
    part(generation, object, PART_CONSUMERS + 1, b"")
}

/// Key of a pending entry: part 3 of its group's object, then its id.
pub fn pending(generation: u32, object: u64, id: EventId) -> Bytes {
    by_id(generation, object, PART_PENDING, id)
}

/// First possible key after the pending entries of a group's object.
pub fn pending_end(generation: u32, object: u64) -> Bytes {
    part(generation, object, PART_PENDING + 1, b"")
}

/// Key that says for whom an entry is pending: part 4, the consumer's name behind its length, then the entry's id.
pub fn pending_of(generation: u32, object: u64, consumer: &[u8], id: EventId) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(PART_PENDING_OF);
    key.put_u16(u16::try_from(consumer.len()).expect("names of consumers are shorter than 64 KiB"));
    key.put_slice(consumer);
    key.put_u64(id.ms);
    key.put_u64(id.seq);
    key.freeze()
}

/// The key of the same element in another object of the same generation.
pub fn in_object(key: &[u8], object: u64) -> Bytes {
    let mut moved = BytesMut::from(key);
    if let Some(bytes) = moved.get_mut(5..PART_AT) {
        bytes.copy_from_slice(&object.to_be_bytes());
    }
    moved.freeze()
}

fn part(generation: u32, object: u64, part: u8, name: &[u8]) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(part);
    key.put_slice(name);
    key.freeze()
}

fn by_id(generation: u32, object: u64, part: u8, id: EventId) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(part);
    key.put_u64(id.ms);
    key.put_u64(id.seq);
    key.freeze()
}

/// The name behind an element's part: a group's or a consumer's.
pub fn part_name(key: &Bytes) -> Bytes {
    key.slice(key.len().min(PART_AT + 1)..)
}

/// The id at the end of an element's key.
pub fn trailing_id(key: &[u8]) -> Option<EventId> {
    let id = key.get(PART_AT + 1..)?.last_chunk::<16>()?;
    let (ms, seq) = id.split_at(8);
    Some(EventId {
        ms: u64::from_be_bytes(ms.try_into().ok()?),
        seq: u64::from_be_bytes(seq.try_into().ok()?),
    })
}

/// The part of an object that holds its chunks, members, fields or entries; others are for streams.
const PART_MAIN: u8 = 0;
/// Consumer groups of a stream.
const PART_GROUPS: u8 = 1;
/// Consumers of a group.
const PART_CONSUMERS: u8 = 2;
/// Pending entries of a group.
const PART_PENDING: u8 = 3;
/// Pending entries of a group by consumer.
const PART_PENDING_OF: u8 = 4;
/// Where an element's key names the part.
const PART_AT: usize = 13;
/// Bytes of a member's key before its name.
const MEMBER_PREFIX: usize = 22;

/// First possible key after all elements of an object.
pub fn elements_end(generation: u32, object: u64) -> Bytes {
    let mut key = elements(generation, object);
    key.put_u8(u8::MAX);
    key.freeze()
}

/// Key of a moment at which a key expires.
pub fn expiry(generation: u32, ms: u64, name: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(RECORD_PREFIX + name.len());
    key.put_u8(Kind::Expiry as u8);
    key.put_u32(generation);
    key.put_u64(ms);
    key.put_slice(name);
    key.freeze()
}

/// The client's key in the key of such a moment.
pub fn expiring(key: &Bytes) -> Option<Bytes> {
    (key.first() == Some(&(Kind::Expiry as u8)) && key.len() >= RECORD_PREFIX)
        .then(|| key.slice(RECORD_PREFIX..))
}

/// Key of an object whose elements are to be swept away.
pub fn doomed(generation: u32, object: u64) -> Bytes {
    let mut key = BytesMut::with_capacity(13);
    key.put_u8(Kind::Doomed as u8);
    key.put_u32(generation);
    key.put_u64(object);
    key.freeze()
}

/// The object in such a key.
pub fn doomed_object(key: &[u8]) -> Option<u64> {
    key.get(5..13)?.try_into().ok().map(u64::from_be_bytes)
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
    fn keys_of_generic_keys_give_back_their_parts() {
        assert_eq!(key_name(&key(3, b"a\0b")), Some(Bytes::from_static(b"a\0b")));
        assert_eq!(key_name(&key(3, b"")), Some(Bytes::new()));
        assert_eq!(expiring(&expiry(3, 9, b"k")), Some(Bytes::from_static(b"k")));
        assert_eq!(member_name(&member(3, 9, b"m")), Some(Bytes::from_static(b"m")));
        assert_eq!(doomed_object(&doomed(3, 77)), Some(77));
    }

    #[test]
    fn an_object_holds_its_own_elements_and_no_other() {
        for element in [text_chunk(1, 5, u32::MAX), member(1, 5, b"m"), members_end(1, 5)] {
            assert!(elements(1, 5).freeze() <= element && element < elements_end(1, 5));
        }
        assert!(elements_end(1, 5) < text_chunk(1, 6, 0));
        assert!(members_from(1, 5, 0) < member(1, 5, b"m") && member(1, 5, b"m") < members_end(1, 5));
    }

    #[test]
    fn the_parts_of_a_stream_and_of_its_groups_never_mix() {
        let id = EventId { ms: 7, seq: 9 };
        let (entry, group) = (stream_entry(1, 5, id), group(1, 5, b"g"));
        assert!(entry < members_end(1, 5) && members_end(1, 5) <= group && group < groups_end(1, 5));
        let (consumer, pending) = (consumer(1, 6, b"c"), pending(1, 6, id));
        assert!(
            consumer < consumers_end(1, 6) && consumers_end(1, 6) <= pending && pending < pending_end(1, 6)
        );
        assert!(pending_end(1, 6) <= pending_of(1, 6, b"", EventId::default()));
        assert!(pending_of(1, 6, b"c", EventId { ms: u64::MAX, seq: u64::MAX }) < elements_end(1, 6));
        assert_ne!(pending_of(1, 6, b"c", id)[..18], pending_of(1, 6, b"cc", id)[..18]);
        for key in [&entry, &pending, &pending_of(1, 6, b"c", id)] {
            assert_eq!(trailing_id(key), Some(id));
        }
        assert_eq!(
            (part_name(&group), part_name(&consumer)),
            (Bytes::from_static(b"g"), Bytes::from_static(b"c"))
        );
        assert!(is_group(&group) && ![entry, consumer, pending].iter().any(|key| is_group(key)));
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
