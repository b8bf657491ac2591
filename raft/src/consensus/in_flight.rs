//! What was proposed and is not answered yet, and how much of that is allowed.
//!
//! Not here: the disk's room (see `room`). Must always hold: a refusal is decided before anything is proposed, so `Busy` means "not
//! applied"; what was counted is given back when the call ends, however it ends.

use parking_lot::Mutex;

/// The sums over all calls.
pub(super) struct InFlight {
    bytes_max: usize,
    entries_max: usize,
    now: Mutex<Sums>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    bytes: usize,
    entries: usize,
}

/// What one call holds; given back when dropped.
pub(super) struct Held<'a> {
    of: &'a InFlight,
    sums: Sums,
}

impl InFlight {
    pub(super) fn new(bytes_max: usize, entries_max: usize) -> Self {
        Self { bytes_max, entries_max, now: Mutex::default() }
    }

    /// A call that holds nothing yet.
    pub(super) fn call(&self) -> Held<'_> {
        Held { of: self, sums: Sums::default() }
    }
}

impl Held<'_> {
    /// Counts an entry, unless there are too many. One entry always fits when there is none, whatever the limits say.
    pub(super) fn add(&mut self, bytes: usize) -> bool {
        let mut now = self.of.now.lock();
        let fits = now.bytes + bytes <= self.of.bytes_max && now.entries < self.of.entries_max;
        if now.entries > 0 && !fits {
            return false;
        }
        for sums in [&mut *now, &mut self.sums] {
            sums.bytes += bytes;
            sums.entries += 1;
        }
        true
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut now = self.of.now.lock();
        now.bytes -= self.sums.bytes;
        now.entries -= self.sums.entries;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_is_bounded_and_one_entry_always_fits() {
        let all = InFlight::new(10, 3);
        let mut first = all.call();
        assert!(first.add(20), "the first entry did not fit");
        assert!(!all.call().add(1));
        drop(first);
        let (mut first, mut second) = (all.call(), all.call());
        assert!(first.add(4) && second.add(4) && !second.add(4) && second.add(1));
        assert!(!first.add(0), "a fourth entry fitted");
        drop(second);
        assert!(first.add(6));
    }
}
