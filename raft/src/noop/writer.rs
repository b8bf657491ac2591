//! The writer: takes what waits, writes it, applies it, answers, and starts over.
//!
//! Not here: back-pressure (`intake`), snapshots (`keeper`), start-up (`recovery`).
//! Must always hold:
//! * at most one chunk is between journal and answer, and chunks are applied in the order of their indexes;
//! * an entry is applied only after its bytes are as durable as the settings say, and answered only after it is applied;
//! * the first error is the last thing that happens: everything later is refused.
//!
//! There is no thread of our own on this path. The journal writes on its one writer thread and calls back on it when
//! a flush is done; [`Writer::turn`] is that callback. It applies the chunk that was flushed, answers its callers, and
//! hands the journal whatever has queued up meanwhile. So a lone proposal crosses threads twice (there and back), and
//! under load nothing waits for a thread switch at all.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::intake::{Call, Intake};
use super::keeper::Keeper;
use super::ledger::Ledger;
use super::options::{Durability, Options};
use crate::error::{Fatal, ReplicateError};
use crate::faults::Step;
use crate::journal::record::{LogId, Payload, PayloadKind, RECORD_OVERHEAD_BYTES};
use crate::journal::{Journal, OnFlushed, stopped};
use crate::replicator::Status;
use crate::room::Room;
use crate::snapshot::is_full;
use crate::state_machine::{Applied, Entry, StateMachine};

/// Entries on their way from the journal to the callers.
struct Chunk {
    calls: Vec<Call>,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Chunk {
    fn new(calls: Vec<Call>, first: u64) -> Self {
        let bodies = calls.iter().flat_map(|c| c.entries.iter());
        let entries: Vec<_> =
            (first..).zip(bodies).map(|(index, ops)| Entry::Ops { index, ops: ops.clone() }).collect();
        let bytes =
            calls.iter().flat_map(|c| &c.entries).map(|ops| ops.len() + RECORD_OVERHEAD_BYTES).sum::<usize>();
        Self { calls, entries, bytes: bytes as u64 }
    }

    fn last_index(&self) -> u64 {
        self.entries.last().expect("a chunk is never empty").index()
    }

    fn records(&self) -> impl Iterator<Item = (LogId, Payload)> + '_ {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Ops { index, ops } => {
                Some((log_id(*index), Payload { kind: PayloadKind::Ops, body: ops.clone() }))
            }
            Entry::Blank { .. } => None,
        })
    }

    fn answer(self) {
        let mut first = self.entries.first().expect("a chunk is never empty").index();
        for call in self.calls {
            let next = first + call.entries.len() as u64;
            call.done(first);
            first = next;
        }
    }
}

/// The name of an entry in a journal without terms.
pub(crate) fn log_id(index: u64) -> LogId {
    LogId { term: 0, node: 0, index }
}

/// Everything the write path shares.
pub(crate) struct Writer {
    pub options: Options,
    pub intake: Intake,
    pub room: Room,
    pub machine: Arc<dyn StateMachine>,
    /// What the machine stores beside its applied index: which journal it belongs to.
    pub mark: Bytes,
    /// `None` once stopped.
    pub journal: Mutex<Option<Journal>>,
    pub ledger: Mutex<Ledger>,
    pub status: watch::Sender<Status>,
    pub keeper: Mutex<Option<Keeper>>,
}

impl Writer {
    /// Starts writing from idle: the journal's thread comes back with nothing written, and takes what waits.
    pub(crate) fn start(self: &Arc<Self>) {
        self.flush(None, false);
    }

    /// Called on the journal's thread when a flush is done.
    fn turn(self: &Arc<Self>, flushed: Option<Chunk>, result: io::Result<()>) {
        if let Err(e) = result {
            return self.fail_write(e, flushed);
        }
        // A panicking machine must not leave callers waiting for ever.
        let step = AssertUnwindSafe(|| self.commit(flushed).map(|()| self.next()));
        match catch_unwind(step) {
            Ok(Ok(())) => {}
            Ok(Err(fatal)) => self.fail(&fatal),
            Err(_) => self.fail(&Fatal::new("the state machine panicked")),
        }
    }

    fn commit(self: &Arc<Self>, flushed: Option<Chunk>) -> Result<(), Fatal> {
        let Some(chunk) = flushed else { return Ok(()) };
        let index = chunk.last_index();
        self.machine.log_flushed(index);
        let upto = Applied { index, mark: self.mark.clone() };
        if let Err(fatal) = self.machine.apply(&chunk.entries, &upto) {
            self.fail_with(&fatal, Some(chunk));
            return Ok(());
        }
        self.status.send_modify(|s| {
            (s.last_log_index, s.committed_index, s.applied_index) = (index, index, index);
        });
        let bytes = chunk.bytes;
        chunk.answer();
        self.room.spent(bytes);
        self.snapshot_if_due(index, bytes)
    }

    fn snapshot_if_due(&self, index: u64, bytes: u64) -> Result<(), Fatal> {
        let mut ledger = self.ledger.lock();
        ledger.wrote(index, bytes);
        if ledger.start_if_due() {
            drop(ledger);
            self.begin_snapshot()?;
        }
        Ok(())
    }

    /// Takes a view between two applies and hands it to the keeper.
    pub(crate) fn begin_snapshot(&self) -> Result<(), Fatal> {
        let source = self.machine.snapshot()?;
        if let Some(keeper) = &*self.keeper.lock() {
            keeper.save(source);
        }
        Ok(())
    }

    fn next(self: &Arc<Self>) {
        let Some(calls) = self.intake.take(self.options.batch_bytes_max) else { return };
        let first = self.status.borrow().last_log_index + 1;
        let chunk = Chunk::new(calls, first);
        let appended =
            self.options.faults.before(Step::JournalWrite).and_then(|()| match &mut *self.journal.lock() {
                Some(journal) => journal.append(chunk.records()),
                None => Err(io::Error::other("the journal is closed")),
            });
        match appended {
            Ok(()) => self.flush(Some(chunk), self.options.durability == Durability::Fsync),
            Err(e) => self.fail_write(e, Some(chunk)),
        }
    }

    fn flush(self: &Arc<Self>, chunk: Option<Chunk>, sync: bool) {
        let writer = self.clone();
        let then = OnFlushed::new(move |result| writer.turn(chunk, result));
        if let Some(journal) = &mut *self.journal.lock() {
            // An error here has dropped `then`, which has passed it on already.
            let _ = journal.flush(sync, then);
        }
    }

    /// Waits until everything appended so far is on the disk. Not to be called on the journal's thread.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let path = self.journal.lock().as_ref().map(Journal::open_chunk_path);
        if let Some(path) = path {
            // Most of the bytes go out here, on this thread, so that the writer's own sync is short.
            std::fs::File::open(path)?.sync_data()?;
        }
        self.with_flush(|_| Ok(()))
    }

    /// Drops entries up to `upto`, durably. Not to be called on the journal's thread.
    pub(crate) fn purge(&self, upto: u64) -> io::Result<()> {
        self.options.faults.before(Step::JournalPurge)?;
        self.with_flush(|journal| journal.purge(log_id(upto)))
    }

    fn with_flush(&self, change: impl FnOnce(&mut Journal) -> io::Result<()>) -> io::Result<()> {
        let (done, wait) = mpsc::sync_channel(1);
        match &mut *self.journal.lock() {
            Some(journal) => {
                change(journal)?;
                let then = OnFlushed::new(move |result| {
                    // The receiver waits right below.
                    let _ = done.send(result);
                });
                journal.flush(true, then)?;
            }
            None => return Ok(()),
        }
        wait.recv().unwrap_or_else(|_| Err(stopped()))
    }

    fn fail_write(&self, error: io::Error, chunk: Option<Chunk>) {
        let known = match error.kind() {
            // The journal's own reason says more than "stopped". The lock is free unless the journal is being used
            // right now, and then its user gets the reason.
            io::ErrorKind::BrokenPipe => self.journal.try_lock().and_then(|j| j.as_ref()?.writer_error()),
            _ => None,
        };
        let error = known.unwrap_or(error);
        let what = if is_full(&error) { "no space left for the journal" } else { "cannot write the journal" };
        self.fail_with(&Fatal::with(what, error), chunk);
    }

    /// Stops everything for good. What is being written finishes first and is answered.
    pub(crate) fn fail(&self, fatal: &Fatal) {
        self.fail_with(fatal, None);
    }

    /// The entries of `chunk` may or may not be in the journal; the queued ones are not.
    fn fail_with(&self, fatal: &Fatal, chunk: Option<Chunk>) {
        tracing::error!(reason = %fatal, "the replicator stops");
        self.status.send_modify(|s| {
            s.failure.get_or_insert_with(|| fatal.to_string());
        });
        for call in self.intake.abort() {
            call.refuse(&ReplicateError::Stopped);
        }
        for call in chunk.into_iter().flat_map(|c| c.calls) {
            call.refuse(&ReplicateError::Unknown);
        }
    }
}
