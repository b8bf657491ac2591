//! The packer: puts the hand-overs of all nodes into the next log entry, where this node leads.
//!
//! ```text
//! own intake ──────┐
//!                  ├─► pack (one entry: all hand-overs that wait) ─► replicate
//! forward service ─┘
//! ```
//!
//! This is the main lever of performance: while one entry is on its way to disk, the next one fills up.
//!
//! Not here: who waits for outcomes (`intake`), other nodes (`forward`). Must always hold: hand-overs enter the log in the
//! order in which they were offered, because all entries are proposed by one task; nothing is forwarded from here;
//! back-pressure comes before proposing, never after.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metad_raft::{Fut, PosixMetadataReplicator, Proposal, ReplicateError};
use tokio::sync::{mpsc, oneshot};

use super::entry::{self, Sealed};
use super::machine::MetaMachine;
use crate::clock::Clock;
use crate::limits;

/// What the log says of the entry that holds a hand-over.
pub(super) type Answer = Result<u64, ReplicateError>;

struct Offer {
    hand_over: Sealed,
    answer: oneshot::Sender<Answer>,
}

/// The offering end.
#[derive(Clone)]
pub(super) struct Packer {
    queue: mpsc::UnboundedSender<Offer>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Packer {
    /// Starts packing on the current runtime, until every clone of the offering end is gone.
    pub fn start(
        replicator: Arc<dyn PosixMetadataReplicator>,
        machine: Arc<MetaMachine>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (queue, offers) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let waiting = VecDeque::new();
        let (open, bytes) = (true, Arc::clone(&waiting_bytes));
        let packing = Packing { offers, open, waiting, waiting_bytes: bytes, machine, clock };
        tokio::spawn(packing.run(replicator));
        Self { queue, waiting_bytes }
    }

    /// Offers a hand-over at once; the answer comes when its entry is applied here, or refused.
    pub fn offer(&self, hand_over: Sealed) -> impl Future<Output = Answer> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let bytes = hand_over.ops.len();
        let full = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) > limits::INTAKE_BYTES_MAX;
        if full {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        // The packing task goes only with the runtime: then the answer's channel is closed.
        let offered = !full && self.queue.send(Offer { hand_over, answer }).is_ok();
        async move {
            match (full, offered) {
                (true, _) => Err(ReplicateError::Busy),
                (false, false) => Err(ReplicateError::Stopped),
                (false, true) => answered.await.unwrap_or(Err(ReplicateError::Stopped)),
            }
        }
    }
}

/// The packing end.
struct Packing {
    offers: mpsc::UnboundedReceiver<Offer>,
    /// Whether more offers may come.
    open: bool,
    /// Offers that were received and not packed yet.
    waiting: VecDeque<Offer>,
    /// Bytes of all offers that are not packed yet.
    waiting_bytes: Arc<AtomicUsize>,
    /// Knows the feature level that all members have.
    machine: Arc<MetaMachine>,
    clock: Arc<dyn Clock>,
}

impl Packing {
    async fn run(mut self, replicator: Arc<dyn PosixMetadataReplicator>) {
        // Polled by this task alone: entries are handed to the log in the order in which they were packed.
        let mut flights: FuturesUnordered<Fut<'_, usize>> = FuturesUnordered::new();
        // Bytes of the entries on their way.
        let mut flying = 0;
        loop {
            // As in the intake: a further entry leaves once as much waits as is on its way.
            while flights.len() < limits::ENTRIES_IN_FLIGHT_MAX
                && self.waiting_bytes.load(Ordering::Relaxed) >= flying
            {
                let batch = self.collect();
                if batch.is_empty() {
                    break;
                }
                let (bytes, entry) = self.propose(batch, replicator.as_ref());
                flying += bytes;
                flights.push(entry);
            }
            let accepts = self.open && flights.len() < limits::ENTRIES_IN_FLIGHT_MAX;
            tokio::select! {
                Some(bytes) = flights.next(), if !flights.is_empty() => flying -= bytes,
                offer = self.offers.recv(), if accepts => match offer {
                    Some(offer) => self.waiting.push_back(offer),
                    None => self.open = false,
                },
                else => return,
            }
        }
    }

    /// Everything that waits now, up to one entry's worth.
    fn collect(&mut self) -> Vec<Offer> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < limits::ENTRY_HAND_OVERS_MAX {
            if self.waiting.is_empty() {
                self.waiting.extend(self.offers.try_recv());
            }
            let Some(next) = self.waiting.front() else { break };
            bytes += next.hand_over.ops.len();
            if bytes > limits::ENTRY_PACK_BYTES && !batch.is_empty() {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }

    /// Packs hand-overs into an entry and hands it to the log; tells its bytes, and again when everybody has an answer.
    fn propose<'r>(
        &self,
        batch: Vec<Offer>,
        replicator: &'r dyn PosixMetadataReplicator,
    ) -> (usize, Fut<'r, usize>) {
        let (hand_overs, answers): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|offer| (offer.hand_over, offer.answer)).unzip();
        let bytes: usize = hand_overs.iter().map(|h| h.ops.len()).sum();
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let ops = entry::pack(self.machine.feature_level(), self.clock.now_ms(), &hand_overs);
        let replicated = replicator.replicate(vec![Proposal { ops }]);
        let entry = Box::pin(async move {
            let outcome = replicated.await.pop().unwrap_or(Err(ReplicateError::Unknown));
            for answer in answers {
                // Whoever offered may have given up.
                let _ = answer.send(outcome.clone());
            }
            bytes
        });
        (bytes, entry)
    }
}
