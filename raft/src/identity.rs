//! The identity of a journal: drawn once, written into the journal and into `VERSION`, and compared at every start.
//!
//! Not here: the files (see `datadir` and `journal`). Must always hold: a directory whose parts do not belong together is
//! refused before anything in it changes.

use crate::datadir::{self, DataDir, NodeKind};
use crate::error::{Fatal, StartError};
use crate::journal::Journal;
use crate::journal::record::Identity;
use crate::snapshot::SnapshotStore;

/// Compares the two places where the identity is written; creates it in a new directory.
pub(crate) fn agree(
    dir: &DataDir,
    kind: NodeKind,
    version: Option<Identity>,
    journal: &mut Journal,
    snapshots: &SnapshotStore,
) -> Result<Identity, StartError> {
    let used = journal.last().is_some() || !snapshots.list()?.is_empty();
    match (version, journal.identity()) {
        (Some(a), Some(b)) if a == b => Ok(a),
        (Some(_), Some(_)) => Err(dir.refused(
            "its log/ belongs to another directory; put the log back that was written here, or choose another directory",
        )),
        (Some(_), None) => Err(dir.damaged("the log that belongs to its VERSION file is gone")),
        (None, _) if used => Err(dir.refused(
            "it holds a log but no VERSION file; restore that file or choose an empty directory",
        )),
        // New, or its creation was cut short.
        (None, named) => create(dir, kind, journal, named),
    }
}

fn create(
    dir: &DataDir,
    kind: NodeKind,
    journal: &mut Journal,
    named: Option<Identity>,
) -> Result<Identity, StartError> {
    let identity = match named {
        Some(identity) => identity,
        None => datadir::draw_identity()?,
    };
    journal.set_identity(identity).map_err(|e| Fatal::with("cannot write the journal", e))?;
    journal.sync().map_err(|e| Fatal::with("cannot sync the journal", e))?;
    dir.set_identity(kind, identity)?;
    Ok(identity)
}
