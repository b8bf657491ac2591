//! Group commit: votes and entries that wait for one `fdatasync` share it.
//!
//! Not here: what is written (see `log_store`).
//! Must always hold:
//! * at most one flush is in flight; what was appended meanwhile shares the next;
//! * a waiter is told only after its bytes are on the disk, and waiters are told in the order of their appends;
//! * the first error is final: every later waiter gets it, and nothing is flushed again.

use std::io;
use std::sync::Arc;

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::types::TypeConfig;
use crate::journal::{Journal, OnFlushed, stopped};
use crate::state_machine::StateMachine;

/// Who waits for a flush.
pub(crate) enum Waiter {
    /// openraft waits for entries up to this index.
    Entries(u64, IOFlushed<TypeConfig>),
    /// Somebody waits for whatever was appended before.
    Anything(oneshot::Sender<io::Result<()>>),
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiter>,
    flushing: bool,
    failed: Option<(io::ErrorKind, String)>,
}

/// The journal with group commit on top. Closed when dropped.
///
/// The journal's own thread holds only what is inside, so it can never be the one that drops the journal and then waits for
/// its own end.
pub(crate) struct Committer {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Mutex<Option<Journal>>,
    state: Mutex<State>,
    machine: Arc<dyn StateMachine>,
}

impl Committer {
    pub(crate) fn new(journal: Journal, machine: Arc<dyn StateMachine>) -> Arc<Self> {
        let shared = Shared { journal: Mutex::new(Some(journal)), state: Mutex::default(), machine };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// Works with the journal; an error once it is closed.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Journal) -> io::Result<T>) -> io::Result<T> {
        self.shared.journal.lock().as_mut().map_or_else(|| Err(stopped()), work)
    }

    /// Tells `waiter` once everything appended before this call is on the disk.
    pub(crate) fn after_flush(&self, waiter: Waiter) {
        self.shared.after_flush(waiter);
    }

    /// Waits until everything appended before this call is on the disk.
    pub(crate) async fn flushed(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.after_flush(Waiter::Anything(done));
        wait.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Closes the journal; its thread is gone on return. Not to be called on that thread.
    pub(crate) fn close(&self) {
        let journal = self.shared.journal.lock().take();
        drop(journal);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn after_flush(self: &Arc<Self>, waiter: Waiter) {
        let mut state = self.state.lock();
        if let Some((kind, reason)) = &state.failed {
            let error = io::Error::new(*kind, reason.clone());
            drop(state);
            return tell(waiter, Err(error));
        }
        state.waiting.push(waiter);
        if !std::mem::replace(&mut state.flushing, true) {
            drop(state);
            self.flush();
        }
    }

    fn flush(self: &Arc<Self>) {
        let batch = std::mem::take(&mut self.state.lock().waiting);
        let shared = self.clone();
        let then = OnFlushed::new(move |result| shared.done(batch, result));
        if let Some(journal) = &mut *self.journal.lock() {
            // An error here has dropped `then`, which has passed it on already.
            let _ = journal.flush(true, then);
        }
    }

    /// Called on the journal's thread.
    fn done(self: &Arc<Self>, batch: Vec<Waiter>, result: io::Result<()>) {
        if let Err(e) = result {
            return self.fail(batch, &e);
        }
        let index = |w: &Waiter| if let Waiter::Entries(index, _) = w { Some(*index) } else { None };
        // The machine first: whoever is answered finds that the store may follow to there.
        if let Some(index) = batch.iter().rev().find_map(index) {
            self.machine.log_flushed(index);
        }
        for waiter in batch {
            tell(waiter, Ok(()));
        }
        let mut state = self.state.lock();
        state.flushing = !state.waiting.is_empty();
        if state.flushing {
            drop(state);
            self.flush();
        }
    }

    fn fail(&self, batch: Vec<Waiter>, error: &io::Error) {
        tracing::error!(%error, "the log cannot be written; this node stops");
        let mut state = self.state.lock();
        state.failed = Some((error.kind(), error.to_string()));
        let later = std::mem::take(&mut state.waiting);
        drop(state);
        for waiter in batch.into_iter().chain(later) {
            tell(waiter, Err(io::Error::new(error.kind(), error.to_string())));
        }
    }
}

/// Tells a waiter; one that went away is not an error.
fn tell(waiter: Waiter, result: io::Result<()>) {
    match waiter {
        Waiter::Entries(_, callback) => callback.io_completed(result),
        Waiter::Anything(done) => {
            let _ = done.send(result);
        }
    }
}
