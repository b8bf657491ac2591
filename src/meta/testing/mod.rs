//! Tests of the state machine as a whole: a driver that feeds entries, and the promises in one file each.
//!
//! Not here: tests of single rooms (beside them). Must always hold: the model is written the slow, obvious way.

mod clocks;
mod cluster;
mod collections;
mod fake_cluster;
mod features;
mod gateway;
mod golden;
mod key_promises;
mod keys;
mod model;
mod once;
mod promises;
mod stream_model;
mod stream_promises;
mod streams;
mod witness;

use std::sync::Arc;

use bytes::Bytes;
use metad_raft::{Applied, Entry as LogEntry, StateMachine};

use super::entry::{Entry, FEATURE_LEVEL, HandOver, OpId};
use super::feed::{FeedReader, Followed};
use super::layout;
use super::machine::MetaMachine;
use super::op::{Op, RecordOp};
use super::store::shelf::{MemoryShelf, Shelf};
use super::view::{View, successor};
use crate::codec::Blob;

/// A log in RAM with a machine behind it.
struct Driver {
    shelf: Arc<MemoryShelf>,
    machine: MetaMachine,
    log: Vec<Bytes>,
    seq: u64,
}

/// A shelf that outlives the machine on it.
struct Shared(Arc<MemoryShelf>);

impl Shelf for Shared {
    fn open(&self) -> Result<Arc<dyn super::store::StateStore>, metad_raft::Fatal> {
        self.0.open()
    }

    fn fresh(&self) -> Result<super::store::shelf::Fresh, metad_raft::Fatal> {
        self.0.fresh()
    }

    fn switch(
        &self,
        fresh: super::store::shelf::Fresh,
    ) -> Result<Arc<dyn super::store::StateStore>, metad_raft::Fatal> {
        self.0.switch(fresh)
    }

    fn close(&self) -> Result<(), metad_raft::Fatal> {
        self.0.close()
    }
}

impl Driver {
    fn new() -> Self {
        let shelf = Arc::new(MemoryShelf::default());
        let machine = MetaMachine::open(Box::new(Shared(Arc::clone(&shelf)))).unwrap();
        Self { shelf, machine, log: Vec::new(), seq: 0 }
    }

    /// Appends an entry to the log without applying it.
    fn append(&mut self, stamp_ms: u64, ops: Vec<Op>) {
        self.seq += 1;
        let id = OpId { node: 1, boot: 1, seq: self.seq };
        let hand_over = HandOver { id, floor: self.seq.saturating_sub(4), ops };
        let entry = Entry { feature_level: FEATURE_LEVEL, stamp_ms, hand_overs: vec![hand_over] };
        self.log.push(entry.encode());
    }

    /// Applies everything that was appended, in chunks of `chunk` entries.
    fn apply_all(&mut self, chunk: usize) {
        let applied = self.machine.digest().0 as usize;
        self.machine.log_flushed(self.log.len() as u64);
        let rest: Vec<_> = self.log[applied..].to_vec();
        for (at, part) in rest.chunks(chunk.max(1)).enumerate() {
            let first = applied + at * chunk.max(1);
            apply_chunk(&self.machine, first as u64, part);
        }
    }

    /// One operation in an entry of its own, applied at once.
    fn run(&mut self, stamp_ms: u64, op: Op) {
        self.append(stamp_ms, vec![op]);
        self.apply_all(1);
    }

    /// Ends the machine and opens another one on what it left in its store; the log is replayed from there.
    fn restart(&mut self) {
        self.machine.close().unwrap();
        self.machine = MetaMachine::open(Box::new(Shared(Arc::clone(&self.shelf)))).unwrap();
    }
}

fn apply_chunk(machine: &MetaMachine, before: u64, part: &[Bytes]) {
    let entries: Vec<LogEntry> = part
        .iter()
        .enumerate()
        .map(|(at, ops)| LogEntry::Ops { index: before + at as u64 + 1, ops: ops.clone() })
        .collect();
    let index = before + part.len() as u64;
    let mark = Bytes::from(format!("mark {index}"));
    machine.apply(&entries, &Applied { index, mark }).unwrap();
}

/// The whole content of a machine, as a snapshot would have it.
fn content(machine: &MetaMachine) -> Vec<(Bytes, Bytes)> {
    let pinned = machine.state().pinned();
    let generation = pinned.head().counters.generation;
    let mut out = Vec::new();
    let mut from = Bytes::new();
    loop {
        let page = pinned.scan(&from, &[0xff], 100).unwrap();
        let Some((last, _)) = page.last() else { return out };
        from = successor(last);
        out.extend(page.into_iter().filter(|(key, _)| layout::is_content(key, generation)));
    }
}

/// Keys of one kind in a machine's content.
fn stored(driver: &Driver, kind: layout::Kind) -> usize {
    content(&driver.machine).iter().filter(|(key, _)| key[0] == kind as u8).count()
}

fn put(id: &str, properties: &[(&str, &str)]) -> Op {
    let properties =
        properties.iter().map(|(n, v)| (Blob::from(n.to_string()), Blob::from(v.to_string()))).collect();
    Op::Record(RecordOp::Put { id: Blob::from(id.to_string()), properties })
}

fn remove(id: &str, names: &[&str]) -> Op {
    let properties = names.iter().map(|n| Blob::from(n.to_string())).collect();
    Op::Record(RecordOp::Remove { id: Blob::from(id.to_string()), properties })
}

fn delete(id: &str) -> Op {
    Op::Record(RecordOp::Delete { id: Blob::from(id.to_string()) })
}

/// The events that a reader finds without waiting, as `kind record/property`.
fn events(reader: &mut FeedReader) -> Vec<String> {
    match reader.poll() {
        Followed::Sets(sets) => sets
            .iter()
            .flat_map(|set| &set.events)
            .map(|e| {
                let text = |b: &Bytes| String::from_utf8_lossy(b).into_owned();
                format!("{} {}/{}", e.kind.as_str(), text(&e.record), text(&e.property))
            })
            .collect(),
        other => panic!("expected sets, found {other:?}"),
    }
}
