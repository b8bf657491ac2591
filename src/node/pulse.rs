//! Pulses: members compare their states and clocks once a second, and learn who is there.
//!
//! Not here: keeping the digests (`meta::digests`). Must always hold: a difference once seen stays an alarm until the
//! process ends; nothing is written for a pulse.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use metad_raft::{Channel, Lane, Refusal, Transport, TransportError};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::word::{Reply, Word};
use crate::meta::digests::{Digest, first_difference};
use crate::meta::leader_clock::Judgement;
use crate::meta::log_clock::LogClock;
use crate::meta::machine::MetaMachine;

/// Time between two pulses.
const EVERY: Duration = Duration::from_secs(1);
/// The same until a majority's clocks are known: the cluster does not begin before.
const HURRY: Duration = Duration::from_millis(100);
/// How long a pulse waits for its answer.
const ANSWER: Duration = Duration::from_secs(2);
/// A member that has not answered for so long cannot be counted on: two pulses that went unanswered to their end.
const NEAR: Duration = Duration::from_secs(6);

/// What the last pulse told of a member.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    /// When it answered.
    pub at: Instant,
    /// How long the exchange took.
    pub rtt: Duration,
    /// Entries that it had applied less than this node.
    pub lag: u64,
}

/// What is known of the others, and what is wrong.
pub struct Pulse {
    machine: Arc<MetaMachine>,
    transport: Arc<dyn Transport>,
    clock: Arc<LogClock>,
    contacts: Mutex<BTreeMap<u64, Contact>>,
    alarm: Mutex<Option<String>>,
    /// Cancelled when a peer says that this node was removed.
    removed: CancellationToken,
}

impl Pulse {
    /// Nothing is known yet.
    pub fn new(
        machine: Arc<MetaMachine>,
        transport: Arc<dyn Transport>,
        clock: Arc<LogClock>,
        removed: CancellationToken,
    ) -> Arc<Self> {
        let (contacts, alarm) = (Mutex::default(), Mutex::default());
        Arc::new(Self { machine, transport, clock, contacts, alarm, removed })
    }

    /// The last word of a member.
    pub fn contact(&self, id: u64) -> Option<Contact> {
        self.contacts.lock().get(&id).copied()
    }

    /// Whether a member answered lately.
    pub fn is_near(&self, id: u64) -> bool {
        self.contact(id).is_some_and(|contact| contact.at.elapsed() < NEAR)
    }

    /// The alarm, once there is one.
    pub fn alarm(&self) -> Option<String> {
        self.alarm.lock().clone()
    }

    /// Answers another member's pulse.
    pub fn answer(&self, from: u64, digests: &[Digest]) -> Reply {
        let ours = self.machine.recent_digests();
        self.compare(from, &ours, digests);
        Reply::Pulse { digests: ours }
    }

    /// Answers another member's question for the time.
    pub fn tell_time(&self) -> Reply {
        Reply::Clock { wall_ms: self.clock.wall_ms() }
    }

    /// What this node's clock is worth.
    pub fn clock(&self) -> Judgement {
        self.clock.judge()
    }

    /// Asks a member something on a lane: how long it took, or why there was no answer.
    pub async fn probe(&self, id: u64, lane: Lane) -> Result<Duration, TransportError> {
        let begun = Instant::now();
        let (word, deadline) = (Word::Clock.encode(), begun + ANSWER);
        self.transport.call(id, Channel::CLUSTER, lane, word, deadline).await?;
        Ok(begun.elapsed())
    }

    fn compare(&self, with: u64, ours: &[Digest], theirs: &[Digest]) {
        let Some(index) = first_difference(ours, theirs) else { return };
        let mut alarm = self.alarm.lock();
        if alarm.is_none() {
            let text = format!(
                "the state of this node and of node {with} differ at log index {index}: one of them computed something \
                 else from the same log. Save both data directories, then replace the one that differs from the third"
            );
            tracing::error!(index, peer = with, "{text}");
            *alarm = Some(text);
        }
    }

    /// Asks the members once a second until `closing`.
    pub async fn run(
        self: Arc<Self>,
        members: impl Fn() -> Vec<u64> + Send,
        voters: impl Fn() -> BTreeSet<u64> + Send,
        closing: CancellationToken,
    ) {
        let mut was_far = false;
        loop {
            let asked = members();
            self.contacts.lock().retain(|id, _| asked.contains(id));
            self.clock.tick(voters());
            let all = join_all(asked.into_iter().map(|id| join(self.ask(id), self.ask_time(id))));
            let judged = self.clock.judge();
            told(judged, &mut was_far);
            let pause = if judged == Judgement::Unknown { HURRY } else { EVERY };
            let round = async { join(all, tokio::time::sleep(pause)).await };
            if closing.run_until_cancelled(round).await.is_none() {
                return;
            }
        }
    }

    async fn ask_time(&self, id: u64) {
        let asked = Instant::now();
        let (word, deadline) = (Word::Clock.encode(), asked + ANSWER);
        let answer = self.transport.call(id, Channel::CLUSTER, Lane::Control, word, deadline).await;
        match answer.map(|bytes| Reply::decode(&bytes)) {
            Ok(Ok(Reply::Clock { wall_ms })) => self.clock.heard(id, wall_ms, asked),
            Ok(Ok(Reply::Pulse { .. } | Reply::Done(_) | Reply::Failed(_))) => {}
            Ok(Err(error)) => tracing::debug!(peer = id, %error, "a time that cannot be read"),
            Err(error) => tracing::debug!(peer = id, %error, "no time"),
        }
    }

    async fn ask(&self, id: u64) {
        let ours = self.machine.recent_digests();
        let word = Word::Pulse { digests: ours.clone() }.encode();
        let begun = Instant::now();
        let answer = self.transport.call(id, Channel::CLUSTER, Lane::Control, word, begun + ANSWER).await;
        match answer {
            Ok(bytes) => match Reply::decode(&bytes) {
                Ok(Reply::Pulse { digests }) => self.heard(id, begun, &ours, &digests),
                Ok(Reply::Done(_) | Reply::Failed(_) | Reply::Clock { .. }) => {}
                Err(error) => tracing::debug!(peer = id, %error, "a pulse that cannot be read"),
            },
            Err(TransportError::Refused(Refusal::Removed)) => self.removed.cancel(),
            Err(error) => tracing::debug!(peer = id, %error, "no pulse"),
        }
    }

    fn heard(&self, id: u64, begun: Instant, ours: &[Digest], theirs: &[Digest]) {
        self.compare(id, ours, theirs);
        let applied = theirs.last().map_or(0, |(index, _)| *index);
        let own = ours.last().map_or(0, |(index, _)| *index);
        let now = Instant::now();
        self.contacts
            .lock()
            .insert(id, Contact { at: now, rtt: now - begun, lag: own.saturating_sub(applied) });
    }
}

/// Says in the node's log when its clock goes wrong, and when it is right again.
fn told(judged: Judgement, was_far: &mut bool) {
    match judged {
        Judgement::Far(ahead_ms) if !*was_far => {
            *was_far = true;
            tracing::warn!(
                ahead_ms,
                "this node's clock is far from that of the others: set it (NTP); the log does not follow it"
            );
        }
        Judgement::Near(ahead_ms) if *was_far => {
            *was_far = false;
            tracing::info!(ahead_ms, "this node's clock is right again");
        }
        Judgement::Far(_) | Judgement::Near(_) | Judgement::Unknown => {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use metad_raft::{Applied, Entry as LogEntry, Fut, StateMachine};

    use super::super::doctor;
    use super::*;
    use crate::clock::SystemClock;
    use crate::codec::Blob;
    use crate::http::Level;
    use crate::limits::DIGEST_EVERY;
    use crate::meta::entry::{Entry, FEATURE_LEVEL, HandOver, OpId};
    use crate::meta::op::{Op, RecordOp};
    use crate::meta::store::shelf::MemoryShelf;

    /// Applies a record of this title at every index up to `upto`.
    fn machine(title: &'static str, upto: u64) -> Arc<MetaMachine> {
        let machine = MetaMachine::open(Box::new(MemoryShelf::default())).unwrap();
        for index in 1..=upto {
            let properties = vec![(Blob::from("title"), Blob::from(title))];
            let ops = vec![Op::Record(RecordOp::Put { id: Blob::from("a"), properties })];
            let hand_over = HandOver { id: OpId { node: 1, boot: 1, seq: index }, floor: 0, ops };
            let entry = Entry { feature_level: FEATURE_LEVEL, stamp_ms: index, hand_overs: vec![hand_over] };
            let entry = LogEntry::Ops { index, ops: entry.encode() };
            machine.apply(&[entry], &Applied { index, mark: Bytes::new() }).unwrap();
        }
        Arc::new(machine)
    }

    /// Everybody is refused in one way.
    struct Refusing(Refusal);

    impl Transport for Refusing {
        fn call(
            &self,
            _to: u64,
            _channel: Channel,
            _lane: Lane,
            _request: Bytes,
            _deadline: Instant,
        ) -> Fut<'_, Result<Bytes, TransportError>> {
            Box::pin(async { Err(self.0.clone().into()) })
        }
    }

    fn pulse(machine: &Arc<MetaMachine>, refusal: Refusal) -> Arc<Pulse> {
        let clock = LogClock::new(Arc::new(SystemClock), Arc::clone(machine), 1, [1].into());
        Pulse::new(
            Arc::clone(machine),
            Arc::new(Refusing(refusal)),
            Arc::new(clock),
            CancellationToken::new(),
        )
    }

    #[test]
    fn states_that_differ_at_one_index_are_an_alarm_even_when_the_nodes_are_not_equally_far() {
        let (far, near) = (machine("one", 2 * DIGEST_EVERY + 3), machine("another", DIGEST_EVERY + 1));
        let ours = pulse(&far, Refusal::Busy);
        ours.answer(2, &near.recent_digests());
        let alarm = ours.alarm().unwrap();
        assert!(alarm.contains(&format!("index {DIGEST_EVERY}")) && alarm.contains("node 2"), "{alarm}");
    }

    #[test]
    fn equal_states_are_no_alarm_however_far_each_node_is() {
        let far = machine("one", 3 * DIGEST_EVERY + 1);
        for upto in [0, 1, DIGEST_EVERY, 2 * DIGEST_EVERY + 5] {
            let ours = pulse(&far, Refusal::Busy);
            ours.answer(2, &machine("one", upto).recent_digests());
            assert_eq!(ours.alarm(), None, "at {upto}");
        }
    }

    /// Only the control lane leads anywhere.
    struct HalfOpen;

    impl Transport for HalfOpen {
        fn call(
            &self,
            _to: u64,
            _channel: Channel,
            lane: Lane,
            _request: Bytes,
            _deadline: Instant,
        ) -> Fut<'_, Result<Bytes, TransportError>> {
            Box::pin(async move {
                match lane {
                    Lane::Control => Ok(Reply::Clock { wall_ms: 1 }.encode()),
                    Lane::Bulk => Err(TransportError::Unreachable("no connection in time".into())),
                }
            })
        }
    }

    #[tokio::test]
    async fn a_peer_that_only_one_lane_leads_to_is_a_failure_that_names_the_lane() {
        let machine = machine("one", 1);
        let clock = Arc::new(LogClock::new(Arc::new(SystemClock), Arc::clone(&machine), 1, [1, 2].into()));
        let pulse = Pulse::new(machine, Arc::new(HalfOpen), clock, CancellationToken::new());
        let finding = doctor::lanes(&pulse, 2, "n2").await;
        assert_eq!(finding.level, Level::Fail);
        assert!(
            finding.text.contains("bulk lane: ") && finding.text.contains("control lane 0."),
            "{finding:?}"
        );
    }

    #[tokio::test]
    async fn a_node_that_its_peers_refuse_as_removed_is_told_to_stop_and_a_busy_peer_stops_nobody() {
        let machine = machine("one", 1);
        for (refusal, stops) in [(Refusal::Busy, false), (Refusal::Removed, true)] {
            let pulse = pulse(&machine, refusal);
            pulse.ask(2).await;
            assert_eq!(pulse.removed.is_cancelled(), stops);
        }
    }
}
