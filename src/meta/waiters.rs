//! Waiters: what this node's own apply tells the intake about its hand-overs.
//!
//! Not here: who asked for what (`intake`). Must always hold: the listener hears of every hand-over of its node that is
//! applied here, in log order, after the effects are visible; it hears of a state that was replaced as a whole; its
//! channel ends when the node stops.

use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::entry::OpId;
use super::response::Response;

/// What apply made of a hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Applied, now or before: its replies in order. `None`: every operation answered [`Response::Done`].
    Applied(Option<Vec<Response>>),
    /// Applied before, and its sender has said that it wants to know nothing of it any more.
    Settled,
    /// Not applied: one that comes before it is missing. Its sender submits again, in order.
    Gap,
    /// Not applied: a newer boot of its node was seen.
    Stale,
}

/// News for the intake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A hand-over reached the state machine.
    HandOver {
        /// Which one.
        id: OpId,
        /// Index of the entry that brought it.
        index: u64,
        /// What became of it.
        fate: Fate,
    },
    /// The state was replaced by a snapshot: hand-overs may be in it that nobody was told of.
    Replaced,
}

/// The one listener of a machine.
#[derive(Default)]
pub struct Waiters(Mutex<Option<(u64, mpsc::UnboundedSender<Heard>)>>);

impl Waiters {
    /// Listens for the hand-overs of a node's doors. A later listener takes the place of an earlier one.
    pub fn listen(&self, node: u64) -> mpsc::UnboundedReceiver<Heard> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.0.lock() = Some((node, sender));
        receiver
    }

    /// Tells what became of a hand-over, if it is one of the listener's.
    pub fn tell(&self, id: OpId, index: u64, fate: Fate) {
        if let Some((_, listener)) = self.0.lock().as_ref().filter(|(node, _)| *node == id.node) {
            // A listener that is gone is no longer interested.
            let _ = listener.send(Heard::HandOver { id, index, fate });
        }
    }

    /// Tells that the whole state was replaced.
    pub fn replaced(&self) {
        if let Some((_, listener)) = self.0.lock().as_ref() {
            let _ = listener.send(Heard::Replaced);
        }
    }

    /// Ends the listener's channel for good: the node stops.
    pub fn close(&self) {
        *self.0.lock() = None;
    }
}
