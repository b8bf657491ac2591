//! Many callers at once.
//!
//! Not here: figures (run the example `journal_bench`). Must always hold: each caller sees its own indexes, in its own order, and
//! the machine saw every entry exactly once.

use std::sync::Arc;

use metad_raft::noop::{NoOpReplicator, Options};
use metad_raft::{PosixMetadataReplicator, Proposal, ReplicateError};

use crate::disk::{Disk, options};
use crate::machine::Toy;

fn proposal(text: String) -> Proposal {
    Proposal { ops: text.into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_proposers_each_see_their_own_indexes_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let toy = Toy::default();
    let mut options = options(dir.path(), &Disk::new());
    // Snapshots and purges run in the middle of it.
    (options.snapshot_entries, options.tail_entries) = (1000, 10);
    let log = Arc::new(NoOpReplicator::new(options.clone()));
    log.start(Arc::new(toy.clone())).await.unwrap();
    let mut tasks = Vec::new();
    for caller in 0..16 {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            for call in 0..100 {
                let batch = (0..3).map(|i| proposal(format!("{caller}/{call}/{i}={caller}"))).collect();
                let indexes: Vec<u64> = log.replicate(batch).await.into_iter().map(Result::unwrap).collect();
                assert_eq!(indexes, [indexes[0], indexes[0] + 1, indexes[0] + 2], "a call stays together");
                seen.extend(indexes);
            }
            assert!(seen.is_sorted());
            seen
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (1..=4800).collect::<Vec<u64>>());
    assert_eq!(toy.history(), all);
    log.stop().await;
    let again = Toy::default();
    let log = NoOpReplicator::new(options);
    log.start(Arc::new(again.clone())).await.unwrap();
    assert_eq!(again.state(), toy.state());
}

#[tokio::test]
async fn stop_finishes_what_is_in_flight_and_answers_every_caller() {
    let dir = tempfile::tempdir().unwrap();
    let toy = Toy::default();
    let log = NoOpReplicator::new(options(dir.path(), &Disk::new()));
    log.start(Arc::new(toy.clone())).await.unwrap();
    let calls: Vec<_> = (0..100).map(|i| log.replicate(vec![proposal(format!("{i}=x"))])).collect();
    let (first, second) = tokio::join!(log.stop(), log.stop());
    assert_eq!((first, second), ((), ()));
    for (call, expected) in calls.into_iter().zip(1..) {
        assert_eq!(call.await, [Ok(expected)]);
    }
    assert_eq!(toy.applied(), 100);
    assert_eq!(log.replicate(vec![proposal("late=x".into())]).await, [Err(ReplicateError::Stopped)]);
}

#[tokio::test]
async fn a_proposal_whose_caller_went_away_is_applied_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let toy = Toy::default();
    let log = NoOpReplicator::new(options(dir.path(), &Disk::new()));
    log.start(Arc::new(toy.clone())).await.unwrap();
    drop(log.replicate(vec![proposal("a=1".into())]));
    assert_eq!(log.replicate(vec![proposal("b=2".into())]).await, [Ok(2)]);
    assert_eq!(toy.applied(), 2);
}

#[tokio::test]
async fn entries_of_16_mib_pass_and_the_queue_pushes_back() {
    let dir = tempfile::tempdir().unwrap();
    let toy = Toy::default();
    let mut options: Options = options(dir.path(), &Disk::new());
    options.queue_bytes_max = 24 * 1024 * 1024;
    let log = NoOpReplicator::new(options);
    log.start(Arc::new(toy.clone())).await.unwrap();
    let large = proposal("x".repeat(16 * 1024 * 1024));
    let answers = log.replicate(vec![large.clone(), large.clone(), proposal("small=1".into())]).await;
    assert_eq!(answers, [Ok(1), Err(ReplicateError::Busy), Err(ReplicateError::Busy)]);
    let mut too_large = large.ops.to_vec();
    too_large.push(b'x');
    let refused = log.replicate(vec![Proposal { ops: too_large.into() }]).await;
    assert!(matches!(refused[..], [Err(ReplicateError::TooLarge { .. })]));
    assert_eq!(log.replicate(vec![large]).await, [Ok(2)]);
    log.stop().await;
}

#[tokio::test]
async fn nobody_but_the_first_gets_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = NoOpReplicator::new(options(dir.path(), &Disk::new()));
    first.start(Arc::new(Toy::default())).await.unwrap();
    let second = NoOpReplicator::new(options(dir.path(), &Disk::new()));
    let refused = second.start(Arc::new(Toy::default())).await.unwrap_err();
    assert!(matches!(refused, metad_raft::StartError::Locked { .. }), "{refused}");
    drop(first);
    let third = NoOpReplicator::new(options(dir.path(), &Disk::new()));
    third.start(Arc::new(Toy::default())).await.unwrap();
}
