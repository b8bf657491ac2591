//! Lookers: what a door reads between the operations of one transaction.
//!
//! A transaction's reads see the state at their place in the entry. The entry holds a mark for each of them; the node whose
//! door waits for the answers reads at the mark while it applies the entry, and every other node passes over it.
//!
//! Not here: what is read (doors). Must always hold: a looker changes nothing, so the state does not depend on who looks;
//! tickets are numbers by chance, so that no other node and no earlier run of this one has the same.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::counters::Counters;
use super::view::View;

/// The moment at which is looked.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Generation of the keys.
    pub generation: u32,
    /// The log's time in milliseconds.
    pub now_ms: u64,
    /// How many generic keys there are, in the middle of an entry: the stored number is that of its beginning.
    pub keys: Option<u64>,
    /// Records that are listed.
    pub records: u64,
    /// Live properties of all records.
    pub properties: u64,
    /// Events in the raw tail of `meta:events`.
    pub events: u64,
}

impl Moment {
    /// The moment that these counters tell of.
    pub fn of(counters: &Counters) -> Self {
        let Counters { generation, now_ms, records, properties, tail_events, .. } = *counters;
        Self { generation, now_ms, keys: None, records, properties, events: tail_events }
    }
}

/// Reads the state at the mark of this number.
pub type Looker = Box<dyn FnMut(u32, &dyn View, Moment) + Send>;

/// Everybody on this node who waits for marks.
#[derive(Default)]
pub struct Lookers {
    waiting: Mutex<HashMap<u64, Looker>>,
}

impl Lookers {
    /// Calls `looker` at each mark with this ticket, until it is dismissed.
    pub fn register(&self, ticket: u64, looker: Looker) {
        self.waiting.lock().insert(ticket, looker);
    }

    /// Forgets a looker.
    pub fn dismiss(&self, ticket: u64) {
        self.waiting.lock().remove(&ticket);
    }

    /// An entry that is being applied has a mark.
    pub fn look(&self, ticket: u64, part: u32, view: &dyn View, moment: Moment) {
        if let Some(looker) = self.waiting.lock().get_mut(&ticket) {
            looker(part, view, moment);
        }
    }
}
