//! Files that are shorter, longer or different from what was written.
//!
//! Not here: crashes (see `crash`). Must always hold: a start either serves a prefix of what was written, or refuses; never
//! anything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metad_raft::noop::NoOpReplicator;
use metad_raft::{PosixMetadataReplicator, Proposal, StartError};

use crate::disk::{Disk, files, options, photograph};
use crate::machine::{State, Stored, Toy};

const ENTRIES: u64 = 5;

/// A directory with a few entries, stopped cleanly.
async fn written(change: impl FnOnce(&mut metad_raft::noop::Options)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), &Disk::new());
    change(&mut options);
    let snapshot_entries = options.snapshot_entries;
    let log = NoOpReplicator::new(options);
    log.start(Arc::new(Toy::default())).await.unwrap();
    for i in 1..=ENTRIES {
        let answers = log.replicate(vec![Proposal { ops: format!("k{i}=value number {i}").into() }]).await;
        assert_eq!(answers, [Ok(i)]);
        if i % snapshot_entries == 0 {
            log.status().wait_for(|s| s.snapshot_index == i).await.unwrap();
        }
    }
    log.stop().await;
    dir
}

fn expected(entries: u64) -> State {
    (1..=entries).map(|i| (format!("k{i}"), format!("value number {i}"))).collect()
}

async fn start(dir: &Path) -> Result<(State, u64), StartError> {
    start_with(dir, Stored::default()).await
}

async fn start_with(dir: &Path, stored: Stored) -> Result<(State, u64), StartError> {
    let toy = Toy::after_crash(stored);
    let log = NoOpReplicator::new(options(dir, &Disk::new()));
    log.start(Arc::new(toy.clone())).await?;
    log.stop().await;
    Ok((toy.state(), toy.applied()))
}

fn chunk(dir: &Path) -> PathBuf {
    files(&dir.join("log"), ".wal").pop().unwrap()
}

fn newest_snapshot(dir: &Path) -> PathBuf {
    files(&dir.join("snapshots"), ".snapshot").pop().unwrap()
}

/// A copy of `dir` in which one file was changed.
fn changed(dir: &Path, file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    photograph(dir, copy.path());
    let target = copy.path().join(file.strip_prefix(dir).unwrap());
    let mut bytes = fs::read(&target).unwrap();
    change(&mut bytes);
    fs::write(target, bytes).unwrap();
    copy
}

/// Bytes of the last record: one more entry is what the file grew by.
async fn last_record_bytes(dir: &Path) -> usize {
    let copy = tempfile::tempdir().unwrap();
    photograph(dir, copy.path());
    let before = fs::metadata(chunk(copy.path())).unwrap().len();
    let log = NoOpReplicator::new(options(copy.path(), &Disk::new()));
    log.start(Arc::new(Toy::default())).await.unwrap();
    log.replicate(vec![Proposal { ops: "k9=value number 9".into() }]).await;
    log.stop().await;
    (fs::metadata(chunk(copy.path())).unwrap().len() - before).try_into().unwrap()
}

#[tokio::test]
async fn a_record_that_was_cut_short_is_dropped_at_every_length() {
    let dir = written(|_| ()).await;
    let record = last_record_bytes(dir.path()).await;
    for cut in 1..=record {
        let torn = changed(dir.path(), &chunk(dir.path()), |bytes| bytes.truncate(bytes.len() - cut));
        assert_eq!(start(torn.path()).await.unwrap(), (expected(4), 4), "{cut} bytes cut");
        // And a second start finds the same.
        assert_eq!(start(torn.path()).await.unwrap(), (expected(4), 4), "{cut} bytes cut");
    }
    let zeros = changed(dir.path(), &chunk(dir.path()), |bytes| bytes.resize(bytes.len() + 100, 0));
    assert_eq!(start(zeros.path()).await.unwrap(), (expected(5), 5));
}

#[tokio::test]
async fn a_machine_ahead_of_a_torn_journal_is_rebuilt() {
    let dir = written(|_| ()).await;
    let toy = Toy::default();
    let log = NoOpReplicator::new(options(dir.path(), &Disk::new()));
    log.start(Arc::new(toy.clone())).await.unwrap();
    assert_eq!(toy.store(), 5);
    drop(log);
    let torn = changed(dir.path(), &chunk(dir.path()), |bytes| bytes.truncate(bytes.len() - 1));
    assert_eq!(start_with(torn.path(), toy.stored()).await.unwrap(), (expected(4), 4));
    // A machine of another journal is unknown to this one.
    let other = written(|_| ()).await;
    assert_eq!(start_with(other.path(), toy.stored()).await.unwrap(), (expected(5), 5));
}

#[tokio::test]
async fn a_flipped_bit_in_the_journal_is_refused_or_costs_only_the_tail() {
    let dir = written(|_| ()).await;
    let len = fs::metadata(chunk(dir.path())).unwrap().len() as usize;
    let mut refused = 0;
    for byte in 0..len {
        // One bit of each byte, every bit position in turn.
        let bit = byte * 8 + byte % 8;
        let damaged = changed(dir.path(), &chunk(dir.path()), |bytes| bytes[byte] ^= 1 << (bit % 8));
        match start(damaged.path()).await {
            Ok((state, applied)) => assert_eq!(state, expected(applied), "bit {bit}"),
            Err(StartError::Damaged { reason, .. } | StartError::Refused { reason, .. }) => {
                assert!(!reason.is_empty());
                refused += 1;
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
    assert!(refused > len * 9 / 10, "only {refused} of {len} were refused");
}

#[tokio::test]
async fn a_damaged_snapshot_is_never_served() {
    let dir = written(|o| (o.snapshot_entries, o.tail_entries) = (2, 0)).await;
    let all = files(&dir.path().join("snapshots"), ".snapshot");
    assert_eq!(all.len(), 2, "{all:?}");
    let newest = newest_snapshot(dir.path());
    let len = fs::metadata(&newest).unwrap().len() as usize;
    for byte in 0..len {
        let damaged = changed(dir.path(), &newest, |bytes| bytes[byte] ^= 0x10);
        let reason = match start(damaged.path()).await {
            Err(StartError::Damaged { reason, .. }) => reason,
            other => panic!("byte {byte}: {other:?}"),
        };
        assert!(reason.contains("restore snapshots/ from a backup"), "{reason}");
    }
}

#[tokio::test]
async fn the_older_snapshot_stands_in_while_the_journal_reaches_back_to_it() {
    let dir = written(|o| (o.snapshot_entries, o.tail_entries) = (2, 100)).await;
    let damaged = changed(dir.path(), &newest_snapshot(dir.path()), |bytes| bytes.truncate(20));
    assert_eq!(start(damaged.path()).await.unwrap(), (expected(5), 5));
}

#[tokio::test]
async fn a_directory_that_misses_a_part_is_refused() {
    let dir = written(|_| ()).await;
    let without = |gone: &str| {
        let copy = tempfile::tempdir().unwrap();
        photograph(dir.path(), copy.path());
        let gone = copy.path().join(gone);
        if gone.is_dir() {
            fs::remove_dir_all(gone).unwrap();
        } else {
            fs::remove_file(gone).unwrap();
        }
        copy
    };
    let error = start(without("VERSION").path()).await.unwrap_err();
    assert!(matches!(&error, StartError::Refused { .. }), "{error}");
    let error = start(without("log").path()).await.unwrap_err();
    assert!(matches!(&error, StartError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_directory_of_a_newer_version_is_refused_untouched() {
    let dir = written(|_| ()).await;
    let newer = changed(dir.path(), &dir.path().join("VERSION"), |bytes| bytes[9] = b'2');
    let before = fs::read(chunk(newer.path())).unwrap();
    let error = start(newer.path()).await.unwrap_err();
    assert!(error.to_string().contains("run the metad that wrote it"), "{error}");
    assert_eq!(fs::read(chunk(newer.path())).unwrap(), before);
}
