//! The determinism guard: hashes of the state at certain indexes, to be compared between nodes.
//!
//! Equal index must have equal hash on every node. Single samples would hardly ever meet under load, so every node keeps the
//! hash after each entry whose index is a multiple of [`DIGEST_EVERY`], and its newest one.
//!
//! Not here: who asks whom (`node`). Must always hold: nothing is written to the log for it; a digest is of exactly its
//! index; the ring is bounded.
//!
//! Source: design D21; issue 3, "Determinism guard".

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use crate::limits::{DIGEST_EVERY, DIGESTS_MAX};

/// Applied index and state hash.
pub type Digest = (u64, [u8; 16]);

/// A node's recent digests.
#[derive(Debug, Default)]
pub struct Digests(Mutex<VecDeque<Digest>>);

/// Whether the digest of this index is kept.
pub fn is_kept(index: u64) -> bool {
    index.is_multiple_of(DIGEST_EVERY)
}

impl Digests {
    /// Adds what a chunk passed.
    pub fn extend(&self, digests: impl IntoIterator<Item = Digest>) {
        let mut ring = self.0.lock();
        ring.extend(digests);
        while ring.len() > DIGESTS_MAX {
            ring.pop_front();
        }
    }

    /// Forgets everything: the state comes from elsewhere now.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// All that is kept, and the newest.
    pub fn recent(&self, newest: Digest) -> Vec<Digest> {
        let mut recent: Vec<Digest> = self.0.lock().iter().copied().collect();
        recent.push(newest);
        recent
    }
}

/// The first index at which two nodes differ.
pub fn first_difference(ours: &[Digest], theirs: &[Digest]) -> Option<u64> {
    let known: BTreeMap<u64, [u8; 16]> = ours.iter().copied().collect();
    let differing = theirs.iter().filter(|(index, hash)| known.get(index).is_some_and(|own| own != hash));
    differing.map(|(index, _)| *index).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_indexes_with_unequal_hashes_are_found_and_nothing_else() {
        let digest = |index, byte| (index, [byte; 16]);
        let ours = [digest(16, 1), digest(32, 2), digest(40, 3)];
        assert_eq!(first_difference(&ours, &[digest(16, 1), digest(33, 9)]), None);
        assert_eq!(first_difference(&ours, &[digest(40, 9), digest(32, 9)]), Some(32));
        assert_eq!(first_difference(&ours, &[]), None);
    }

    #[test]
    fn the_ring_is_bounded_and_ends_with_the_newest() {
        let digests = Digests::default();
        digests.extend((0..DIGESTS_MAX as u64 + 5).map(|n| (n * DIGEST_EVERY, [0; 16])));
        let recent = digests.recent((7, [1; 16]));
        assert_eq!((recent.len(), recent.last()), (DIGESTS_MAX + 1, Some(&(7, [1; 16]))));
    }
}
