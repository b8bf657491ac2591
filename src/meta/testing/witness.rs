//! Promises to the witness of a start.
//!
//! Not here: what the filesystem makes of it (`vfs::first_scan`). Must always hold: a test's name is the promise it guards.

use std::sync::Arc;

use bytes::Bytes;
use metad_raft::StateMachine;

use super::{Driver, Shared, delete, put};
use crate::codec::Blob;
use crate::meta::layout;
use crate::meta::machine::MetaMachine;
use crate::meta::op::{Op, SystemOp};
use crate::meta::record::Record;
use crate::meta::service::RulesView;
use crate::meta::store::shelf::Shelf;
use crate::meta::verify::Witness;

#[derive(Default)]
struct Notes {
    begun: Vec<(RulesView, u64)>,
    ids: Vec<Bytes>,
    verified: Option<u64>,
}

impl Witness for Notes {
    fn begin(&mut self, rules: RulesView, now_ms: u64) {
        self.begun.push((rules, now_ms));
    }

    fn records(&mut self, page: Vec<(Bytes, Bytes)>) {
        let live = |stored: &Bytes| !Record::decode(stored).unwrap().is_deleted();
        self.ids.extend(page.into_iter().filter(|(_, stored)| live(stored)).map(|(id, _)| id));
    }

    fn verified(&mut self, index: u64) {
        self.verified = Some(index);
    }
}

/// A closed machine's store after four entries: rules, two records, one of them deleted again.
fn left_behind() -> Driver {
    let mut driver = Driver::new();
    driver.run(1, Op::System(SystemOp::SetRules { text: Blob::from("rules"), naming: Vec::new() }));
    driver.run(2, put("a", &[("filePath", "x")]));
    driver.run(3, put("b", &[("filePath", "y")]));
    driver.run(4, delete("a"));
    driver.machine.close().unwrap();
    driver
}

fn open(driver: &Driver) -> (MetaMachine, Notes) {
    let mut notes = Notes::default();
    let machine = MetaMachine::open_before(Box::new(Shared(Arc::clone(&driver.shelf))), &mut notes).unwrap();
    (machine, notes)
}

#[test]
fn a_witness_sees_rules_time_and_every_record_of_a_true_store() {
    let (_machine, notes) = open(&left_behind());
    let rules = RulesView { text: Some(Bytes::from_static(b"rules")), version: 1 };
    assert_eq!(notes.begun, [(rules, 4)]);
    assert_eq!(notes.ids, [Bytes::from_static(b"b")]);
    assert_eq!(notes.verified, Some(4));
}

#[test]
fn a_witness_is_never_told_that_a_damaged_store_is_true() {
    let driver = left_behind();
    let key = layout::record(0, b"b");
    let store = driver.shelf.open().unwrap();
    let mut record = Record::decode(&store.get(&key).unwrap().unwrap()).unwrap();
    record.header.inode += 1;
    store.write(&[(key, Some(record.encode()))]).unwrap();
    let (machine, notes) = open(&driver);
    assert_eq!(notes.verified, None);
    assert_eq!(machine.digest().0, 0, "the store was thrown away");
}
