//! What clients may rely on when leaders change and messages get lost: the words of `docs/consistency.md`.
//!
//! Not here: the played cluster (`fake_cluster`). Must always hold: each client marks its writes, so that the final
//! state alone tells which were applied, how often and in which order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use metad_raft::StateMachine;

use super::fake_cluster::{Cluster, Faults};
use crate::codec::Blob;
use crate::meta::key_op::StrOp;
use crate::meta::log_service::LogService;
use crate::meta::object;
use crate::meta::op::{Guard, Op, RecordOp};
use crate::meta::response::{Reject, Response};
use crate::meta::service::{
    AppliedState, Consistency, MetadataService, ReadOptions, ServiceError, WriteOptions, Written,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn patiently() -> WriteOptions {
    WriteOptions { deadline: Instant::now() + PATIENCE }
}

fn append(key: &str, value: String) -> Op {
    Op::Str(StrOp::Append { key: Blob::from(key.to_owned()), value: Blob::from(value) })
}

/// The text that a key holds on a node.
fn text(cluster: &Cluster, node: u64, key: &str) -> String {
    let pinned = cluster.machine(node).state().pinned();
    let counters = pinned.head().counters;
    let found = object::read(&pinned, counters.generation, counters.now_ms, key.as_bytes()).unwrap();
    let text = found.and_then(|key| object::text(&pinned, counters.generation, &key).unwrap());
    String::from_utf8(text.unwrap_or_default().to_vec()).unwrap()
}

/// One client on one node: marks `0;1;2;…` appended to its key, two at a time without waiting.
async fn client(service: Arc<LogService>, key: String, pairs: usize) -> Vec<Result<Written, ServiceError>> {
    let mut outcomes = Vec::new();
    for pair in 0..pairs {
        // Every fifth pair is in a hurry, so that its fate is often unknown.
        let patience = if pair % 5 == 4 { Duration::from_millis(2) } else { PATIENCE };
        let options = WriteOptions { deadline: Instant::now() + patience };
        let write = |mark: usize| service.write(vec![append(&key, format!("{mark};"))], options);
        outcomes.extend(join_all([write(2 * pair), write(2 * pair + 1)]).await);
    }
    outcomes
}

/// Checks what a client heard against what is in the state.
fn check(key: &str, outcomes: &[Result<Written, ServiceError>], text: &str) {
    let marks: Vec<usize> = text.split_terminator(';').map(|mark| mark.parse().unwrap()).collect();
    assert!(marks.is_sorted_by(|a, b| a < b), "{key}: out of order or twice: {text}");
    for (mark, outcome) in outcomes.iter().enumerate() {
        let applied = marks.binary_search(&mark).is_ok();
        match outcome {
            Ok(written) => {
                let Response::Count(length) = written.responses[0] else { panic!("{written:?}") };
                let so_far = &text[..usize::try_from(length).unwrap()];
                assert!(applied && so_far.ends_with(&format!("{mark};")), "{key}: {mark} in {text}");
            }
            Err(error) if error.applied() == AppliedState::No => {
                assert!(!applied, "{key}: {mark} was refused with {error} and is in {text}");
            }
            Err(_) => {}
        }
    }
}

async fn clients_under(faults: Faults, seed: u64) {
    let cluster = Cluster::new(3, seed, faults);
    let services: Vec<Arc<LogService>> = (1..=3).map(|node| Arc::new(cluster.service(node))).collect();
    cluster.elect(Some(1));
    let keys: Vec<String> = (0..6).map(|n| format!("client {n}")).collect();
    let clients = keys
        .iter()
        .enumerate()
        .map(|(n, key)| tokio::spawn(client(Arc::clone(&services[n % 3]), key.clone(), 15)));
    let outcomes: Vec<_> = join_all(clients).await.into_iter().map(Result::unwrap).collect();
    cluster.heal(2);
    // A last write of each node settles what is still on its way.
    for (n, service) in services.iter().enumerate() {
        service.write(vec![append("last", format!("{n};"))], patiently()).await.unwrap();
    }
    (1..=3).for_each(|node| cluster.catch_up(node));
    for (key, outcomes) in keys.iter().zip(&outcomes) {
        check(key, outcomes, &text(&cluster, 1, key));
    }
    let digests: Vec<_> = (1..=3).map(|node| cluster.machine(node).digest()).collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "nodes differ: {digests:?}");
}

#[tokio::test]
async fn every_acknowledged_write_is_applied_once_and_in_order_whatever_gets_lost() {
    let faults = Faults {
        deposed: 6,
        busy: 2,
        unreachable: 5,
        lost: 5,
        unanswered: 5,
        doubled: 10,
        late: 20,
        snapshot: 0,
    };
    for seed in 1..=12 {
        clients_under(faults, seed).await;
    }
}

#[tokio::test]
async fn a_node_that_gets_a_snapshot_instead_of_entries_still_answers_its_clients() {
    let faults = Faults { deposed: 3, unanswered: 5, snapshot: 30, ..Faults::default() };
    for seed in 1..=6 {
        clients_under(faults, seed).await;
    }
}

#[tokio::test]
async fn a_write_on_a_follower_can_be_read_there_at_once() {
    let cluster = Cluster::new(3, 7, Faults::default());
    let follower = cluster.service(2);
    let _leader = cluster.service(1);
    cluster.elect(Some(1));
    let put = RecordOp::Put { id: Blob::from("a"), properties: vec![(Blob::from("p"), Blob::from("x"))] };
    let written = follower.write(vec![Op::Record(put)], patiently()).await.unwrap();
    let options =
        ReadOptions { consistency: Consistency::Stale, min_index: 0, deadline: Instant::now() + PATIENCE };
    let read = follower.property(Bytes::from("a"), Bytes::from("p"), options).await.unwrap();
    assert_eq!(read.value, Some(Bytes::from("x")));
    assert!(read.index >= written.index);
}

#[tokio::test]
async fn guards_hold_through_forwarding() {
    let cluster = Cluster::new(2, 7, Faults::default());
    let (follower, _leader) = (cluster.service(2), cluster.service(1));
    cluster.elect(Some(1));
    let put = || {
        let properties = vec![(Blob::from("p"), Blob::from("x"))];
        let ops = vec![Op::Record(RecordOp::Put { id: Blob::from("a"), properties })];
        Op::Atomic { guards: vec![Guard::RecordAbsent { id: Blob::from("a") }], ops }
    };
    let first = follower.write(vec![put()], patiently()).await.unwrap();
    assert_eq!(first.responses, [Response::List(vec![Response::Done])]);
    let second = follower.write(vec![put()], patiently()).await.unwrap();
    assert_eq!(second.responses, [Response::Rejected(Reject::Precondition)]);
}

#[tokio::test]
async fn without_a_leader_a_write_is_parked_and_then_certainly_not_applied() {
    let cluster = Cluster::new(2, 7, Faults::default());
    let (service, _other) = (cluster.service(1), cluster.service(2));
    let refused = service.write(vec![append("k", "x".into())], patiently()).await;
    assert_eq!(refused, Err(ServiceError::NoLeader));
    // One that a leader comes in time for is taken.
    let parked = service.write(vec![append("k", "y".into())], patiently());
    let elected = async { cluster.elect(Some(2)) };
    let (written, ()) = futures_util::future::join(parked, elected).await;
    assert_eq!(written.unwrap().responses, [Response::Count(1)]);
}

#[tokio::test]
async fn a_deadline_before_any_proposal_is_a_definite_refusal() {
    let cluster = Cluster::new(1, 7, Faults::default());
    let service = cluster.service(1);
    let deadline = Instant::now() + Duration::from_millis(5);
    let refused = service.write(vec![append("k", "x".into())], WriteOptions { deadline }).await.unwrap_err();
    assert_eq!(refused.applied(), AppliedState::No);
    cluster.elect(Some(1));
    let written = service.write(vec![append("k", "y".into())], patiently()).await.unwrap();
    assert_eq!(written.responses, [Response::Count(1)]);
}

#[tokio::test]
async fn a_request_whose_deadline_passes_in_the_queue_was_certainly_not_applied() {
    let cluster = Cluster::new(1, 7, Faults::default());
    let service = cluster.service(1);
    cluster.elect(Some(1));
    // Shorter than a tick of the timers: the intake sees the deadline pass before the door does.
    let deadline = Instant::now() + Duration::from_micros(300);
    let write = service.write(vec![append("k", "x".into())], WriteOptions { deadline });
    let pass = async {
        while Instant::now() < deadline {
            std::hint::spin_loop();
        }
    };
    let (refused, ()) = futures_util::future::join(write, pass).await;
    assert_eq!(refused, Err(ServiceError::TimedOut { applied: AppliedState::No }));
}

#[tokio::test]
async fn a_linearizable_read_waits_for_a_leader_and_a_stale_one_for_nobody() {
    let cluster = Cluster::new(2, 7, Faults::default());
    let service = cluster.service(1);
    let read = |consistency| {
        let options = ReadOptions { consistency, min_index: 0, deadline: Instant::now() + PATIENCE };
        service.property(Bytes::from("a"), Bytes::from("p"), options)
    };
    assert!(read(Consistency::Stale).await.is_ok());
    assert_eq!(read(Consistency::Linearizable).await, Err(ServiceError::NoLeader));
    let elected = async { cluster.elect(Some(2)) };
    let (fresh, ()) = futures_util::future::join(read(Consistency::Linearizable), elected).await;
    assert!(fresh.is_ok());
}
