//! Random faults, drawn from a seed, against a cluster on the network in memory, and what must hold at every step.
//!
//! The invariants follow openraft's own fuzzer (tests-turmoil), as far as they can be seen from outside: one entry for each index on
//! every member and in every life, applied once, equal states at equal indexes, a commit point that never goes
//! back, nothing acknowledged that is ever lost, no proposal twice, linearizable barriers, no member that stopped by itself; and at
//! the end, without faults, progress.
//!
//! `METAD_TEST_SEEDS` is the number of seeds (20 when unset), `METAD_TEST_SEED` the first one. The faults depend on the seed only; how the
//! threads interleave does not.
//!
//! Not here: changes of the members. Must always hold: a failure names its seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use metad_raft::consensus::{Formation, Options, Timing};
use metad_raft::{Entry, Lane, PosixMetadataReplicator, Proposal, RaftReplicator, Role, StateMachine as _};
use parking_lot::Mutex;

use crate::cluster::{Cluster, PATIENCE, deadline};
use crate::machine::Toy;
use crate::net::{Dice, Net, Trouble, pass};

const STEPS: u64 = 60;
/// Simulations that run beside each other.
const AT_ONCE: usize = 2;

/// Answered proposals: index and payload.
type Acknowledged = Arc<Mutex<BTreeMap<u64, String>>>;

/// What happened, summed up over the seeds: faults that never came prove nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    acknowledged: usize,
    barriers: usize,
    crashes: usize,
    leaders: usize,
    snapshots_installed: usize,
}

/// What is known about the one history.
#[derive(Default)]
struct History {
    /// The entry at each index: what it carries, `None` for the log's own.
    entries: BTreeMap<u64, Option<Bytes>>,
    /// The state's hash after each index.
    digests: BTreeMap<u64, [u8; 16]>,
    /// For each member: entries of its toy that were looked at, and its commit point.
    looked: BTreeMap<u64, (usize, u64)>,
    /// Who led, and in which term.
    leaders: std::collections::BTreeSet<(u64, u64)>,
}

impl History {
    /// Looks at what a member has applied since the last time.
    fn look_at(&mut self, id: u64, toy: &Toy) {
        let (seen, _) = self.looked.entry(id).or_default();
        for entry in toy.entries(*seen) {
            *seen += 1;
            let (index, payload) = match entry {
                Entry::Ops { index, ops } => (index, Some(ops)),
                Entry::Blank { index } => (index, None),
            };
            let known = self.entries.entry(index).or_insert_with(|| payload.clone());
            assert_eq!(*known, payload, "member {id} applied something else at {index}");
        }
        let (index, digest) = toy.digest();
        let known = self.digests.entry(index).or_insert(digest);
        assert_eq!(*known, digest, "member {id} has another state at {index}");
    }

    fn check(&mut self, cluster: &Cluster) {
        for (id, member) in cluster.running() {
            self.look_at(id, &member.toy);
            let status = member.status();
            assert_eq!(status.failure, None, "member {id} stopped by itself");
            let (_, committed) = self.looked.entry(id).or_default();
            assert!(status.committed_index >= *committed, "the commit point of member {id} went back");
            *committed = status.committed_index;
            if status.role == Role::Leader {
                self.leaders.insert((status.term, id));
            }
        }
    }

    /// Looks a last time at a member that is about to be killed.
    fn part_with(&mut self, id: u64, toy: &Toy) {
        self.look_at(id, toy);
        self.looked.remove(&id);
    }

    /// What was acknowledged is in the history where it was said to be, and nothing is in it twice.
    fn keeps(&self, acknowledged: &BTreeMap<u64, String>) {
        for (index, payload) in acknowledged {
            let found = self.entries.get(index).cloned().flatten();
            assert_eq!(found.as_deref(), Some(payload.as_bytes()), "lost at {index}");
        }
        let mut payloads: Vec<_> = self.entries.values().flatten().collect();
        payloads.sort();
        assert!(payloads.windows(2).all(|w| w[0] != w[1]), "a proposal was applied twice");
    }
}

struct Simulation {
    cluster: Cluster,
    dice: Dice,
    history: History,
    acknowledged: Acknowledged,
    /// Proposals and barriers on their way. A killed member never answers, so they are not waited for.
    calls: tokio::task::JoinSet<()>,
    proposed: u64,
    seen: Seen,
    barriers: Arc<Mutex<usize>>,
}

fn settings(options: &mut Options) {
    let millis = Duration::from_millis;
    options.timing = Timing { heartbeat: millis(50), election_min: millis(200), election_max: millis(400) };
    (options.snapshot_entries, options.tail_entries, options.chunk_bytes) = (15, 3, 64);
}

impl Simulation {
    async fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let members = 3 + 2 * u64::from(dice.percent(30));
        let mut cluster = Cluster { net: Net::new(seed), members: BTreeMap::new(), change: settings };
        for id in 1..=members {
            cluster.add(id, Formation::Voters((1..=members).collect())).await;
        }
        Self {
            cluster,
            dice,
            history: History::default(),
            acknowledged: Arc::default(),
            calls: tokio::task::JoinSet::new(),
            proposed: 0,
            seen: Seen::default(),
            barriers: Arc::default(),
        }
    }

    fn any(&mut self) -> u64 {
        1 + self.dice.below(self.cluster.members.len() as u64)
    }

    async fn step(&mut self) {
        match self.dice.below(100) {
            0..40 => self.propose(),
            40..55 => self.barrier(),
            55..62 => self.cut(),
            62..67 => {
                let lane = if self.dice.percent(70) { Lane::Control } else { Lane::Bulk };
                let delay_max = Duration::from_millis(self.dice.below(30));
                let (lost_requests, lost_answers) = (self.dice.below(15) as u8, self.dice.below(15) as u8);
                self.cluster.net.trouble(lane, Trouble { delay_max, lost_requests, lost_answers });
            }
            67..72 => {
                let id = self.any();
                self.cluster.net.pause(id);
            }
            72..82 => self.cluster.net.heal(),
            82..87 => self.crash().await,
            87..93 => self.restart().await,
            93..96 => self.transfer(),
            _ => {
                for (_, member) in self.cluster.running() {
                    member.toy.store();
                }
            }
        }
        pass(Duration::from_millis(self.dice.below(25))).await;
        self.history.check(&self.cluster);
    }

    /// Proposes through the member that leads, as far as one can tell, or through any.
    fn propose(&mut self) {
        let leads = |r: &RaftReplicator| r.status().borrow().role == Role::Leader;
        let leader = self.cluster.running().find(|(_, m)| leads(m.log())).map(|(id, _)| id);
        let id = leader.unwrap_or_else(|| self.any());
        let Some(log) = self.cluster.members[&id].log.clone() else { return };
        let first = self.proposed;
        self.proposed += 1 + self.dice.below(4);
        let payloads: Vec<String> = (first..self.proposed).map(|n| format!("k{n}=v{n}")).collect();
        let batch = payloads.iter().map(|p| Proposal { ops: p.clone().into() }).collect();
        let (acknowledged, net) = (self.acknowledged.clone(), self.cluster.net.clone());
        let life = net.life(id);
        self.calls.spawn(async move {
            let answers = log.replicate(batch).await;
            let mut acknowledged = acknowledged.lock();
            // What a killed process still says is not heard.
            if net.life(id) == life {
                for (answer, payload) in answers.into_iter().zip(payloads) {
                    if let Ok(index) = answer {
                        assert_eq!(acknowledged.insert(index, payload), None, "two entries at {index}");
                    }
                }
            }
        });
    }

    /// A barrier on any member sees what was acknowledged before it began.
    fn barrier(&mut self) {
        let id = self.any();
        let member = &self.cluster.members[&id];
        let Some(log) = member.log.clone() else { return };
        let floor = self.acknowledged.lock().last_key_value().map_or(0, |(index, _)| *index);
        let (net, toy, passed) = (self.cluster.net.clone(), member.toy.clone(), self.barriers.clone());
        let life = net.life(id);
        self.calls.spawn(async move {
            let end = Instant::now() + Duration::from_millis(300);
            if let (Ok(index), true) = (log.read_barrier(end).await, net.life(id) == life) {
                assert!(index >= floor, "member {id} read at {index}, {floor} was acknowledged before");
                assert!(toy.applied() >= index, "member {id} said {index} and is at {}", toy.applied());
                *passed.lock() += 1;
            }
        });
    }

    fn cut(&mut self) {
        let (from, to) = (self.any(), self.any());
        if self.dice.percent(40) {
            self.cluster.net.isolate(from, 1..=self.cluster.members.len() as u64);
        } else if from != to {
            let lane = if self.dice.percent(70) { Lane::Control } else { Lane::Bulk };
            self.cluster.net.cut(from, to, lane);
        }
    }

    async fn crash(&mut self) {
        let id = self.any();
        let member = &self.cluster.members[&id];
        if member.log.is_none() {
            return;
        }
        self.history.part_with(id, &member.toy);
        self.seen.snapshots_installed += member.toy.rebuilds().1;
        self.cluster.kill(id).await;
        self.seen.crashes += 1;
    }

    async fn restart(&mut self) {
        let down: Vec<u64> =
            self.cluster.members.iter().filter(|(_, m)| m.log.is_none()).map(|(id, _)| *id).collect();
        for id in down {
            self.cluster.start(id, Formation::Wait).await;
        }
    }

    fn transfer(&mut self) {
        let to = self.any();
        for log in self.cluster.running().map(|(_, m)| m.log.clone().unwrap()) {
            self.calls.spawn(async move {
                let end = Instant::now() + Duration::from_millis(300);
                // Only the leader does it, and only if the other answers; whatever it says, nothing may break.
                let _ = log.admin().unwrap().transfer(Some(to), end).await;
            });
        }
    }

    /// Without faults the cluster goes on, and everything that was acknowledged is on every member.
    async fn finish(mut self) -> Seen {
        self.cluster.net.heal();
        self.restart().await;
        let lives = tokio::time::timeout(PATIENCE, self.cluster.put("last", "v")).await;
        let index = lives.expect("no progress although nothing is wrong any more");
        self.cluster.agree(index).await;
        let end = deadline();
        while let Ok(Some(call)) = tokio::time::timeout_at(end.into(), self.calls.join_next()).await {
            call.unwrap();
        }
        self.history.check(&self.cluster);
        let acknowledged = self.acknowledged.lock().clone();
        self.history.keeps(&acknowledged);
        for (id, member) in self.cluster.running() {
            let state = member.toy.state();
            for payload in acknowledged.values() {
                let (key, value) = payload.split_once('=').unwrap();
                assert_eq!(state.get(key).map(String::as_str), Some(value), "member {id} lost {key}");
            }
            self.seen.snapshots_installed += member.toy.rebuilds().1;
        }
        self.seen.acknowledged = acknowledged.len();
        self.seen.barriers = *self.barriers.lock();
        self.seen.leaders = self.history.leaders.len();
        for id in 1..=self.cluster.members.len() as u64 {
            self.cluster.stop(id).await;
        }
        self.seen
    }
}

async fn run(seed: u64) -> Seen {
    let mut simulation = Simulation::new(seed).await;
    for _ in 0..STEPS {
        simulation.step().await;
    }
    simulation.finish().await
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_nothing_acknowledged_is_lost_and_all_members_agree() {
    let first = number("METAD_TEST_SEED", 1);
    let seeds = first..first + number("METAD_TEST_SEEDS", 20);
    let runs = seeds.clone().map(|seed| async move {
        let done = tokio::spawn(run(seed)).await;
        done.unwrap_or_else(|e| panic!("METAD_TEST_SEED={seed} METAD_TEST_SEEDS=1 fails: {e}"))
    });
    let all: Vec<Seen> = futures_util::stream::iter(runs).buffer_unordered(AT_ONCE).collect().await;
    let sum = |of: fn(&Seen) -> usize| all.iter().map(of).sum::<usize>();
    let total = Seen {
        acknowledged: sum(|s| s.acknowledged),
        barriers: sum(|s| s.barriers),
        crashes: sum(|s| s.crashes),
        leaders: sum(|s| s.leaders),
        snapshots_installed: sum(|s| s.snapshots_installed),
    };
    println!("{seeds:?}: {total:?}");
    if all.len() >= 20 {
        assert!(total.acknowledged > 20 && total.barriers > 20 && total.crashes > 10, "{total:?}");
        assert!(total.leaders > 20 && total.snapshots_installed > 0, "{total:?}");
    }
}
