//! A snapshot on request: asks for one that is new enough, waits for it, opens it.
//!
//! Not here: who writes it (`keeper`). Must always hold: a view of the machine is taken on the journal's thread, between two
//! applies, and one at a time; nothing is appended to the journal.

use std::io;
use std::sync::Arc;

use super::writer::Writer;
use crate::datadir;
use crate::error::{Fatal, ReplicateError};
use crate::journal::OnFlushed;
use crate::replicator::SnapshotExport;
use crate::snapshot::export_from;

/// A snapshot that contains at least what is applied now.
pub(crate) async fn export(writer: &Arc<Writer>) -> Result<SnapshotExport, ReplicateError> {
    let mut status = writer.status.subscribe();
    let wanted = status.borrow().applied_index.max(1);
    let given_up = writer.ledger.lock().given_up();
    loop {
        let (failed, newest) = {
            let now = status.borrow_and_update();
            (now.failure.is_some(), now.snapshot_index)
        };
        if failed {
            return Err(ReplicateError::Stopped);
        }
        if newest >= wanted {
            match export_from(&datadir::snapshot_dir(&writer.options.dir), newest) {
                Ok(file) => return Ok(file),
                // Two newer ones came in between.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    tracing::error!(error = %e, index = newest, "a snapshot cannot be opened");
                    return Err(ReplicateError::Stopped);
                }
            }
        }
        if writer.ledger.lock().given_up() != given_up {
            return Err(ReplicateError::NoSpace);
        }
        ask(writer);
        let news = status.wait_for(|now| {
            now.failure.is_some()
                || now.snapshot_index > newest
                || writer.ledger.lock().given_up() != given_up
        });
        news.await.map_err(|_| ReplicateError::Stopped)?;
    }
}

/// Begins a snapshot on the journal's thread, unless one is being written.
fn ask(writer: &Arc<Writer>) {
    let worker = writer.clone();
    let then = OnFlushed::new(move |result| {
        let begun = match result {
            Ok(()) if worker.ledger.lock().start_now() => worker.begin_snapshot(),
            Ok(()) => Ok(()),
            Err(e) => Err(Fatal::with("cannot write the journal", e)),
        };
        if let Err(fatal) = begun {
            worker.fail(&fatal);
        }
    });
    if let Some(journal) = &mut *writer.journal.lock() {
        // An error here has dropped `then`, which has passed it on already.
        let _ = journal.flush(false, then);
    }
}
