//! The two containers under the tree: a slab that never moves its items, and an index from hash to slab slot.
//!
//! Not here: what lies in them. Both exist for memory: at a million files a `HashMap<u64, u32>` costs 35 bytes a file
//! where [`SlotTable`] costs at most 11, and a doubling `Vec` may hold twice its content where [`Slab`] holds one
//! block more.
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
        let mask = self.cells.len() - 1;
        let mut at = spread(hash) & mask;
        loop {
            match self.cells[at] {
                EMPTY => return None,
                slot if is(slot) => return Some(slot),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Puts a slot in. `hash_of` gives the hash of any slot in the table.
    pub(super) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        if (self.len + 1) * 4 > self.cells.len() * 3 {
            let room = (self.cells.len() * 2).max(16);
            let old = std::mem::replace(&mut self.cells, vec![EMPTY; room]);
            for kept in old.into_iter().filter(|s| *s != EMPTY) {
                self.put(hash_of(kept), kept);
            }
        }
        self.put(hash, slot);
        self.len += 1;
    }

    fn put(&mut self, hash: u64, slot: u32) {
        let mask = self.cells.len() - 1;
        let mut at = spread(hash) & mask;
        while self.cells[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.cells[at] = slot;
    }

    /// Takes a slot out, closing the gap so that no marker of the removal stays behind.
    pub(super) fn remove(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let mask = self.cells.len() - 1;
        let mut gap = spread(hash) & mask;
        while self.cells[gap] != slot {
            assert!(self.cells[gap] != EMPTY, "what is removed from an index was put into it");
            gap = (gap + 1) & mask;
        }
        let mut at = (gap + 1) & mask;
        while self.cells[at] != EMPTY {
            let home = spread(hash_of(self.cells[at])) & mask;
            // The item may move back to the gap only if its home is not after the gap.
            if (at.wrapping_sub(home) & mask) >= (at.wrapping_sub(gap) & mask) {
                self.cells[gap] = self.cells[at];
                gap = at;
            }
            at = (at + 1) & mask;
        }
        self.cells[gap] = EMPTY;
        self.len -= 1;
    }

    /// Heap bytes.
    pub(super) fn bytes(&self) -> usize {
        self.cells.capacity() * 4
    }
}

/// Inode numbers come from a counter; multiplying spreads them over the table. Source: Fibonacci hashing.
fn spread(hash: u64) -> usize {
    (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_slot_table_answers_like_a_map(ops in prop::collection::vec((any::<bool>(), 0u32..200), 0..600)) {
            // Few distinct hashes, so that chains of clashes are the rule.
            let hash_of = |slot: u32| u64::from(slot % 7);
            let mut table = SlotTable::default();
            let mut model = std::collections::BTreeSet::new();
            for (insert, slot) in ops {
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
