//! The counters: every number of the state that is not a property of one record.
//!
//! Not here: figures about this node (telemetry). Must always hold: each of them only rises, except the totals.

use bincode::{Decode, Encode};

use super::record::EventId;

/// The replicated counters, one value in the store. Fields are only appended, with a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Counters {
    /// The log's time in milliseconds: the highest stamp of all entries.
    pub now_ms: u64,
    /// Id of the last event.
    pub last_event: EventId,
    /// Inode number of the next new record. Starts after the root's.
    pub next_inode: u64,
    /// Naming order of the next record that gets a name.
    pub next_order: u64,
    /// Highest feature level that entries may use.
    pub feature_level: u32,
    /// Generation of the user's keys; rises when everything is cleared.
    pub generation: u32,
    /// Records that are listed in `file:__index__`.
    pub records: u64,
    /// Properties that are not tombstones.
    pub properties: u64,
    /// Events in the raw tail.
    pub tail_events: u64,
    /// Id of the last event that was trimmed from the tail or cleared; what is older can only be derived.
    pub tail_floor: EventId,
    /// Tombstones of deleted records.
    pub tombstones: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            now_ms: 0,
            last_event: EventId::default(),
            next_inode: 2,
            next_order: 1,
            feature_level: 1,
            generation: 0,
            records: 0,
            properties: 0,
            tail_events: 0,
            tail_floor: EventId::default(),
            tombstones: 0,
        }
    }
}

impl Counters {
    /// The next event id at the log's time: never at or before an id that was given, whatever clocks do.
    pub fn next_event(&mut self) -> EventId {
        let last = self.last_event;
        self.last_event = if self.now_ms > last.ms {
            EventId { ms: self.now_ms, seq: 0 }
        } else {
            EventId { ms: last.ms, seq: last.seq + 1 }
        };
        self.last_event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_rise_even_when_time_stands_or_goes_back() {
        let mut counters = Counters { now_ms: 5, ..Counters::default() };
        let mut ids = vec![counters.next_event(), counters.next_event()];
        counters.now_ms = 3;
        ids.push(counters.next_event());
        counters.now_ms = 9;
        ids.push(counters.next_event());
        let expected = [(5, 0), (5, 1), (5, 2), (9, 0)].map(|(ms, seq)| EventId { ms, seq });
        assert_eq!(ids, expected);
    }
}
