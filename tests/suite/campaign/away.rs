//! A member is away until the log that it would need is gone: it gets a snapshot while the leader serves.
//!
//! Not here: a transfer that is cut half-way (`raft/tests/suite`). Must always hold: the log was really cut off behind the member's
//! last entry before it comes back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::audit::{Audit, figures, report};
use super::load::{Ledger, Load};
use super::rounds;
use crate::support::cluster::Cluster;
use crate::support::node::{Node, eventually, within};
use crate::support::random::{Random, number};

/// Writers at the same time.
const WRITERS: u64 = 6;
/// Files with a place in the tree; every second one shares its name with another, which is told apart by a pin.
const LIBRARY: u64 = 60;
/// Entries that stay in the log behind a snapshot, and how many of those before them go at once. Source: the log's options.
const TAIL: u64 = 10_000;
const PURGED_AT_ONCE: u64 = 256;
/// How long as many entries as stay behind a snapshot may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

fn library(from: u64) -> Vec<Value> {
    let record = |n: u64| {
        let path = format!("away/film{n}.mkv");
        let metadata = json!({"filePath": path, "title": format!("Film {}", n / 2), "fileType": "video"});
        json!({"hashId": format!("film{n}"), "metadata": metadata})
    };
    (from..from + LIBRARY).map(record).collect()
}

/// The value of a metric without labels; 0 while it has none.
fn metric(node: &Node, name: &str) -> f64 {
    let text = node.ask("GET", "/metrics", "").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().expect("a number"))
}

fn number_of(node: &Node, field: &str) -> u64 {
    node.get("/v1/status")[field].as_u64().unwrap_or(0)
}

/// Lets the others go on until the log begins behind `index`.
fn pass_the_purge_point(cluster: &Cluster, index: u64) {
    within(PATIENCE, "enough entries", || {
        cluster
            .running()
            .all(|node| number_of(node, "committed_index") > index + TAIL + PURGED_AT_ONCE)
            .then_some(())
    });
    for node in cluster.running() {
        assert_eq!(node.ask("GET", "/v1/snapshot", "").status, 200);
        eventually(&format!("the log is cut off: {}", node.get("/v1/status")), || {
            (metric(node, "metad_raft_purged_index") > index as f64).then_some(())
        });
    }
}

/// How long acknowledged writes took.
fn durations(ledger: &Ledger) -> Vec<Duration> {
    let mut acks = ledger.acks.lock();
    std::mem::take(&mut *acks).iter().map(|ack| ack.answered - ack.sent).collect()
}

#[test]
fn a_member_away_past_the_purge_point_gets_a_snapshot_while_the_leader_serves() {
    let (seed, rounds) = (number("METAD_TEST_SEED", 1), rounds(1));
    let (mut cluster, mut audit, mut random) = (Cluster::started(3), Audit::default(), Random(seed));
    let ledger = Arc::new(Ledger::default());
    let (mut usual, mut meanwhile, mut catch_up) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        cluster.node(0).import(&library(2 * round * LIBRARY));
        cluster.agreed();
        let leader = cluster.leader();
        let away = (leader + 1) % 3;
        let index = number_of(cluster.node(away), "last_log_index");
        cluster.kill(away);
        let load = Load::start(&ledger, &cluster.addresses(), WRITERS, round);
        cluster.node(leader).import(&library((2 * round + 1) * LIBRARY));
        pass_the_purge_point(&cluster, index);
        usual.extend(durations(&ledger));
        let back = Instant::now();
        cluster.start(away);
        let target = number_of(cluster.node(leader), "committed_index");
        let node = cluster.node(away);
        eventually("it catches up", || {
            let status = node.ask("GET", "/v1/status", "");
            (status.status == 200 && status.json()["applied_index"].as_u64() >= Some(target)).then_some(())
        });
        catch_up.push(back.elapsed());
        let served = ledger.acknowledged.load(Ordering::Relaxed);
        eventually("the leader serves", || {
            (ledger.acknowledged.load(Ordering::Relaxed) > served + 50).then_some(())
        });
        meanwhile.extend(durations(&ledger));
        load.stop();
        // It wrote no snapshot of its own meanwhile.
        assert!(
            number_of(node, "snapshot_index") > index,
            "it came by snapshot: {}",
            cluster.homes[away].said()
        );
        audit.check(&cluster, &ledger, &mut random);
        cluster.running().for_each(Node::follow);
        cluster.agreed();
        let tree = cluster.node(leader).tree();
        assert_eq!(tree.len() as u64, 2 * (round + 1) * LIBRARY);
        assert!(cluster.running().all(|node| node.tree() == tree), "names, inodes and times are equal");
    }
    let more = json!({
        "start_to_caught_up": figures(&catch_up),
        "writes_meanwhile": figures(&meanwhile),
        "writes_before": figures(&usual),
    });
    report("a member away past the purge point", seed, &ledger, &more);
}
