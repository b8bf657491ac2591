//! The receiving side of a snapshot: pieces into a part file, the file into the state machine.
//!
//! Not here: the file itself (see `snapshot::incoming`).
//! Must always hold: one transfer at a time, the newest offer's; a leader that was replaced can neither begin nor end one; nothing
//! blocks the async runtime.

use std::io;
use std::sync::Arc;

use openraft::async_runtime::WatchReceiver;
use openraft::storage::{Snapshot, SnapshotMeta};
use tokio::sync::Mutex;

use super::frame::{FileId, Have};
use crate::consensus::Engine;
use crate::consensus::machine::SnapshotFile;
use crate::consensus::mark;
use crate::consensus::types::{Vote, to_journal};
use crate::snapshot::{Incoming, ReceiveError, SnapshotStore};
use crate::state_machine::Applied;

/// The transfer that is under way.
struct Transfer {
    file: FileId,
    incoming: Incoming,
}

/// Takes snapshots from the leader.
pub(crate) struct Receiver {
    store: Arc<SnapshotStore>,
    current: Arc<Mutex<Option<Transfer>>>,
}

/// A part file's name: everything that tells two files apart.
fn name(file: &FileId) -> String {
    let FileId { last, len, crc } = file;
    format!("{:020}-{}-{}-{len}-{crc:08x}", last.index, last.term, last.node)
}

/// What the file contains, if it is here under its final name.
fn stored(store: &SnapshotStore, file: &FileId) -> Option<Applied> {
    let (_, len, crc) = store.outgoing(file.last.index).ok()?;
    let reader = store.read(file.last.index).ok()?;
    ((len, crc) == (file.len, file.crc)).then(|| reader.summary().applied.clone())
}

/// This member's vote, when it is higher than the sender's.
fn higher(engine: &Engine, vote: &Vote) -> Option<Vote> {
    let ours = engine.metrics().borrow_watched().vote;
    let behind = vote.partial_cmp(&ours) == Some(std::cmp::Ordering::Less);
    behind.then_some(ours)
}

impl Receiver {
    pub(crate) fn new(store: Arc<SnapshotStore>) -> Self {
        Self { store, current: Arc::default() }
    }

    /// The leader has `file`: how much of it is here already?
    pub(crate) async fn offer(&self, engine: &Engine, vote: Vote, file: FileId) -> io::Result<Have> {
        if let Some(higher) = higher(engine, &vote) {
            return Ok(Have::HigherVote(higher));
        }
        let mut current = self.current.clone().lock_owned().await;
        if let Some(transfer) = current.as_ref().filter(|t| t.file == file) {
            return Ok(Have::Upto(transfer.incoming.have()));
        }
        let store = self.store.clone();
        let begun = tokio::task::spawn_blocking(move || {
            if stored(&store, &file).is_some() {
                return Ok(Have::Upto(file.len));
            }
            *current = None;
            let incoming = Incoming::open(&store, &name(&file), file.len)?;
            let have = incoming.have();
            *current = Some(Transfer { file, incoming });
            Ok(Have::Upto(have))
        });
        begun.await.map_err(io::Error::other)?
    }

    /// A piece of the file that was offered last.
    pub(crate) async fn chunk(&self, file: FileId, offset: u64, bytes: bytes::Bytes) -> io::Result<Have> {
        let mut current = self.current.clone().lock_owned().await;
        let put = tokio::task::spawn_blocking(move || match current.as_mut().filter(|t| t.file == file) {
            Some(transfer) => transfer.incoming.put(offset, &bytes).map(Have::Upto),
            None => Ok(Have::Unknown),
        });
        put.await.map_err(io::Error::other)?
    }

    /// Checks the file and installs it; this member's vote afterwards, or `None` when the file has to come again.
    pub(crate) async fn install(
        &self,
        engine: &Engine,
        vote: Vote,
        file: FileId,
    ) -> io::Result<Option<Vote>> {
        let Some(applied) = self.finish(file).await? else { return Ok(None) };
        let Some(snapshot) = self.snapshot(&vote, &file, applied) else { return Ok(None) };
        let installed = engine.install_full_snapshot(vote, snapshot).await.map_err(io::Error::other)?;
        Ok(Some(installed.vote))
    }

    /// Gives the file its name, or finds that it has it already: the answer to an earlier request may have been lost.
    async fn finish(&self, file: FileId) -> io::Result<Option<Applied>> {
        let mut current = self.current.clone().lock_owned().await;
        let store = self.store.clone();
        let finished = tokio::task::spawn_blocking(move || {
            match current.take_if(|t| t.file == file && t.incoming.have() == file.len) {
                Some(transfer) => transfer.incoming.finish().map(Some),
                None => Ok(stored(&store, &file)),
            }
        });
        match finished.await.map_err(io::Error::other)? {
            Ok(applied) => Ok(applied),
            Err(ReceiveError::Io(e)) => Err(e),
            Err(ReceiveError::Damaged(e)) => {
                tracing::warn!(error = %e, "a received snapshot is damaged; it has to come again");
                Ok(None)
            }
        }
    }

    /// The file as openraft wants it; `None` when it is not what its name promised, or more than its sender can know.
    fn snapshot(
        &self,
        vote: &Vote,
        file: &FileId,
        applied: Applied,
    ) -> Option<Snapshot<crate::consensus::types::LeaderId, u64, openraft::EmptyNode, SnapshotFile>> {
        let (last, membership) = mark::decode(&applied.mark).ok()?;
        if to_journal(&last) != file.last || last.leader_id > vote.leader_id {
            tracing::warn!(index = applied.index, "a received snapshot is not what it was offered as");
            return None;
        }
        let meta = SnapshotMeta { last_log_id: Some(last), last_membership: membership };
        Some(Snapshot { meta, snapshot: SnapshotFile { store: self.store.clone(), applied } })
    }
}
