//! Golden files of stored values: records, counters, rules, tail blocks, the checkpoint, snapshot blocks, the hash.
//!
//! Not here: their keys (`layout`). Must always hold: every variant has a row, see [`variants`].

use bytes::Bytes;
use metad_raft::Applied;

use super::{Case, Row, variants};
use crate::codec::Blob;
use crate::meta::apply::tx::{decode_counters, encode_counters};
use crate::meta::cluster::{Book, Removed};
use crate::meta::counters::Counters;
use crate::meta::event::{Event, EventKind};
use crate::meta::group::{self, ConsumerState, GroupState, Pending};
use crate::meta::hash::StateHash;
use crate::meta::object::{Content, Key};
use crate::meta::once::{Kept, Line};
use crate::meta::pin::{LinkPin, Pin};
use crate::meta::record::{EventId, Header, Property, Record, Value};
use crate::meta::response::Response;
use crate::meta::rules::StoredRules;
use crate::meta::state::Head;
use crate::meta::stream::{self, Fields, StreamHead};
use crate::meta::write_behind::Checkpoint;
use crate::meta::{snapshot, tail};

const ID: EventId = EventId { ms: 1_700_000_000_000, seq: 3 };

pub(super) fn cases() -> Vec<Case> {
    let records = values().into_iter().map(record_of_value).chain(flagged()).chain([pinned()]);
    let mut cases: Vec<Case> = records.map(|row| Case::new(row, Record::encode, Record::decode)).collect();
    cases.extend(event_kinds().into_iter().map(tail_block));
    cases.extend(streams());
    cases.extend([
        counters(),
        rules(),
        book(),
        mixed_tail_block(),
        checkpoint(),
        snapshot_block(),
        state_hash(),
    ]);
    cases.extend(requests());
    cases
}

fn values() -> Vec<Row<Value>> {
    variants!(Value:
        Value::Inline(_) => ("record-inline", "A record with a value inside it, bytes that are no text",
            Value::Inline(Bytes::from_static(&[0xff, 0x00, b'a']))),
        Value::Chunked { .. } => ("record-chunked", "A record with a value that lies beside it in two chunks",
            Value::Chunked { len: 70_000, chunks: 2, hash: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10 }),
        Value::Deleted => ("record-deleted-property", "A record that remembers a deleted property", Value::Deleted),
    )
}

fn property(name: &'static str, value: Value) -> Property {
    Property { name: Bytes::from_static(name.as_bytes()), event: ID, mod_index: 9, expire_ms: 0, value }
}

/// A record with the value, and an expiring empty one behind it.
fn record_of_value((name, intent, value): Row<Value>) -> Row<Record> {
    let header =
        Header { inode: 7, order: 3, order_ms: 1_699_999_999_999, event: ID, mod_index: 9, flags: 0 };
    let empty =
        Property { expire_ms: 1_700_000_000_500, ..property("titles/eng", Value::Inline(Bytes::new())) };
    (name, intent, Record { header, properties: vec![property("title", value), empty], pin: None })
}

fn pinned() -> Row<Record> {
    let links = vec![LinkPin { folder: "Movies/Anime".to_owned(), candidate: 1 }, LinkPin::default()];
    let header = Header { inode: 7, order: 3, event: ID, mod_index: 9, ..Header::default() };
    let pin = Some(Box::new(Pin { rules: 2, links }));
    ("record-pinned", "A record whose file stays where it is", Record { header, properties: Vec::new(), pin })
}

fn flagged() -> [Row<Record>; 4] {
    let record = |flags, properties| {
        let header = Header { inode: 7, event: ID, mod_index: 9, flags, ..Header::default() };
        Record { header, properties, pin: None }
    };
    let tombstone = Record {
        header: Header { inode: 0, ..record(Header::DELETED, Vec::new()).header },
        ..Record::default()
    };
    let title = property("title", Value::Inline(Bytes::from_static(b"x")));
    let all = Header::HIDDEN | Header::DELETED | Header::LISTED;
    [
        ("record-hidden", "A record that was taken out of the index", record(Header::HIDDEN, vec![title])),
        ("record-tombstone", "A deleted record: nothing but its last event", tombstone),
        (
            "record-listed",
            "A record that is in the index without a property",
            record(Header::LISTED, Vec::new()),
        ),
        (
            "record-flags",
            "Every flag at once: no node writes it, each bit is pinned",
            record(all, Vec::new()),
        ),
    ]
}

fn counters() -> Case {
    let counters = Counters {
        now_ms: 1_700_000_000_000,
        last_event: ID,
        next_inode: 251,
        next_order: 4,
        feature_level: 1,
        generation: 2,
        records: 70_000,
        properties: 700_000,
        tail_events: 5,
        tail_floor: EventId { ms: 1_699_999_999_000, seq: 6 },
        tombstones: 7,
    };
    let row = ("counters", "The counters, each with a number of its own", counters);
    Case::new(row, encode_counters, decode_counters)
}

fn rules() -> Case {
    let naming = vec![Blob::from("filePath"), Blob::from("title")];
    let rules = StoredRules { text: Blob::from("[[view]]"), version: 12, naming };
    let row = ("rules", "The naming rules, set by entry 12", rules);
    Case::new(row, StoredRules::encode, StoredRules::decode)
}

fn book() -> Case {
    let member = super::log::member();
    let removed = vec![Removed { id: 7, name: "old".into() }];
    let book = Book {
        cluster_id: "0123456789abcdef0123456789abcdef".into(),
        next_id: 252,
        members: vec![member],
        removed,
    };
    let row = ("book", "The book of members: one member, one removed node", book);
    Case::new(row, Book::encode, Book::decode)
}

fn event(seq: u64, kind: EventKind, record: &'static str, property: &'static str) -> Event {
    let text = |text: &'static str| Bytes::from_static(text.as_bytes());
    Event { id: EventId { ms: ID.ms, seq }, kind, record: text(record), property: text(property) }
}

fn event_kinds() -> Vec<Row<EventKind>> {
    variants!(EventKind:
        EventKind::Set => ("tail-set", "A block of the tail: one property written by entry 12", EventKind::Set),
        EventKind::Del => ("tail-del", "A block of the tail: one property deleted by entry 12", EventKind::Del),
    )
}

fn tail_block((name, intent, kind): Row<EventKind>) -> Case {
    tail_case((name, intent, vec![event(3, kind, "a", "title")]))
}

fn mixed_tail_block() -> Case {
    let events = vec![
        event(3, EventKind::Set, "a", "title"),
        event(4, EventKind::Del, "a", "year"),
        event(5, EventKind::Set, "b", "title"),
        event(6, EventKind::Set, "a", "title"),
    ];
    tail_case(("tail-groups", "A block of the tail: neighbours of one record share its id", events))
}

fn tail_case(row: Row<Vec<Event>>) -> Case {
    Case::new(row, |events| tail::encode(12, events), |bytes| tail::decode(ID, bytes))
}

fn checkpoint() -> Case {
    let head = Head {
        applied: Applied { index: 12, mark: Bytes::from_static(b"mark") },
        system_hash: StateHash::from_parts([1; 16], 300),
        user_hash: StateHash::from_parts([2; 16], 70_000),
        ..Head::default()
    };
    let row = ("checkpoint", "The store's own word on how far it is", Checkpoint::of(&head));
    Case::new(row, Checkpoint::encode, Checkpoint::decode)
}

fn pairs() -> Vec<(Bytes, Bytes)> {
    let value = Bytes::from(b"metad ".repeat(20));
    vec![(Bytes::from_static(b"a"), value), (Bytes::from_static(b"b"), Bytes::new())]
}

fn snapshot_block() -> Case {
    let row = ("snapshot-block", "A block of a snapshot with two pairs, packed with LZ4", pairs());
    let encode = |pairs: &Vec<(Bytes, Bytes)>| snapshot::encode_block(pairs.clone());
    Case { exact: false, ..Case::new(row, encode, snapshot::decode_block) }
}

/// The parts of streams and their groups, and the header of a stream.
fn streams() -> Vec<Case> {
    let content =
        StreamHead { entries: 2, added: 300, last: ID, max_deleted: EventId { ms: 4, seq: 5 }, groups: 6 };
    let header = Key { expire_ms: 0, mod_index: 9, object: 7, content: Content::Stream(content) };
    let fields: Fields = vec![(Blob::from("name"), Blob::from("value")), (Blob::from(""), Blob::from(""))];
    let group = GroupState { last: ID, read: Some(300), pending: 2, consumers: 1, object: 8 };
    let consumer = ConsumerState { seen_ms: ID.ms, active_ms: None, pending: 2 };
    let pending = Pending { consumer: Blob::from("consumer"), delivered_ms: ID.ms, deliveries: 3 };
    vec![
        Case::new(("stream-head", "The header of a stream", header), Key::encode, Key::decode),
        Case::new(
            ("stream-entry", "An entry of a stream", fields),
            stream::encode_fields,
            stream::decode_fields,
        ),
        Case::new(("stream-group", "A consumer group", group), group::encode, group::decode::<GroupState>),
        Case::new(
            ("stream-consumer", "A consumer that was given nothing", consumer),
            group::encode,
            group::decode::<ConsumerState>,
        ),
        Case::new(("stream-pending", "A pending entry", pending), group::encode, group::decode::<Pending>),
    ]
}

/// What is kept of requests with a key.
fn requests() -> [Case; 3] {
    let told = Some(vec![Response::Count(2), Response::Flag(true)]);
    let kept = Kept { request: [7; 16], index: 300, responses: told };
    let plain = Kept { responses: None, ..kept.clone() };
    let line = Line { first: 251, next: 70_000, bytes: 4_000_000 };
    [
        Case::new(
            ("once-kept", "The first answer to a request with a key", kept),
            Kept::encode,
            Kept::decode,
        ),
        Case::new(("once-done", "The same, nothing to tell", plain), Kept::encode, Kept::decode),
        Case::new(("once-line", "The line of request keys", line), Line::encode, Line::decode),
    ]
}

/// Nodes compare it and snapshots carry it, so it is a format like any other.
fn state_hash() -> Case {
    let mut hash = StateHash::default();
    pairs().iter().for_each(|(key, value)| hash.add(key, value));
    let bytes = hash.bytes;
    let row = ("state-hash", "The state hash of the two pairs of snapshot-block", hash);
    let decode = move |stored: &Bytes| {
        let sum = <[u8; 16]>::try_from(stored.as_ref())?;
        Ok::<_, std::array::TryFromSliceError>(StateHash::from_parts(sum, bytes))
    };
    Case::new(row, |hash| Bytes::copy_from_slice(&hash.to_bytes()), decode)
}
