//! A member's files, shorter or with a wrong bit.
//!
//! Not here: the local journal's files (see `damage`), the machine's own. Must always hold: a start either serves a beginning of what
//! was written, or refuses and says which directory is meant; never anything else.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metad_raft::consensus::Options;
use metad_raft::{PosixMetadataReplicator, Proposal, RaftReplicator, StartError};

use crate::disk::{files, photograph};
use crate::machine::{State, Toy};

const ENTRIES: u64 = 12;
/// Places in each file where it is changed.
const PLACES: usize = 12;

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    (options.snapshot_entries, options.tail_entries) = (5, 1);
    options
}

/// The directory of a member with snapshots and a log, stopped cleanly.
async fn written() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = RaftReplicator::new(options(dir.path()));
    log.start(Arc::new(Toy::default())).await.unwrap();
    for i in 0..ENTRIES {
        let answers = log.replicate(vec![Proposal { ops: format!("k{i:02}=value number {i}").into() }]).await;
        assert!(answers[0].is_ok());
    }
    log.status().wait_for(|s| s.snapshot_index > 8).await.unwrap();
    log.stop().await;
    dir
}

async fn start(dir: &Path) -> Result<State, StartError> {
    let toy = Toy::default();
    let log = RaftReplicator::new(options(dir));
    log.start(Arc::new(toy.clone())).await?;
    log.stop().await;
    Ok(toy.state())
}

/// Starts from a copy of `dir` in which one file was changed.
async fn judge(dir: &Path, file: &Path, whole: &State, change: impl FnOnce(&mut Vec<u8>)) -> bool {
    let copy = tempfile::tempdir().unwrap();
    photograph(dir, copy.path());
    let target = copy.path().join(file.strip_prefix(dir).unwrap());
    let mut bytes = fs::read(&target).unwrap();
    change(&mut bytes);
    fs::write(target, bytes).unwrap();
    match start(copy.path()).await {
        Ok(state) => {
            let beginning = state.iter().eq(whole.iter().take(state.len()));
            assert!(beginning, "{}: {state:?}", file.display());
            true
        }
        Err(refused) => {
            let (words, dir) = (refused.to_string(), copy.path().display().to_string());
            assert!(words.contains(&dir), "{}: {words}", file.display());
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_a_member_is_refused_or_rebuilt_and_never_served_wrong() {
    let dir = written().await;
    let whole = start(dir.path()).await.unwrap();
    assert_eq!(whole.len() as u64, ENTRIES);
    let mut all: Vec<PathBuf> = vec![dir.path().join("VERSION")];
    all.extend(files(&dir.path().join("log"), ".wal"));
    all.extend(files(&dir.path().join("snapshots"), ".snapshot"));
    assert!(all.len() >= 4, "{all:?}");
    let (mut served, mut refused) = (0, 0);
    for file in &all {
        let len = usize::try_from(fs::metadata(file).unwrap().len()).unwrap();
        for place in 0..PLACES {
            let at = place * len / PLACES;
            let flipped = judge(dir.path(), file, &whole, |bytes| bytes[at] ^= 1 << (place % 8)).await;
            let cut = judge(dir.path(), file, &whole, |bytes| bytes.truncate(at)).await;
            for kept in [flipped, cut] {
                *if kept { &mut served } else { &mut refused } += 1;
            }
        }
    }
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
}
