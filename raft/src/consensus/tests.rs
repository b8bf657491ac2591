//! openraft's own storage suite on our store.
//!
//! Not here: crashes, which the suite never does (see `tests/suite/member_crash.rs`).
//! Must always hold: the suite runs on the real journal and on real snapshot files; once as it is, and once with a journal that is
//! closed and opened again after every step that changes it.

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, StorageError};
use parking_lot::Mutex;

use super::commit::Committer;
use super::log_store::LogStore;
use super::machine::Machine;
use super::start;
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::error::Fatal;
use crate::faults::NoFaults;
use crate::journal::Journal;
use crate::room::Room;
use crate::state_machine::{self, Applied, SnapshotSink, SnapshotSource, StateMachine};

/// A machine whose whole state is how far it is.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<Applied>>);

impl StateMachine for Counter {
    fn recovered(&self) -> Result<Option<Applied>, Fatal> {
        Ok(None)
    }
    fn discard(&self) -> Result<(), Fatal> {
        Ok(())
    }
    fn apply(&self, _: &[state_machine::Entry], upto: &Applied) -> Result<(), Fatal> {
        *self.0.lock() = upto.clone();
        Ok(())
    }
    fn log_flushed(&self, _: u64) {}
    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Ok(Box::new(View(self.0.lock().clone())))
    }
    fn install(&self) -> Result<Box<dyn SnapshotSink>, Fatal> {
        Ok(Box::new(self.clone()))
    }
    fn digest(&self) -> (u64, [u8; 16]) {
        (self.0.lock().index, [0; 16])
    }
}

impl SnapshotSink for Counter {
    fn put_block(&mut self, _: Bytes) -> Result<(), Fatal> {
        Ok(())
    }
    fn commit(self: Box<Self>, applied: &Applied, _: [u8; 16]) -> Result<(), Fatal> {
        *self.0.lock() = applied.clone();
        Ok(())
    }
}

struct View(Applied);

impl SnapshotSource for View {
    fn applied(&self) -> Applied {
        self.0.clone()
    }
    fn state_hash(&self) -> [u8; 16] {
        [0; 16]
    }
    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
        Ok(None)
    }
}

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, tempfile::TempDir> for Builder {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let machine: Arc<dyn StateMachine> = Arc::new(Counter::default());
        let opened = start::open(dir.path(), Arc::new(NoFaults), &machine).unwrap();
        let store = log_store(dir.path(), opened.journal, &machine);
        Ok((dir, store, opened.machine))
    }
}

fn log_store(dir: &Path, journal: Journal, machine: &Arc<dyn StateMachine>) -> LogStore {
    let room = Arc::new(Room::new(dir.to_path_buf(), 0, Arc::new(NoFaults)));
    LogStore::new(Committer::new(journal, machine.clone()), room, Arc::new(NoFaults))
}

/// A log store that forgets everything but its files after each step that changes them.
#[derive(Clone)]
struct Forgetful {
    dir: PathBuf,
    machine: Arc<dyn StateMachine>,
    inner: Arc<Mutex<LogStore>>,
}

impl Forgetful {
    fn store(&self) -> LogStore {
        self.inner.lock().clone()
    }

    async fn reopen(&self) -> io::Result<()> {
        let mut store = self.store();
        let begins = store.limited_get_log_entries(0, u64::MAX).await?.first().map(|e| e.log_id.index);
        // Some cases write logs that begin in the middle, which no member ever has and which are refused at the start.
        if store.get_log_state().await?.last_purged_log_id.is_none() && begins > Some(1) {
            return Ok(());
        }
        store.close().await?;
        let journal = Journal::open(&self.dir.join("log")).map_err(io::Error::other)?;
        *self.inner.lock() = log_store(&self.dir, journal, &self.machine);
        Ok(())
    }
}

impl RaftLogReader<TypeConfig> for Forgetful {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.store().try_get_log_entries(range).await
    }
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.store().limited_get_log_entries(start, end).await
    }
    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.store().read_vote().await
    }
}

impl RaftLogStorage<TypeConfig> for Forgetful {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        self.store().get_log_state().await
    }
    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }
    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.store().save_vote(vote).await?;
        self.reopen().await
    }
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.store().save_committed(committed).await?;
        self.reopen().await
    }
    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.store().read_committed().await
    }
    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.store().append(entries, callback).await?;
        self.reopen().await
    }
    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.store().truncate_after(last).await?;
        self.reopen().await
    }
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.store().purge(upto).await?;
        self.reopen().await
    }
}

struct ForgetfulBuilder;

impl StoreBuilder<TypeConfig, Forgetful, Machine, tempfile::TempDir> for ForgetfulBuilder {
    async fn build(&self) -> Result<(tempfile::TempDir, Forgetful, Machine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        let machine: Arc<dyn StateMachine> = Arc::new(Counter::default());
        let opened = start::open(dir.path(), Arc::new(NoFaults), &machine).unwrap();
        let inner = Arc::new(Mutex::new(log_store(dir.path(), opened.journal, &machine)));
        let store = Forgetful { dir: dir.path().to_path_buf(), machine, inner };
        Ok((dir, store, opened.machine))
    }
}

#[tokio::test]
async fn openraft_accepts_our_store_when_it_is_opened_again_after_every_step() {
    Suite::test_all(ForgetfulBuilder).await.unwrap();
}

#[tokio::test]
async fn openraft_accepts_our_store() {
    Suite::test_all(Builder).await.unwrap();
}
