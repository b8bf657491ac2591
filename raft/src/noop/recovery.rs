//! Start-up: opens the directory, compares the machine with the journal, and replays.
//!
//! Not here: anything after the first proposal.
//! Must always hold: when this returns, the machine holds every entry of the journal, and nothing else.
//!
//! The machine's checkpoint is trusted only when it names this journal and lies between the purge point and the end.
//! Any other one is discarded, and the machine is rebuilt from the newest snapshot that can be read, and the journal.

use std::sync::Arc;

use bytes::Bytes;

use super::options::Options;
use super::writer::log_id;
use crate::datadir::{DataDir, NodeKind};
use crate::error::{Fatal, StartError};
use crate::identity;
use crate::journal::Journal;
use crate::journal::record::{Identity, PayloadKind};
use crate::snapshot::{SnapshotError, SnapshotStore};
use crate::state_machine::{Applied, Entry, StateMachine};

/// Version of the mark: one byte, then the journal's identity.
const MARK_VERSION: u8 = 1;
/// Replay hands the machine chunks of about this many entries and bytes.
const REPLAY_ENTRIES: usize = 1024;
const REPLAY_BYTES: usize = 4 * 1024 * 1024;

/// What start-up found and made.
pub(crate) struct Recovered {
    pub dir: DataDir,
    pub journal: Journal,
    pub snapshots: SnapshotStore,
    pub mark: Bytes,
    /// Index of the last entry, 0 when there is none.
    pub last_index: u64,
    /// Index of the newest snapshot that was found, 0 when there is none.
    pub snapshot_index: u64,
}

/// Opens everything and brings `machine` to the end of the journal.
pub(crate) fn recover(options: &Options, machine: &Arc<dyn StateMachine>) -> Result<Recovered, StartError> {
    let dir = DataDir::open(&options.dir)?;
    let version = dir.identity(NodeKind::NoOp)?;
    let snapshots = SnapshotStore::open(dir.snapshots(), options.faults.clone())?;
    let mut journal = Journal::open(&dir.log())?;
    let identity = identity::agree(&dir, NodeKind::NoOp, version, &mut journal, &snapshots)?;
    // What a killed process wrote may be in the kernel only; from here on it counts as on the disk.
    journal.sync().map_err(|e| Fatal::with("cannot sync the journal", e))?;
    let mark = mark(identity);
    let mut rebuild = Rebuild { dir: &dir, journal: &mut journal, snapshots: &snapshots, mark: &mark };
    let from = rebuild.starting_point(&**machine)?;
    let last_index = journal.last().map_or(0, |l| l.index);
    machine.log_flushed(last_index);
    replay(&dir, &journal, &**machine, &mark, from, last_index)?;
    let snapshot_index = snapshots.list()?.first().copied().unwrap_or(0);
    Ok(Recovered { dir, journal, snapshots, mark, last_index, snapshot_index })
}

/// What a machine stores beside its applied index: the journal that it belongs to.
pub(crate) fn mark(identity: Identity) -> Bytes {
    let mut mark = vec![MARK_VERSION];
    mark.extend_from_slice(&identity.0);
    Bytes::from(mark)
}

struct Rebuild<'a> {
    dir: &'a DataDir,
    journal: &'a mut Journal,
    snapshots: &'a SnapshotStore,
    mark: &'a Bytes,
}

impl Rebuild<'_> {
    /// The index that the machine holds, after it was made to hold one that the journal can go on from.
    fn starting_point(&mut self, machine: &dyn StateMachine) -> Result<u64, StartError> {
        let purged = self.journal.purged().map_or(0, |p| p.index);
        let last = self.journal.last().map_or(0, |l| l.index);
        let recovered = machine.recovered()?;
        if let Some(applied) = &recovered {
            if applied.mark == *self.mark && (purged..=last).contains(&applied.index) {
                return Ok(applied.index);
            }
            tracing::warn!(
                checkpoint = applied.index,
                purged,
                last,
                same_journal = applied.mark == *self.mark,
                "the machine's checkpoint does not fit the journal; rebuilding"
            );
            machine.discard()?;
        }
        self.install_newest(machine, purged, last)
    }

    fn install_newest(
        &mut self,
        machine: &dyn StateMachine,
        purged: u64,
        last: u64,
    ) -> Result<u64, StartError> {
        for index in self.snapshots.list()? {
            if index < purged {
                break;
            }
            match self.install(machine, index) {
                Ok(()) => {
                    if index > last {
                        // The journal lost its tail with the power; the snapshot holds it.
                        let moved = self.journal.purge(log_id(index)).and_then(|()| self.journal.sync());
                        moved.map_err(|e| Fatal::with("cannot move the journal behind a snapshot", e))?;
                    }
                    return Ok(index);
                }
                Err(InstallError::Machine(fatal)) => return Err(fatal.into()),
                Err(InstallError::Unusable(reason)) => {
                    tracing::warn!(index, reason, "a snapshot cannot be used");
                }
            }
        }
        if purged == 0 {
            return Ok(0);
        }
        let reason = format!(
            "the journal begins after entry {purged} and no snapshot that can be read covers what came before; \
             restore snapshots/ from a backup"
        );
        Err(self.dir.damaged(reason))
    }

    fn install(&self, machine: &dyn StateMachine, index: u64) -> Result<(), InstallError> {
        let mut reader = self.snapshots.read(index)?;
        let summary = reader.summary().clone();
        if summary.applied.index != index || summary.applied.mark != *self.mark {
            return Err(InstallError::Unusable("it belongs to another journal".to_string()));
        }
        let mut sink = machine.install()?;
        while let Some(block) = reader.next_block()? {
            sink.put_block(block)?;
        }
        Ok(sink.commit(&summary.applied, summary.state_hash)?)
    }
}

enum InstallError {
    Unusable(String),
    Machine(Fatal),
}

impl From<SnapshotError> for InstallError {
    fn from(error: SnapshotError) -> Self {
        InstallError::Unusable(error.to_string())
    }
}

impl From<Fatal> for InstallError {
    fn from(fatal: Fatal) -> Self {
        InstallError::Machine(fatal)
    }
}

fn replay(
    dir: &DataDir,
    journal: &Journal,
    machine: &dyn StateMachine,
    mark: &Bytes,
    from: u64,
    last: u64,
) -> Result<(), StartError> {
    let mut chunk = Vec::with_capacity(REPLAY_ENTRIES);
    let (mut bytes, mut done) = (0, from);
    for (expected, read) in (from + 1..=last).zip(journal.read(from + 1, last + 1)) {
        let (id, payload) = read.map_err(|e| dir.damaged(e.to_string()))?;
        if id.index != expected {
            return Err(dir.damaged(format!("entry {expected} is missing")));
        }
        bytes += payload.body.len();
        match payload.kind {
            PayloadKind::Ops => chunk.push(Entry::Ops { index: id.index, ops: payload.body }),
            PayloadKind::Blank | PayloadKind::Membership => chunk.push(Entry::Blank { index: id.index }),
        }
        if chunk.len() == REPLAY_ENTRIES || bytes >= REPLAY_BYTES || expected == last {
            machine.apply(&chunk, &Applied { index: expected, mark: mark.clone() })?;
            chunk.clear();
            (bytes, done) = (0, expected);
        }
    }
    if done == last { Ok(()) } else { Err(dir.damaged(format!("the journal ends before entry {last}"))) }
}
