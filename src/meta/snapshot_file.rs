//! Snapshot files outside a node: what one holds, and the state that a new cluster begins with.
//!
//! A new cluster that begins with an old state must not hand out again what the old one handed out after the snapshot was
//! taken: somebody may remember it. So the log index, the ids of events and the inode numbers go on far above, every event so
//! far counts as compacted, and what belonged to the old cluster alone (its book of members, its nodes' sessions) is left out.
//!
//! Not here: the files' envelope (`metad-raft`), data directories (`node`).
//! Must always hold: a file is believed only after its content was found to have its state hash; the new state is a function
//! of the file and of the moment that is given.
//!
//! Source: design D12, D18; etcdutl's `--bump-revision --mark-compacted`.

use std::path::Path;

use bytes::Bytes;
use metad_raft::offline::{SnapshotFile, SnapshotFileError};
use metad_raft::{Applied, Fatal, SnapshotSource};

use super::apply::tx::{decode_counters, encode_counters};
use super::cluster::Book;
use super::counters::Counters;
use super::hash::StateHash;
use super::layout::{self, Kind};
use super::record::EventId;
use super::snapshot::{decode_block, encode_block, hash_of};
use crate::limits;

/// What a snapshot file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Index of the last log entry that it contains.
    pub index: u64,
    /// The state hash, as bytes; the content has it.
    pub state_hash: [u8; 16],
    /// The log's time at that entry, in milliseconds; records, properties, events.
    pub counters: Counters,
    /// The cluster's book; empty when it was not founded.
    pub book: Book,
    /// Keys of the store.
    pub keys: u64,
    /// Bytes of their keys and values.
    pub content_bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// Reads a file to its end and checks every block, and the whole against its state hash.
///
/// # Errors
/// What is wrong with the file.
pub fn inspect(path: &Path) -> Result<Contents, SnapshotFileError> {
    walk(path, |_| Ok(()))
}

fn damaged(what: impl ToString) -> SnapshotFileError {
    SnapshotFileError::Damaged(what.to_string())
}

type Pairs = Vec<(Bytes, Bytes)>;

/// Reads a file to its end, shows the pairs of each block, and checks the whole.
fn walk(
    path: &Path,
    mut visit: impl FnMut(Pairs) -> Result<(), SnapshotFileError>,
) -> Result<Contents, SnapshotFileError> {
    let mut file = SnapshotFile::open(path)?;
    let (index, state_hash) = file.header();
    let mut contents = Contents { index, state_hash, ..Contents::default() };
    let (mut system, mut user) = (StateHash::default(), StateHash::default());
    while let Some(block) = file.next_block()? {
        let pairs = decode_block(&block).map_err(damaged)?;
        if pairs.iter().any(|(key, _)| key.is_empty()) {
            return Err(damaged("a pair without a key"));
        }
        hash_of(&pairs, &mut system, &mut user);
        contents.keys += pairs.len() as u64;
        for (key, value) in &pairs {
            contents.note(key, value)?;
        }
        visit(pairs)?;
    }
    let found = system.plus(user);
    if found.to_bytes() != state_hash {
        return Err(damaged("its content does not have its state hash"));
    }
    contents.content_bytes = found.bytes;
    contents.file_bytes = std::fs::metadata(path)?.len();
    Ok(contents)
}

impl Contents {
    fn note(&mut self, key: &[u8], value: &Bytes) -> Result<(), SnapshotFileError> {
        if key == layout::COUNTERS {
            self.counters = decode_counters(value).map_err(damaged)?;
        } else if key == layout::BOOK {
            self.book = Book::decode(value).map_err(damaged)?;
        }
        Ok(())
    }
}

/// The state of a file as a new cluster begins with it, block by block.
pub struct NewState {
    file: SnapshotFile,
    now_ms: u64,
    index: u64,
    hash: StateHash,
}

impl NewState {
    /// Checks the whole file and opens it again. `now_ms` is the wall clock: ids of events go on above it too.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn open(path: &Path, now_ms: u64) -> Result<(Self, Contents), SnapshotFileError> {
        let (mut system, mut user) = (StateHash::default(), StateHash::default());
        let contents = walk(path, |pairs| {
            hash_of(&renewed(pairs, now_ms).map_err(damaged)?, &mut system, &mut user);
            Ok(())
        })?;
        let index = contents.index + limits::RESTORE_INDEX_STEP;
        let file = SnapshotFile::open(path)?;
        Ok((Self { file, now_ms, index, hash: system.plus(user) }, contents))
    }

    /// Index at which the new cluster's log begins.
    pub fn index(&self) -> u64 {
        self.index
    }
}

impl SnapshotSource for NewState {
    fn applied(&self) -> Applied {
        Applied { index: self.index, mark: Bytes::new() }
    }

    fn state_hash(&self) -> [u8; 16] {
        self.hash.to_bytes()
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
        let block = self.file.next_block().map_err(|e| Fatal::with("read the snapshot again", e))?;
        let Some(block) = block else { return Ok(None) };
        let pairs = decode_block(&block).map_err(|e| Fatal::with("decode a snapshot block", e))?;
        Ok(Some(encode_block(renewed(pairs, self.now_ms)?)))
    }
}

/// The pairs of a block as a new cluster begins with them.
fn renewed(pairs: Pairs, now_ms: u64) -> Result<Pairs, Fatal> {
    let old = |key: &Bytes| {
        let kind = key.first().copied();
        kind == Some(Kind::Session as u8) || kind == Some(Kind::Tail as u8) || key == layout::BOOK
    };
    let mut out = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        if key == layout::COUNTERS {
            let counters = raised(decode_counters(&value)?, now_ms);
            out.push((key, encode_counters(&counters)));
        } else if !old(&key) {
            out.push((key, value));
        }
    }
    Ok(out)
}

/// Counters above everything that the old cluster can have given out.
fn raised(mut counters: Counters, now_ms: u64) -> Counters {
    let latest = counters.last_event.ms.max(counters.now_ms).max(now_ms);
    counters.last_event = EventId { ms: latest + limits::RESTORE_EVENTS_STEP_MS, seq: 0 };
    counters.tail_floor = counters.last_event;
    counters.tail_events = 0;
    counters.next_inode += limits::RESTORE_INODES_STEP;
    counters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_counters_are_above_the_snapshot_and_above_the_clock() {
        let last_event = EventId { ms: 1_000, seq: 7 };
        let old = Counters { now_ms: 900, last_event, next_inode: 5, tail_events: 3, ..Counters::default() };
        for now_ms in [0, 500, 5_000] {
            let mut new = raised(old, now_ms);
            assert!(new.last_event.ms >= last_event.ms.max(now_ms) + limits::RESTORE_EVENTS_STEP_MS);
            assert_eq!((new.tail_floor, new.tail_events), (new.last_event, 0));
            assert!(new.next_inode > old.next_inode + 1_000_000);
            assert_eq!(new.now_ms, old.now_ms, "keys expire when they would have");
            let last = new.last_event;
            assert!(new.next_event() > last);
        }
    }
}
