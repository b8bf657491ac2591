//! A Raft cluster of one voter keeps the promises of a single node.
//!
//! Not here: peers. Must always hold: whatever was answered is there after a restart and after kill -9, with the machine's
//! files and without them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::consensus::Options;
use metad_raft::faults::Step;
use metad_raft::{PosixMetadataReplicator, Proposal, RaftReplicator, ReplicateError, Role, StartError};

use crate::disk::{Disk, files, photograph};
use crate::machine::{Stored, Toy};

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    (options.snapshot_entries, options.tail_entries) = (20, 2);
    options.faults = Disk::new();
    options
}

async fn started(dir: &Path, toy: &Toy) -> Result<RaftReplicator, StartError> {
    let log = RaftReplicator::new(options(dir));
    log.start(Arc::new(toy.clone())).await?;
    Ok(log)
}

async fn put(log: &RaftReplicator, keys: impl Iterator<Item = u64>) -> Vec<u64> {
    let batch = keys.map(|i| Proposal { ops: format!("k{i}=v{i}").into() }).collect();
    log.replicate(batch).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_one_leads_itself_and_keeps_order() {
    let (dir, toy) = (tempfile::tempdir().unwrap(), Toy::default());
    let log = started(dir.path(), &toy).await.unwrap();
    assert_eq!(log.status().borrow().role, Role::Leader);
    let indexes = put(&log, 0..50).await;
    assert!(indexes.windows(2).all(|w| w[0] + 1 == w[1]), "{indexes:?}");
    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(log.read_barrier(deadline).await, Ok(indexes[49]));
    assert_eq!(toy.state().len(), 50);
    let too_large = Proposal { ops: vec![0; 17 * 1024 * 1024].into() };
    assert!(matches!(log.replicate(vec![too_large]).await[..], [Err(ReplicateError::TooLarge { .. })]));
    log.stop().await;
    log.stop().await;
    assert_eq!(log.replicate(vec![Proposal { ops: "a=b".into() }]).await, [Err(ReplicateError::Stopped)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_and_restart_lose_nothing_with_and_without_the_machine() {
    let (mut dir, toy) = (tempfile::tempdir().unwrap(), Toy::default());
    let mut log = started(dir.path(), &toy).await.unwrap();
    let (mut toy, mut written) = (toy, 0);
    for life in 0..6 {
        put(&log, written..written + 30).await;
        written += 30;
        if life % 2 == 0 {
            toy.store();
        }
        let next = tempfile::tempdir().unwrap();
        photograph(dir.path(), next.path());
        let stored = if life == 3 { Stored::default() } else { toy.stored() };
        log.stop().await;
        drop(log);
        toy = Toy::after_crash(stored);
        log = started(next.path(), &toy).await.unwrap();
        dir = next;
        assert_eq!(toy.state().len() as u64, written, "life {life}");
    }
    log.stop().await;
    drop(log);
    assert!(!files(&dir.path().join("snapshots"), ".snapshot").is_empty(), "no snapshot was ever taken");
    let bare = Toy::default();
    let log = started(dir.path(), &bare).await.unwrap();
    assert_eq!(bare.state(), toy.state());
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_in_flight_and_a_full_disk_are_refused_before_anything_is_proposed() {
    let (dir, toy, disk) = (tempfile::tempdir().unwrap(), Toy::default(), Disk::new());
    let mut options = options(dir.path());
    (options.queue_bytes_max, options.faults) = (10, disk.clone());
    let log = RaftReplicator::new(options);
    log.start(Arc::new(toy.clone())).await.unwrap();
    let batch = |n: usize| (0..n).map(|i| Proposal { ops: format!("k{i}=12").into() }).collect::<Vec<_>>();
    let answers = log.replicate(batch(3)).await;
    assert!(matches!(answers[..], [Ok(_), Ok(_), Err(ReplicateError::Busy)]), "{answers:?}");
    disk.set_free(0);
    let full = loop {
        // The disk is asked again after so many bytes, or when it was full.
        let answers = log.replicate(vec![Proposal { ops: vec![b'x'; 1024 * 1024].into() }]).await;
        if answers[0].is_err() {
            break answers;
        }
    };
    assert_eq!(full, [Err(ReplicateError::NoSpace)]);
    disk.set_free(u64::MAX);
    assert!(log.replicate(batch(1)).await[0].is_ok());
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_alone_make_a_snapshot_due_and_a_full_disk_only_puts_it_off() {
    let (dir, toy, disk) = (tempfile::tempdir().unwrap(), Toy::default(), Disk::new());
    let mut options = options(dir.path());
    (options.snapshot_entries, options.snapshot_bytes, options.faults) = (1000, 4096, disk.clone());
    disk.fail_next(Step::SnapshotBlock, std::io::ErrorKind::StorageFull);
    let log = RaftReplicator::new(options);
    log.start(Arc::new(toy.clone())).await.unwrap();
    let mut status = log.status();
    while status.borrow_and_update().snapshot_index == 0 {
        put(&log, 0..20).await;
    }
    assert_eq!(status.borrow().failure, None);
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_fails_stops_the_node_and_says_so() {
    let (dir, toy) = (tempfile::tempdir().unwrap(), Toy::default());
    let log = started(dir.path(), &toy).await.unwrap();
    toy.break_down();
    let answers = log.replicate(vec![Proposal { ops: "a=b".into() }]).await;
    assert!(answers[0].is_err(), "{answers:?}");
    let mut status = log.status();
    let failed = status.wait_for(|s| s.failure.is_some()).await.unwrap().failure.clone();
    assert!(failed.unwrap().contains("broke down"));
    assert!(log.replicate(vec![Proposal { ops: "a=b".into() }]).await[0].is_err());
    log.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_another_mode_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let noop = metad_raft::NoOpReplicator::new(metad_raft::noop::Options::new(dir.path()));
    noop.start(Arc::new(Toy::default())).await.unwrap();
    drop(noop);
    let refused = started(dir.path(), &Toy::default()).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("--mode noop"), "{refused}");
}
