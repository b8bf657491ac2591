//! Three members and more: what a cluster promises as a whole.
//!
//! Not here: random faults (see `simulation`). Must always hold: nothing here waits for time.

use std::time::{Duration, Instant};

use futures_util::future::Either;
use metad_raft::consensus::{Formation, Options, Timing};
use metad_raft::{AdminError, Lane, PosixMetadataReplicator, Proposal, ReplicateError, Role};

use crate::cluster::{Cluster, PATIENCE, deadline};
use crate::net::Trouble;

async fn three() -> Cluster {
    Cluster::of(3, |_| ()).await
}

fn others(cluster: &Cluster, id: u64) -> Vec<u64> {
    cluster.running().map(|(other, _)| other).filter(|other| *other != id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_form_one_cluster_and_a_write_is_on_all_of_them() {
    let cluster = three().await;
    let index = cluster.put("a", "1").await;
    let state = cluster.agree(index).await;
    assert_eq!(state["a"], "1");
    let leaders = cluster.running().filter(|(_, m)| m.status().role == Role::Leader).count();
    assert_eq!(leaders, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_refuses_a_write_and_names_the_leader() {
    let cluster = three().await;
    let leader = cluster.leader().await;
    for id in others(&cluster, leader) {
        cluster.until(id, "knows no leader", |s| s.leader.is_some()).await;
        let answers = cluster.members[&id].log().replicate(vec![Proposal { ops: "a=1".into() }]).await;
        let [Err(ReplicateError::NotLeader { leader: Some(named) })] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(named.id, leader);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_the_loss_of_each_leader_in_turn() {
    let mut cluster = three().await;
    for round in 0..3 {
        for i in 0..10 {
            cluster.put(&format!("k{round}.{i}"), "v").await;
        }
        let leader = cluster.leader().await;
        cluster.kill(leader).await;
        let index = cluster.put(&format!("after{round}"), "v").await;
        cluster.start(leader, Formation::Wait).await;
        let state = cluster.agree(index).await;
        assert_eq!(state.len(), (round + 1) * 11);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_members_killed_at_once_come_back_with_everything() {
    let mut cluster = three().await;
    for i in 0..20 {
        cluster.put(&format!("k{i}"), "v").await;
    }
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    for id in 1..=3 {
        cluster.start(id, Formation::Wait).await;
    }
    let index = cluster.put("last", "v").await;
    assert_eq!(cluster.agree(index).await.len(), 21);
    for id in 1..=3 {
        assert!(cluster.members[&id].status().recovered);
    }
}

/// The vote on the disk names the leader of the life before; nobody knows whether it still leads.
#[tokio::test(flavor = "multi_thread")]
async fn a_member_names_no_leader_that_it_has_not_heard_in_this_life() {
    let mut cluster = three().await;
    let index = cluster.put("a", "1").await;
    cluster.agree(index).await;
    let leader = cluster.leader().await;
    let away = others(&cluster, leader)[0];
    cluster.kill(away).await;
    cluster.net.isolate(away, 1..=3);
    cluster.start(away, Formation::Wait).await;
    assert_eq!(cluster.members[&away].status().leader, None, "it has heard nobody yet");
    // Not asked again: whoever listens is told, also when the leader and its term are those of the life before.
    let mut told = cluster.members[&away].log().status();
    cluster.net.heal();
    let heard = tokio::time::timeout(PATIENCE, told.wait_for(|s| s.leader.is_some()));
    assert!(heard.await.is_ok(), "a leader was heard and nobody was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_its_next_life_a_member_names_no_leader_before_one_is_elected() {
    let mut cluster = three().await;
    let index = cluster.put("a", "1").await;
    cluster.agree(index).await;
    let old = cluster.leader().await;
    let left = others(&cluster, old);
    for id in 1..=3 {
        cluster.kill(id).await;
    }
    cluster.start(left[0], Formation::Wait).await;
    assert_eq!(cluster.members[&left[0]].status().leader, None, "nobody leads");
    cluster.start(left[1], Formation::Wait).await;
    cluster.until(left[0], "elected nobody", |s| s.leader.as_ref().is_some_and(|l| l.id != old)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_answers_neither_writes_nor_barriers() {
    let cluster = three().await;
    let old = cluster.leader().await;
    cluster.net.isolate(old, 1..=3);
    let member = &cluster.members[&old];
    let mut write = member.log().replicate(vec![Proposal { ops: "late=1".into() }]);
    let barrier = member.log().read_barrier(Instant::now() + Duration::from_secs(3));
    let cut_off = async {
        let barrier = barrier.await;
        assert!(barrier.is_err(), "{barrier:?}");
    };
    match futures_util::future::select(Box::pin(cut_off), &mut write).await {
        Either::Left(_) => {}
        Either::Right((answer, cut_off)) => {
            assert!(answer[0].is_err(), "{answer:?}");
            cut_off.await;
        }
    }
    cluster.net.heal();
    let index = cluster.put("a", "1").await;
    cluster.agree(index).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_grows_to_three_while_it_serves_and_shrinks_again() {
    let mut cluster = Cluster { net: crate::net::Net::new(2), members: Default::default(), change: |_| () };
    cluster.add(1, Formation::Alone).await;
    assert_eq!(cluster.members[&1].status().role, Role::Leader);
    cluster.put("first", "v").await;
    for id in [2, 3] {
        cluster.add(id, Formation::Wait).await;
        cluster.change(async |a| a.add_learner(id).await).await.unwrap();
        cluster.change(async |a| a.promote(id, deadline()).await).await.unwrap();
        cluster.put(&format!("with{id}"), "v").await;
    }
    let index = cluster.put("all", "v").await;
    assert_eq!(cluster.agree(index).await.len(), 4);
    assert_eq!(cluster.admin(1).membership().voters, [1, 2, 3].into());
    cluster.change(async |a| a.transfer(Some(1), deadline()).await).await.unwrap();
    cluster.change(async |a| a.demote(3).await).await.unwrap();
    assert_eq!(cluster.admin(cluster.leader().await).membership().learners, [3].into());
    cluster.change(async |a| a.remove(3).await).await.unwrap();
    assert_eq!(cluster.change(async |a| a.remove(3).await).await, Err(AdminError::NoSuchMember(3)));
    cluster.stop(3).await;
    let index = cluster.put("two", "v").await;
    assert_eq!(cluster.agree(index).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_goes_to_whom_it_is_given_and_a_leader_that_stops_hands_over() {
    let mut cluster = three().await;
    for to in 1..=3 {
        assert_eq!(cluster.change(async |a| a.transfer(Some(to), deadline()).await).await, Ok(to), "{to}");
    }
    let leader = cluster.leader().await;
    let follower = others(&cluster, leader)[0];
    let refused = cluster.admin(follower).transfer(None, deadline()).await.unwrap_err();
    assert!(matches!(refused, AdminError::NotLeader { .. }), "{refused}");
    let term = cluster.members[&leader].status().term;
    let left = others(&cluster, leader);
    cluster.stop(leader).await;
    let known = left.iter().filter(|id| cluster.members[id].status().term > term).count();
    assert!(known > 0, "nobody took over before the leader was gone");
    cluster.put("a", "1").await;
}

/// Waits until the leader has not heard of `down` for longer than it has patience.
async fn until_silent(cluster: &Cluster, down: u64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        ticks.tick().await;
        let leader = cluster.leader().await;
        let known = cluster.admin(leader).progress().into_iter().find(|p| p.id == down).unwrap();
        if known.last_contact.is_none_or(|c| c > Duration::from_secs(2)) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_would_lose_the_quorum_are_refused() {
    let mut cluster = three().await;
    let leader = cluster.leader().await;
    let down = others(&cluster, leader)[0];
    cluster.kill(down).await;
    until_silent(&cluster, down).await;
    let other = others(&cluster, cluster.leader().await)[0];
    let refused = cluster.change(async |a| a.remove(other).await).await.unwrap_err();
    assert!(matches!(&refused, AdminError::Unsafe(why) if why.contains(&down.to_string())), "{refused}");
    let refused = cluster.change(async |a| a.transfer(Some(down), deadline()).await).await.unwrap_err();
    assert!(matches!(refused, AdminError::Unsafe(_)), "{refused}");
    let refused = cluster.change(async |a| a.promote(9, deadline()).await).await.unwrap_err();
    assert_eq!(refused, AdminError::NoSuchMember(9));
    cluster.change(async |a| a.remove(down).await).await.unwrap();
    let index = cluster.put("a", "1").await;
    cluster.agree(index).await;
}

/// Has the leader of three begin to promote a fourth, and cuts it off once its first step is on all the others and the second
/// is not: the leader of then, and what its caller heard. `None` when the moment was missed.
async fn left_joint(cluster: &Cluster) -> Option<(u64, AdminError)> {
    let old = cluster.leader().await;
    let rest = others(cluster, old);
    cluster
        .net
        .trouble(Lane::Control, Trouble { delay_max: Duration::from_millis(120), ..Trouble::default() });
    let promote = cluster.admin(old).promote(4, deadline());
    let is_joint = |id: &u64| cluster.admin(*id).membership().joint;
    let half_way = async {
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        while !rest.iter().all(is_joint) {
            looks.tick().await;
        }
        cluster.net.isolate(old, 1..=4);
    };
    let outcome = match futures_util::future::select(promote, Box::pin(half_way)).await {
        Either::Left(_) => None,
        Either::Right(((), promote)) if rest.iter().any(is_joint) => {
            // A new leader among the others; then the old one learns of it, and its caller hears.
            cluster.net.trouble(Lane::Control, Trouble::default());
            let new = loop {
                let leads = |id: &&u64| cluster.members[id].status().role == Role::Leader;
                if let Some(new) = rest.iter().find(leads) {
                    break *new;
                }
                tokio::task::yield_now().await;
            };
            let still = is_joint(&new);
            cluster.net.heal();
            let heard = promote.await;
            still.then(|| (new, heard.expect_err("its second step was never agreed")))
        }
        Either::Right(_) => None,
    };
    cluster.net.heal();
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_left_half_way_is_not_told_as_not_done_and_is_finished_by_the_next_leader() {
    for asked_again in [true, false] {
        let mut cluster = three().await;
        cluster.add(4, Formation::Wait).await;
        cluster.change(async |a| a.add_learner(4).await).await.unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        let heard = loop {
            assert!(Instant::now() < end, "the moment between the two steps was never met");
            if let Some((_, heard)) = left_joint(&cluster).await {
                break heard;
            }
            cluster.change(async |a| a.demote(4).await).await.unwrap();
        };
        let in_doubt =
            matches!(heard, AdminError::Begun | AdminError::TimedOut(_) | AdminError::Replicate(_));
        assert!(in_doubt, "its first step is agreed: {heard:?}");
        if asked_again {
            cluster.change(async |a| a.promote(4, deadline()).await).await.unwrap();
        } else {
            cluster.change(async |a| a.finish().await.map(u64::from)).await.unwrap();
        }
        let now = cluster.admin(cluster.leader().await).membership();
        assert_eq!((now.joint, now.voters), (false, [1, 2, 3, 4].into()));
        let index = cluster.put("a", "1").await;
        cluster.agree(index).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_removed_hands_over_and_says_to_whom() {
    let cluster = three().await;
    let (leader, next) = loop {
        let leader = cluster.leader().await;
        match cluster.admin(leader).remove(leader).await {
            Err(AdminError::NotLeader { leader: Some(next) }) => break (leader, next.id),
            // Another took the lead before it could be handed over.
            Err(AdminError::NotLeader { leader: None } | AdminError::Begun | AdminError::TimedOut(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(leader, next);
    cluster.change(async |a| a.remove(leader).await).await.unwrap();
    assert!(!cluster.admin(cluster.leader().await).membership().voters.contains(&leader));
    cluster.put("a", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_asked_for_is_durable_when_it_is_answered() {
    let cluster = three().await;
    let index = cluster.put("a", "1").await;
    cluster.agree(index).await;
    for id in 1..=3 {
        let at = cluster.admin(id).snapshot(deadline()).await.unwrap();
        assert!(at >= index);
        let file = cluster.members[&id].dir.path().join(format!("snapshots/{at:020}.snapshot"));
        assert!(file.exists());
        assert!(cluster.admin(id).snapshot(deadline()).await.unwrap() >= at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_away_past_the_purge_point_catches_up_by_snapshot() {
    let mut cluster =
        Cluster::of(3, |o| (o.snapshot_entries, o.tail_entries, o.chunk_bytes) = (20, 2, 100)).await;
    let away = others(&cluster, cluster.leader().await)[0];
    cluster.kill(away).await;
    // Once the leader offers a snapshot, its log does not reach back far enough.
    let mut written = 0;
    while cluster.net.bulk_bytes() == 0 || written < 40 {
        cluster.put(&format!("k{written}"), "v").await;
        written += 1;
    }
    cluster.start(away, Formation::Wait).await;
    let index = cluster.put("back", "v").await;
    assert_eq!(cluster.agree(index).await.len(), written + 1);
    assert!(cluster.members[&away].toy.rebuilds().1 > 0, "no snapshot was installed");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_lost_and_overtaking_messages_lose_no_answered_write() {
    let cluster = three().await;
    let trouble = Trouble { delay_max: Duration::from_millis(20), lost_requests: 5, lost_answers: 5 };
    cluster.net.trouble(Lane::Control, trouble);
    for i in 0..10 {
        cluster.put(&format!("k{i}"), "v").await;
    }
    cluster.net.heal();
    let index = cluster.put("last", "v").await;
    assert_eq!(cluster.agree(index).await.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_transfer_breaks_goes_on_where_it_broke_even_in_the_receivers_next_life() {
    let settings = |o: &mut Options| {
        (o.snapshot_entries, o.tail_entries, o.chunk_bytes, o.timing) = (20, 2, 512, Timing::FAST);
    };
    let mut cluster = Cluster::of(3, settings).await;
    let away = others(&cluster, cluster.leader().await)[0];
    cluster.kill(away).await;
    let mut written = 0;
    while cluster.net.bulk_bytes() == 0 || written < 70 {
        cluster.put(&format!("k{written}"), &"v".repeat(1000)).await;
        written += 1;
    }
    let leader = cluster.leader().await;
    let at = cluster.admin(leader).snapshot(deadline()).await.unwrap();
    let file = cluster.members[&leader].dir.path().join(format!("snapshots/{at:020}.snapshot"));
    let size = std::fs::metadata(file).unwrap().len();

    cluster.net.bulk_breaks_after(size / 2);
    cluster.start(away, Formation::Wait).await;
    cluster.net.until_bulk_breaks().await;
    // The others serve meanwhile.
    cluster.put("meanwhile", "v").await;
    cluster.kill(away).await;
    assert_eq!(crate::disk::files(&cluster.members[&away].dir.path().join("snapshots"), ".part").len(), 1);

    let before = cluster.net.bulk_bytes();
    cluster.net.bulk_breaks_after(u64::MAX);
    cluster.start(away, Formation::Wait).await;
    let index = cluster.put("last", "v").await;
    assert_eq!(cluster.agree(index).await.len(), written + 2);
    assert!(cluster.members[&away].toy.rebuilds().1 > 0);
    let sent = cluster.net.bulk_bytes() - before;
    // Another leader has another file. Each piece of 512 bytes has a head of about 80.
    let same = cluster.leader().await == leader;
    assert!(!same || sent < size * 3 / 4, "{sent} bytes were sent again, of a file of {size}");
}
