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
    /// By ticket; `None` while it looks.
    waiting: Mutex<HashMap<u64, Option<Looker>>>,
}

/// A looker that waits; it is forgotten when this is dropped, also when nobody waits for the entry any more.
pub struct Registered<'a> {
    lookers: &'a Lookers,
    ticket: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.lookers.waiting.lock().remove(&self.ticket);
    }
}

impl Lookers {
    /// Calls `looker` at each mark with this ticket, as long as the answer lives.
    #[must_use]
    pub fn register(&self, ticket: u64, looker: Looker) -> Registered<'_> {
        self.waiting.lock().insert(ticket, Some(looker));
        Registered { lookers: self, ticket }
    }

    /// An entry that is being applied has a mark. What is read may take long: nobody else waits for it here.
    pub fn look(&self, ticket: u64, part: u32, view: &dyn View, moment: Moment) {
        let Some(mut looker) = self.waiting.lock().get_mut(&ticket).and_then(Option::take) else { return };
        looker(part, view, moment);
        if let Some(place) = self.waiting.lock().get_mut(&ticket) {
            *place = Some(looker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;
    use metad_raft::Fatal;

    use super::*;

    struct Nothing;

    impl View for Nothing {
        fn get(&self, _: &[u8]) -> Result<Option<Bytes>, Fatal> {
            Ok(None)
        }

        fn scan(&self, _: &[u8], _: &[u8], _: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
            Ok(Vec::new())
        }

        fn scan_back(&self, _: &[u8], _: &[u8], _: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
            Ok(Vec::new())
        }
    }

    const MOMENT: Moment =
        Moment { generation: 0, now_ms: 0, keys: None, records: 0, properties: 0, events: 0 };

    #[test]
    fn who_waits_no_more_is_forgotten() {
        let (lookers, looked) = (Lookers::default(), Arc::new(AtomicU32::new(0)));
        let count = Arc::clone(&looked);
        let looker = Box::new(move |_, _: &dyn View, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let registered = lookers.register(1, looker);
        (0..3).for_each(|part| lookers.look(1, part, &Nothing, MOMENT));
        drop(registered);
        lookers.look(1, 3, &Nothing, MOMENT);
        assert_eq!(looked.load(Ordering::Relaxed), 3);
        assert_eq!(Arc::strong_count(&looked), 1);
    }

    #[test]
    fn others_come_and_go_while_somebody_looks() {
        let lookers = Arc::new(Lookers::default());
        let others = Arc::clone(&lookers);
        let free = Box::new(move |_, _: &dyn View, _| assert!(others.waiting.try_lock().is_some()));
        let _registered = lookers.register(1, free);
        lookers.look(1, 0, &Nothing, MOMENT);
    }
}
