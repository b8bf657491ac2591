//! An entry of `meta:events`: which property was set or deleted, and when in the log's time.
//!
//! Not here: where events are kept and how old ones are derived (`history`).
//! Must always hold: one event per property write, in the same apply; ids rise strictly and never go back.
//!
//! Source: seed 004, "Real-time Updates"; design D11.

use bytes::Bytes;

use super::record::EventId;

/// What happened to a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub enum EventKind {
    /// It was written.
    Set,
    /// It was deleted, or it expired.
    Del,
}

impl EventKind {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Set => "set",
            EventKind::Del => "del",
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id in the stream.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// hashId of the record.
    pub record: Bytes,
    /// Name of the property.
    pub property: Bytes,
}

impl Event {
    /// The canonical key, `file:{hashId}/{property}`, as bytes.
    pub fn key(&self) -> Vec<u8> {
        [b"file:", self.record.as_ref(), b"/", self.property.as_ref()].concat()
    }
}
