//! Start-up of a member: opens the directory and decides what the machine may keep.
//!
//! Not here: the engine (see `mod`). Must always hold: the machine's checkpoint is kept only when the log confirms it; openraft
//! rebuilds every other machine from the newest snapshot and the log.

use std::sync::Arc;

use super::machine::{Machine, SnapshotFile};
use super::mark;
use super::types::{LogId, StoredMembership, to_journal};
use crate::datadir::{DataDir, NodeKind};
use crate::error::{Fatal, StartError};
use crate::faults::Faults;
use crate::identity;
use crate::journal::Journal;
use crate::journal::record::Vote;
use crate::snapshot::SnapshotStore;
use crate::state_machine::StateMachine;

/// What start-up found.
pub(crate) struct Opened {
    pub dir: DataDir,
    pub journal: Journal,
    pub machine: Machine,
    pub snapshots: Arc<SnapshotStore>,
    /// The last entry of the log.
    pub last: Option<u64>,
}

/// Opens the directory of a member.
pub(crate) fn open(
    root: &std::path::Path,
    faults: Arc<dyn Faults>,
    machine: &Arc<dyn StateMachine>,
) -> Result<Opened, StartError> {
    let dir = DataDir::open(root)?;
    let version = dir.identity(NodeKind::Raft)?;
    let store = Arc::new(SnapshotStore::open(dir.snapshots(), faults)?);
    let mut journal = Journal::open(&dir.log())?;
    identity::agree(&dir, NodeKind::Raft, version, &mut journal, &store)?;
    // What a killed process wrote may be in the kernel only; from here on it counts as on the disk.
    journal.sync().map_err(|e| Fatal::with("cannot sync the log", e))?;
    let newest = SnapshotFile::newest(&store)?;
    let recovered = confirmed(&**machine, &journal)?;
    let covered = recovered.as_ref().map(|(id, _)| id.index).max(newest.as_ref().map(|n| n.applied.index));
    if let Some(purged) = journal.purged().filter(|purged| covered < Some(purged.index)) {
        let index = purged.index;
        return Err(dir.damaged(format!(
            "the log begins after entry {index} and no snapshot that can be read covers what came before; \
             restore snapshots/ from a backup, or remove this node from its cluster and add it with an empty directory"
        )));
    }
    fit_to_snapshot(&mut journal, recovered.as_ref(), newest.as_ref())
        .map_err(|e| Fatal::with("cannot cut the log behind a snapshot", e))?;
    let last = journal.last().map(|l| l.index);
    machine.log_flushed(last.unwrap_or(0));
    let machine = Machine::new(machine.clone(), store.clone(), recovered, newest);
    Ok(Opened { dir, journal, machine, snapshots: store, last })
}

/// A crash between the end of a snapshot's transfer and its installation leaves a log beside it that may be of another history:
/// entries that were never committed, and a vote that is older. openraft would take them for damage.
fn fit_to_snapshot(
    journal: &mut Journal,
    recovered: Option<&(LogId, StoredMembership)>,
    newest: Option<&SnapshotFile>,
) -> std::io::Result<()> {
    let Some(applied) = newest.map(|file| &file.applied) else { return Ok(()) };
    let ahead = recovered.is_none_or(|(id, _)| id.index < applied.index);
    let Ok((id, _)) = mark::decode(&applied.mark) else { return Ok(()) };
    let id = to_journal(&id);
    let purged = journal.purged().map(|p| p.index);
    // The vote for the leader that sent it may not have been saved yet: it is known now that this node led.
    if journal.vote().is_none_or(|vote| (vote.term, vote.node) < (id.term, id.node)) {
        journal.save_vote(Vote { term: id.term, node: id.node, committed: true })?;
        journal.sync()?;
    }
    if !ahead || purged >= Some(id.index) {
        return Ok(());
    }
    let in_log = journal.read(id.index, id.index + 1).next().transpose()?;
    if in_log.map(|(found, _)| found) == Some(id) {
        return Ok(());
    }
    // What is committed agrees with the snapshot and stays; openraft purges it.
    let keep = journal.committed().map(|c| c.index).max(purged);
    journal.truncate(keep.map_or(0, |index| index + 1))?;
    journal.sync()
}

/// The machine's checkpoint, if the log knows that entry; else the machine is emptied.
fn confirmed(
    machine: &dyn StateMachine,
    journal: &Journal,
) -> Result<Option<(LogId, StoredMembership)>, StartError> {
    let Some(applied) = machine.recovered()? else { return Ok(None) };
    if let Ok((id, membership)) = mark::decode(&applied.mark) {
        let stored = to_journal(&id);
        let in_log = journal.read(stored.index, stored.index + 1).next();
        let found = match in_log {
            Some(entry) => Some(entry.map_err(|e| Fatal::with("cannot read the log", e))?.0),
            None => journal.purged().filter(|p| p.index == stored.index),
        };
        if found == Some(stored) {
            return Ok(Some((id, membership)));
        }
    }
    tracing::warn!(checkpoint = applied.index, "the machine's checkpoint does not fit the log; rebuilding");
    machine.discard()?;
    Ok(None)
}
