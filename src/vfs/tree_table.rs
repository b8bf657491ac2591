//! The two containers under the tree: a slab that never moves its items, and an index from hash to slab slot.
//!
//! Not here: what lies in them. Both exist for memory: at a million files a `HashMap<u64, u32>` costs 35 bytes a file
//! where [`SlotTable`] costs 6 when it was built and at most 8, and a doubling `Vec` may hold twice its content where
//! [`Slab`] holds one block more.
//! Must always hold: neither has an order of its own that anybody sees; a slot is used again only after its removal.

/// Items per block of a [`Slab`].
const BLOCK: usize = 1024;
/// An unused cell of a [`SlotTable`].
const EMPTY: u32 = u32::MAX;

/// Items with stable 32-bit numbers.
#[derive(Debug)]
pub(super) struct Slab<T> {
    blocks: Vec<Vec<Option<T>>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { blocks: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    /// Puts an item in and gives its slot.
    pub(super) fn insert(&mut self, item: T) -> u32 {
        self.len += 1;
        if let Some(slot) = self.free.pop() {
            self.blocks[slot as usize / BLOCK][slot as usize % BLOCK] = Some(item);
            return slot;
        }
        if self.blocks.last().is_none_or(|b| b.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let block = self.blocks.last_mut().expect("a block was just made sure of");
        block.push(Some(item));
        u32::try_from(before + block.len() - 1).expect("fewer than 2^31 nodes, bounded by memory")
    }

    /// Takes an item out.
    pub(super) fn remove(&mut self, slot: u32) -> T {
        self.len -= 1;
        self.free.push(slot);
        self.blocks[slot as usize / BLOCK][slot as usize % BLOCK].take().expect("removed slots were in use")
    }

    /// The number of items.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Heap bytes of the slab itself.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() * BLOCK * size_of::<Option<T>>() + self.free.capacity() * 4
    }

    /// All items, in the order of their slots: for sums, never for anything that shows an order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flatten().flatten()
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.blocks.iter_mut().flatten().flatten()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
            .as_ref()
            .expect("slots are used while in use")
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
            .as_mut()
            .expect("slots are used while in use")
    }
}

/// An open-addressing index of slots. It stores no hashes: the caller can compute an item's hash from its slot.
#[derive(Debug, Default)]
pub(super) struct SlotTable {
    cells: Vec<u32>,
    len: usize,
}

impl SlotTable {
    /// The slot with this hash that `is` accepts.
    pub(super) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Option<u32> {
        if self.cells.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        loop {
            match self.cells[at] {
                EMPTY => return None,
                slot if is(slot) => return Some(slot),
                _ => at = self.after(at),
            }
        }
    }

    /// Puts a slot in. `hash_of` gives the hash of any slot in the table.
    pub(super) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.len + 1) * 4 > self.cells.len() * 3 {
            // By half and not double: what is unused counts once a file.
            self.resize((self.cells.len() / 2 * 3).max(16), hash_of);
        }
        self.put(hash, slot);
        self.len += 1;
    }

    /// Gives back what growth left unused, but for room for some per cent more.
    pub(super) fn fit(&mut self, hash_of: impl Fn(u32) -> u64) {
        let room = (self.len / 2 * 3).max(16);
        if room < self.cells.len() {
            self.resize(room, hash_of);
        }
    }

    fn resize(&mut self, room: usize, hash_of: impl Fn(u32) -> u64) {
        let old = std::mem::replace(&mut self.cells, vec![EMPTY; room]);
        for kept in old.into_iter().filter(|s| *s != EMPTY) {
            self.put(hash_of(kept), kept);
        }
    }

    fn put(&mut self, hash: u64, slot: u32) {
        let mut at = self.home(hash);
        while self.cells[at] != EMPTY {
            at = self.after(at);
        }
        self.cells[at] = slot;
    }

    /// Takes a slot out, closing the gap so that no marker of the removal stays behind.
    pub(super) fn remove(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let mut gap = self.home(hash);
        while self.cells[gap] != slot {
            assert!(self.cells[gap] != EMPTY, "what is removed from an index was put into it");
            gap = self.after(gap);
        }
        let mut at = self.after(gap);
        while self.cells[at] != EMPTY {
            let home = self.home(hash_of(self.cells[at]));
            // The item may move back to the gap only if its home is not after the gap.
            if self.steps(home, at) >= self.steps(gap, at) {
                self.cells[gap] = self.cells[at];
                gap = at;
            }
            at = self.after(at);
        }
        self.cells[gap] = EMPTY;
        self.len -= 1;
    }

    /// The first cell to look at for a hash. Inode numbers come from a counter; multiplying spreads them over the
    /// table. Sources: Fibonacci hashing; Lemire, "Fast random integer generation in an interval" (any table length).
    fn home(&self, hash: u64) -> usize {
        let spread = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        ((spread * self.cells.len() as u64) >> 32) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.cells.len() { 0 } else { at + 1 }
    }

    /// Steps from a cell on to another.
    fn steps(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.cells.len() - from }
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        self.cells.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_slot_table_answers_like_a_map(
            ops in prop::collection::vec((any::<bool>(), 0u32..200), 0..600),
            hashes in prop::sample::select(vec![7u32, 1000]),
            fit_at in 0usize..600,
        ) {
            // Few distinct hashes, so that chains of clashes are the rule.
            let hash_of = |slot: u32| u64::from(slot % hashes);
            let mut table = SlotTable::default();
            let mut model = std::collections::BTreeSet::new();
            for (n, (insert, slot)) in ops.into_iter().enumerate() {
                if n == fit_at {
                    table.fit(hash_of);
                }
                if insert && model.insert(slot) {
                    table.insert(hash_of(slot), slot, hash_of);
                } else if !insert && model.remove(&slot) {
                    table.remove(hash_of(slot), slot, hash_of);
                }
                for s in 0..200 {
                    prop_assert_eq!(table.find(hash_of(s), |x| x == s), model.get(&s).copied());
                }
            }
        }
    }

    #[test]
    fn a_slab_gives_freed_slots_out_again_and_counts() {
        let mut slab = Slab::default();
        let slots: Vec<u32> = (0..3000).map(|n| slab.insert(n)).collect();
        assert_eq!(slab.remove(slots[1500]), 1500);
        assert_eq!((slab.len(), slab[2999], slab.insert(7)), (2999, 2999, slots[1500]));
        assert_eq!(slab.iter().count(), 3000);
    }
}
