//! Golden files of keys: one for each kind of key of the state store.
//!
//! Not here: the values (`store`). Must always hold: every kind has a row, see [`variants`]; what can be read back out
//! of a key is.

use bytes::Bytes;

use super::{Case, Row, variants};
use crate::meta::layout::{self, Kind};
use crate::meta::record::EventId;

const GENERATION: u32 = 0x0102_0304;
const ID: EventId = EventId { ms: 1_700_000_000_000, seq: 3 };
const RECORD: &[u8] = b"midhash256:abc";

pub(super) fn cases() -> Vec<Case> {
    let rows = variants!(Kind:
        Kind::Local => ("key-checkpoint", "Key of the checkpoint", Kind::Local),
        Kind::System => ("key-counters", "Key of the counters", Kind::System),
        Kind::Session => ("key-session", "Key of the session of node 258", Kind::Session),
        Kind::Once => ("key-once", "Key of what is kept of a request with a key", Kind::Once),
        Kind::Record => ("key-record", "Key of a record in generation 0x01020304", Kind::Record),
        Kind::Chunk => ("key-chunk", "Key of chunk 5 of a property", Kind::Chunk),
        Kind::Tail => ("key-tail", "Key of a block of the tail", Kind::Tail),
        Kind::Tombstone => ("key-tombstone", "Key of a deleted record", Kind::Tombstone),
        Kind::Key => ("key-key", "Key of a generic key's header", Kind::Key),
        Kind::Element => ("key-element", "Key of a member of object 5", Kind::Element),
        Kind::Expiry => ("key-expiry", "Key of a moment at which a key expires", Kind::Expiry),
        Kind::Doomed => ("key-doomed", "Key of object 5 that is to be swept away", Kind::Doomed),
    );
    let read = |row: Row<Kind>| Case::new(row, key, move |bytes| read_back(row.2, bytes));
    let fixed = |name, intent, key: Bytes| {
        let expected = key.clone();
        let same =
            move |bytes: &Bytes| if *bytes == expected { Ok(expected.clone()) } else { Err("another key") };
        Case::new((name, intent, key), Bytes::clone, same)
    };
    let mut cases: Vec<Case> = rows.into_iter().map(read).collect();
    cases.extend([
        fixed("key-stream-entry", "Key of an entry of stream 5", layout::stream_entry(GENERATION, 5, ID)),
        fixed("key-group", "Key of a group of stream 5", layout::group(GENERATION, 5, b"group")),
        fixed("key-consumer", "Key of a consumer of group 6", layout::consumer(GENERATION, 6, b"consumer")),
        fixed("key-pending", "Key of a pending entry of group 6", layout::pending(GENERATION, 6, ID)),
        fixed(
            "key-pending-of",
            "Key that says for whom an entry of group 6 is pending",
            layout::pending_of(GENERATION, 6, b"consumer", ID),
        ),
        fixed("key-rules", "Key of the naming rules", Bytes::from_static(layout::RULES)),
        fixed("key-once-line", "Key of the line of request keys", Bytes::from_static(layout::ONCE_LINE)),
        fixed("key-once-place", "Key of a place in that line", layout::once_place(258)),
        fixed("key-book", "Key of the book of members", Bytes::from_static(layout::BOOK)),
        fixed(
            "key-first",
            "First key of the records of a generation",
            layout::first_of(Kind::Record, GENERATION),
        ),
        fixed(
            "key-end",
            "First key after the chunks of a generation",
            layout::end_of(Kind::Chunk, GENERATION),
        ),
    ]);
    cases
}

/// The kind of a key, once everything that code reads out of such a key has been found in it.
fn read_back(kind: Kind, bytes: &Bytes) -> Result<Kind, &'static str> {
    let content = match kind {
        Kind::Local => false,
        Kind::System | Kind::Session | Kind::Once => layout::is_content(bytes, 0),
        Kind::Record
        | Kind::Chunk
        | Kind::Tail
        | Kind::Tombstone
        | Kind::Key
        | Kind::Element
        | Kind::Expiry
        | Kind::Doomed => layout::is_content(bytes, GENERATION) && !layout::is_content(bytes, 0),
    };
    let parts = match kind {
        Kind::Record => layout::record_id(bytes).as_deref() == Some(RECORD),
        Kind::Tail | Kind::Tombstone => layout::event_of(bytes) == Some(ID),
        Kind::Key => layout::key_name(bytes).as_deref() == Some(RECORD),
        Kind::Element => layout::member_name(bytes).as_deref() == Some(RECORD),
        Kind::Expiry => layout::expiring(bytes).as_deref() == Some(RECORD),
        Kind::Doomed => layout::doomed_object(bytes) == Some(5),
        Kind::Local | Kind::System | Kind::Session | Kind::Once | Kind::Chunk => true,
    };
    let same = bytes.first() == Some(&(kind as u8)) && *bytes == key(&kind);
    if same && parts && content == (kind != Kind::Local) { Ok(kind) } else { Err("another key") }
}

fn key(kind: &Kind) -> Bytes {
    match kind {
        Kind::Local => Bytes::from_static(layout::CHECKPOINT),
        Kind::System => Bytes::from_static(layout::COUNTERS),
        Kind::Session => layout::session(258),
        Kind::Once => layout::once(RECORD),
        Kind::Record => layout::record(GENERATION, RECORD),
        Kind::Chunk => layout::chunk(GENERATION, RECORD, b"plot", 5),
        Kind::Tail | Kind::Tombstone => layout::by_event(*kind, GENERATION, ID),
        Kind::Key => layout::key(GENERATION, RECORD),
        Kind::Element => layout::member(GENERATION, 5, RECORD),
        Kind::Expiry => layout::expiry(GENERATION, ID.ms, RECORD),
        Kind::Doomed => layout::doomed(GENERATION, 5),
    }
}
