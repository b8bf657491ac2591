//! The intake: packs everything that waits into the next log entry.
//!
//! ```text
//! doors ─► queue ─► pack (one entry: one hand-over of all that waits) ─► replicate ─► apply ─► waiters ─► doors
//! ```
//!
//! This is the main lever of performance: while one entry is on its way to disk, the next one fills up.
//!
//! Not here: what operations do. Must always hold: a request's operations stay together and in order; back-pressure
//! comes before proposing, never after; every request hears exactly one outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use metad_raft::{PosixMetadataReplicator, Proposal, ReplicateError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

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
    in_flight: Arc<Semaphore>,
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
            in_flight: Arc::new(Semaphore::new(limits::ENTRIES_IN_FLIGHT_MAX)),
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
        let mut left = None;
        loop {
            let first = match left.take() {
                Some(request) => request,
                None => match self.requests.recv().await {
                    Some(request) => request,
                    None => return,
                },
            };
            let Ok(permit) = Arc::clone(&self.in_flight).acquire_owned().await else { return };
            let (batch, rest) = self.collect(first);
            left = rest;
            self.propose(batch, permit);
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

    fn propose(&mut self, batch: Vec<Request>, permit: OwnedSemaphorePermit) {
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
        let proposal = Proposal { ops: entry.encode() };
        let flight = Flight {
            id,
            parts,
            replicator: Arc::clone(&self.replicator),
            machine: Arc::clone(&self.machine),
            acknowledged: self.acknowledged.clone(),
        };
        tokio::spawn(async move {
            flight.land(proposal).await;
            drop(permit);
        });
    }
}

/// An entry on its way.
struct Flight {
    id: OpId,
    /// Number of operations and reply channel of each request in it.
    parts: Vec<(usize, oneshot::Sender<Result<Written, ServiceError>>)>,
    replicator: Arc<dyn PosixMetadataReplicator>,
    machine: Arc<MetaMachine>,
    acknowledged: Acknowledged,
}

impl Flight {
    async fn land(self, proposal: Proposal) {
        let mut applied = self.machine.waiters().register(self.id);
        let refusal = match self.replicator.replicate(vec![proposal]).await.pop() {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(translate(&error)),
            None => Some(ServiceError::Stopped { applied: AppliedState::Unknown }),
        };
        // Applied here before the replicator said so: the outcome is in the channel already.
        let outcome = match refusal {
            None => applied.try_recv().map_err(|_| ServiceError::Stopped { applied: AppliedState::Unknown }),
            Some(error) => Err(error),
        };
        self.machine.waiters().forget(self.id);
        self.acknowledged.done(self.id.seq);
        deliver(self.parts, outcome);
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
}
