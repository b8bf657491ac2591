//! A crash before every step that touches the disk, and a start from what it left.
//!
//! Not here: damage (see `damage`). Must always hold: whatever was answered before the photograph is there after a start
//! from it, with the machine's files and without them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metad_raft::faults::Step;
use metad_raft::noop::{Durability, NoOpReplicator};
use metad_raft::{PosixMetadataReplicator, Proposal};
use parking_lot::Mutex;

use crate::disk::{Disk, files, options, photograph};
use crate::machine::{State, Stored, Toy};

/// The disk right before a step, what the machine had stored, and what must be there at the least.
struct Photograph {
    step: Step,
    dir: PathBuf,
    stored: Stored,
    applied: State,
}

async fn put(log: &NoOpReplicator, i: u64) {
    let answers = log.replicate(vec![Proposal { ops: format!("k{i}=v{i}").into() }]).await;
    assert_eq!(answers, [Ok(i)]);
}

async fn photographs(dir: &Path, albums: &Path, durability: Durability) -> Vec<Photograph> {
    let (disk, toy) = (Disk::new(), Toy::default());
    let taken: Arc<Mutex<Vec<Photograph>>> = Arc::default();
    let (album, camera_toy, from) = (taken.clone(), toy.clone(), dir.to_path_buf());
    let albums = albums.to_path_buf();
    disk.before_each(move |step| {
        let mut album = album.lock();
        let dir = albums.join(album.len().to_string());
        // What is in the machine now was answered or is about to be; the photograph must hold all of it.
        let (stored, applied) = (camera_toy.stored(), camera_toy.state());
        photograph(&from, &dir);
        album.push(Photograph { step, dir, stored, applied });
    });
    let mut options = options(dir, &disk);
    (options.snapshot_entries, options.tail_entries, options.durability) = (4, 1, durability);
    let log = NoOpReplicator::new(options);
    log.start(Arc::new(toy.clone())).await.unwrap();
    for i in 1..=12 {
        put(&log, i).await;
        if i % 4 == 0 {
            log.status().wait_for(|s| s.snapshot_index >= i).await.unwrap();
        }
        if i % 3 == 0 {
            toy.store();
        }
    }
    log.stop().await;
    drop(log);
    disk.before_each(|_| ());
    std::mem::take(&mut *taken.lock())
}

async fn start_from(dir: &Path, stored: Stored) -> State {
    let toy = Toy::after_crash(stored);
    let log = NoOpReplicator::new(options(dir, &Disk::new()));
    log.start(Arc::new(toy.clone())).await.unwrap();
    let next = toy.applied() + 1;
    assert_eq!(log.replicate(vec![Proposal { ops: "after=crash".into() }]).await, [Ok(next)]);
    log.stop().await;
    let mut state = toy.state();
    state.remove("after");
    state
}

async fn survive_all(durability: Durability) {
    let (dir, albums) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let taken = photographs(dir.path(), albums.path(), durability).await;
    for step in [
        Step::JournalWrite,
        Step::JournalPurge,
        Step::SnapshotCreate,
        Step::SnapshotBlock,
        Step::SnapshotSync,
        Step::SnapshotRename,
        Step::SnapshotDirSync,
        Step::SnapshotPrune,
    ] {
        assert!(taken.iter().any(|p| p.step == step), "{step:?} was never photographed");
    }
    for photo in taken {
        let without_machine = photo.dir.with_extension("bare");
        photograph(&photo.dir, &without_machine);
        let kept = start_from(&photo.dir, photo.stored).await;
        let rebuilt = start_from(&without_machine, Stored::default()).await;
        assert_eq!(kept, rebuilt, "before {:?}", photo.step);
        for (key, value) in &photo.applied {
            assert_eq!(kept.get(key), Some(value), "before {:?}", photo.step);
        }
    }
}

#[tokio::test]
async fn a_crash_before_any_step_loses_nothing_with_durability_os() {
    survive_all(Durability::Os).await;
}

#[tokio::test]
async fn a_crash_before_any_step_loses_nothing_with_durability_fsync() {
    survive_all(Durability::Fsync).await;
}

#[tokio::test]
async fn a_full_disk_during_a_snapshot_costs_the_snapshot_and_nothing_else() {
    for step in [Step::SnapshotCreate, Step::SnapshotBlock, Step::SnapshotSync, Step::SnapshotRename] {
        let (dir, disk, toy) = (tempfile::tempdir().unwrap(), Disk::new(), Toy::default());
        let mut options = options(dir.path(), &disk);
        options.snapshot_entries = 4;
        let log = NoOpReplicator::new(options);
        log.start(Arc::new(toy.clone())).await.unwrap();
        disk.fail_next(step, io::ErrorKind::StorageFull);
        for i in 1..=4 {
            put(&log, i).await;
        }
        // The next one is due four entries later, whether the first has been given up by then or not.
        for i in 5..=12 {
            put(&log, i).await;
        }
        log.stop().await;
        assert_eq!(log.status().borrow().failure, None, "{step:?}");
        assert_eq!(files(&dir.path().join("snapshots"), ".tmp").len(), 0);
        drop(log);
        assert_eq!(start_from(dir.path(), Stored::default()).await, toy.state());
    }
}

#[tokio::test]
async fn a_broken_disk_during_a_snapshot_or_a_purge_stops_the_replicator() {
    for step in [Step::SnapshotSync, Step::SnapshotDirSync, Step::JournalPurge] {
        let (dir, disk, toy) = (tempfile::tempdir().unwrap(), Disk::new(), Toy::default());
        let mut options = options(dir.path(), &disk);
        (options.snapshot_entries, options.tail_entries) = (2, 0);
        let log = NoOpReplicator::new(options);
        log.start(Arc::new(toy.clone())).await.unwrap();
        disk.fail_next(step, io::ErrorKind::Other);
        put(&log, 1).await;
        put(&log, 2).await;
        log.status().wait_for(|s| s.failure.is_some()).await.unwrap();
        log.stop().await;
        drop(log);
        assert_eq!(start_from(dir.path(), Stored::default()).await, toy.state(), "{step:?}");
    }
}
