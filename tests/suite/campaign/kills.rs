//! kill -9 of the leader under load, again and again, and of all nodes at once.
//!
//! Not here: one node alone (`crash`). Must always hold: the load goes on from before the kill until the killed node is back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::audit::{Audit, figures, report};
use super::load::{Ledger, Load};
use super::{ELECTION_TIMEOUT, FAILOVER_MAX, p99, rounds, strict};
use crate::support::cluster::Cluster;
use crate::support::node::eventually;
use crate::support::random::{Random, number};

/// Writers at the same time: two begin with each node.
const WRITERS: u64 = 6;

struct Kills {
    cluster: Cluster,
    ledger: Arc<Ledger>,
    audit: Audit,
    random: Random,
}

impl Kills {
    fn new(seed: u64) -> Self {
        let cluster = Cluster::started(3);
        Self { cluster, ledger: Arc::default(), audit: Audit::default(), random: Random(seed) }
    }

    /// Waits until so many more writes were acknowledged.
    fn wait(&self, more: u64) {
        let wanted = self.ledger.acknowledged.load(Ordering::Relaxed) + more;
        eventually("writes are acknowledged", || {
            (self.ledger.acknowledged.load(Ordering::Relaxed) >= wanted).then_some(())
        });
    }

    /// Under load, `fault` happens and is healed; gives what `fault` gave.
    fn round<T>(&mut self, round: u64, fault: impl FnOnce(&mut Self) -> T) -> T {
        self.ledger.acks.lock().clear();
        let load = Load::start(&self.ledger, &self.cluster.addresses(), WRITERS, round);
        let before = 50 + self.random.below(300);
        self.wait(before);
        let seen = fault(self);
        self.wait(100);
        load.stop();
        self.audit.check(&self.cluster, &self.ledger, &mut self.random);
        seen
    }

    /// Kills the leader, starts it again, and gives the time until a write was acknowledged that was sent after the kill.
    fn kill_leader(&mut self) -> Duration {
        let leader = self.cluster.leader();
        let killed = Instant::now();
        self.cluster.kill(leader);
        let next = eventually("a write is acknowledged again", || self.ledger.first_after(killed));
        self.cluster.start(leader);
        self.cluster.ready();
        next.answered - killed
    }

    fn kill_all(&mut self) -> Duration {
        (0..3).for_each(|n| self.cluster.kill(n));
        let killed = Instant::now();
        (0..3).for_each(|n| self.cluster.start(n));
        self.cluster.ready();
        eventually("a write is acknowledged again", || self.ledger.first_after(killed)).answered - killed
    }
}

#[test]
fn kill_9_of_the_leader_loses_nothing_acknowledged_and_applies_nothing_twice() {
    let (seed, rounds) = (number("METAD_TEST_SEED", 1), rounds(3));
    eprintln!("seed {seed}, {rounds} rounds");
    let mut kills = Kills::new(seed);
    let gaps: Vec<Duration> = (0..rounds).map(|round| kills.round(round, Kills::kill_leader)).collect();
    let more = json!({
        "kill_to_next_acknowledged_write": figures(&gaps),
        "election_timeout_ms": ELECTION_TIMEOUT.as_millis(),
        "promised_p99_ms": FAILOVER_MAX.as_millis(),
    });
    report("kill -9 of the leader", seed, &kills.ledger, &more);
    assert!(!strict() || p99(&gaps) <= FAILOVER_MAX, "{gaps:?}");
}

#[test]
fn kill_9_of_all_nodes_at_once_loses_nothing_acknowledged_and_applies_nothing_twice() {
    let (seed, rounds) = (number("METAD_TEST_SEED", 1), rounds(2));
    eprintln!("seed {seed}, {rounds} rounds");
    let mut kills = Kills::new(seed);
    let gaps: Vec<Duration> = (0..rounds).map(|round| kills.round(round, Kills::kill_all)).collect();
    let more = json!({"kill_to_next_acknowledged_write": figures(&gaps)});
    report("kill -9 of all three", seed, &kills.ledger, &more);
}
