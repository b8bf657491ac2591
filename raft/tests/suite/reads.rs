//! Read barriers on every member.
//!
//! Not here: random faults (see `simulation`). Must always hold: a barrier that succeeds has seen every write that was answered
//! before it began, wherever it was asked.

use std::time::{Duration, Instant};

use metad_raft::{Lane, PosixMetadataReplicator, ReplicateError};

use crate::cluster::{Cluster, deadline};
use crate::net::Trouble;

/// A barrier, asked for again while the member knows no leader, as the layer above does.
async fn barrier(cluster: &Cluster, id: u64) -> u64 {
    let (end, mut ticks) = (deadline(), tokio::time::interval(Duration::from_millis(20)));
    loop {
        ticks.tick().await;
        match cluster.members[&id].log().read_barrier(end).await {
            Err(ReplicateError::NotLeader { .. }) if Instant::now() < end => {}
            settled => return settled.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_barrier_on_any_member_sees_what_was_answered_before_it() {
    let cluster = Cluster::of(3, |_| ()).await;
    for i in 0..30 {
        let index = cluster.put("k", &i.to_string()).await;
        let id = 1 + i % 3;
        let read = barrier(&cluster, id).await;
        assert!(read >= index, "{read} < {index}");
        assert_eq!(cluster.members[&id].toy.state()["k"], i.to_string(), "member {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_readers_on_a_follower_share_requests_and_lost_answers_are_asked_for_again() {
    let cluster = Cluster::of(3, |_| ()).await;
    let trouble = Trouble { delay_max: Duration::from_millis(5), lost_requests: 3, lost_answers: 3 };
    cluster.net.trouble(Lane::Control, trouble);
    let index = cluster.put("k", "v").await;
    let readers = (0..90).map(|i| barrier(&cluster, 1 + i % 3));
    for read in futures_util::future::join_all(readers).await {
        assert!(read >= index);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_cut_off_answers_no_barrier_and_the_others_go_on() {
    let cluster = Cluster::of(3, |_| ()).await;
    cluster.put("k", "1").await;
    for id in 1..=3 {
        cluster.net.isolate(id, 1..=3);
        let refused =
            cluster.members[&id].log().read_barrier(Instant::now() + Duration::from_millis(1500)).await;
        assert!(
            matches!(refused, Err(ReplicateError::Unknown | ReplicateError::NotLeader { .. })),
            "{id}: {refused:?}"
        );
        let other = 1 + id % 3;
        barrier(&cluster, other).await;
        cluster.net.heal();
        barrier(&cluster, id).await;
    }
}
