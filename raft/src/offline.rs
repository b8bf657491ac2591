//! Work without a running replicator: snapshot files from anywhere, and directories that nobody runs.
//!
//! ```text
//! a snapshot file ─► SnapshotFile (a source) ─► begin ─► the directory of a new log
//! the directory of a stopped member ─► replay ─► a machine that holds all of its log
//! ```
//!
//! Not here: what blocks hold (the machine), the switch from an old directory to a new one (the layer above).
//! Must always hold: a directory is a log's only once everything in it is on the disk; one that was used is never begun again.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::codec::CodecError;
use crate::consensus::offline::beginning;
pub use crate::consensus::offline::{Survivor, replay};
use crate::datadir::{self, DataDir, NodeKind};
use crate::error::{Fatal, StartError};
use crate::faults::NoFaults;
use crate::journal::Journal;
use crate::noop;
use crate::snapshot::{SnapshotError, SnapshotReader, SnapshotStore, SnapshotWriter, Summary, WriteError};
use crate::state_machine::{Applied, SnapshotSource};

/// Read and write buffer, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// A snapshot file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written, or was not written by us.
    #[error("is damaged or no snapshot: {0}")]
    Damaged(String),
    /// A newer build wrote it.
    #[error("{0}; use the metad that wrote it, or a newer one")]
    Newer(String),
}

impl From<SnapshotError> for SnapshotFileError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Io(e) => SnapshotFileError::Io(e),
            SnapshotError::Damaged(e @ CodecError::Newer { .. }) => SnapshotFileError::Newer(e.to_string()),
            SnapshotError::Damaged(e) => SnapshotFileError::Damaged(e.to_string()),
        }
    }
}

/// A snapshot file, read from front to back; each block is checked before it is given out.
pub struct SnapshotFile {
    reader: SnapshotReader<BufReader<File>>,
}

impl SnapshotFile {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, or does not begin as a snapshot does.
    pub fn open(path: &Path) -> Result<Self, SnapshotFileError> {
        let file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        Ok(Self { reader: SnapshotReader::new(file)? })
    }

    /// Index of the last entry that it contains, and the state hash, as the header says.
    pub fn header(&self) -> (u64, [u8; 16]) {
        let summary = self.reader.summary();
        (summary.applied.index, summary.state_hash)
    }

    /// The next block; `None` once the footer has confirmed that the file is whole.
    ///
    /// # Errors
    /// When anything is not as it was written.
    pub fn next_block(&mut self) -> Result<Option<Bytes>, SnapshotFileError> {
        Ok(self.reader.next_block()?)
    }
}

/// Writes everything that `source` gives to a new file, durably.
///
/// # Errors
/// A fault of the disk or of the source.
pub fn write_file(path: &Path, source: &mut dyn SnapshotSource) -> Result<(), Fatal> {
    let fault = |e: io::Error| Fatal::with(format!("cannot write {}", path.display()), e);
    let summary = Summary { applied: source.applied(), state_hash: source.state_hash() };
    let file = BufWriter::with_capacity(BUFFER_BYTES, File::create(path).map_err(fault)?);
    let mut writer = SnapshotWriter::new(file, &summary).map_err(fault)?;
    while let Some(block) = source.next_block()? {
        writer.block(&block).map_err(fault)?;
    }
    let buffered = writer.finish().map_err(fault)?;
    let file = buffered.into_inner().map_err(|e| fault(e.into_error()))?;
    file.sync_all().map_err(fault)
}

/// Which kind of log begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewLog {
    /// That of a node without consensus.
    NoOp,
    /// That of a cluster whose only voter is this node.
    Raft {
        /// The node's id.
        id: u64,
    },
}

/// A source under the mark of the log that it begins.
struct Marked<'a> {
    source: &'a mut dyn SnapshotSource,
    mark: Bytes,
}

impl SnapshotSource for Marked<'_> {
    fn applied(&self) -> Applied {
        Applied { index: self.source.applied().index, mark: self.mark.clone() }
    }

    fn state_hash(&self) -> [u8; 16] {
        self.source.state_hash()
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
        self.source.next_block()
    }
}

/// Makes the directory of a new log whose past is a snapshot. On return everything is on the disk.
///
/// # Errors
/// When the directory is in use or was used before, or a disk fails.
pub fn begin(root: &Path, kind: NewLog, source: &mut dyn SnapshotSource) -> Result<(), StartError> {
    let dir = DataDir::open(root)?;
    let node_kind = match kind {
        NewLog::NoOp => NodeKind::NoOp,
        NewLog::Raft { .. } => NodeKind::Raft,
    };
    let store = SnapshotStore::open(dir.snapshots(), Arc::new(NoFaults))?;
    let mut journal = Journal::open(&dir.log())?;
    let used = dir.identity(node_kind)?.is_some() || journal.identity().is_some() || journal.last().is_some();
    if used || !store.list()?.is_empty() {
        return Err(dir.refused("it holds a log already; choose an empty directory"));
    }
    let identity = datadir::draw_identity()?;
    let index = source.applied().index;
    let (mark, last, vote) = match kind {
        NewLog::NoOp => (noop::mark(identity), noop::log_id(index), None),
        NewLog::Raft { id } => {
            let (mark, last, vote) = beginning(id, index);
            (mark, last, Some(vote))
        }
    };
    store.write(&mut Marked { source, mark }, &|| false).map_err(|e| match e {
        WriteError::Fatal(fatal) => fatal,
        WriteError::NoSpace | WriteError::Cancelled => Fatal::with(format!("cannot fill {}", dir.name()), e),
    })?;
    let fault = |e| Fatal::with("cannot write the journal", e);
    journal.set_identity(identity).map_err(fault)?;
    if let Some(vote) = vote {
        journal.save_vote(vote).map_err(fault)?;
    }
    journal.purge(last).map_err(fault)?;
    journal.sync().map_err(fault)?;
    dir.set_identity(node_kind, identity)
}
