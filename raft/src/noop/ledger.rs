//! The ledger: how much journal lies behind the newest snapshot, when the next one is due, and what may be purged.
//!
//! Not here: the journal and the snapshots themselves; this is arithmetic.
//! Must always hold: the purge point is never past the newest durable snapshot.

use std::collections::VecDeque;

use super::options::Options;

/// A snapshot waits until the journal has grown by this part of the last snapshot, so that a large state is not written
/// again for every little change.
const GROWTH_DIVISOR: u64 = 4;
/// But never for more than this many times `snapshot_entries`: replay takes time and the journal's index takes memory.
const ENTRIES_FACTOR: u64 = 10;

/// How far one write went.
struct Mark {
    index: u64,
    bytes_total: u64,
}

/// What is due.
pub(crate) struct Ledger {
    snapshot_entries: u64,
    snapshot_bytes: u64,
    tail_entries: u64,
    tail_bytes: u64,
    last_index: u64,
    bytes_total: u64,
    snapshot_index: u64,
    snapshot_at_bytes: u64,
    snapshot_file_bytes: u64,
    running: bool,
    given_up: u64,
    marks: VecDeque<Mark>,
}

impl Ledger {
    /// A ledger at start-up: the newest snapshot, its size, and the entries and bytes in the journal.
    pub(crate) fn new(options: &Options, snapshot: (u64, u64), last_index: u64, journal_bytes: u64) -> Self {
        let (snapshot_index, snapshot_file_bytes) = snapshot;
        Self {
            snapshot_entries: options.snapshot_entries,
            snapshot_bytes: options.snapshot_bytes,
            tail_entries: options.tail_entries,
            tail_bytes: options.tail_bytes,
            last_index,
            bytes_total: journal_bytes,
            snapshot_index,
            snapshot_at_bytes: 0,
            snapshot_file_bytes,
            running: false,
            given_up: 0,
            marks: VecDeque::new(),
        }
    }

    /// Notes a write that ended at `index` and took `bytes`.
    pub(crate) fn wrote(&mut self, index: u64, bytes: u64) {
        self.last_index = index;
        self.bytes_total += bytes;
        self.marks.push_back(Mark { index, bytes_total: self.bytes_total });
        // The tail never needs older marks than these.
        while self.marks.front().is_some_and(|m| self.beyond_tail(m)) && self.marks.len() > 1 {
            self.marks.pop_front();
        }
    }

    fn beyond_tail(&self, mark: &Mark) -> bool {
        self.bytes_total - mark.bytes_total > self.tail_bytes && self.last_index - mark.index > 1
    }

    /// Whether a snapshot should start now; `true` once until it is finished or abandoned.
    pub(crate) fn start_if_due(&mut self) -> bool {
        let entries = self.last_index.saturating_sub(self.snapshot_index);
        let bytes = self.bytes_total - self.snapshot_at_bytes;
        let long = entries >= self.snapshot_entries || bytes >= self.snapshot_bytes;
        let grown = bytes >= self.snapshot_file_bytes / GROWTH_DIVISOR
            || entries >= self.snapshot_entries.saturating_mul(ENTRIES_FACTOR);
        let due = !self.running && entries > 0 && long && grown;
        self.running |= due;
        due
    }

    /// Starts a snapshot that somebody asked for; `false` while one is being written.
    pub(crate) fn start_now(&mut self) -> bool {
        !std::mem::replace(&mut self.running, true)
    }

    /// How many snapshots were begun and not written.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// The snapshot at `index` is durable: returns up to which entry the journal may go.
    pub(crate) fn finished(&mut self, index: u64, file_bytes: u64) -> u64 {
        self.running = false;
        self.snapshot_index = index;
        self.snapshot_file_bytes = file_bytes;
        self.snapshot_at_bytes = self.bytes_total;
        let by_entries = index.saturating_sub(self.tail_entries);
        let by_bytes = self.marks.front().map_or(index, |m| m.index);
        by_entries.max(by_bytes).min(index)
    }

    /// The snapshot was not written: try again after as much journal as the policy asks for.
    pub(crate) fn abandoned(&mut self) {
        self.given_up += 1;
        self.running = false;
        self.snapshot_index = self.last_index;
        self.snapshot_at_bytes = self.bytes_total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(change: impl FnOnce(&mut Options)) -> Ledger {
        let mut options = Options::new("unused");
        (options.snapshot_entries, options.snapshot_bytes) = (10, 1000);
        (options.tail_entries, options.tail_bytes) = (4, 500);
        change(&mut options);
        Ledger::new(&options, (0, 0), 0, 0)
    }

    #[test]
    fn a_snapshot_is_due_once_after_enough_entries_or_bytes() {
        let mut by_entries = ledger(|_| ());
        by_entries.wrote(9, 9);
        assert!(!by_entries.start_if_due());
        by_entries.wrote(10, 1);
        assert!(by_entries.start_if_due());
        assert!(!by_entries.start_if_due(), "one at a time");
        let mut by_bytes = ledger(|_| ());
        by_bytes.wrote(1, 1000);
        assert!(by_bytes.start_if_due());
    }

    #[test]
    fn a_tail_stays_behind_a_snapshot_by_entries_and_by_bytes() {
        let mut small = ledger(|_| ());
        (1..=20).for_each(|i| small.wrote(i, 1));
        assert_eq!(small.finished(20, 0), 16);
        let mut large = ledger(|_| ());
        (1..=20).for_each(|i| large.wrote(i, 250));
        assert_eq!(large.finished(20, 0), 18);
        assert_eq!(ledger(|_| ()).finished(3, 0), 3, "nothing is known about older entries");
    }

    #[test]
    fn a_large_state_is_not_written_again_for_every_little_change() {
        let mut ledger = ledger(|_| ());
        ledger.wrote(10, 100);
        ledger.finished(10, 4000);
        ledger.wrote(20, 100);
        assert!(!ledger.start_if_due());
        ledger.wrote(21, 900);
        assert!(ledger.start_if_due());
        ledger.finished(21, 4_000_000);
        ledger.wrote(121, 1);
        assert!(ledger.start_if_due(), "but replay must not grow without bound");
    }
}
