//! kill -9 of a member before every step that touches its disk, and a start from what it left.
//!
//! Not here: the local journal (see `crash`), random faults (see `simulation`). Must always hold: whatever was answered before the
//! photograph is there after a start from it; a member that was killed while it received a snapshot holds a state that its cluster
//! had, and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metad_raft::consensus::{Formation, Options};
use metad_raft::faults::Step;
use metad_raft::{PosixMetadataReplicator, Proposal, RaftReplicator};
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::disk::{Disk, photograph};
use crate::machine::{State, Stored, Toy};

/// The disk right before a step, what the machine had stored, and what had been answered.
struct Photograph {
    step: Step,
    dir: PathBuf,
    stored: Stored,
    applied: State,
}

type Album = Arc<Mutex<Vec<Photograph>>>;

/// Photographs `from` into `albums` before each step on `disk`.
fn camera(disk: &Disk, from: &Path, albums: &Path, toy: &Toy) -> Album {
    let album = Album::default();
    let (taken, toy) = (album.clone(), toy.clone());
    let (from, albums) = (from.to_path_buf(), albums.to_path_buf());
    disk.before_each(move |step| {
        let mut album = taken.lock();
        let dir = albums.join(album.len().to_string());
        // What is stored or applied now must be in the photograph, which is taken after.
        let (stored, applied) = (toy.stored(), toy.state());
        photograph(&from, &dir);
        album.push(Photograph { step, dir, stored, applied });
    });
    album
}

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    (options.snapshot_entries, options.tail_entries) = (5, 1);
    options
}

fn steps(album: &[Photograph]) -> BTreeSet<String> {
    album.iter().map(|p| format!("{:?}", p.step)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_any_step_of_append_vote_purge_and_snapshot_loses_nothing_that_was_answered() {
    let (dir, albums) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (disk, toy) = (Disk::new(), Toy::default());
    let album = camera(&disk, dir.path(), albums.path(), &toy);
    let mut settings = options(dir.path());
    settings.faults = disk.clone();
    let log = RaftReplicator::new(settings);
    log.start(Arc::new(toy.clone())).await.unwrap();
    for i in 0..12 {
        let answers = log.replicate(vec![Proposal { ops: format!("k{i}=v").into() }]).await;
        assert!(answers[0].is_ok(), "{answers:?}");
        if i == 6 {
            toy.store();
        }
    }
    let mut status = log.status();
    status.wait_for(|s| s.snapshot_index > 8).await.unwrap();
    log.stop().await;
    disk.before_each(|_| ());
    let album = std::mem::take(&mut *album.lock());
    let seen = steps(&album);
    for step in ["JournalWrite", "JournalVote", "JournalPurge", "SnapshotCreate", "SnapshotRename"] {
        assert!(seen.contains(step), "no {step} in {seen:?}");
    }
    for Photograph { step, dir, stored, applied } in album {
        let toy = Toy::after_crash(stored);
        let log = RaftReplicator::new(options(&dir));
        let started = log.start(Arc::new(toy.clone())).await;
        assert!(started.is_ok(), "before {step:?}: {started:?}");
        for (key, value) in &applied {
            assert_eq!(toy.state().get(key), Some(value), "lost before {step:?}");
        }
        log.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_any_step_of_an_installation_leaves_a_state_that_the_cluster_had() {
    let settings = |o: &mut Options| (o.snapshot_entries, o.tail_entries, o.chunk_bytes) = (20, 2, 400);
    let mut cluster = Cluster::of(3, settings).await;
    let leader = cluster.leader().await;
    let away = 1 + leader % 3;
    cluster.kill(away).await;
    let mut written = 0;
    while cluster.net.bulk_bytes() == 0 || written < 40 {
        cluster.put(&format!("k{written:04}"), "v").await;
        written += 1;
    }
    let albums = tempfile::tempdir().unwrap();
    let member = &cluster.members[&away];
    let album = camera(&member.disk, member.dir.path(), albums.path(), &member.toy);
    cluster.start(away, Formation::Wait).await;
    let index = cluster.put(&format!("k{written:04}"), "v").await;
    let whole = cluster.agree(index).await;
    cluster.members[&away].disk.before_each(|_| ());
    let album = std::mem::take(&mut *album.lock());
    let seen = steps(&album);
    for step in ["SnapshotCreate", "SnapshotBlock", "SnapshotSync", "SnapshotRename", "JournalPurge"] {
        assert!(seen.contains(step), "no {step} in {seen:?}");
    }
    for Photograph { step, dir, stored, .. } in album {
        let toy = Toy::after_crash(stored);
        let mut options = Options::new(&dir);
        (options.id, options.formation) = (away, Formation::Wait);
        let log = RaftReplicator::new(options);
        let started = log.start(Arc::new(toy.clone())).await;
        assert!(started.is_ok(), "before {step:?}: {started:?}");
        // Keys were written in order, so a state that the cluster had is a beginning of the whole.
        let state = toy.state();
        assert!(state.iter().eq(whole.iter().take(state.len())), "before {step:?}: {} keys", state.len());
        log.stop().await;
    }
}
