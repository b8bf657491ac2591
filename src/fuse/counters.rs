//! Counters of one mount.
//!
//! Not here: the metrics page, which reads [`Counts`]. Must always hold: a counter never goes back.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happened since the mount, for status and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Opens that the kernel serves by itself.
    pub opens_passthrough: u64,
    /// Opens whose reads come to the daemon.
    pub opens_cached: u64,
    /// Opens that failed, for whatever reason.
    pub opens_failed: u64,
    /// Backing files registered with the kernel.
    pub backings_registered: u64,
    /// Registrations that the kernel refused.
    pub backings_refused: u64,
    /// Reads that the daemon served.
    pub reads: u64,
    /// Of those, the ones that had to wait for the disk.
    pub reads_cold: u64,
    /// Opens and reads answered EIO because the disk was late.
    pub late: u64,
    /// Handlers that panicked and were answered EIO.
    pub panics: u64,
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of a mount; fields as in [`Counts`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) opens_passthrough: Counter,
    pub(super) opens_cached: Counter,
    pub(super) opens_failed: Counter,
    pub(super) backings_registered: Counter,
    pub(super) backings_refused: Counter,
    pub(super) reads: Counter,
    pub(super) reads_cold: Counter,
    pub(super) late: Counter,
    pub(super) panics: Counter,
}

impl Counters {
    /// The numbers now.
    pub(super) fn read(&self) -> Counts {
        Counts {
            opens_passthrough: self.opens_passthrough.get(),
            opens_cached: self.opens_cached.get(),
            opens_failed: self.opens_failed.get(),
            backings_registered: self.backings_registered.get(),
            backings_refused: self.backings_refused.get(),
            reads: self.reads.get(),
            reads_cold: self.reads_cold.get(),
            late: self.late.get(),
            panics: self.panics.get(),
        }
    }
}
