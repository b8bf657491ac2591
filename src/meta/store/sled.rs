//! The state store on sled 0.34.7: one tree, atomic batches.
//!
//! Not here: durability. sled's `flush` is `sync_file_range`, which survives the process and not the power, so the
//! log is what promises; this is a view of it that can be rebuilt (design D2, D3).
//! Must always hold: leftovers of a start that was killed (`snap.*.generating`) are removed before opening, because
//! sled 0.34 takes them for damage; the background flusher stays on, because only it collects garbage.

use std::path::Path;

use bytes::Bytes;
use metad_raft::Fatal;

use super::{Change, StateStore};
use crate::limits;

/// A sled tree.
pub struct SledStore {
    db: sled::Db,
}

impl SledStore {
    /// Opens or creates the database in `dir`.
    pub fn open(dir: &Path) -> Result<Self, Fatal> {
        remove_leftovers(dir)?;
        let db = sled::Config::default()
            .path(dir)
            .cache_capacity(limits::STORE_CACHE_BYTES)
            .flush_every_ms(Some(limits::STORE_FLUSH_EVERY_MS))
            .mode(sled::Mode::HighThroughput)
            .open()
            .map_err(|e| Fatal::with(format!("open the state store in {}", dir.display()), e))?;
        Ok(Self { db })
    }
}

/// Removes start-up snapshots that a killed process left unfinished.
fn remove_leftovers(dir: &Path) -> Result<(), Fatal> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Fatal::with(format!("list {}", dir.display()), e)),
    };
    for entry in entries {
        let path = entry.map_err(|e| Fatal::with(format!("list {}", dir.display()), e))?.path();
        if path.extension().is_some_and(|e| e == "generating") {
            std::fs::remove_file(&path).map_err(|e| Fatal::with(format!("remove {}", path.display()), e))?;
        }
    }
    Ok(())
}

fn fault(what: &'static str) -> impl FnOnce(sled::Error) -> Fatal {
    move |e| Fatal::with(format!("state store: {what}"), e)
}

fn copied(pair: sled::Result<(sled::IVec, sled::IVec)>) -> Result<(Bytes, Bytes), Fatal> {
    let (key, value) = pair.map_err(fault("scan"))?;
    Ok((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)))
}

impl StateStore for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        let found = self.db.get(key).map_err(fault("get"))?;
        Ok(found.map(|v| Bytes::copy_from_slice(&v)))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.db.range(from..to).take(limit).map(copied).collect()
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.db.range(from..to).rev().take(limit).map(copied).collect()
    }

    fn write(&self, batch: &[Change]) -> Result<(), Fatal> {
        let mut sled_batch = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => sled_batch.insert(key.as_ref(), value.as_ref()),
                None => sled_batch.remove(key.as_ref()),
            }
        }
        self.db.apply_batch(sled_batch).map_err(fault("write"))
    }

    fn flush(&self) -> Result<(), Fatal> {
        self.db.flush().map_err(fault("flush"))?;
        Ok(())
    }
}
