//! Recent values: what the store holds of the keys that were read or written lately, in RAM.
//!
//! ```text
//! reader ─► overlay (newer than the store) ─► recent values (as the store has them) ─► store
//! ```
//!
//! A look into sled costs a few microseconds, one into here a tenth of that; apply reads each record that it changes.
//!
//! Not here: values that the store does not have yet (`state`). Must always hold: for a key that is not in the overlay, what
//! is here is what the store has; the bytes are bounded.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::limits;

/// What a value weighs, in bytes.
#[derive(Clone)]
struct Weigh;

impl Weighter<Bytes, Option<Bytes>> for Weigh {
    fn weight(&self, key: &Bytes, value: &Option<Bytes>) -> u64 {
        (key.len() + value.as_ref().map_or(0, Bytes::len) + limits::RECENT_ENTRY_BYTES) as u64
    }
}

/// The values; `None` in it says that the store has nothing under a key.
pub(super) struct Recent(Cache<Bytes, Option<Bytes>, Weigh>);

impl Default for Recent {
    fn default() -> Self {
        let bytes = limits::RECENT_BYTES_MAX;
        Self(Cache::with_weighter((bytes / RECENT_VALUE_BYTES) as usize, bytes, Weigh))
    }
}

/// What a value is expected to weigh, in bytes: sizes the index only.
const RECENT_VALUE_BYTES: u64 = 512;

impl Recent {
    /// What the store has, if that is known.
    pub fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.0.get(key)
    }

    /// Keeps what the store has.
    pub fn keep(&self, key: &[u8], value: Option<&Bytes>) {
        if value.is_some_and(|value| value.len() > limits::RECENT_VALUE_BYTES_MAX) {
            self.0.remove(key);
            return;
        }
        // Copies: a slice of a log entry would keep the whole entry in memory.
        self.0.insert(Bytes::copy_from_slice(key), value.map(|value| Bytes::copy_from_slice(value)));
    }

    /// Forgets everything: there is another store.
    pub fn clear(&self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_too_large_to_keep_takes_the_place_of_the_small_one_before_it() {
        let recent = Recent::default();
        recent.keep(b"k", Some(&Bytes::from_static(b"small")));
        assert_eq!(recent.get(b"k"), Some(Some(Bytes::from_static(b"small"))));
        recent.keep(b"k", Some(&Bytes::from(vec![0; limits::RECENT_VALUE_BYTES_MAX + 1])));
        assert_eq!(recent.get(b"k"), None, "the store has to be asked");
        recent.keep(b"k", None);
        assert_eq!(recent.get(b"k"), Some(None), "the store has nothing");
    }

    #[test]
    fn memory_is_bounded_however_many_keys_come() {
        let recent = Recent::default();
        let value = Bytes::from(vec![0; 1024]);
        let keys = 4 * limits::RECENT_BYTES_MAX / 1024;
        for n in 0..keys {
            recent.keep(&n.to_be_bytes(), Some(&value));
        }
        assert!(recent.0.weight() <= limits::RECENT_BYTES_MAX);
        assert!(recent.0.len() as u64 > keys / 16, "and it is used");
    }
}
