//! Waiters: doors that wait until their hand-over is applied here.
//!
//! Not here: packing hand-overs (`intake`). Must always hold: every registered waiter hears exactly one outcome, or
//! finds its channel closed when the node stops.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::entry::OpId;
use super::response::Response;

/// What became of a hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Index of the entry that applied it.
    pub index: u64,
    /// Responses in order; `None` when it had been applied before and its replies are no longer kept.
    pub responses: Option<Vec<Response>>,
}

/// The waiting hand-overs of this node's present boot.
#[derive(Default)]
pub struct Waiters {
    waiting: Mutex<HashMap<OpId, oneshot::Sender<Outcome>>>,
}

impl Waiters {
    /// Waits for a hand-over. Register before proposing it.
    pub fn register(&self, id: OpId) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(id, sender);
        receiver
    }

    /// Forgets a waiter whose hand-over will not be applied.
    pub fn forget(&self, id: OpId) {
        self.waiting.lock().remove(&id);
    }

    /// Tells the waiter of a hand-over, if it is one of this node's.
    pub fn complete(&self, id: OpId, outcome: Outcome) {
        let waiter = self.waiting.lock().remove(&id);
        if let Some(waiter) = waiter {
            // A waiter that gave up is no longer interested.
            let _ = waiter.send(outcome);
        }
    }

    /// Wakes everybody for good: the node stops.
    pub fn close(&self) {
        self.waiting.lock().clear();
    }
}
