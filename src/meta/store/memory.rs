//! A state store in RAM, for tests of everything above it.
//!
//! Not here: persistence. Must always hold: it behaves like the real one between two crashes.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use metad_raft::Fatal;
use parking_lot::RwLock;

use super::{Change, StateStore};

/// A map in RAM.
#[derive(Debug, Default)]
pub struct MemoryStore(RwLock<BTreeMap<Bytes, Bytes>>);

impl StateStore for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        Ok(self.0.read().get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let map = self.0.read();
        let range = map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(range.take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let map = self.0.read();
        let range = map.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        Ok(range.rev().take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn write(&self, batch: &[Change]) -> Result<(), Fatal> {
        let mut map = self.0.write();
        for (key, value) in batch {
            match value {
                Some(value) => map.insert(key.clone(), value.clone()),
                None => map.remove(key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Fatal> {
        Ok(())
    }
}
