//! A member that does not run: how the log of a cluster of one begins, and what a survivor's log still holds.
//!
//! Not here: files of snapshots and new directories (`crate::offline`). Must always hold: a replay applies every entry that is
//! in the log, committed or not: nobody is left who could say otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use openraft::EmptyNode;

use super::mark;
use super::start;
use super::types::{self, Membership, StoredMembership, from_journal};
use crate::error::{Fatal, StartError};
use crate::faults::NoFaults;
use crate::journal::record::{self, PayloadKind};
use crate::snapshot::SnapshotStore;
use crate::state_machine::{Applied, Entry, StateMachine};

/// Replay hands the machine chunks of about this many entries and bytes.
const REPLAY_ENTRIES: usize = 1024;
const REPLAY_BYTES: usize = 4 * 1024 * 1024;

/// What a member that stood alone in a first term would have: its mark at `index`, that entry, and its vote.
pub(crate) fn beginning(id: u64, index: u64) -> (Bytes, record::LogId, record::Vote) {
    let last = record::LogId { term: 1, node: id, index };
    let nodes = BTreeMap::from([(id, EmptyNode {})]);
    let membership = Membership::new(vec![BTreeSet::from([id])], nodes).expect("one voter is a membership");
    let stored = StoredMembership::new(Some(from_journal(&last)), membership);
    let mark = mark::encode(&from_journal(&last), &stored);
    (mark, last, record::Vote { term: 1, node: id, committed: true })
}

/// What the directory of a stopped member holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survivor {
    /// Voters of the last membership in its log; while a change was on its way, those of both its sides.
    pub voters: BTreeSet<u64>,
    /// Members without a vote.
    pub learners: BTreeSet<u64>,
    /// Term of its last entry.
    pub last_term: u64,
    /// Index of its last entry.
    pub last_index: u64,
    /// Index up to which it knows that entries are committed; an old hint, what follows may be committed too.
    pub committed_index: u64,
}

impl Survivor {
    fn saw(&mut self, membership: &Membership) {
        self.voters = membership.voter_ids().collect();
        self.learners = membership.learner_ids().collect();
    }
}

/// Brings `machine` to the end of a stopped member's log. The directory keeps all it had.
///
/// # Errors
/// When another process holds the directory, it is no member's, or something in it is damaged.
pub fn replay(root: &Path, machine: Arc<dyn StateMachine>) -> Result<Survivor, StartError> {
    if !root.join("VERSION").exists() {
        let (dir, reason) = (root.display().to_string(), "it holds no log of a cluster's member".to_owned());
        return Err(StartError::Refused { dir, reason });
    }
    let opened = start::open(root, Arc::new(NoFaults), &machine)?;
    let (journal, dir) = (&opened.journal, &opened.dir);
    if machine.recovered()?.is_none() {
        install_newest(&SnapshotStore::open(dir.snapshots(), Arc::new(NoFaults))?, &*machine)?;
    }
    let mut found = Survivor::default();
    let (mut from, mut membership) = (0, StoredMembership::default());
    if let Some(applied) = machine.recovered()?.filter(|a| !a.mark.is_empty()) {
        let (id, stored) =
            mark::decode(&applied.mark).map_err(|e| Fatal::with("the machine's mark is damaged", e))?;
        found.saw(stored.membership());
        (found.last_term, found.last_index) = (id.leader_id.term, id.index);
        (from, membership) = (id.index + 1, stored);
    }
    let last = journal.last().map_or(0, |l| l.index);
    found.committed_index = journal.committed().map_or(0, |c| c.index).max(found.last_index);
    let (mut chunk, mut bytes) = (Vec::with_capacity(REPLAY_ENTRIES), 0);
    for (expected, read) in (from..=last).zip(journal.read(from, last + 1)) {
        let (id, payload) = read.map_err(|e| dir.damaged(e.to_string()))?;
        if id.index != expected {
            return Err(dir.damaged(format!("entry {expected} is missing")));
        }
        bytes += payload.body.len();
        let membership_entry = payload.kind == PayloadKind::Membership;
        let entry = types::entry_from_journal(&id, payload).map_err(|e| dir.damaged(e.to_string()))?;
        if let (true, openraft::EntryPayload::Membership(changed)) = (membership_entry, &entry.payload) {
            found.saw(changed);
            membership = StoredMembership::new(Some(entry.log_id), changed.clone());
        }
        chunk.push(match entry.payload {
            openraft::EntryPayload::Normal(ops) => Entry::Ops { index: id.index, ops: ops.0 },
            openraft::EntryPayload::Blank | openraft::EntryPayload::Membership(_) => {
                Entry::Blank { index: id.index }
            }
        });
        (found.last_term, found.last_index) = (id.term, id.index);
        if chunk.len() == REPLAY_ENTRIES || bytes >= REPLAY_BYTES || expected == last {
            let mark = mark::encode(&from_journal(&id), &membership);
            machine.apply(&chunk, &Applied { index: expected, mark })?;
            chunk.clear();
            bytes = 0;
        }
    }
    match found.last_index >= last {
        true => Ok(found),
        false => Err(dir.damaged(format!("the log ends before entry {last}"))),
    }
}

/// Fills an empty machine from the newest snapshot that can be read to its end.
fn install_newest(store: &SnapshotStore, machine: &dyn StateMachine) -> Result<(), Fatal> {
    for index in store.list()? {
        let Ok(mut reader) = store.read(index) else { continue };
        let summary = reader.summary().clone();
        let mut sink = machine.install()?;
        let filled = loop {
            match reader.next_block() {
                Ok(Some(block)) => sink.put_block(block)?,
                Ok(None) => break true,
                Err(error) => {
                    tracing::warn!(index, %error, "a snapshot cannot be used");
                    break false;
                }
            }
        };
        if filled {
            return sink.commit(&summary.applied, summary.state_hash);
        }
    }
    Ok(())
}
