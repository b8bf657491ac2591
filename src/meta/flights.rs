//! Flights: the hand-overs of this node's doors whose outcome is not known yet.
//!
//! ```text
//!          settled or given up │ sent │ sent │ to be sent │ to be packed
//!                        floor ┘      └ go_back(seq) moves this border to the left
//! ```
//!
//! The session in the state machine applies a node's hand-overs in order and without holes. So the hand-overs here are a
//! run of numbers without holes; when one of them did not arrive, it and all after it are sent again, in order, with
//! the same numbers: whatever copies are still under way, each is applied once and none overtakes another.
//!
//! Not here: sending and waiting (`intake`). Must always hold: a number is never used for other operations; the floor
//! never passes a hand-over that may still be sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::entry::{OpId, Sealed};
use super::response::Response;
use super::service::{AppliedState, ServiceError, Written};

/// How far a request is; what it says when its deadline passes depends on it.
#[derive(Default)]
pub(super) struct Stage(AtomicU8);

const WAITING: u8 = 0;
const PROPOSED: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Stage {
    /// The request is about to leave the node; `false` when its door has given it up.
    pub fn propose(&self) -> bool {
        self.0.compare_exchange(WAITING, PROPOSED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The request was certainly not applied and waits again.
    pub fn wait_again(&self) {
        self.0.store(WAITING, Ordering::SeqCst);
    }

    /// The request's deadline has passed; what is known of it.
    pub fn give_up(&self) -> AppliedState {
        match self.0.compare_exchange(WAITING, GIVEN_UP, Ordering::SeqCst, Ordering::SeqCst) {
            // What was given up while it waited never leaves the node.
            Ok(_) | Err(GIVEN_UP) => AppliedState::No,
            Err(_) => AppliedState::Unknown,
        }
    }
}

/// One door's operations, encoded by the door.
pub(super) struct Request {
    /// How many operations.
    pub count: usize,
    /// The operations, one after the other.
    pub encoded: Vec<u8>,
    /// When it came.
    pub arrived: Instant,
    /// When its door gives up.
    pub deadline: Instant,
    /// How far it is.
    pub stage: Arc<Stage>,
    /// Where its outcome goes.
    pub reply: oneshot::Sender<Result<Written, ServiceError>>,
}

impl Request {
    /// Refuses it.
    pub fn fail(self, error: ServiceError) {
        // A door that gave up is no longer interested.
        let _ = self.reply.send(Err(error));
    }
}

/// One hand-over.
struct Flight {
    /// Empty once all its requests were refused: then it only keeps its number's place.
    parts: Vec<Request>,
    ops: Bytes,
    /// The last of its requests' deadlines.
    deadline: Instant,
    /// Sent since the last time that everything from here on was to be sent again.
    sent: bool,
    /// Attempts that may have been applied.
    doubts: u32,
}

/// The hand-overs of one boot that are not settled.
pub(super) struct Flights {
    node: u64,
    boot: u64,
    /// Number of the first flight.
    first: u64,
    flights: VecDeque<Flight>,
}

impl Flights {
    /// None, of a node's boot.
    pub fn new(node: u64, boot: u64) -> Self {
        Self { node, boot, first: 1, flights: VecDeque::new() }
    }

    /// The boot under which hand-overs are numbered.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// How many are on their way.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Bytes of operations that are on their way.
    pub fn bytes(&self) -> usize {
        self.flights.iter().map(|flight| flight.ops.len()).sum()
    }

    /// Whether none is on its way.
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// When the first flight is given up.
    pub fn first_deadline(&self) -> Option<Instant> {
        self.flights.front().map(|flight| flight.deadline)
    }

    /// Adds a hand-over behind the others.
    pub fn push(&mut self, parts: Vec<Request>) {
        let deadline = parts.iter().map(|p| p.deadline).max().unwrap_or_else(Instant::now);
        let ops =
            Sealed::list(parts.iter().map(|p| p.count).sum(), parts.iter().map(|p| p.encoded.as_slice()));
        self.flights.push_back(Flight { parts, ops, deadline, sent: false, doubts: 0 });
    }

    /// The first hand-over that is to be sent, now in doubt, and when nobody waits for it any more.
    pub fn next_to_send(&mut self) -> Option<(Sealed, Instant)> {
        let at = self.flights.iter().position(|flight| !flight.sent)?;
        let (seq, floor) = (self.first + at as u64, self.first - 1);
        let id = OpId { node: self.node, boot: self.boot, seq };
        let flight = &mut self.flights[at];
        flight.sent = true;
        flight.doubts += 1;
        Some((Sealed { id, floor, ops: flight.ops.clone() }, flight.deadline))
    }

    /// Everything from `seq` on is to be sent again; from the first on when `seq` is not on its way.
    pub fn go_back(&mut self, seq: u64) {
        let from = self.at(seq).unwrap_or(0);
        for flight in self.flights.range_mut(from..) {
            flight.sent = false;
        }
    }

    /// One attempt with `id` was certainly not applied. It says nothing of hand-overs of another boot.
    pub fn undoubt(&mut self, id: OpId) {
        if let Some(flight) = self.get(id) {
            flight.doubts = flight.doubts.saturating_sub(1);
        }
    }

    /// Whether an attempt with `id` may have been applied.
    pub fn in_doubt(&mut self, id: OpId) -> bool {
        self.get(id).is_some_and(|flight| flight.doubts > 0)
    }

    /// Refuses the requests of a hand-over that was not applied; its place is kept while others are behind it.
    pub fn refuse(&mut self, id: OpId, error: &ServiceError) {
        let Some(flight) = self.get(id) else { return };
        flight.ops = Sealed::list(0, std::iter::empty());
        for request in std::mem::take(&mut flight.parts) {
            request.fail(error.clone());
        }
        self.drop_front();
    }

    /// Takes back the requests of those last hand-overs that were certainly not applied and are not on their way, in
    /// their order: they can wait like any others. Their numbers are not used for anything else.
    pub fn take_back(&mut self) -> Vec<Request> {
        let mut requests: Vec<Request> = Vec::new();
        for flight in self.flights.iter_mut().rev().take_while(|f| !f.sent && f.doubts == 0) {
            for part in &flight.parts {
                part.stage.wait_again();
            }
            flight.ops = Sealed::list(0, std::iter::empty());
            requests.splice(0..0, std::mem::take(&mut flight.parts));
        }
        self.drop_front();
        requests
    }

    /// A hand-over was applied: its requests get their answers.
    pub fn settle(&mut self, seq: u64, index: u64, replies: Option<Vec<Response>>) {
        let Some(at) = self.at(seq) else { return };
        for earlier in self.flights.drain(..at) {
            // The session applies in order: only a flight without requests can have been passed over.
            fail(earlier, &ServiceError::TimedOut { applied: AppliedState::Unknown });
        }
        let flight = self.flights.pop_front().expect("found above");
        self.first = seq + 1;
        deliver(flight, index, replies);
        self.drop_front();
    }

    /// Gives up the first hand-overs whose deadline has passed: what became of them stays unknown.
    pub fn expire(&mut self, now: Instant) {
        while let Some(flight) = self.flights.pop_front_if(|f| f.deadline <= now) {
            self.first += 1;
            let applied = if flight.doubts > 0 { AppliedState::Unknown } else { AppliedState::No };
            fail(flight, &ServiceError::TimedOut { applied });
        }
        self.drop_front();
    }

    /// Fails everything: the node stops.
    pub fn stop(&mut self) {
        for flight in self.flights.drain(..) {
            self.first += 1;
            let applied = if flight.doubts > 0 { AppliedState::Unknown } else { AppliedState::No };
            fail(flight, &ServiceError::Stopped { applied });
        }
    }

    /// Numbers everything anew under a higher boot, because the present one was refused for good: no copy of what is on
    /// its way can be applied any more.
    pub fn reboot(&mut self, boot: u64) {
        (self.boot, self.first) = (boot, 1);
        for flight in &mut self.flights {
            (flight.sent, flight.doubts) = (false, 0);
        }
    }

    /// The identities of all hand-overs on their way, in order.
    pub fn ids(&self) -> Vec<OpId> {
        let (node, boot, first) = (self.node, self.boot, self.first);
        (0..self.flights.len() as u64).map(|at| OpId { node, boot, seq: first + at }).collect()
    }

    /// First places that nobody waits for can go at once: the floor says that they are given up.
    fn drop_front(&mut self) {
        while self.flights.pop_front_if(|f| f.parts.is_empty()).is_some() {
            self.first += 1;
        }
    }

    fn at(&self, seq: u64) -> Option<usize> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        (at < self.flights.len()).then_some(at)
    }

    /// Each boot counts from one: a number alone names nothing.
    fn get(&mut self, id: OpId) -> Option<&mut Flight> {
        let at = self.at(id.seq).filter(|_| id.boot == self.boot)?;
        self.flights.get_mut(at)
    }
}

fn fail(flight: Flight, error: &ServiceError) {
    for request in flight.parts {
        request.fail(error.clone());
    }
}

/// Cuts the replies by requests; `None` stands for as many `Done` as there are operations.
fn deliver(flight: Flight, index: u64, replies: Option<Vec<Response>>) {
    let count: usize = flight.parts.iter().map(|p| p.count).sum();
    let replies = replies.unwrap_or_else(|| vec![Response::Done; count]);
    if replies.len() != count {
        tracing::error!(index, expected = count, found = replies.len(), "replies of another hand-over");
        return fail(flight, &ServiceError::TimedOut { applied: AppliedState::Unknown });
    }
    let mut replies = replies.into_iter();
    for request in flight.parts {
        let responses = replies.by_ref().take(request.count).collect();
        // A door that gave up is no longer interested.
        let _ = request.reply.send(Ok(Written { responses, index }));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::codec;
    use crate::meta::op::{Op, SystemOp};

    type Outcome = oneshot::Receiver<Result<Written, ServiceError>>;

    fn request(deadline: Instant) -> (Request, Outcome) {
        let (reply, outcome) = oneshot::channel();
        let encoded = codec::encode(&Op::System(SystemOp::Tick));
        let stage = Arc::new(Stage::default());
        assert!(stage.propose());
        (Request { count: 1, encoded, arrived: Instant::now(), deadline, stage, reply }, outcome)
    }

    fn three() -> (Flights, Vec<Outcome>) {
        let mut flights = Flights::new(1, 7);
        let outcomes = (0..3)
            .map(|n| {
                let (request, outcome) = request(Instant::now() + Duration::from_secs(60 + n));
                flights.push(vec![request]);
                outcome
            })
            .collect();
        (flights, outcomes)
    }

    fn id(seq: u64) -> OpId {
        OpId { node: 1, boot: 7, seq }
    }

    fn send_all(flights: &mut Flights) -> Vec<(u64, u64)> {
        std::iter::from_fn(|| flights.next_to_send().map(|(sealed, _)| (sealed.id.seq, sealed.floor)))
            .collect()
    }

    #[test]
    fn what_failed_and_all_after_it_is_sent_again_in_order_with_the_same_numbers() {
        let (mut flights, _outcomes) = three();
        assert_eq!(send_all(&mut flights), [(1, 0), (2, 0), (3, 0)]);
        flights.go_back(2);
        assert_eq!(send_all(&mut flights), [(2, 0), (3, 0)]);
        assert_eq!(send_all(&mut flights), []);
    }

    #[test]
    fn the_floor_rises_over_settled_hand_overs_only() {
        let (mut flights, mut outcomes) = three();
        send_all(&mut flights);
        flights.settle(1, 10, None);
        let written = outcomes[0].try_recv().unwrap().unwrap();
        assert_eq!(written, Written { responses: vec![Response::Done], index: 10 });
        flights.go_back(2);
        assert_eq!(send_all(&mut flights), [(2, 1), (3, 1)]);
    }

    #[test]
    fn only_what_was_certainly_not_applied_is_taken_back_and_only_from_the_end() {
        let (mut flights, _outcomes) = three();
        send_all(&mut flights);
        flights.go_back(1);
        flights.undoubt(id(1));
        flights.undoubt(id(3));
        // 2 may have been applied, so 1 and 2 keep their requests, and 3 keeps its number.
        assert_eq!(flights.take_back().len(), 1);
        assert_eq!(send_all(&mut flights), [(1, 0), (2, 0), (3, 0)]);
    }

    #[test]
    fn a_refused_hand_over_keeps_its_place_while_others_are_before_and_behind_it() {
        let (mut flights, mut outcomes) = three();
        send_all(&mut flights);
        flights.undoubt(id(2));
        flights.refuse(id(2), &ServiceError::Busy);
        assert_eq!(outcomes[1].try_recv(), Ok(Err(ServiceError::Busy)));
        flights.go_back(2);
        assert_eq!(send_all(&mut flights), [(2, 0), (3, 0)]);
        flights.settle(1, 10, None);
        flights.go_back(3);
        assert_eq!(send_all(&mut flights), [(3, 2)]);
    }

    #[test]
    fn an_attempt_of_an_earlier_boot_says_nothing_of_what_has_its_number_now() {
        let (mut flights, mut outcomes) = three();
        send_all(&mut flights);
        flights.reboot(8);
        send_all(&mut flights);
        flights.go_back(0);
        flights.undoubt(id(1));
        assert!(!flights.in_doubt(id(1)));
        assert!(flights.in_doubt(OpId { boot: 8, ..id(1) }));
        flights.refuse(id(1), &ServiceError::Busy);
        assert!(outcomes[0].try_recv().is_err(), "the new hand-over may have been applied");
        assert!(flights.take_back().is_empty());
    }

    #[test]
    fn what_nobody_waits_for_is_given_up_from_the_front_and_stays_unknown() {
        let (mut flights, mut outcomes) = three();
        send_all(&mut flights);
        flights.expire(Instant::now() + Duration::from_secs(61));
        for outcome in &mut outcomes[..2] {
            let unknown = ServiceError::TimedOut { applied: AppliedState::Unknown };
            assert_eq!(outcome.try_recv(), Ok(Err(unknown)));
        }
        flights.go_back(3);
        assert_eq!(send_all(&mut flights), [(3, 2)]);
    }

    #[test]
    fn replies_of_something_else_are_never_given_to_a_request() {
        let (mut flights, mut outcomes) = three();
        send_all(&mut flights);
        flights.settle(1, 10, Some(vec![Response::Nil, Response::Nil]));
        let unknown = ServiceError::TimedOut { applied: AppliedState::Unknown };
        assert_eq!(outcomes[0].try_recv(), Ok(Err(unknown)));
    }
}
