//! The intake: packs everything that waits into the next log entry.
//!
//! ```text
//! doors ─► queue ─► pack (one entry: one hand-over of all that waits) ─► replicate ─► apply ─► waiters ─► doors
//! ```
//!
//! This is the main lever of performance: while one entry is on its way to disk, the next one fills up.
//!
//! Not here: what operations do. Must always hold: a request's operations stay together and in order; requests enter
//! the log in the order in which they were handed over, because all entries are proposed by one task; back-pressure
//! comes before proposing, never after; every request hears exactly one outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metad_raft::{Fut, PosixMetadataReplicator, Proposal, ReplicateError};
use tokio::sync::{mpsc, oneshot};

use super::entry::{Entry, FEATURE_LEVEL, HandOver, OpId};
use super::machine::MetaMachine;
use super::op::Op;
use super::response::Response;
use super::service::{AppliedState, ServiceError, Written};
use super::waiters::Outcome;
use crate::clock::Clock;
use crate::limits;

/// One door's operations, waiting.
struct Request {
    ops: Vec<Op>,
    bytes: usize,
    reply: oneshot::Sender<Result<Written, ServiceError>>,
}

/// The doors' end of the intake.
pub struct Intake {
    queue: mpsc::UnboundedSender<Request>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The packing end.
struct Packer {
    requests: mpsc::UnboundedReceiver<Request>,
    waiting_bytes: Arc<AtomicUsize>,
    replicator: Arc<dyn PosixMetadataReplicator>,
    machine: Arc<MetaMachine>,
    clock: Arc<dyn Clock>,
    node: u64,
    boot: u64,
    next_seq: u64,
    acknowledged: Acknowledged,
}

impl Intake {
    /// Starts the intake of a node's present boot on the current runtime.
    pub fn start(
        replicator: Arc<dyn PosixMetadataReplicator>,
        machine: Arc<MetaMachine>,
        clock: Arc<dyn Clock>,
        node: u64,
        boot: u64,
    ) -> Self {
        let (queue, requests) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let packer = Packer {
            requests,
            waiting_bytes: Arc::clone(&waiting_bytes),
            replicator,
            machine,
            clock,
            node,
            boot,
            next_seq: 1,
            acknowledged: Acknowledged::default(),
        };
        tokio::spawn(packer.run());
        Self { queue, waiting_bytes }
    }

    /// Hands operations over and waits for their outcome.
    pub async fn submit(&self, ops: Vec<Op>) -> Result<Written, ServiceError> {
        let bytes = ops.iter().map(Op::weight).sum();
        if bytes > limits::ENTRY_BYTES_MAX {
            return Err(ServiceError::TooLarge { bytes, limit: limits::ENTRY_BYTES_MAX });
        }
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) > limits::INTAKE_BYTES_MAX {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(ServiceError::Busy);
        }
        let (reply, outcome) = oneshot::channel();
        let stopped = ServiceError::Stopped { applied: AppliedState::No };
        if self.queue.send(Request { ops, bytes, reply }).is_err() {
            return Err(stopped);
        }
        outcome.await.unwrap_or(Err(ServiceError::Stopped { applied: AppliedState::Unknown }))
    }
}

impl Packer {
    async fn run(mut self) {
        let replicator = Arc::clone(&self.replicator);
        // Polled by this task alone: entries are handed to the log in the order in which they were packed.
        let mut flights: FuturesUnordered<Fut<'_, ()>> = FuturesUnordered::new();
        let (mut left, mut open) = (None, true);
        loop {
            let room = flights.len() < limits::ENTRIES_IN_FLIGHT_MAX;
            let mut next = if room { left.take() } else { None };
            if next.is_none() {
                tokio::select! {
                    Some(()) = flights.next(), if !flights.is_empty() => {}
                    request = self.requests.recv(), if room && open => {
                        open = request.is_some();
                        next = request;
                    }
                    else => return,
                }
            }
            if let Some(first) = next {
                let (batch, rest) = self.collect(first);
                left = rest;
                flights.push(self.propose(batch, replicator.as_ref()));
            }
        }
    }

    /// Everything that waits now, up to one entry's worth; what did not fit comes back.
    fn collect(&mut self, first: Request) -> (Vec<Request>, Option<Request>) {
        let mut bytes = first.bytes;
        let mut batch = vec![first];
        while batch.len() < limits::ENTRY_REQUESTS_MAX {
            let Ok(request) = self.requests.try_recv() else { return (batch, None) };
            if bytes + request.bytes > limits::ENTRY_PACK_BYTES {
                return (batch, Some(request));
            }
            bytes += request.bytes;
            batch.push(request);
        }
        (batch, None)
    }

    /// Packs requests into an entry and hands it to the log; the future ends when everybody has heard the outcome.
    fn propose<'r>(
        &mut self,
        batch: Vec<Request>,
        replicator: &'r dyn PosixMetadataReplicator,
    ) -> Fut<'r, ()> {
        let id = OpId { node: self.node, boot: self.boot, seq: self.next_seq };
        self.next_seq += 1;
        let mut ops = Vec::with_capacity(batch.iter().map(|r| r.ops.len()).sum());
        let mut parts = Vec::with_capacity(batch.len());
        for request in batch {
            self.waiting_bytes.fetch_sub(request.bytes, Ordering::Relaxed);
            parts.push((request.ops.len(), request.reply));
            ops.extend(request.ops);
        }
        let hand_over = HandOver { id, floor: self.acknowledged.floor(), ops };
        let entry = Entry {
            feature_level: FEATURE_LEVEL,
            stamp_ms: self.clock.now_ms(),
            hand_overs: vec![hand_over],
        };
        let (machine, acknowledged) = (Arc::clone(&self.machine), self.acknowledged.clone());
        let mut applied = machine.waiters().register(id);
        let answer = replicator.replicate(vec![Proposal { ops: entry.encode() }]);
        Box::pin(async move {
            let refusal = match answer.await.pop() {
                Some(Ok(_)) => None,
                Some(Err(error)) => Some(translate(&error)),
                None => Some(ServiceError::Stopped { applied: AppliedState::Unknown }),
            };
            // Applied here before the replicator said so: the outcome is in the channel already.
            let outcome = match refusal {
                None => {
                    applied.try_recv().map_err(|_| ServiceError::Stopped { applied: AppliedState::Unknown })
                }
                Some(error) => Err(error),
            };
            machine.waiters().forget(id);
            acknowledged.done(id.seq);
            deliver(parts, outcome);
        })
    }
}

fn deliver(
    parts: Vec<(usize, oneshot::Sender<Result<Written, ServiceError>>)>,
    outcome: Result<Outcome, ServiceError>,
) {
    let (index, responses) = match outcome {
        Ok(Outcome { index, responses: Some(responses) }) => (index, responses),
        Ok(Outcome { responses: None, .. }) => {
            return fail(parts, &ServiceError::Stopped { applied: AppliedState::Unknown });
        }
        Err(error) => return fail(parts, &error),
    };
    let mut responses: std::vec::IntoIter<Response> = responses.into_iter();
    for (count, reply) in parts {
        let part = responses.by_ref().take(count).collect();
        // A door that gave up is no longer interested.
        let _ = reply.send(Ok(Written { responses: part, index }));
    }
}

fn fail(parts: Vec<(usize, oneshot::Sender<Result<Written, ServiceError>>)>, error: &ServiceError) {
    for (_, reply) in parts {
        // A door that gave up is no longer interested.
        let _ = reply.send(Err(error.clone()));
    }
}

/// The log's refusal in the service's words.
pub fn translate(error: &ReplicateError) -> ServiceError {
    match error {
        ReplicateError::NotLeader { .. } => ServiceError::NoLeader,
        ReplicateError::Busy => ServiceError::Busy,
        ReplicateError::TooLarge { bytes, limit } => ServiceError::TooLarge { bytes: *bytes, limit: *limit },
        ReplicateError::NoSpace => ServiceError::NoSpace,
        ReplicateError::Unknown => ServiceError::TimedOut { applied: AppliedState::Unknown },
        ReplicateError::Stopped => ServiceError::Stopped { applied: AppliedState::Unknown },
    }
}

/// Which hand-overs of this boot were answered: all up to the floor, and some above.
#[derive(Clone, Default)]
struct Acknowledged(Arc<parking_lot::Mutex<AcknowledgedInner>>);

#[derive(Default)]
struct AcknowledgedInner {
    floor: u64,
    above: std::collections::BTreeSet<u64>,
}

impl Acknowledged {
    fn floor(&self) -> u64 {
        self.0.lock().floor
    }

    fn done(&self, seq: u64) {
        let mut inner = self.0.lock();
        inner.above.insert(seq);
        while inner.above.first() == Some(&(inner.floor + 1)) {
            inner.above.pop_first();
            inner.floor += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_rises_over_answered_hand_overs_only() {
        let acknowledged = Acknowledged::default();
        for (seq, floor) in [(2, 0), (1, 2), (4, 2), (3, 4)] {
            acknowledged.done(seq);
            assert_eq!(acknowledged.floor(), floor);
        }
    }

    /// Takes every proposal and remembers in which order they came; nothing is ever applied.
    struct Recorder(parking_lot::Mutex<Vec<u64>>);

    impl PosixMetadataReplicator for Recorder {
        fn start(
            &self,
            _machine: Arc<dyn metad_raft::StateMachine>,
        ) -> Fut<'_, Result<(), metad_raft::StartError>> {
            Box::pin(async { Ok(()) })
        }

        fn replicate(&self, batch: Vec<Proposal>) -> Fut<'_, Vec<Result<u64, ReplicateError>>> {
            for proposal in &batch {
                let entry = Entry::decode(&proposal.ops).unwrap();
                self.0.lock().extend(entry.hand_overs.iter().map(|h| h.id.seq));
            }
            // Answered later, and by another thread's leave: the order of the calls is what counts.
            Box::pin(async move {
                tokio::task::yield_now().await;
                batch.iter().map(|_| Err(ReplicateError::Busy)).collect()
            })
        }

        fn read_barrier(&self, _deadline: std::time::Instant) -> Fut<'_, Result<u64, ReplicateError>> {
            Box::pin(async { Err(ReplicateError::Stopped) })
        }

        fn status(&self) -> tokio::sync::watch::Receiver<metad_raft::Status> {
            unreachable!("the intake never looks at the status")
        }

        fn stop(&self) -> Fut<'_, ()> {
            Box::pin(async {})
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn requests_enter_the_log_in_the_order_in_which_they_were_handed_over() {
        use crate::clock::ManualClock;
        use crate::codec::Blob;
        use crate::meta::op::RecordOp;
        use crate::meta::store::shelf::MemoryShelf;

        let recorder = Arc::new(Recorder(parking_lot::Mutex::default()));
        let machine = Arc::new(MetaMachine::open(Box::new(MemoryShelf::default())).unwrap());
        let log = Arc::clone(&recorder) as Arc<dyn PosixMetadataReplicator>;
        let intake = Intake::start(log, machine, Arc::new(ManualClock::at(1)), 1, 1);
        // Each as large as an entry, so that several are on their way at once.
        let value = Blob::from(vec![b'x'; limits::ENTRY_PACK_BYTES]);
        let put = || {
            let properties = vec![(Blob::from("p"), value.clone())];
            Op::Record(RecordOp::Put { id: Blob::from("a"), properties })
        };
        let outcomes = futures_util::future::join_all((0..40).map(|_| intake.submit(vec![put()]))).await;
        assert!(outcomes.iter().all(|o| *o == Err(ServiceError::Busy)));
        assert_eq!(*recorder.0.lock(), (1..=40).collect::<Vec<u64>>());
    }
}
