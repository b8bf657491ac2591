//! The keeper: the thread that writes snapshots and purges the journal behind them.
//!
//! Not here: when (see `ledger`) and what (the machine).
//! Must always hold: the journal is on the disk up to the snapshot's index before the snapshot gets its name, and the
//! snapshot is on the disk before the journal behind it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::writer::Writer;
use crate::error::Fatal;
use crate::snapshot::{SnapshotStore, WriteError};
use crate::state_machine::SnapshotSource;

/// A handle to the thread.
pub(crate) struct Keeper {
    jobs: SyncSender<Box<dyn SnapshotSource>>,
    cancelled: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn spawn(writer: Arc<Writer>, store: SnapshotStore) -> Result<Self, Fatal> {
        let (jobs, queue) = sync_channel(1);
        let cancelled = Arc::new(AtomicBool::new(false));
        let worker = Worker { writer, store, cancelled: cancelled.clone() };
        let thread = std::thread::Builder::new()
            .name("metad-snapshot".to_string())
            .spawn(move || worker.run(&queue))
            .map_err(|e| Fatal::with("cannot start the snapshot thread", e))?;
        Ok(Self { jobs, cancelled, thread })
    }

    /// Hands over a view to be written. The ledger starts one at a time, so the queue has room.
    pub(crate) fn save(&self, source: Box<dyn SnapshotSource>) {
        // A thread that ended has failed the replicator already.
        let _ = self.jobs.try_send(source);
    }

    /// Stops the thread; a snapshot that is being written is given up at its next block.
    pub(crate) fn stop(self) {
        self.cancelled.store(true, Ordering::Relaxed);
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the snapshot thread panicked");
        }
    }
}

struct Worker {
    writer: Arc<Writer>,
    store: SnapshotStore,
    cancelled: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self, queue: &Receiver<Box<dyn SnapshotSource>>) {
        while let Ok(source) = queue.recv() {
            if let Err(fatal) = self.save(source) {
                return self.writer.fail(&fatal);
            }
        }
    }

    fn save(&self, mut source: Box<dyn SnapshotSource>) -> Result<(), Fatal> {
        let writer = &self.writer;
        writer.sync().map_err(|e| Fatal::with("cannot sync the journal", e))?;
        let written = self.store.write(&mut *source, &|| self.cancelled.load(Ordering::Relaxed));
        // A machine lends one view at a time, and the ledger may ask for the next one from here on.
        drop(source);
        match written {
            Ok(index) => self.purge_behind(index),
            Err(WriteError::Fatal(fatal)) => Err(fatal),
            Err(skipped @ (WriteError::NoSpace | WriteError::Cancelled)) => {
                tracing::warn!(reason = %skipped, "no snapshot; the journal stays as it is");
                writer.ledger.lock().abandoned();
                // Whoever waits for a snapshot looks again.
                writer.status.send_modify(|_| {});
                Ok(())
            }
        }
    }

    fn purge_behind(&self, index: u64) -> Result<(), Fatal> {
        let writer = &self.writer;
        let bytes = self.store.bytes(index);
        let upto = writer.ledger.lock().finished(index, bytes);
        tracing::info!(index, bytes, purged = upto, "snapshot written");
        if upto > 0 {
            writer.purge(upto).map_err(|e| Fatal::with("cannot purge the journal", e))?;
        }
        // Said last: whoever sees the index sees the purge done as well.
        writer.status.send_modify(|s| {
            s.snapshot_index = index;
            s.purged_index = s.purged_index.max(upto);
        });
        Ok(())
    }
}
