//! A state machine that only counts: what a figure is with nothing behind the log.
//!
//! Not here: figures. Must always hold: it does no work that a real machine would be spared.

use bytes::Bytes;
use metad_raft::{Applied, Entry, Fatal, SnapshotSink, SnapshotSource, StateMachine};
use parking_lot::Mutex;

/// A machine that only counts.
#[derive(Default)]
pub struct Null(Mutex<Applied>);

impl StateMachine for Null {
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
        Ok(Box::new(Empty(self.0.lock().clone())))
    }
    fn install(&self) -> Result<Box<dyn SnapshotSink>, Fatal> {
        Err(Fatal::new("the bench starts from an empty directory"))
    }
    fn digest(&self) -> (u64, [u8; 16]) {
        (self.0.lock().index, [0; 16])
    }
}

struct Empty(Applied);

impl SnapshotSource for Empty {
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
