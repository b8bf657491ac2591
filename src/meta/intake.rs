//! The intake: the doors' one session with the log, wherever the leader is.
//!
//! ```text
//! doors ─► queue ─► hand-over (all that waits) ─┬─ this node leads ─► packer ─┬─► log ─► apply ─► waiters ─► doors
//!                                               └─ another does ──► forward ──┘
//! ```
//!
//! * No leader, or one that did not take it: requests that were never proposed wait up to two seconds, then hear
//!   `NoLeader`. What may have been proposed is sent again with the same number, to whoever leads then, until nobody
//!   waits for it; the session in the state machine applies it once.
//! * Outcomes come from this node's own apply: whoever was answered finds the write on this node.
//!
//! Not here: what operations do, packing on the leader (`packer`), numbers and order (`flights`). Must always hold: a
//! request's operations stay together and in order; requests are applied in the order in which they were handed over,
//! also across changes of the leader; back-pressure comes before proposing, never after; every request hears exactly
//! one outcome, and "not applied" only when that is certain.
//!
//! Source: design D6, D7, D8; research/redis-facade.md §2.3.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use metad_raft::{Fut, ReplicateError, Status, Transport};
use tokio::sync::{mpsc, oneshot, watch};

use super::entry::OpId;
use super::flights::{Flights, Request, Stage};
use super::forward;
use super::layout;
use super::machine::MetaMachine;
use super::op::Op;
use super::packer::Packer;
use super::service::{AppliedState, ServiceError, WriteOptions, Written};
use super::session::Session;
use super::waiters::{Fate, Heard};
use crate::codec;
use crate::limits;

/// The doors' end of the intake.
pub struct Intake {
    queue: mpsc::UnboundedSender<Request>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// What the intake stands on.
pub(super) struct Parts {
    /// This node's state machine.
    pub machine: Arc<MetaMachine>,
    /// Who leads.
    pub status: watch::Receiver<Status>,
    /// The way into the log while this node leads.
    pub packer: Packer,
    /// The way to other nodes, if there are any.
    pub transport: Option<Arc<dyn Transport>>,
    /// A number above every boot of this node.
    pub boot: u64,
}

impl Intake {
    /// Starts the intake of a node's present boot on the current runtime.
    pub(super) fn start(parts: Parts) -> Self {
        let (queue, requests) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let node = parts.status.borrow().id;
        let sender = Sender {
            requests,
            open: true,
            waiting_bytes: Arc::clone(&waiting_bytes),
            waiting: VecDeque::new(),
            flights: Flights::new(node, parts.boot),
            heard: parts.machine.waiters().listen(node),
            attempts: FuturesUnordered::new(),
            round: 0,
            gate: None,
            refusals: 0,
            sent_under: None,
            stopped: false,
            node,
            parts,
        };
        tokio::spawn(sender.run());
        Self { queue, waiting_bytes }
    }

    /// Bytes of operations that wait to be handed over.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Hands operations over and waits for their outcome until the deadline.
    pub async fn submit(&self, ops: Vec<Op>, options: WriteOptions) -> Result<Written, ServiceError> {
        let bytes = ops.iter().map(Op::weight).sum();
        if bytes > limits::ENTRY_BYTES_MAX {
            return Err(ServiceError::TooLarge { bytes, limit: limits::ENTRY_BYTES_MAX });
        }
        let mut encoded = Vec::with_capacity(bytes);
        for op in &ops {
            codec::encode_into(op, &mut encoded);
        }
        let bytes = encoded.len();
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) > limits::INTAKE_BYTES_MAX {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(ServiceError::Busy);
        }
        let (reply, outcome) = oneshot::channel();
        let (stage, deadline) = (Arc::new(Stage::default()), options.deadline);
        let (count, arrived) = (ops.len(), Instant::now());
        let request = Request { count, encoded, arrived, deadline, stage: Arc::clone(&stage), reply };
        if self.queue.send(request).is_err() {
            return Err(ServiceError::Stopped { applied: AppliedState::No });
        }
        match tokio::time::timeout_at(deadline.into(), outcome).await {
            Ok(outcome) => outcome.unwrap_or(Err(ServiceError::Stopped { applied: AppliedState::Unknown })),
            Err(_) => Err(ServiceError::TimedOut { applied: stage.give_up() }),
        }
    }
}

/// Who leads in which term, as the status says.
type Reign = (Option<u64>, u64);

/// Why nothing is sent for a while.
struct Gate {
    /// The reign under which a hand-over was not taken.
    reign: Reign,
    /// When it is tried again, should no other reign come before.
    until: Instant,
}

/// How an attempt to get a hand-over into the log ended.
struct Attempt {
    round: u64,
    id: OpId,
    result: Result<u64, ReplicateError>,
}

/// The sending end.
struct Sender {
    parts: Parts,
    node: u64,
    requests: mpsc::UnboundedReceiver<Request>,
    /// Whether more requests may come.
    open: bool,
    waiting_bytes: Arc<AtomicUsize>,
    /// Requests that were never proposed, while they cannot be.
    waiting: VecDeque<Request>,
    flights: Flights,
    heard: mpsc::UnboundedReceiver<Heard>,
    attempts: FuturesUnordered<Fut<'static, Attempt>>,
    /// Rises each time that hand-overs are sent again: what an earlier round's attempts failed with is of no interest.
    round: u64,
    gate: Option<Gate>,
    /// Refusals in a row.
    refusals: u32,
    /// The reign under which hand-overs were last sent.
    sent_under: Option<Reign>,
    stopped: bool,
}

impl Sender {
    async fn run(mut self) {
        let mut arrived = Vec::new();
        loop {
            self.send_what_can_be_sent();
            if !self.open && self.flights.is_empty() && self.waiting.is_empty() {
                return;
            }
            let accepts = self.open && (!self.can_send() || self.may_fly());
            let wake = self.next_wake();
            tokio::select! {
                heard = self.heard.recv(), if !self.stopped => match heard {
                    Some(heard) => self.hear(heard),
                    None => self.stop(),
                },
                Some(attempt) = self.attempts.next(), if !self.attempts.is_empty() => self.attempted(attempt),
                count = self.requests.recv_many(&mut arrived, limits::ENTRY_REQUESTS_MAX), if accepts => {
                    self.open = count > 0;
                    self.waiting.extend(arrived.drain(..));
                }
                changed = self.parts.status.changed(), if !self.stopped => self.status_changed(changed.is_ok()),
                () = sleep_until(wake), if wake.is_some() => self.expire(),
            }
        }
    }

    fn reign(&self) -> Reign {
        let status = self.parts.status.borrow();
        (status.leader.as_ref().map(|leader| leader.id), status.term)
    }

    fn can_send(&self) -> bool {
        let reign = self.reign();
        let reachable = reign.0.is_some_and(|leader| leader == self.node || self.parts.transport.is_some());
        reachable && self.gate.as_ref().is_none_or(|gate| gate.reign != reign)
    }

    fn may_fly(&self) -> bool {
        self.flights.len() < limits::HAND_OVERS_IN_FLIGHT_MAX
    }

    /// A further hand-over leaves once as much waits as is on its way: a lone writer never waits for company, and many share
    /// few entries, which is what an entry's fixed price is paid for.
    fn has_room(&self) -> bool {
        self.may_fly() && self.waiting_bytes.load(Ordering::Relaxed) >= self.flights.bytes()
    }

    /// Sends again what is to be sent again, then packs what waits.
    fn send_what_can_be_sent(&mut self) {
        if self.stopped {
            return self.refuse_waiting(&ServiceError::Stopped { applied: AppliedState::No });
        }
        if !self.can_send() {
            return;
        }
        self.send_flights();
        while self.has_room() {
            let parts = self.collect();
            if parts.is_empty() {
                return;
            }
            self.flights.push(parts);
            self.send_flights();
        }
    }

    /// Everything that waits now, up to one entry's worth.
    fn collect(&mut self) -> Vec<Request> {
        let (mut parts, mut bytes) = (Vec::new(), 0);
        let now = Instant::now();
        while parts.len() < limits::ENTRY_REQUESTS_MAX {
            if self.waiting.is_empty() {
                self.waiting.extend(self.requests.try_recv());
            }
            let Some(next) = self.waiting.front() else { break };
            bytes += next.encoded.len();
            if bytes > limits::ENTRY_PACK_BYTES && !parts.is_empty() {
                break;
            }
            let request = self.waiting.pop_front().expect("looked at above");
            self.waiting_bytes.fetch_sub(request.encoded.len(), Ordering::Relaxed);
            if request.deadline > now && request.stage.propose() {
                parts.push(request);
            } else {
                // It never left; its door may not have seen yet that its time is over.
                let applied = request.stage.give_up();
                request.fail(ServiceError::TimedOut { applied });
            }
        }
        parts
    }

    fn send_flights(&mut self) {
        let reign = self.reign();
        let Some(leader) = reign.0 else { return };
        while let Some((hand_over, deadline)) = self.flights.next_to_send() {
            self.sent_under = Some(reign);
            let (round, id) = (self.round, hand_over.id);
            if leader == self.node {
                let answer = self.parts.packer.offer(hand_over);
                self.attempts.push(Box::pin(async move { Attempt { round, id, result: answer.await } }));
            } else if let Some(transport) = self.parts.transport.clone() {
                self.attempts.push(Box::pin(async move {
                    let result = forward::send(transport.as_ref(), leader, &hand_over, deadline).await;
                    Attempt { round, id, result }
                }));
            }
        }
    }

    /// What became of an attempt. That it was committed is not news: what it did comes from this node's own apply.
    fn attempted(&mut self, Attempt { round, id, result }: Attempt) {
        let Err(error) = result else { return };
        match error {
            ReplicateError::Unknown => {}
            ReplicateError::Stopped => return self.stop(),
            ReplicateError::NotLeader { .. }
            | ReplicateError::Busy
            | ReplicateError::TooLarge { .. }
            | ReplicateError::NoSpace => {
                self.flights.undoubt(id);
                let hopeless = !matches!(error, ReplicateError::NotLeader { .. });
                if hopeless && !self.flights.in_doubt(id) {
                    self.flights.refuse(id, &translate(&error));
                }
            }
        }
        if round == self.round {
            self.flights.go_back(id.seq);
            self.round += 1;
            self.close_gate();
        }
        self.take_back();
    }

    /// Nothing is sent under this reign for a while that grows with each refusal.
    fn close_gate(&mut self) {
        let wait = limits::RESEND_AFTER_MS << self.refusals.min(8);
        self.refusals += 1;
        let until = Instant::now() + Duration::from_millis(wait.min(limits::RESEND_AFTER_MS_MAX));
        self.gate = Some(Gate { reign: self.reign(), until });
    }

    /// Requests that certainly were not applied wait like those that were never sent.
    fn take_back(&mut self) {
        for request in self.flights.take_back().into_iter().rev() {
            self.waiting_bytes.fetch_add(request.encoded.len(), Ordering::Relaxed);
            self.waiting.push_front(request);
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::HandOver { id, index, fate } if id.boot == self.flights.boot() => match fate {
                Fate::Applied(replies) => {
                    self.flights.settle(id.seq, index, replies);
                    (self.gate, self.refusals) = (None, 0);
                }
                Fate::Gap => self.send_again(),
                Fate::Stale => {
                    let boot = self.session().map_or(0, |s| s.boot()).max(self.flights.boot()) + 1;
                    tracing::warn!(
                        boot,
                        "this node's door session was overtaken; it goes on under a new boot"
                    );
                    self.flights.reboot(boot);
                    self.round += 1;
                }
                Fate::Settled => {}
            },
            Heard::HandOver { .. } => {}
            Heard::Replaced => self.look_into_session(),
        }
    }

    fn send_again(&mut self) {
        self.flights.go_back(0);
        self.round += 1;
    }

    fn session(&self) -> Option<Session> {
        match self.parts.machine.state().get(&layout::session(self.node)) {
            Ok(stored) => stored.and_then(|stored| Session::decode(&stored).ok()),
            Err(fault) => {
                tracing::error!(%fault, "the door session cannot be read");
                None
            }
        }
    }

    /// A snapshot came instead of entries: hand-overs that are in it are answered from the session.
    fn look_into_session(&mut self) {
        let Some(session) = self.session() else { return };
        let index = *self.parts.machine.applied().borrow();
        for id in self.flights.ids() {
            if let Some(replies) = session.replies(id) {
                self.flights.settle(id.seq, index, replies.clone());
            }
        }
    }

    /// A new reign: whatever the old leader made of the hand-overs, the new one gets them all.
    fn status_changed(&mut self, alive: bool) {
        let failed = !alive || self.parts.status.borrow_and_update().failure.is_some();
        if failed {
            return self.stop();
        }
        let reign = self.reign();
        if reign.0.is_some() && self.sent_under.is_some_and(|under| under != reign) {
            self.sent_under = None;
            self.refusals = 0;
            self.send_again();
        }
    }

    /// The node stops, or stopped itself.
    fn stop(&mut self) {
        self.stopped = true;
        self.flights.stop();
    }

    fn refuse_waiting(&mut self, error: &ServiceError) {
        while let Some(request) = self.waiting.pop_front() {
            self.waiting_bytes.fetch_sub(request.encoded.len(), Ordering::Relaxed);
            request.fail(error.clone());
        }
    }

    /// When something has to be given up or tried again.
    fn next_wake(&self) -> Option<Instant> {
        let parked = self.waiting.front().filter(|_| !self.can_send()).map(parked_until);
        let gate = self.gate.as_ref().filter(|_| !self.idle()).map(|gate| gate.until);
        [self.flights.first_deadline(), parked, gate].into_iter().flatten().min()
    }

    fn idle(&self) -> bool {
        self.flights.is_empty() && self.waiting.is_empty()
    }

    fn expire(&mut self) {
        let now = Instant::now();
        if self.gate.as_ref().is_some_and(|gate| gate.until <= now) {
            self.gate = None;
        }
        self.flights.expire(now);
        self.take_back();
        if self.can_send() {
            return;
        }
        while let Some(request) = self.waiting.pop_front_if(|r| parked_until(r) <= now) {
            self.waiting_bytes.fetch_sub(request.encoded.len(), Ordering::Relaxed);
            request.fail(ServiceError::NoLeader);
        }
    }
}

fn parked_until(request: &Request) -> Instant {
    request.deadline.min(request.arrived + Duration::from_millis(limits::LEADER_WAIT_MS))
}

/// Waits for a moment; for ever when there is none.
async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// The log's refusal in the service's words.
pub(super) fn translate(error: &ReplicateError) -> ServiceError {
    match error {
        ReplicateError::NotLeader { .. } => ServiceError::NoLeader,
        ReplicateError::Busy => ServiceError::Busy,
        ReplicateError::TooLarge { bytes, limit } => ServiceError::TooLarge { bytes: *bytes, limit: *limit },
        ReplicateError::NoSpace => ServiceError::NoSpace,
        ReplicateError::Unknown => ServiceError::TimedOut { applied: AppliedState::Unknown },
        ReplicateError::Stopped => ServiceError::Stopped { applied: AppliedState::Unknown },
    }
}
