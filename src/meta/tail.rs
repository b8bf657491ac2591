//! The raw tail of `meta:events`: one block of events per log entry.
//!
//! Not here: events older than the tail (`history`).
//! Must always hold: events of one block share their milliseconds and have consecutive sequence numbers, so a block
//! stores only its first id; a block's key is that id.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::event::{Event, EventKind};
use super::record::EventId;
use crate::codec::{self, Blob, CodecError};

/// Version byte in front of a stored block.
const VERSION: u8 = 1;

/// A block as it is stored: events in order, grouped by record because neighbours mostly share one.
#[derive(Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
struct StoredBlock {
    index: u64,
    groups: Vec<(Blob, Vec<(EventKind, Blob)>)>,
}

/// The stored form of the events of the log entry at `index`.
pub fn encode(index: u64, events: &[Event]) -> Bytes {
    let mut groups: Vec<(Blob, Vec<(EventKind, Blob)>)> = Vec::new();
    for event in events {
        let item = (event.kind, Blob(event.property.clone()));
        match groups.last_mut() {
            Some((record, items)) if record.0 == event.record => items.push(item),
            Some(_) | None => groups.push((Blob(event.record.clone()), vec![item])),
        }
    }
    let mut out = vec![VERSION];
    codec::encode_into(&StoredBlock { index, groups }, &mut out);
    Bytes::from(out)
}

/// The events of a block whose first id is `first`.
pub fn decode(first: EventId, stored: &Bytes) -> Result<Vec<Event>, CodecError> {
    match stored.first() {
        None => return Err(CodecError::Truncated(0)),
        Some(&VERSION) => {}
        Some(&found) => return Err(CodecError::Newer { found, supported: VERSION }),
    }
    let block: StoredBlock = codec::decode_shared(&stored.slice(1..))?;
    let flat = block.groups.into_iter().flat_map(|(record, items)| {
        items.into_iter().map(move |(kind, property)| (kind, record.0.clone(), property.0))
    });
    let event = |(at, (kind, record, property)): (usize, (EventKind, Bytes, Bytes))| {
        let id = EventId { ms: first.ms, seq: first.seq + at as u64 };
        Event { id, kind, record, property }
    };
    Ok(flat.enumerate().map(event).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_its_encoding() {
        let event = |seq, kind, record: &'static str, property: &'static str| Event {
            id: EventId { ms: 5, seq },
            kind,
            record: Bytes::from_static(record.as_bytes()),
            property: Bytes::from_static(property.as_bytes()),
        };
        let events = [
            event(3, EventKind::Set, "a", "title"),
            event(4, EventKind::Set, "a", "year"),
            event(5, EventKind::Del, "b", "title"),
            event(6, EventKind::Set, "a", "title"),
        ];
        assert_eq!(decode(EventId { ms: 5, seq: 3 }, &encode(9, &events)), Ok(events.to_vec()));
    }
}
