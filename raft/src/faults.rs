//! A seam for tests: what happens right before each step that touches the disk.
//!
//! Not here: any policy; production uses [`NoFaults`]. Must always hold: every step at which a crash or a full disk
//! could leave something half-done passes here first, so that a test can stop, copy or fail at exactly that point.

use std::io;

/// A step that touches the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Entries are handed to the journal's writer.
    JournalWrite,
    /// A vote is handed to the journal's writer.
    JournalVote,
    /// Entries that a new leader does not have are taken off the journal's end.
    JournalTruncate,
    /// The journal drops the entries behind a snapshot.
    JournalPurge,
    /// The temporary file of a snapshot is created.
    SnapshotCreate,
    /// A block goes into it.
    SnapshotBlock,
    /// Its data is forced to the disk.
    SnapshotSync,
    /// It takes its final name.
    SnapshotRename,
    /// The directory that names it is forced to the disk.
    SnapshotDirSync,
    /// The oldest snapshot is deleted.
    SnapshotPrune,
}

/// What a test does to the disk.
pub trait Faults: Send + Sync {
    /// Called right before `step`; an error takes the place of the step.
    fn before(&self, step: Step) -> io::Result<()> {
        let _ = step;
        Ok(())
    }

    /// The free bytes to believe in, given those that the filesystem reports.
    fn free_bytes(&self, reported: u64) -> u64 {
        reported
    }
}

/// A disk as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}
