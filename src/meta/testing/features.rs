//! Members of different versions: an old one is never given what it cannot apply, and when it is, it alone stops.
//!
//! Not here: who raises the level (`node::house`). Must always hold: a test's name is the promise it guards.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::{Applied, Entry as LogEntry, StateMachine};

use super::fake_cluster::{Cluster, Faults};
use super::{Driver, put};
use crate::codec::{self, ENVELOPE_BYTES, Kind};
use crate::meta::cluster::{ClusterOp, ClusterReject, Member, NodeCard};
use crate::meta::entry::{Entry, FEATURE_LEVEL, Needs, NewerEntry};
use crate::meta::log_service::LogService;
use crate::meta::op::{Op, SystemOp};
use crate::meta::response::{Reject, Response};
use crate::meta::service::{MetadataService, WriteOptions};

/// An entry of a level, with an operation that no build of today knows.
fn of_the_future(level: u32) -> Bytes {
    let mut out = vec![0; ENVELOPE_BYTES];
    codec::encode_into(&level, &mut out);
    // A time, one hand-over of four numbers, one operation of a kind that does not exist.
    codec::encode_into(&(1_u64, 1_u64, 1_u64, 1_u64, 1_u64, 0_u64, 1_u64, 200_u32), &mut out);
    codec::seal_in_place(Kind::Entry, 1, &mut out);
    Bytes::from(out)
}

fn apply(driver: &Driver, payload: Bytes) -> Result<(), String> {
    let entries = [LogEntry::Ops { index: 1, ops: payload }];
    let applied = driver.machine.apply(&entries, &Applied { index: 1, mark: Bytes::new() });
    applied.map_err(|fault| fault.to_string())
}

#[test]
fn an_entry_with_operations_of_a_newer_version_says_upgrade_and_not_damaged() {
    let driver = Driver::new();
    let told = apply(&driver, of_the_future(FEATURE_LEVEL + 1)).unwrap_err();
    assert!(told.contains("upgrade this node"), "{told}");
    let needs = Needs::Level(FEATURE_LEVEL + 1);
    assert_eq!(driver.machine.newer(), Some(NewerEntry { index: 1, needs, known: FEATURE_LEVEL }));
    assert_eq!(driver.machine.digest().0, 0, "nothing of it was applied");
}

#[test]
fn an_entry_of_a_newer_format_says_upgrade_and_not_damaged() {
    let driver = Driver::new();
    let mut payload = of_the_future(FEATURE_LEVEL).to_vec();
    payload[3] = 9;
    let told = apply(&driver, payload.into()).unwrap_err();
    assert!(told.contains("upgrade this node") && told.contains("format version 9"), "{told}");
    assert_eq!(driver.machine.newer().map(|newer| newer.needs), Some(Needs::Format(9)));
}

#[test]
fn an_entry_that_is_damaged_says_nothing_of_upgrades() {
    let driver = Driver::new();
    let told = apply(&driver, of_the_future(FEATURE_LEVEL)).unwrap_err();
    assert!(!told.contains("upgrade"), "{told}");
    assert_eq!(driver.machine.newer(), None);
}

fn card(name: &str, max: u32) -> NodeCard {
    let incarnation = u64::from(name.as_bytes()[0]);
    let (name, peer) = (name.to_owned(), format!("{name}:1"));
    NodeCard { name, incarnation, peer, feature_min: 1, feature_max: max, ..NodeCard::default() }
}

/// Three members, of which the last is of an older build.
async fn two_new_and_one_old() -> (Arc<Cluster>, Vec<LogService>) {
    let (new, old) = (FEATURE_LEVEL + 1, FEATURE_LEVEL);
    let cluster = Cluster::knowing(&[new, new, old], 3, Faults::default());
    let services: Vec<_> = (1..=3).map(|node| cluster.service(node)).collect();
    cluster.elect(Some(1));
    let member = |(id, name, max)| Member { id, card: card(name, max) };
    let members = [(1, "a", new), (2, "b", new), (3, "c", old)].into_iter().map(member).collect();
    let found = ClusterOp::Found { cluster_id: "c".into(), members };
    assert_eq!(write(&services[0], book(found)).await, Response::Done);
    (cluster, services)
}

fn book(op: ClusterOp) -> Op {
    Op::System(SystemOp::Cluster(op))
}

fn raise(level: u32) -> Op {
    Op::System(SystemOp::SetFeatureLevel { level })
}

async fn write(service: &LogService, op: Op) -> Response {
    let options = WriteOptions { deadline: Instant::now() + Duration::from_secs(60) };
    service.write(vec![op], options).await.unwrap().responses.remove(0)
}

fn levels(cluster: &Cluster) -> Vec<u32> {
    let decoded = cluster.entries().into_iter().map(|payload| Entry::decode(&payload).unwrap());
    decoded.map(|entry| entry.feature_level).collect()
}

#[tokio::test]
async fn a_leader_proposes_only_at_the_level_that_all_members_know() {
    let (cluster, services) = two_new_and_one_old().await;
    let asked = FEATURE_LEVEL + 1;
    let refused = Reject::FeatureUnknown { asked, id: 3, max: FEATURE_LEVEL };
    assert_eq!(write(&services[0], raise(asked)).await, Response::Rejected(refused));
    for service in &services {
        assert_eq!(write(service, put("r", &[("a", "1")])).await, Response::Done);
    }
    assert!(levels(&cluster).iter().all(|level| *level == FEATURE_LEVEL));
    (1..=3).for_each(|node| cluster.catch_up(node));
    assert_eq!(cluster.machine(3).digest(), cluster.machine(1).digest());
    // The old node is upgraded and says so: then the level can rise.
    let member = Member { id: 3, card: card("c", asked) };
    assert_eq!(write(&services[1], book(ClusterOp::Announce { member })).await, Response::Done);
    assert_eq!(write(&services[0], raise(asked)).await, Response::Done);
    assert_eq!(write(&services[1], put("r", &[("a", "2")])).await, Response::Done);
    assert_eq!(levels(&cluster).last(), Some(&asked));
}

#[tokio::test]
async fn a_node_that_is_too_old_for_the_cluster_is_not_admitted_and_one_that_lies_stops_alone() {
    let (cluster, services) = two_new_and_one_old().await;
    let asked = FEATURE_LEVEL + 1;
    // It says that it knows the level, and does not.
    let member = Member { id: 3, card: card("c", asked) };
    write(&services[0], book(ClusterOp::Announce { member })).await;
    assert_eq!(write(&services[0], raise(asked)).await, Response::Done);
    let refused = ClusterReject::FeatureLevel { level: asked, min: 1, max: FEATURE_LEVEL };
    let answer = write(&services[0], book(ClusterOp::Admit { card: card("d", FEATURE_LEVEL) })).await;
    assert_eq!(answer, Response::Rejected(Reject::Cluster(refused)));
    (1..=3).for_each(|node| cluster.catch_up(node));
    assert_eq!(cluster.machine(3).newer().map(|newer| newer.needs), Some(Needs::Level(asked)));
    assert_eq!(write(&services[1], put("r", &[("a", "1")])).await, Response::Done);
    cluster.catch_up(2);
    assert_eq!(cluster.machine(1).digest(), cluster.machine(2).digest(), "the others go on");
    assert!(cluster.machine(3).digest().0 < cluster.machine(1).digest().0);
}
