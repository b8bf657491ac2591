//! Whether the disk still has room, asked rarely enough to cost nothing.
//!
//! Not here: what to do about it. Must always hold: proposals are refused while there is still room for everything that
//! was accepted before, so that a full disk is an answer (`NoSpace`) and not a failed write.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::datadir;
use crate::faults::Faults;

/// The disk is asked again after this many written bytes.
const ASK_EVERY_BYTES: u64 = 1024 * 1024;

/// The room on the disk of one directory.
pub(crate) struct Room {
    dir: PathBuf,
    reserve_bytes: u64,
    faults: Arc<dyn Faults>,
    full: AtomicBool,
    unasked_bytes: AtomicU64,
    spent_bytes: AtomicU64,
}

impl Room {
    pub(crate) fn new(dir: PathBuf, reserve_bytes: u64, faults: Arc<dyn Faults>) -> Self {
        let room = Self {
            dir,
            reserve_bytes,
            faults,
            full: AtomicBool::new(false),
            unasked_bytes: AtomicU64::new(0),
            spent_bytes: AtomicU64::new(0),
        };
        room.ask();
        room
    }

    /// Whether proposals must be refused. A disk that was full is asked again each time.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) && self.ask()
    }

    /// Notes that `bytes` were written.
    pub(crate) fn spent(&self, bytes: u64) {
        self.spent_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.unasked_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes >= ASK_EVERY_BYTES {
            self.ask();
        }
    }

    /// All bytes that were noted.
    pub(crate) fn spent_bytes(&self) -> u64 {
        self.spent_bytes.load(Ordering::Relaxed)
    }

    fn ask(&self) -> bool {
        self.unasked_bytes.store(0, Ordering::Relaxed);
        // A filesystem that cannot say how full it is counts as having room; a failing write will tell.
        let free = datadir::free_bytes(&self.dir).unwrap_or(u64::MAX);
        let full = self.faults.free_bytes(free) < self.reserve_bytes;
        if full && !self.full.swap(full, Ordering::Relaxed) {
            tracing::error!(dir = %self.dir.display(), "the disk is nearly full: writes are refused");
        }
        self.full.store(full, Ordering::Relaxed);
        full
    }
}
