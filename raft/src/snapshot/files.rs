//! The directory of snapshot files: write, list, open, prune.
//!
//! Not here: the bytes of a file (see `format`), files that come from another node (see `incoming`).
//! Must always hold: the order is write, fsync, rename, fsync of the directory, and only then delete the oldest; so a
//! crash at any point leaves the snapshots that were there before, and perhaps the new one.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

use super::format::{SnapshotError, SnapshotReader, SnapshotWriter, Summary, sealed_checksum};
use crate::datadir;
use crate::error::Fatal;
use crate::faults::{Faults, Step};
use crate::replicator::SnapshotExport;
use crate::state_machine::SnapshotSource;

const SUFFIX: &str = ".snapshot";
/// Snapshots kept: the newest, and the one before it in case the newest cannot be read.
const KEEP: usize = 2;
/// Write and read buffer, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// Why a snapshot was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The disk is full; what was written is deleted again.
    #[error("no space left for a snapshot")]
    NoSpace,
    /// The replicator is stopping.
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// A directory of snapshots.
pub(crate) struct SnapshotStore {
    pub(super) dir: PathBuf,
    pub(super) faults: Arc<dyn Faults>,
    /// Held for reading by whoever writes.
    pub(super) busy: RwLock<()>,
    closing: AtomicBool,
}

impl SnapshotStore {
    /// Opens the directory and deletes what a crash left half-written.
    pub(crate) fn open(dir: PathBuf, faults: Arc<dyn Faults>) -> Result<Self, Fatal> {
        let store = Self { dir, faults, busy: RwLock::default(), closing: AtomicBool::new(false) };
        store.sweep().map_err(|e| store.fault("clean", e))?;
        Ok(store)
    }

    /// Ends all writing: a snapshot that is being written is given up at its next block, and none is begun. On return nothing
    /// touches the directory any more.
    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        drop(self.busy.write());
    }

    /// An error once the directory is closed.
    pub(super) fn open_for_writing(&self) -> io::Result<RwLockReadGuard<'_, ()>> {
        let guard = self.busy.read();
        if self.closing.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "this node stops"));
        }
        Ok(guard)
    }

    /// Indexes of the snapshots that are there, the newest first.
    pub(crate) fn list(&self) -> Result<Vec<u64>, Fatal> {
        let mut found: Vec<u64> = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|e| self.fault("read", e))? {
            let name = entry.map_err(|e| self.fault("read", e))?.file_name();
            let index: Option<u64> = name.to_str().and_then(|n| n.strip_suffix(SUFFIX)?.parse().ok());
            found.extend(index);
        }
        found.sort_unstable();
        found.reverse();
        Ok(found)
    }

    /// Opens a snapshot for reading.
    pub(crate) fn read(&self, index: u64) -> Result<SnapshotReader<BufReader<File>>, SnapshotError> {
        let file = File::open(self.path(index))?;
        SnapshotReader::new(BufReader::with_capacity(BUFFER_BYTES, file))
    }

    /// Opens a snapshot for sending: the file, its length and the checksum in its footer.
    pub(crate) fn outgoing(&self, index: u64) -> Result<(File, u64, u32), SnapshotError> {
        let mut file = File::open(self.path(index))?;
        let len = file.metadata()?.len();
        let crc = sealed_checksum(&mut file, len)?;
        Ok((file, len, crc))
    }

    /// Bytes of a snapshot file.
    pub(crate) fn bytes(&self, index: u64) -> u64 {
        fs::metadata(self.path(index)).map_or(0, |m| m.len())
    }

    /// Writes everything that `source` gives. On return the snapshot is durable and older ones are pruned.
    ///
    /// `cancelled` is asked between blocks.
    pub(crate) fn write(
        &self,
        source: &mut dyn SnapshotSource,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<u64, WriteError> {
        let _busy = self.open_for_writing().map_err(|_| WriteError::Cancelled)?;
        let cancelled = || cancelled() || self.closing.load(Ordering::Acquire);
        let summary = Summary { applied: source.applied(), state_hash: source.state_hash() };
        let index = summary.applied.index;
        let tmp = self.dir.join(format!("{index:020}.tmp"));
        let written = self.write_tmp(&tmp, &summary, source, &cancelled);
        let done = written.and_then(|()| self.publish(&tmp, index).map_err(|e| self.write_error(e)));
        if done.is_err() {
            // The error that counts is the first one; a leftover is swept at the next start.
            let _ = fs::remove_file(&tmp);
        }
        done.map(|()| index)
    }

    fn write_tmp(
        &self,
        tmp: &Path,
        summary: &Summary,
        source: &mut dyn SnapshotSource,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), WriteError> {
        let fail = |e| self.write_error(e);
        self.faults.before(Step::SnapshotCreate).map_err(fail)?;
        let file = File::create(tmp).map_err(fail)?;
        let buffered = BufWriter::with_capacity(BUFFER_BYTES, file);
        let mut writer = SnapshotWriter::new(buffered, summary).map_err(fail)?;
        while let Some(block) = source.next_block()? {
            if cancelled() {
                return Err(WriteError::Cancelled);
            }
            self.faults.before(Step::SnapshotBlock).map_err(fail)?;
            writer.block(&block).map_err(fail)?;
        }
        let buffered = writer.finish().map_err(fail)?;
        let file = buffered.into_inner().map_err(|e| fail(e.into_error()))?;
        self.faults.before(Step::SnapshotSync).map_err(fail)?;
        file.sync_all().map_err(fail)
    }

    /// Gives a complete and synced file its final name, and prunes.
    pub(super) fn publish(&self, tmp: &Path, index: u64) -> io::Result<()> {
        self.faults.before(Step::SnapshotRename)?;
        fs::rename(tmp, self.path(index))?;
        self.faults.before(Step::SnapshotDirSync)?;
        datadir::sync_dir(&self.dir)?;
        self.faults.before(Step::SnapshotPrune)?;
        for old in self.list().map_err(io::Error::other)?.into_iter().skip(KEEP) {
            fs::remove_file(self.path(old))?;
        }
        Ok(())
    }

    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, index: u64) -> PathBuf {
        path_in(&self.dir, index)
    }

    fn write_error(&self, error: io::Error) -> WriteError {
        if is_full(&error) { WriteError::NoSpace } else { self.fault("write a snapshot to", error).into() }
    }

    fn fault(&self, what: &str, error: io::Error) -> Fatal {
        Fatal::with(format!("cannot {what} {}", self.dir.display()), error)
    }
}

/// Where the snapshot of an index lies.
fn path_in(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{index:020}{SUFFIX}"))
}

/// Opens a snapshot to be copied. `NotFound` once newer ones have replaced it.
pub(crate) fn export_from(dir: &Path, index: u64) -> io::Result<SnapshotExport> {
    let file = File::open(path_in(dir, index))?;
    let bytes = file.metadata()?.len();
    Ok(SnapshotExport { index, bytes, file })
}

/// The disk has no room, for everybody or for this user.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
