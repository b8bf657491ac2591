//! The bridge from openraft's state machine to ours.
//!
//! Not here: state. Must always hold:
//! * each answered entry has been applied, and every entry that wants an answer gets one;
//! * an error is a local fault and stops the node; a refused command is a normal result inside the machine;
//! * a snapshot is on the disk before openraft hears of it, so the log is purged only behind a durable one.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot};
use openraft::{EmptyNode, EntryPayload, OptionalSend};
use parking_lot::Mutex;
use tokio::runtime::RuntimeFlavor;

use super::mark;
use super::types::{LeaderId, LogId, SnapshotMeta, StoredMembership, TypeConfig};
use crate::codec::CodecError;
use crate::error::Fatal;
use crate::snapshot::{SnapshotError, SnapshotStore, WriteError};
use crate::state_machine::{Applied, Entry, SnapshotSource, StateMachine};

/// A snapshot in some node's directory, named by what it contains.
#[derive(Clone)]
pub(crate) struct SnapshotFile {
    pub store: Arc<SnapshotStore>,
    pub applied: Applied,
}

impl SnapshotFile {
    fn into_openraft(self) -> io::Result<Snapshot<LeaderId, u64, EmptyNode, SnapshotFile>> {
        Ok(Snapshot { meta: meta_of(&self.applied).map_err(io::Error::other)?, snapshot: self })
    }

    /// The newest snapshot that can be read to its end.
    pub(crate) fn newest(store: &Arc<SnapshotStore>) -> Result<Option<Self>, Fatal> {
        for index in store.list()? {
            match whole(store, index) {
                Ok(applied) => return Ok(Some(Self { store: store.clone(), applied })),
                Err(e) => tracing::warn!(index, error = %e, "a snapshot cannot be used"),
            }
        }
        Ok(None)
    }
}

fn meta_of(applied: &Applied) -> Result<SnapshotMeta, CodecError> {
    if applied.mark.is_empty() {
        // A machine that has applied nothing yet.
        return Ok(SnapshotMeta::default());
    }
    let (last, membership) = mark::decode(&applied.mark)?;
    Ok(SnapshotMeta { last_log_id: Some(last), last_membership: membership })
}

fn whole(store: &SnapshotStore, index: u64) -> Result<Applied, SnapshotError> {
    let mut reader = store.read(index)?;
    while reader.next_block()?.is_some() {}
    let applied = reader.summary().applied.clone();
    meta_of(&applied)?;
    Ok(applied)
}

/// Entries that are applied in one go, and answered before the next.
const CHUNK_ENTRIES_MAX: usize = 1024;
/// As many are applied where they are; more take long enough to let the runtime's other tasks move to another thread.
const CHUNK_ENTRIES_QUICK: usize = 64;

/// Runs `work`, which may take long, so that the other tasks of this thread go on elsewhere.
fn off_the_runtime<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// The bridge.
pub(crate) struct Machine {
    machine: Arc<dyn StateMachine>,
    store: Arc<SnapshotStore>,
    applied: Option<LogId>,
    membership: StoredMembership,
    newest: Arc<Mutex<Option<SnapshotFile>>>,
}

impl Machine {
    /// A bridge to a machine whose checkpoint is `recovered`; `newest` is the snapshot to restore from.
    pub(crate) fn new(
        machine: Arc<dyn StateMachine>,
        store: Arc<SnapshotStore>,
        recovered: Option<(LogId, StoredMembership)>,
        newest: Option<SnapshotFile>,
    ) -> Self {
        let (applied, membership) =
            recovered.map_or((None, StoredMembership::default()), |(id, m)| (Some(id), m));
        Self { machine, store, applied, membership, newest: Arc::new(Mutex::new(newest)) }
    }

    /// Applies what was collected and answers for it.
    fn apply_chunk(
        &mut self,
        chunk: &mut Vec<Entry>,
        answers: &mut Vec<(u64, ApplyResponder<TypeConfig>)>,
    ) -> Result<(), io::Error> {
        let Some(applied) = self.applied.filter(|_| !chunk.is_empty()) else { return Ok(()) };
        let upto = Applied { index: applied.index, mark: mark::encode(&applied, &self.membership) };
        // openraft would wait for ever for a machine whose task is gone.
        let apply = || catch_unwind(AssertUnwindSafe(|| self.machine.apply(chunk, &upto)));
        let applied = if chunk.len() > CHUNK_ENTRIES_QUICK { off_the_runtime(apply) } else { apply() };
        applied
            .unwrap_or_else(|_| Err(Fatal::new("the state machine panicked")))
            .map_err(io::Error::other)?;
        for (index, answer) in answers.drain(..) {
            answer.send(index);
        }
        chunk.clear();
        Ok(())
    }

    fn entry(&mut self, id: LogId, payload: EntryPayload<super::types::Ops, u64, EmptyNode>) -> Entry {
        self.applied = Some(id);
        match payload {
            EntryPayload::Normal(ops) => Entry::Ops { index: id.index, ops: ops.0 },
            EntryPayload::Blank => Entry::Blank { index: id.index },
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(id), membership);
                Entry::Blank { index: id.index }
            }
        }
    }
}

/// A snapshot of another directory becomes one of ours before it is installed, so that a crash finds it again.
fn adopt(store: &Arc<SnapshotStore>, file: SnapshotFile) -> Result<SnapshotFile, WriteError> {
    if Arc::ptr_eq(&file.store, store) {
        return Ok(file);
    }
    let opened = file.store.read(file.applied.index);
    let mut reader = opened.map_err(|e| Fatal::with("cannot read a received snapshot", e))?;
    store.write(&mut reader, &|| false)?;
    Ok(SnapshotFile { store: store.clone(), applied: file.applied })
}

fn install(machine: &dyn StateMachine, file: &SnapshotFile) -> Result<(), Fatal> {
    let unreadable = |e: SnapshotError| Fatal::with("a snapshot became unreadable", e);
    let mut reader = file.store.read(file.applied.index).map_err(unreadable)?;
    let mut sink = machine.install()?;
    while let Some(block) = reader.next_block().map_err(unreadable)? {
        sink.put_block(block)?;
    }
    sink.commit(&file.applied, reader.summary().state_hash)
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    /// Runs on openraft's state machine task. Our machines apply in memory, so it is not moved to another thread.
    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + OptionalSend,
    {
        let (mut chunk, mut answers) = (Vec::new(), Vec::new());
        while let Some(next) = entries.next().await {
            let (entry, answer) = next?;
            chunk.push(self.entry(entry.log_id, entry.payload));
            answers.extend(answer.map(|a| (entry.log_id.index, a)));
            if chunk.len() >= CHUNK_ENTRIES_MAX {
                self.apply_chunk(&mut chunk, &mut answers)?;
            }
        }
        self.apply_chunk(&mut chunk, &mut answers)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            view: Mutex::new(Some(self.machine.snapshot())),
            store: self.store.clone(),
            newest: self.newest.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, file: SnapshotFile) -> Result<(), io::Error> {
        let (machine, store) = (self.machine.clone(), self.store.clone());
        let installed = tokio::task::spawn_blocking(move || {
            let file = adopt(&store, file).map_err(io::Error::other)?;
            install(&*machine, &file).map_err(io::Error::other)?;
            Ok::<_, io::Error>(file)
        });
        let file = installed.await.map_err(io::Error::other)??;
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        *self.newest.lock() = Some(file);
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<Snapshot<LeaderId, u64, EmptyNode, SnapshotFile>>, io::Error> {
        let newest = self.newest.lock().clone();
        newest.map(SnapshotFile::into_openraft).transpose()
    }
}

/// Takes a snapshot as the newest one, unless a newer one was installed while it was built: a peer that is sent an older one
/// than the log begins after would never catch up.
fn keep_newer(newest: &Mutex<Option<SnapshotFile>>, file: SnapshotFile) {
    let mut newest = newest.lock();
    if newest.as_ref().is_none_or(|known| known.applied.index <= file.applied.index) {
        *newest = Some(file);
    }
}

type View = Result<Box<dyn SnapshotSource>, Fatal>;

/// Writes one view of the machine to a file, on a thread that may block.
pub(crate) struct Builder {
    view: Mutex<Option<View>>,
    store: Arc<SnapshotStore>,
    newest: Arc<Mutex<Option<SnapshotFile>>>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(
        &mut self,
    ) -> Result<Snapshot<LeaderId, u64, EmptyNode, SnapshotFile>, io::Error> {
        let view = self.view.lock().take();
        let mut source =
            view.ok_or_else(|| io::Error::other("a snapshot is built once"))?.map_err(io::Error::other)?;
        let (store, newest) = (self.store.clone(), self.newest.clone());
        let written = tokio::task::spawn_blocking(move || {
            let applied = source.applied();
            match store.write(&mut *source, &|| false) {
                Ok(_) => keep_newer(&newest, SnapshotFile { store: store.clone(), applied }),
                Err(WriteError::Fatal(fatal)) => return Err(io::Error::other(fatal)),
                // openraft hears of the one that is there already, which changes nothing: the log stays as it is.
                Err(skipped @ (WriteError::NoSpace | WriteError::Cancelled)) => {
                    tracing::warn!(reason = %skipped, "no snapshot; the log stays as it is");
                }
            }
            let newest = newest.lock().clone();
            newest.unwrap_or(SnapshotFile { store, applied: Applied::default() }).into_openraft()
        });
        written.await.map_err(io::Error::other)?
    }
}
