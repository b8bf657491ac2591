//! The ledger of the writers against what the cluster has: nothing acknowledged is missing, nothing was applied twice.
//!
//! Not here: the writers. Must always hold: only called while no writer runs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::load::Ledger;
use crate::support::cluster::Cluster;
use crate::support::node::{Node, eventually};
use crate::support::random::Random;

/// What was seen of `meta:events` so far.
#[derive(Default)]
pub struct Audit {
    /// How often each key of a value appeared.
    seen: BTreeMap<String, u64>,
    last: String,
    rounds: u64,
}

impl Audit {
    /// Compares everything. Each time another node is asked, drawn at random.
    pub fn check(&mut self, cluster: &Cluster, ledger: &Ledger, random: &mut Random) {
        let running: Vec<&Node> = cluster.running().collect();
        let mut node = || running[random.below(running.len() as u64) as usize];
        self.read_events(node());
        self.check_values(ledger);
        check_records(node(), ledger);
        check_members(node(), ledger);
        check_counter(node(), ledger);
        cluster.agreed();
    }

    /// Reads on to a mark that is written now: everything that was acknowledged before stands before it.
    fn read_events(&mut self, node: &Node) {
        self.rounds += 1;
        let mark = format!("mark/{}", self.rounds);
        eventually("the mark is written", || {
            (node.ask("PUT", &format!("/meta/{mark}"), "1").status == 200).then_some(())
        });
        let from = if self.last.is_empty() { "0-0" } else { &self.last };
        let stream = node.client().stream(&format!("/api/events/meta?from={from}"));
        let mut lines = stream.expect("a ready node has a stream").lines();
        loop {
            let line = lines.next().expect("the stream goes on").expect("the stream goes on");
            assert_ne!(line, "event: gap", "the tail is longer than a round");
            if let Some(id) = line.strip_prefix("id: ") {
                id.clone_into(&mut self.last);
            }
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let data: Value = serde_json::from_str(data).expect("JSON");
            let key = data["key"].as_str().expect("a key").to_owned();
            if key == format!("file:{mark}") {
                return;
            }
            *self.seen.entry(key).or_default() += 1;
        }
    }

    fn check_values(&self, ledger: &Ledger) {
        let values = ledger.values.lock();
        let count = |key| self.seen.get(key).copied().unwrap_or(0);
        let lost: Vec<&String> =
            values.iter().filter(|(key, ok)| **ok && count(*key) == 0).map(|(k, _)| k).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let twice: Vec<(&String, u64)> =
            values.keys().map(|key| (key, count(key))).filter(|(_, n)| *n > 1).collect();
        assert!(twice.is_empty(), "applied more than once: {twice:?}");
        let written = self.seen.keys().filter(|key| key.starts_with("file:v"));
        let foreign: Vec<&String> = written.filter(|key| !values.contains_key(*key)).collect();
        assert!(foreign.is_empty(), "nobody wrote {foreign:?}");
    }
}

/// The properties of a record; none when it is not there.
fn record(node: &Node, id: &str) -> BTreeMap<String, String> {
    let answer = eventually("a read is answered", || {
        let answer = node.ask("GET", &format!("/meta/{id}"), "");
        (answer.status < 500).then_some(answer)
    });
    match answer.status {
        404 => BTreeMap::new(),
        200 => serde_json::from_value(answer.json()["metadata"].clone()).expect("all values are strings"),
        other => panic!("{id}: {other} {}", answer.text()),
    }
}

fn check_records(node: &Node, ledger: &Ledger) {
    let values = ledger.values.lock();
    let mut records: BTreeMap<&str, Vec<(&str, bool)>> = BTreeMap::new();
    for (key, acknowledged) in values.iter() {
        let (id, name) = key.strip_prefix("file:").and_then(|key| key.split_once('/')).expect("our own");
        records.entry(id).or_default().push((name, *acknowledged));
    }
    for (id, names) in records {
        let found = record(node, id);
        for (name, acknowledged) in names {
            let value = found.get(name).map(|value| format!("p{value}"));
            assert!(
                value.as_deref() == Some(name) || (value.is_none() && !acknowledged),
                "{id}/{name}: {value:?}"
            );
        }
    }
}

fn check_members(node: &Node, ledger: &Ledger) {
    for ((id, name), members) in ledger.members.lock().iter() {
        let found = record(node, id);
        let list: Vec<&str> = found.get(name).map(|text| text.split('|').collect()).unwrap_or_default();
        let set: BTreeSet<&str> = list.iter().copied().collect();
        assert_eq!(set.len(), list.len(), "{id}/{name} has a member twice: {list:?}");
        let lost: Vec<&String> =
            members.iter().filter(|(m, ok)| **ok && !set.contains(m.as_str())).map(|(m, _)| m).collect();
        assert!(lost.is_empty(), "{id}/{name}: acknowledged and lost: {lost:?}");
        assert!(set.iter().all(|m| members.contains_key(*m)), "{id}/{name}: nobody added all of {set:?}");
    }
}

fn check_counter(node: &Node, ledger: &Ledger) {
    let found = record(node, "counter").get("n").map_or(0, |n| n.parse().expect("a number"));
    let acknowledged = ledger.numbers.lock().len() as u64;
    let most = acknowledged + ledger.doubtful_increments.load(Ordering::Relaxed);
    assert!((acknowledged..=most).contains(&found), "{found} after {acknowledged} to {most} increments");
    assert!(found >= ledger.floor.load(Ordering::SeqCst), "{found}");
}

/// Figures of a list of times: median, p99, longest, in milliseconds.
pub fn figures(times: &[Duration]) -> Value {
    let mut ms: Vec<f64> = times.iter().map(|t| (t.as_secs_f64() * 10_000.0).round() / 10.0).collect();
    ms.sort_by(f64::total_cmp);
    let rank = |share: f64| ms.get(((ms.len() as f64 * share).ceil() as usize).max(1) - 1);
    json!({"count": ms.len(), "median_ms": rank(0.5), "p99_ms": rank(0.99), "max_ms": ms.last()})
}

/// Prints what a campaign saw, with what else this machine was doing.
pub fn report(name: &str, seed: u64, ledger: &Ledger, more: &Value) {
    let load = std::fs::read_to_string("/proc/loadavg").expect("Linux");
    let said = json!({
        "campaign": name,
        "seed": seed,
        "binary": std::env::var("METAD_TEST_BINARY").unwrap_or_else(|_| "the test's own build".into()),
        "load_average": load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        "acknowledged": ledger.acknowledged.load(Ordering::Relaxed),
        "unknown": ledger.unknown.lock().len(),
        "definite_refusals": ledger.refusals.load(Ordering::Relaxed),
        "figures": more,
    });
    eprintln!("{said:#}");
}
