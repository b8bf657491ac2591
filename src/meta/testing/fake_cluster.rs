//! A cluster of real services over a log and a network that are played: faults are drawn from a seed.
//!
//! Not here: Raft (`metad-raft` has a simulation of its own). Must always hold: whatever the log played here does, a real
//! one may do: an answer "not leader" or "unreachable" is certain, a lost answer may mean anything, and what a leader that
//! was lost had taken is committed in front of everything of the next one, or never.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use metad_raft::{
    Applied, Channel, Entry as LogEntry, Fatal, Fut, Lane, Leader, PeerService, PosixMetadataReplicator,
    Proposal, Refusal, ReplicateError, Role, StartError, StateMachine, Status, Transport, TransportError,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock::{Clock, ManualClock};
use crate::meta::entry::FEATURE_LEVEL;
use crate::meta::forward::Answer;
use crate::meta::log_service::LogService;
use crate::meta::machine::MetaMachine;
use crate::meta::store::shelf::MemoryShelf;
use crate::meta::verify::Nobody;

/// How often, in percent, each fault strikes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A proposal makes its leader lose the lead; the answer is unknown.
    pub deposed: u64,
    /// A proposal is refused though its node leads.
    pub busy: u64,
    /// A call reaches nobody.
    pub unreachable: u64,
    /// A call is lost on its way there.
    pub lost: u64,
    /// A call's answer is lost.
    pub unanswered: u64,
    /// A call that was taken arrives twice.
    pub doubled: u64,
    /// A call arrives late.
    pub late: u64,
    /// A node gets a snapshot instead of entries.
    pub snapshot: u64,
}

struct Log {
    entries: Vec<Bytes>,
    /// Taken by a leader that was lost: the next one commits it, or nobody.
    limbo: Vec<Bytes>,
    leader: Option<u64>,
    term: u64,
    random: u64,
    faults: Faults,
}

impl Log {
    fn draw(&mut self, below: u64) -> u64 {
        // xorshift64: good enough to choose faults.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn strikes(&mut self, percent: u64) -> bool {
        self.draw(100) < percent
    }
}

struct Member {
    machine: Arc<MetaMachine>,
    status: watch::Sender<Status>,
    /// Held while this node applies: one thread at a time.
    applying: Mutex<()>,
    service: OnceLock<Arc<dyn PeerService>>,
}

/// The nodes `1..=n`.
pub struct Cluster {
    log: Mutex<Log>,
    members: Vec<Member>,
}

impl Cluster {
    /// Nodes without a leader.
    pub fn new(nodes: u64, seed: u64, faults: Faults) -> Arc<Self> {
        Self::knowing(&vec![FEATURE_LEVEL; nodes as usize], seed, faults)
    }

    /// As many nodes as levels, each of a build that can apply entries up to its feature level.
    pub fn knowing(levels: &[u32], seed: u64, faults: Faults) -> Arc<Self> {
        let machine =
            |known| MetaMachine::open_knowing(known, Box::new(MemoryShelf::default()), &mut Nobody).unwrap();
        let member = |(known, id): (&u32, u64)| Member {
            machine: Arc::new(machine(*known)),
            status: watch::Sender::new(Status { recovered: true, ..Status::initial(id) }),
            applying: Mutex::default(),
            service: OnceLock::new(),
        };
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let log = Log { entries: Vec::new(), limbo: Vec::new(), leader: None, term: 0, random, faults };
        Arc::new(Self { log: Mutex::new(log), members: levels.iter().zip(1..).map(member).collect() })
    }

    /// The service of a node, started.
    pub fn service(self: &Arc<Self>, node: u64) -> LogService {
        self.service_at(node, Arc::new(ManualClock::at(1)))
    }

    /// The same, stamping entries with this clock.
    pub fn service_at(self: &Arc<Self>, node: u64, clock: Arc<dyn Clock>) -> LogService {
        let log = Arc::new(Node { cluster: Arc::clone(self), me: node });
        let transport = Arc::clone(&log) as Arc<dyn Transport>;
        let machine = Arc::clone(&self.member(node).machine);
        let service = LogService::start(machine, log, Some(transport), clock, 1).unwrap();
        assert!(self.member(node).service.set(service.forwarding()).is_ok(), "a node is started once");
        service
    }

    /// From now on nothing goes wrong, and `leader` leads.
    pub fn heal(&self, leader: u64) {
        self.log.lock().faults = Faults::default();
        self.elect(Some(leader));
    }

    /// Changes who leads.
    pub fn elect(&self, leader: Option<u64>) {
        let mut log = self.log.lock();
        if leader.is_some() {
            log.term += 1;
            if log.draw(2) == 0 {
                let most = log.limbo.len() as u64;
                let kept = log.draw(most + 1) as usize;
                let limbo = std::mem::take(&mut log.limbo);
                log.entries.extend(limbo.into_iter().take(kept));
            }
            log.limbo.clear();
        }
        log.leader = leader;
        let term = log.term;
        drop(log);
        for (member, id) in self.members.iter().zip(1..) {
            let role = if leader == Some(id) { Role::Leader } else { Role::Follower };
            member.status.send_modify(|s| {
                (s.leader, s.term, s.role) = (leader.map(|id| Leader { id, peer: None }), term, role);
            });
        }
    }

    /// Brings a node's state to the end of the log.
    pub fn catch_up(&self, node: u64) {
        let member = self.member(node);
        let _one_at_a_time = member.applying.lock();
        if member.status.borrow().failure.is_some() {
            return;
        }
        let applied = member.machine.digest().0 as usize;
        let (rest, by_snapshot) = {
            let mut log = self.log.lock();
            let percent = log.faults.snapshot;
            (log.entries[applied..].to_vec(), log.strikes(percent))
        };
        if rest.is_empty() {
            return;
        }
        let first = applied as u64 + 1;
        let entries: Vec<LogEntry> =
            rest.into_iter().zip(first..).map(|(ops, index)| LogEntry::Ops { index, ops }).collect();
        let upto = Applied { index: applied as u64 + entries.len() as u64, mark: Bytes::new() };
        member.machine.log_flushed(upto.index);
        if by_snapshot {
            self.install(&member.machine, &entries, &upto);
        } else {
            let applied = member.machine.apply(&entries, &upto);
            let stop = |fault: Fatal| member.status.send_modify(|s| s.failure = Some(fault.to_string()));
            applied.unwrap_or_else(stop);
        }
    }

    /// The log.
    pub fn entries(&self) -> Vec<Bytes> {
        self.log.lock().entries.clone()
    }

    /// What a snapshot of a node that applied `entries` after this one's state would install here.
    fn install(&self, machine: &MetaMachine, entries: &[LogEntry], upto: &Applied) {
        let ahead = MetaMachine::open(Box::new(MemoryShelf::default())).unwrap();
        copy(machine, &ahead);
        ahead.log_flushed(upto.index);
        ahead.apply(entries, upto).unwrap();
        copy(&ahead, machine);
    }

    /// The state of a node.
    pub fn machine(&self, node: u64) -> &Arc<MetaMachine> {
        &self.member(node).machine
    }

    fn member(&self, node: u64) -> &Member {
        &self.members[node as usize - 1]
    }

    /// Everybody applies what there is, each at a moment of its own.
    fn spread(self: &Arc<Self>) {
        for node in 1..=self.members.len() as u64 {
            let (cluster, lag) = (Arc::clone(self), self.log.lock().draw(6));
            tokio::spawn(async move {
                yields(lag).await;
                cluster.catch_up(node);
            });
        }
    }

    /// The leader is gone; some node leads a little later.
    fn depose(self: &Arc<Self>) {
        self.elect(None);
        let (lag, next) = {
            let mut log = self.log.lock();
            (log.draw(40), log.draw(self.members.len() as u64) + 1)
        };
        let cluster = Arc::clone(self);
        tokio::spawn(async move {
            yields(lag).await;
            cluster.elect(Some(next));
            cluster.spread();
        });
    }

    fn propose(self: &Arc<Self>, me: u64, ops: Bytes) -> Result<u64, ReplicateError> {
        let mut log = self.log.lock();
        if log.leader != Some(me) {
            return Err(ReplicateError::NotLeader { leader: log.leader.map(|id| Leader { id, peer: None }) });
        }
        let (busy, deposed) = (log.faults.busy, log.faults.deposed);
        if log.strikes(busy) {
            return Err(ReplicateError::Busy);
        }
        if log.strikes(deposed) {
            log.limbo.push(ops);
            drop(log);
            self.depose();
            return Err(ReplicateError::Unknown);
        }
        log.entries.push(ops);
        Ok(log.entries.len() as u64)
    }
}

fn copy(from: &MetaMachine, to: &MetaMachine) {
    let mut source = from.snapshot().unwrap();
    let mut sink = to.install().unwrap();
    while let Some(block) = source.next_block().unwrap() {
        sink.put_block(block).unwrap();
    }
    sink.commit(&source.applied(), source.state_hash()).unwrap();
}

async fn yields(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// One node's log and its way to the others.
struct Node {
    cluster: Arc<Cluster>,
    me: u64,
}

impl PosixMetadataReplicator for Node {
    fn start(&self, _machine: Arc<dyn StateMachine>) -> Fut<'_, Result<(), StartError>> {
        Box::pin(async { Ok(()) })
    }

    fn replicate(&self, batch: Vec<Proposal>) -> Fut<'_, Vec<Result<u64, ReplicateError>>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for proposal in batch {
                let answer = self.cluster.propose(self.me, proposal.ops);
                if answer.is_ok() {
                    self.cluster.catch_up(self.me);
                    self.cluster.spread();
                }
                answers.push(answer);
            }
            answers
        })
    }

    fn read_barrier(&self, _deadline: Instant) -> Fut<'_, Result<u64, ReplicateError>> {
        Box::pin(async {
            if self.cluster.log.lock().leader.is_none() {
                return Err(ReplicateError::NotLeader { leader: None });
            }
            self.cluster.catch_up(self.me);
            Ok(self.cluster.machine(self.me).digest().0)
        })
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.cluster.member(self.me).status.subscribe()
    }

    fn stop(&self) -> Fut<'_, ()> {
        Box::pin(async {})
    }
}

impl Transport for Node {
    fn call(
        &self,
        to: u64,
        channel: Channel,
        _lane: Lane,
        request: Bytes,
        _deadline: Instant,
    ) -> Fut<'_, Result<Bytes, TransportError>> {
        assert!(to != self.me && channel == Channel::FORWARD);
        Box::pin(async move {
            let faults = self.cluster.log.lock().faults;
            let strikes = |percent| self.cluster.log.lock().strikes(percent);
            if strikes(faults.unreachable) {
                return Err(TransportError::Unreachable("played".into()));
            }
            if strikes(faults.lost) {
                return Err(TransportError::Lost("on its way there".into()));
            }
            if strikes(faults.late) {
                let lag = self.cluster.log.lock().draw(20);
                yields(lag).await;
            }
            let Some(service) = self.cluster.member(to).service.get().cloned() else {
                return Err(Refusal::NotServed.into());
            };
            let answer = service.handle(self.me, request.clone()).await?;
            // No transport delivers again what was refused.
            let taken = matches!(Answer::decode(&answer), Ok(Answer::Committed { .. } | Answer::Unknown));
            if taken && strikes(faults.doubled) {
                let (service, from, lag) = (Arc::clone(&service), self.me, self.cluster.log.lock().draw(60));
                tokio::spawn(async move {
                    yields(lag).await;
                    service.handle(from, request).await
                });
            }
            if strikes(faults.unanswered) {
                return Err(TransportError::Lost("on its way back".into()));
            }
            Ok(answer)
        })
    }
}
