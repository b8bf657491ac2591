//! Snapshots on request, logs that begin with one, and replays of members that do not run.
//!
//! Not here: what blocks hold. Must always hold: what was acknowledged before a snapshot was asked for is in it; nothing is
//! appended for it; a log that begins with a snapshot goes on as any other.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::offline::{NewLog, SnapshotFile, begin, replay};
use metad_raft::{
    Applied, Fatal, NoOpReplicator, PosixMetadataReplicator, Proposal, RaftReplicator, SnapshotSource,
    StartError, consensus, noop,
};

use crate::machine::Toy;

const KINDS: [NewLog; 2] = [NewLog::NoOp, NewLog::Raft { id: 7 }];

fn replicator(kind: NewLog, dir: &Path) -> Arc<dyn PosixMetadataReplicator> {
    match kind {
        NewLog::NoOp => Arc::new(NoOpReplicator::new(noop::Options::new(dir))),
        NewLog::Raft { id } => {
            let mut options = consensus::Options::new(dir);
            options.id = id;
            Arc::new(RaftReplicator::new(options))
        }
    }
}

async fn put(log: &dyn PosixMetadataReplicator, keys: std::ops::Range<u64>) -> u64 {
    let batch = keys.map(|i| Proposal { ops: format!("k{i}=v{i}").into() }).collect();
    let indexes: Vec<u64> = log.replicate(batch).await.into_iter().map(Result::unwrap).collect();
    *indexes.last().unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// An exported snapshot, in a file of its own.
async fn saved(log: &dyn PosixMetadataReplicator, dir: &Path) -> (u64, PathBuf) {
    let mut export = log.export(soon()).await.unwrap();
    let path = dir.join(format!("{}.copy", export.index));
    let mut copy = std::fs::File::create(&path).unwrap();
    assert_eq!(std::io::copy(&mut export.file, &mut copy).unwrap(), export.bytes);
    copy.flush().unwrap();
    (export.index, path)
}

/// A file as a source that goes on far above it.
struct Shifted(SnapshotFile);

impl SnapshotSource for Shifted {
    fn applied(&self) -> Applied {
        Applied { index: self.0.header().0 + (1 << 32), mark: Bytes::new() }
    }

    fn state_hash(&self) -> [u8; 16] {
        self.0.header().1
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
        self.0.next_block().map_err(|e| Fatal::with("a copy", e))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_on_request_has_all_that_was_acknowledged_and_appends_nothing() {
    for kind in KINDS {
        let (dir, toy) = (tempfile::tempdir().unwrap(), Toy::default());
        let log = replicator(kind, &dir.path().join("log"));
        log.start(Arc::new(toy.clone())).await.unwrap();
        let last = put(&*log, 0..30).await;
        let (first, _) = saved(&*log, dir.path()).await;
        let (again, _) = saved(&*log, dir.path()).await;
        assert_eq!((first, again), (last, last), "{kind:?}: nothing new, nothing written");
        assert_eq!(log.status().borrow().last_log_index, last);
        for round in 1..8 {
            let last = put(&*log, 0..3).await;
            let (index, path) = saved(&*log, dir.path()).await;
            assert_eq!(index, last, "{kind:?} {round}");
            let mut file = SnapshotFile::open(&path).unwrap();
            while file.next_block().unwrap().is_some() {}
        }
        log.stop().await;
        assert!(log.export(soon()).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_for_several_at_once_under_load_all_have_what_they_must() {
    for kind in KINDS {
        let (dir, toy) = (tempfile::tempdir().unwrap(), Toy::default());
        let log = replicator(kind, &dir.path().join("log"));
        log.start(Arc::new(toy.clone())).await.unwrap();
        let one = |n: u64| {
            let log = log.clone();
            async move {
                for round in 0..5 {
                    let last = put(&*log, n * 100 + round..n * 100 + round + 3).await;
                    assert!(log.export(soon()).await.unwrap().index >= last, "{kind:?}");
                }
            }
        };
        tokio::join!(one(1), one(2), one(3));
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_begins_with_a_snapshot_goes_on_as_any_other() {
    let (from, toy) = (tempfile::tempdir().unwrap(), Toy::default());
    let old = replicator(NewLog::NoOp, &from.path().join("log"));
    old.start(Arc::new(toy.clone())).await.unwrap();
    put(&*old, 0..30).await;
    let (_, path) = saved(&*old, from.path()).await;
    old.stop().await;
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("log");
        begin(&root, kind, &mut Shifted(SnapshotFile::open(&path).unwrap())).unwrap();
        let again = begin(&root, kind, &mut Shifted(SnapshotFile::open(&path).unwrap()));
        assert!(matches!(again, Err(StartError::Refused { .. })), "{again:?}");
        let mut written = 30;
        for life in 0..3 {
            let new = Toy::default();
            let log = replicator(kind, &root);
            log.start(Arc::new(new.clone())).await.unwrap();
            assert_eq!(new.state().len(), written as usize, "{kind:?} life {life}");
            assert!(put(&*log, written..written + 5).await > 1 << 32);
            written += 5;
            log.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_a_machine_all_that_a_stopped_member_had() {
    let (dir, toy) = (tempfile::tempdir().unwrap(), Toy::default());
    let mut options = consensus::Options::new(dir.path());
    (options.snapshot_entries, options.tail_entries) = (20, 2);
    let log = RaftReplicator::new(options);
    log.start(Arc::new(toy.clone())).await.unwrap();
    for round in 0..10 {
        put(&log, round * 7..round * 7 + 7).await;
    }
    assert!(matches!(replay(dir.path(), Arc::new(Toy::default())), Err(StartError::Locked { .. })));
    log.stop().await;
    for _ in 0..2 {
        let copy = Toy::default();
        let found = replay(dir.path(), Arc::new(copy.clone())).unwrap();
        assert_eq!(copy.state(), toy.state());
        assert_eq!((found.voters, found.learners), ([1].into(), [].into()));
        assert_eq!(found.last_index, toy.applied());
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(replay(empty.path(), Arc::new(Toy::default())), Err(StartError::Refused { .. })));
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "a refusal leaves nothing");
}
