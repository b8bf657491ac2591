//! Promises of the state machine, one test each.
//!
//! Not here: random operations (`model`). Must always hold: a test's name is the promise it guards.

use bytes::Bytes;
use metad_raft::{Applied, Entry as LogEntry, StateMachine};

use super::{Driver, content, delete, events, put, remove};
use crate::codec::Blob;
use crate::limits;
use crate::meta::entry::{Entry, FEATURE_LEVEL, HandOver, OpId};
use crate::meta::feed::Followed;
use crate::meta::history::History;
use crate::meta::op::{Guard, Op, RecordOp, SystemOp};
use crate::meta::pin::LinkPin;
use crate::meta::record::{EventId, Record};
use crate::meta::response::{Reject, Response};
use crate::meta::waiters::{Fate, Heard};
use crate::meta::{layout, view::View};

fn record(driver: &Driver, id: &str) -> Record {
    let generation = driver.machine.state().head().counters.generation;
    let stored = driver.machine.state().get(&layout::record(generation, id.as_bytes())).unwrap();
    stored.map_or_else(Record::default, |bytes| Record::decode(&bytes).unwrap())
}

fn naming(driver: &mut Driver, names: &[&str]) {
    let naming = names.iter().map(|n| Blob::from(n.to_string())).collect();
    driver.run(1, Op::System(SystemOp::SetRules { text: Blob::from("rules"), naming }));
}

#[test]
fn every_write_has_an_event_also_when_the_value_is_the_same() {
    let mut driver = Driver::new();
    let mut reader = driver.machine.feed().reader();
    driver.run(1, put("a", &[("title", "x")]));
    driver.run(1, put("a", &[("title", "x")]));
    assert_eq!(events(&mut reader), ["set a/title", "set a/title"]);
}

#[test]
fn deleting_a_record_tells_its_path_first() {
    let mut driver = Driver::new();
    driver.run(1, put("a", &[("director", "x"), ("filePath", "y"), ("title", "z")]));
    let mut reader = driver.machine.feed().reader();
    driver.run(1, delete("a"));
    assert_eq!(events(&mut reader), ["del a/filePath", "del a/director", "del a/title"]);
}

fn pin(id: &str, order: u64, rules: u64, candidate: u16) -> Op {
    let links = vec![LinkPin { folder: String::new(), candidate }];
    Op::Record(RecordOp::Pin { id: Blob::from(id.to_string()), order, rules, links })
}

#[test]
fn a_pin_is_no_change_for_clients_and_goes_with_its_naming_order() {
    let mut driver = Driver::new();
    naming(&mut driver, &["filePath", "title"]);
    driver.run(2, put("a", &[("filePath", "p"), ("plot", "x")]));
    let before = record(&driver, "a");
    let mut reader = driver.machine.feed().reader();
    driver.run(3, pin("a", 1, 1, 2));
    let pinned = record(&driver, "a");
    assert_eq!(pinned.pin.as_ref().unwrap().links[0].candidate, 2);
    assert_eq!(Record { pin: None, ..pinned }, before, "neither event nor version");
    let Followed::Sets(sets) = reader.poll() else { panic!("a set is told") };
    assert!(sets[0].events.is_empty() && sets[0].records.len() == 1, "but followers see the record");
    driver.run(4, put("a", &[("plot", "y"), ("filePath", "p")]));
    assert!(record(&driver, "a").pin.is_some(), "no name changed");
    driver.run(5, put("a", &[("title", "y")]));
    assert_eq!(record(&driver, "a").pin, None);
    driver.run(6, pin("a", 2, 1, 1));
    driver.run(7, remove("a", &["filePath"]));
    assert_eq!(record(&driver, "a").pin, None);
}

#[test]
fn a_pin_for_another_naming_order_or_other_rules_or_no_file_is_refused() {
    let mut driver = Driver::new();
    naming(&mut driver, &["filePath"]);
    driver.run(2, put("a", &[("filePath", "p")]));
    driver.run(2, put("b", &[("title", "no file")]));
    for stale in
        [pin("a", 2, 1, 1), pin("a", 1, 0, 1), pin("a", 1, 2, 1), pin("b", 0, 1, 1), pin("c", 0, 1, 1)]
    {
        let before = content(&driver.machine);
        driver.run(3, stale);
        let records = |content: Vec<(Bytes, Bytes)>| -> Vec<_> {
            content.into_iter().filter(|(key, _)| layout::record_id(key).is_some()).collect()
        };
        assert_eq!(records(content(&driver.machine)), records(before));
    }
}

#[test]
fn the_same_rules_again_keep_their_version_and_so_the_pins() {
    let mut driver = Driver::new();
    naming(&mut driver, &["filePath"]);
    driver.run(2, put("a", &[("filePath", "p")]));
    naming(&mut driver, &["filePath"]);
    driver.run(3, pin("a", 1, 1, 1));
    assert!(record(&driver, "a").pin.is_some());
    naming(&mut driver, &["filePath", "title"]);
    driver.run(3, pin("a", 1, 1, 2));
    assert_eq!(record(&driver, "a").pin.unwrap().links[0].candidate, 1, "other rules: refused");
}

#[test]
fn a_naming_order_moves_only_when_a_naming_property_changes_its_value() {
    let mut driver = Driver::new();
    naming(&mut driver, &["filePath", "title"]);
    driver.run(2, put("a", &[("title", "x")]));
    assert_eq!(record(&driver, "a").header.order, 0, "no path, no order");
    driver.run(3, put("a", &[("filePath", "p")]));
    let first = record(&driver, "a").header;
    assert_eq!((first.order, first.order_ms), (1, 3));
    driver.run(4, put("a", &[("title", "x"), ("plot", "long")]));
    assert_eq!(record(&driver, "a").header.order, 1, "same value, other property");
    driver.run(5, put("b", &[("filePath", "q")]));
    driver.run(6, put("a", &[("title", "y")]));
    assert_eq!(record(&driver, "b").header.order, 2);
    assert_eq!(record(&driver, "a").header.order, 3, "renamed: to the back");
}

#[test]
fn an_inode_lives_as_long_as_its_record_and_is_never_used_again() {
    let mut driver = Driver::new();
    driver.run(1, put("a", &[("title", "x")]));
    let first = record(&driver, "a").header.inode;
    driver.run(2, put("a", &[("title", "y")]));
    assert_eq!(record(&driver, "a").header.inode, first);
    driver.run(3, delete("a"));
    driver.run(4, put("a", &[("title", "z")]));
    assert!(record(&driver, "a").header.inode > first);
}

#[test]
fn a_hand_over_that_comes_twice_is_applied_once() {
    let mut driver = Driver::new();
    let add = |member: &str| {
        Op::Record(RecordOp::AddMember {
            id: Blob::from("a"),
            property: Blob::from("genres"),
            member: Blob::from(member.to_string()),
        })
    };
    driver.append(1, vec![add("drama")]);
    let again = driver.log[0].clone();
    driver.append(2, vec![put("a", &[("genres", "other")])]);
    driver.log.push(again);
    driver.apply_all(1);
    assert_eq!(record(&driver, "a").text("genres"), Some("other"));
}

#[test]
fn a_guard_that_does_not_hold_changes_nothing() {
    let mut driver = Driver::new();
    driver.run(1, put("a", &[("title", "x")]));
    let version = record(&driver, "a").header.mod_index;
    let guarded = |guard| Op::Atomic { guards: vec![guard], ops: vec![put("a", &[("title", "y")])] };
    driver.run(2, guarded(Guard::RecordAbsent { id: Blob::from("a") }));
    driver.run(3, guarded(Guard::RecordVersion { id: Blob::from("a"), versions: vec![version + 7] }));
    assert_eq!(record(&driver, "a").text("title"), Some("x"));
    driver.run(4, guarded(Guard::RecordVersion { id: Blob::from("a"), versions: vec![version] }));
    assert_eq!(record(&driver, "a").text("title"), Some("y"));
}

#[test]
fn a_record_refuses_more_properties_than_the_limit_and_keeps_what_it_has() {
    let mut driver = Driver::new();
    let names: Vec<String> = (0..limits::RECORD_PROPERTIES_MAX).map(|n| format!("p{n}")).collect();
    let properties: Vec<_> = names.iter().map(|n| (n.as_str(), "x")).collect();
    driver.run(1, put("a", &properties));
    let id = OpId { node: 9, boot: 1, seq: 1 };
    let hand_over = HandOver { id, floor: 0, ops: vec![put("a", &[("one too many", "x")])] };
    let entry = Entry { feature_level: FEATURE_LEVEL, stamp_ms: 2, hand_overs: vec![hand_over] };
    let mut heard = driver.machine.waiters().listen(9);
    driver.log.push(entry.encode());
    driver.apply_all(1);
    let reject = Reject::TooManyProperties { limit: limits::RECORD_PROPERTIES_MAX as u32 };
    let fate = Fate::Applied(Some(vec![Response::Rejected(reject)]));
    assert_eq!(heard.try_recv(), Ok(Heard::HandOver { id, index: 2, fate }));
    assert_eq!(record(&driver, "a").properties.len(), limits::RECORD_PROPERTIES_MAX);
}

#[test]
fn an_entry_of_a_newer_feature_level_stops_the_node_and_says_what_to_do() {
    let driver = Driver::new();
    let entry = Entry { feature_level: FEATURE_LEVEL + 1, stamp_ms: 1, hand_overs: Vec::new() };
    let entries = [LogEntry::Ops { index: 1, ops: entry.encode() }];
    let fault = driver.machine.apply(&entries, &Applied { index: 1, mark: Bytes::new() }).unwrap_err();
    assert!(fault.to_string().contains("upgrade this node"), "{fault}");
}

#[test]
fn clearing_leaves_nothing_and_ids_go_on() {
    let mut driver = Driver::new();
    driver.run(5, put("a", &[("title", "x")]));
    let before = driver.machine.state().head().counters;
    driver.run(5, Op::Record(RecordOp::Clear));
    let after = driver.machine.state().head().counters;
    assert_eq!((after.records, after.properties), (0, 0));
    assert!(content(&driver.machine).iter().all(|(key, _)| key[0] < layout::Kind::Record as u8));
    driver.run(5, put("a", &[("title", "y")]));
    assert!(driver.machine.state().head().counters.last_event > before.last_event);
    assert_eq!(record(&driver, "a").header.inode, before.next_inode);
}

#[test]
fn a_consumer_that_resumes_below_the_tail_converges_and_can_see_it() {
    let mut driver = Driver::new();
    driver.run(1, put("early", &[("filePath", "p"), ("title", "t")]));
    driver.run(1, put("gone", &[("filePath", "q")]));
    driver.run(1, put("half", &[("title", "t"), ("year", "1999")]));
    driver.run(1, delete("gone"));
    driver.run(1, remove("half", &["year"]));
    // Enough writes of one key to push everything above out of the tail.
    let many: Vec<_> = (0..1_000).map(|_| put("busy", &[("title", "x")])).collect();
    for _ in 0..=limits::TAIL_EVENTS_MIN / 1_000 {
        driver.append(2, many.clone());
    }
    driver.apply_all(8);
    let page = History::default().page(driver.machine.state(), EventId::default(), 100).unwrap();
    assert!(page.compacted);
    let told: Vec<String> = page
        .events
        .iter()
        .map(|e| format!("{} {}", e.kind.as_str(), String::from_utf8(e.key()).unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            "set file:early/filePath",
            "set file:early/title",
            "set file:half/title",
            "del file:gone/filePath",
            "del file:half/year",
        ]
    );
    let tail = History::default().page(driver.machine.state(), page.next, 10).unwrap();
    assert!(tail.compacted, "trimmed events of the busy key are missing between the two pages");
    assert_eq!(tail.events.len(), 10);
    let next = History::default().page(driver.machine.state(), tail.next, 10).unwrap();
    assert!(!next.compacted, "inside the tail nothing is missing");
}

#[test]
fn a_store_whose_content_does_not_match_its_hash_is_thrown_away() {
    let mut driver = Driver::new();
    driver.run(1, put("a", &[("title", "x")]));
    let digest = driver.machine.digest();
    driver.machine.close().unwrap();
    let store = super::super::store::shelf::Shelf::open(driver.shelf.as_ref()).unwrap();
    let (key, value) = content(&driver.machine).pop().unwrap();
    let mut damaged = value.to_vec();
    damaged[3] ^= 1;
    store.write(&[(key, Some(Bytes::from(damaged)))]).unwrap();
    driver.restart();
    assert_eq!(driver.machine.recovered().unwrap(), None);
    driver.apply_all(1);
    assert_eq!(driver.machine.digest(), digest);
}

#[test]
fn the_store_never_runs_ahead_of_the_log() {
    let mut driver = Driver::new();
    driver.append(1, vec![put("a", &[("title", "x")])]);
    let log = driver.log.clone();
    // Applied, but not reported as flushed: nothing may reach the store, not even at the end.
    super::apply_chunk(&driver.machine, 0, &log);
    driver.restart();
    assert_eq!(driver.machine.recovered().unwrap(), None);
    assert!(driver.machine.state().scan(&[], &[0xff], 10).unwrap().is_empty());
}

#[test]
fn a_consumer_from_the_beginning_finds_nothing_of_what_was_cleared() {
    let mut driver = Driver::new();
    let many: Vec<_> = (0..1_000).map(|_| put("busy", &[("title", "x")])).collect();
    driver.run(1, put("early", &[("title", "t")]));
    for _ in 0..=limits::TAIL_EVENTS_MIN / 1_000 {
        driver.append(2, many.clone());
    }
    driver.apply_all(8);
    let history = History::default();
    let before = history.page(driver.machine.state(), EventId::default(), 1).unwrap();
    assert_eq!(before.events[0].record, "early", "the derived window is there");
    driver.run(3, Op::Record(RecordOp::Clear));
    driver.run(3, put("late", &[("title", "t")]));
    let page = history.page(driver.machine.state(), EventId::default(), 10).unwrap();
    let told: Vec<_> = page.events.iter().map(|e| e.record.clone()).collect();
    assert_eq!(told, ["late"]);
    assert!(page.compacted, "whoever resumes from before the clearing must see that something is missing");
}

#[test]
fn deleting_a_record_that_was_only_listed_keeps_other_tombstones_apart() {
    let mut driver = Driver::new();
    driver.run(1, put("other", &[("title", "t")]));
    driver.run(1, Op::Record(RecordOp::List { id: Blob::from("listed") }));
    driver.run(1, delete("other"));
    driver.run(1, delete("listed"));
    let tombstones: Vec<_> = content(&driver.machine)
        .into_iter()
        .filter(|(key, _)| key[0] == layout::Kind::Tombstone as u8)
        .map(|(_, id)| id)
        .collect();
    assert_eq!(tombstones, ["other", "listed"]);
    assert_eq!(driver.machine.state().head().counters.tombstones, 2);
}

#[test]
fn a_set_property_refuses_to_grow_beyond_the_largest_value() {
    let mut driver = Driver::new();
    let add = |letter: u8| {
        let member = Blob::from(vec![letter; limits::VALUE_BYTES_MAX / 2]);
        Op::Record(RecordOp::AddMember { id: Blob::from("a"), property: Blob::from("tags"), member })
    };
    driver.run(1, add(b'x'));
    driver.run(1, add(b'y'));
    let first = record(&driver, "a").header.mod_index;
    assert_eq!(first, 1, "the second member would make it too long: nothing was changed");
}
