//! The state hash: an order-free sum over the content, kept incrementally.
//!
//! Not here: when nodes compare it (cluster). Must always hold: it covers exactly what a snapshot contains; two nodes
//! with equal content have equal hashes, however they came to it.

use xxhash_rust::xxh3::xxh3_128;

/// The sum of the hashes of all pairs of key and value, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateHash {
    sum: u128,
    /// Bytes of all keys and values that the sum covers.
    pub bytes: u64,
}

impl StateHash {
    /// A hash as it was stored.
    pub fn from_parts(sum: [u8; 16], bytes: u64) -> Self {
        Self { sum: u128::from_le_bytes(sum), bytes }
    }

    /// Takes a pair in.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.sum = self.sum.wrapping_add(pair(key, value));
        self.bytes += (key.len() + value.len()) as u64;
    }

    /// Takes a pair out that was taken in before.
    pub fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.sum = self.sum.wrapping_sub(pair(key, value));
        self.bytes -= (key.len() + value.len()) as u64;
    }

    /// The sum of two disjoint contents.
    pub fn plus(self, other: Self) -> Self {
        Self { sum: self.sum.wrapping_add(other.sum), bytes: self.bytes + other.bytes }
    }

    /// The hash as bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.sum.to_le_bytes()
    }
}

/// Hash of one pair. The key's length is hashed too, so that no pair can pass for another one cut elsewhere.
fn pair(key: &[u8], value: &[u8]) -> u128 {
    let mut buffer = Vec::with_capacity(4 + key.len() + value.len());
    buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
    xxh3_128(&buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_changes_does_not_matter_and_removal_undoes() {
        let (mut one, mut two) = (StateHash::default(), StateHash::default());
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        two.add(b"b", b"2");
        two.add(b"c", b"3");
        two.add(b"a", b"1");
        two.remove(b"c", b"3");
        assert_eq!(one, two);
    }

    #[test]
    fn a_pair_cut_elsewhere_is_another_pair() {
        let (mut one, mut two) = (StateHash::default(), StateHash::default());
        one.add(b"ab", b"c");
        two.add(b"a", b"bc");
        assert_ne!(one, two);
    }
}
