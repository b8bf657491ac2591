//! openraft's own storage suite on our store.
//!
//! Not here: restarts and crashes, which the suite never does (see `tests/suite/one_voter.rs`).
//! Must always hold: the suite runs on the real journal and on real snapshot files.

use std::sync::Arc;

use bytes::Bytes;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use parking_lot::Mutex;

use super::commit::Committer;
use super::log_store::LogStore;
use super::machine::Machine;
use super::start;
use super::types::TypeConfig;
use crate::error::Fatal;
use crate::faults::NoFaults;
use crate::room::Room;
use crate::state_machine::{Applied, Entry, SnapshotSink, SnapshotSource, StateMachine};

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
    fn apply(&self, _: &[Entry], upto: &Applied) -> Result<(), Fatal> {
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
        let room = Arc::new(Room::new(dir.path().to_path_buf(), 0, Arc::new(NoFaults)));
        Ok((dir, LogStore::new(Committer::new(opened.journal, machine), room), opened.machine))
    }
}

#[tokio::test]
async fn openraft_accepts_our_store() {
    Suite::test_all(Builder).await.unwrap();
}
