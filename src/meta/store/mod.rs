//! `StateStore`: an ordered map of bytes under the state machine.
//!
//! Not here: what keys mean (`layout`), how fresh they are (`state` keeps the newest in RAM).
//! Must always hold: a batch is atomic, also across a crash; nothing here is durable by promise — the log is — so a
//! store may be thrown away and rebuilt at any time.

pub mod memory;
pub mod shelf;
pub mod sled;

use bytes::Bytes;
use metad_raft::Fatal;

/// One change of a batch: the key, and its new value or its absence.
pub type Change = (Bytes, Option<Bytes>);

/// An ordered map of bytes.
pub trait StateStore: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal>;

    /// At most `limit` pairs with `from <= key < to`, in key order.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal>;

    /// The same from the other end: the highest keys of the range, highest first.
    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal>;

    /// Writes all of `batch` or nothing. A key occurs at most once in it.
    fn write(&self, batch: &[Change]) -> Result<(), Fatal>;

    /// Asks the operating system to keep what was written, before a clean end.
    fn flush(&self) -> Result<(), Fatal>;
}
