//! The change feed: what each applied entry changed, for those who follow the log.
//!
//! Not here: who follows (vfs, server-sent events, blocked readers).
//! Must always hold: sets arrive in log order without gaps, or the reader is told that it lagged; publishing never
//! waits for a reader; the ring is bounded.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::event::Event;
use super::record::Record;
use crate::limits;

/// What became of a generic key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFate {
    /// It was made, or what it holds or when it expires changed.
    Written,
    /// It was deleted, or renamed away.
    Deleted,
    /// Its time had come.
    Expired,
}

/// What one log entry changed.
#[derive(Debug, Default)]
pub struct ChangeSet {
    /// Index of the entry.
    pub index: u64,
    /// The log's time after the entry, in milliseconds.
    pub now_ms: u64,
    /// Events of `meta:events`, in order.
    pub events: Vec<Event>,
    /// Each touched record as it is after the entry; `None` when it is gone. In order of first touch.
    pub records: Vec<(Bytes, Option<Arc<Record>>)>,
    /// Generic keys that were touched, in order, the same fate of one key in a row told once. What a consumer group reads
    /// and acknowledges touches no key.
    pub keys: Vec<(Bytes, KeyFate)>,
    /// The rules changed, or everything was cleared: followers start over from a scan.
    pub reset: bool,
}

impl ChangeSet {
    /// What the set costs in RAM, in events or records: an import's set is thousands of times as large as a single
    /// write's.
    fn weight(&self) -> usize {
        1 + self.events.len().max(self.records.len()) + self.keys.len()
    }
}

struct Ring {
    sets: VecDeque<Arc<ChangeSet>>,
    /// Number of the set that comes next; the ring holds the last `sets.len()` before it.
    next: u64,
    /// Index of the log up to which sets were published; entries without a set count too.
    upto: u64,
    /// What the sets in the ring weigh together, see [`ChangeSet::weight`].
    weight: usize,
    closed: bool,
}

impl Ring {
    /// Forgets the oldest sets beyond the limits; the newest one always stays.
    fn shrink(&mut self) {
        while self.sets.len() > 1
            && (self.sets.len() > limits::FEED_SETS_MAX || self.weight > limits::FEED_WEIGHT_MAX)
        {
            let oldest = self.sets.pop_front();
            self.weight -= oldest.map_or(0, |set| set.weight());
        }
    }
}

/// The publishing end, owned by the state machine.
pub struct Feed {
    ring: Mutex<Ring>,
    published: Condvar,
    version: watch::Sender<u64>,
}

impl Default for Feed {
    fn default() -> Self {
        let ring = Ring { sets: VecDeque::new(), next: 0, upto: 0, weight: 0, closed: false };
        Self { ring: Mutex::new(ring), published: Condvar::new(), version: watch::Sender::new(0) }
    }
}

impl Feed {
    /// Publishes the sets of one applied chunk that ended at `upto`, and wakes all readers. Never blocks on them.
    pub fn publish(&self, sets: impl IntoIterator<Item = Arc<ChangeSet>>, upto: u64) {
        let mut ring = self.ring.lock();
        ring.upto = upto;
        for set in sets {
            ring.weight += set.weight();
            ring.sets.push_back(set);
            ring.next += 1;
            ring.shrink();
        }
        self.version.send_replace(ring.next);
        drop(ring);
        self.published.notify_all();
    }

    /// Wakes all readers for good: there will be no more sets.
    pub fn close(&self) {
        let mut ring = self.ring.lock();
        ring.closed = true;
        self.version.send_replace(u64::MAX);
        drop(ring);
        self.published.notify_all();
    }

    /// A reader that starts with the next published set.
    pub fn reader(self: &Arc<Self>) -> FeedReader {
        let next = self.ring.lock().next;
        FeedReader { feed: Arc::clone(self), next, version: self.version.subscribe() }
    }
}

/// What a reader finds.
#[derive(Debug)]
pub enum Followed {
    /// Sets in log order.
    Sets(Vec<Arc<ChangeSet>>),
    /// The reader was too slow and sets are gone: read the state again, then go on with this reader.
    Lagged,
    /// The node stops; nothing will follow.
    Closed,
}

/// The reading end. Cheap; one per follower.
pub struct FeedReader {
    feed: Arc<Feed>,
    next: u64,
    version: watch::Receiver<u64>,
}

impl FeedReader {
    /// What is there now, without waiting: an empty list when nothing is new.
    pub fn poll(&mut self) -> Followed {
        let feed = Arc::clone(&self.feed);
        let ring = feed.ring.lock();
        self.take(&ring)
    }

    /// Waits on this thread until everything up to `index` is published, and answers like [`FeedReader::poll`].
    pub fn wait_until(&mut self, index: u64) -> Followed {
        let feed = Arc::clone(&self.feed);
        let mut ring = feed.ring.lock();
        while ring.upto < index && !ring.closed {
            feed.published.wait(&mut ring);
        }
        self.take(&ring)
    }

    /// Waits on this thread until something is there.
    pub fn wait(&mut self) -> Followed {
        let feed = Arc::clone(&self.feed);
        let mut ring = feed.ring.lock();
        while ring.next == self.next && !ring.closed {
            feed.published.wait(&mut ring);
        }
        self.take(&ring)
    }

    /// Waits without a thread until something is there.
    pub async fn next(&mut self) -> Followed {
        loop {
            self.version.borrow_and_update();
            match self.poll() {
                Followed::Sets(sets) if sets.is_empty() => {}
                found => return found,
            }
            if self.version.changed().await.is_err() {
                return Followed::Closed;
            }
        }
    }

    fn take(&mut self, ring: &Ring) -> Followed {
        let first = ring.next - ring.sets.len() as u64;
        if self.next < first {
            self.next = ring.next;
            return Followed::Lagged;
        }
        let sets: Vec<_> = ring.sets.iter().skip((self.next - first) as usize).cloned().collect();
        self.next = ring.next;
        if sets.is_empty() && ring.closed { Followed::Closed } else { Followed::Sets(sets) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(index: u64) -> Arc<ChangeSet> {
        Arc::new(ChangeSet { index, ..ChangeSet::default() })
    }

    fn indexes(found: Followed) -> Vec<u64> {
        match found {
            Followed::Sets(sets) => sets.iter().map(|s| s.index).collect(),
            other => panic!("expected sets, found {other:?}"),
        }
    }

    #[test]
    fn a_reader_sees_every_set_after_its_start_in_order() {
        let feed = Arc::new(Feed::default());
        feed.publish([set(1)], 1);
        let mut reader = feed.reader();
        feed.publish([set(2), set(3)], 3);
        assert_eq!(indexes(reader.poll()), [2, 3]);
        assert_eq!(indexes(reader.poll()), Vec::<u64>::new());
        feed.publish([set(4)], 4);
        assert_eq!(indexes(reader.wait()), [4]);
    }

    #[test]
    fn a_reader_that_falls_behind_the_ring_is_told_and_goes_on() {
        let feed = Arc::new(Feed::default());
        let mut reader = feed.reader();
        feed.publish((0..=limits::FEED_SETS_MAX as u64).map(set), limits::FEED_SETS_MAX as u64);
        assert!(matches!(reader.poll(), Followed::Lagged));
        feed.publish([set(9)], 9);
        assert_eq!(indexes(reader.poll()), [9]);
    }

    #[test]
    fn large_sets_leave_the_ring_sooner_so_that_an_import_does_not_fill_the_memory() {
        let event = Event {
            id: crate::meta::record::EventId::default(),
            kind: crate::meta::event::EventKind::Set,
            record: Bytes::new(),
            property: Bytes::new(),
        };
        let large = |index| {
            let events = vec![event.clone(); limits::FEED_WEIGHT_MAX / 2];
            Arc::new(ChangeSet { index, events, ..ChangeSet::default() })
        };
        let feed = Arc::new(Feed::default());
        let mut reader = feed.reader();
        feed.publish([large(1), large(2), large(3)], 3);
        assert!(matches!(reader.poll(), Followed::Lagged));
        assert_eq!(feed.ring.lock().sets.len(), 1);
    }

    #[test]
    fn closing_wakes_a_waiting_reader_after_the_last_set() {
        let feed = Arc::new(Feed::default());
        let mut reader = feed.reader();
        feed.publish([set(1)], 1);
        feed.close();
        assert_eq!(indexes(reader.wait()), [1]);
        assert!(matches!(reader.wait(), Followed::Closed));
    }
}
