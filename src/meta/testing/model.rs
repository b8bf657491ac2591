//! Random operations against a plain map: any cut into chunks, a restart anywhere, replay, snapshot and restore.
//!
//! Not here: single promises. Must always hold: the model knows nothing of stores, overlays or encodings.

use std::collections::BTreeMap;

use bytes::Bytes;
use metad_raft::StateMachine;
use proptest::prelude::*;

use super::{Driver, content, delete, put, remove};
use crate::codec::Blob;
use crate::meta::apply::record::read_value;
use crate::meta::history::History;
use crate::meta::op::{Op, RecordOp};
use crate::meta::record::{EventId, Record};
use crate::meta::view::View;
use crate::meta::{event::EventKind, layout};

/// The obvious state: properties by record.
type Model = BTreeMap<String, BTreeMap<String, String>>;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<(u8, u8, u16)>),
    Remove(u8, Vec<u8>),
    Delete(u8),
    AddMember(u8, u8, u8),
    Clear,
}

fn id(n: u8) -> String {
    format!("midhash256:{n}")
}

fn name(n: u8) -> String {
    ["title", "year", "filePath", "genres", "titles/eng", "plot"][usize::from(n) % 6].to_string()
}

fn value(n: u8, len: u16) -> String {
    // Mostly short, sometimes long enough to be chunked.
    let len = if len > 900 { usize::from(len) * 80 } else { usize::from(len) % 20 };
    format!("{n}").repeat(len)
}

fn step() -> impl Strategy<Value = Step> {
    let put = (0..6u8, prop::collection::vec((0..6u8, any::<u8>(), 0..1000u16), 1..4));
    prop_oneof![
        8 => put.prop_map(|(r, p)| Step::Put(r, p)),
        2 => (0..6u8, prop::collection::vec(0..6u8, 1..3)).prop_map(|(r, p)| Step::Remove(r, p)),
        2 => (0..6u8).prop_map(Step::Delete),
        2 => (0..6u8, 0..6u8, 0..4u8).prop_map(|(r, p, m)| Step::AddMember(r, p, m)),
        1 => Just(Step::Clear),
    ]
}

fn operation(step: &Step) -> Op {
    match step {
        Step::Put(r, properties) => {
            let owned: Vec<_> = properties.iter().map(|(n, v, l)| (name(*n), value(*v, *l))).collect();
            let borrowed: Vec<_> = owned.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            put(&id(*r), &borrowed)
        }
        Step::Remove(r, names) => {
            let owned: Vec<_> = names.iter().map(|n| name(*n)).collect();
            remove(&id(*r), &owned.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Step::Delete(r) => delete(&id(*r)),
        Step::AddMember(r, p, m) => Op::Record(RecordOp::AddMember {
            id: Blob::from(id(*r)),
            property: Blob::from(name(*p)),
            member: Blob::from(format!("member{m}")),
        }),
        Step::Clear => Op::Record(RecordOp::Clear),
    }
}

fn model(step: &Step, state: &mut Model) {
    match step {
        Step::Put(r, properties) => {
            let record = state.entry(id(*r)).or_default();
            record.extend(properties.iter().map(|(n, v, l)| (name(*n), value(*v, *l))));
        }
        Step::Remove(r, names) => {
            if let Some(record) = state.get_mut(&id(*r)) {
                names.iter().for_each(|n| {
                    record.remove(&name(*n));
                });
            }
        }
        Step::Delete(r) => {
            state.remove(&id(*r));
        }
        Step::AddMember(r, p, m) => {
            let text = state.entry(id(*r)).or_default().entry(name(*p)).or_default();
            let member = format!("member{m}");
            if text.is_empty() {
                *text = member;
            } else if text.split('|').all(|have| have != member) {
                *text = format!("{text}|{member}");
            }
        }
        Step::Clear => state.clear(),
    }
    state.retain(|_, record| !record.is_empty());
}

/// What a machine holds, read the way doors read it.
fn observed(driver: &Driver) -> Model {
    let pinned = driver.machine.state().pinned();
    let generation = pinned.head().counters.generation;
    let mut out = Model::new();
    for (key, stored) in content(&driver.machine) {
        let Some(record_id) = layout::record_id(&key) else { continue };
        let record = Record::decode(&stored).unwrap();
        let mut properties = BTreeMap::new();
        for p in record.properties.iter().filter(|p| p.is_live(0)) {
            let bytes =
                read_value(|key: &[u8]| pinned.get(key), generation, &record_id, &p.name, &p.value).unwrap();
            properties.insert(text(&p.name), text(&bytes));
        }
        if !properties.is_empty() {
            out.insert(text(&record_id), properties);
        }
    }
    out
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Which keys are alive according to `meta:events`, read from the beginning.
fn replayed(driver: &Driver) -> BTreeMap<String, Vec<String>> {
    let mut alive: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (history, mut after) = (History::default(), EventId::default());
    loop {
        let page = history.page(driver.machine.state(), after, 7).unwrap();
        assert!(page.events.is_sorted_by(|a, b| a.id < b.id), "events out of order");
        for event in &page.events {
            let names = alive.entry(text(&event.record)).or_default();
            let property = text(&event.property);
            names.retain(|n| *n != property);
            match event.kind {
                EventKind::Set => names.push(property),
                EventKind::Del => {}
            }
        }
        after = page.next;
        if page.at_end {
            break;
        }
    }
    alive.retain(|_, names| !names.is_empty());
    alive.values_mut().for_each(|names| names.sort());
    alive
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_cut_and_restarted_anywhere_give_the_models_state(
        steps in prop::collection::vec(step(), 1..60),
        cuts in prop::collection::vec((1..8usize, 1..6usize, any::<bool>()), 1..20),
    ) {
        let (mut driver, mut expected) = (Driver::new(), Model::new());
        let mut reference = Driver::new();
        let mut rest = steps.as_slice();
        for (take, chunk, restart) in cuts.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*take));
            for step in now {
                model(step, &mut expected);
                for driver in [&mut driver, &mut reference] {
                    driver.append(1_000, vec![operation(step)]);
                }
            }
            driver.apply_all(*chunk);
            if *restart {
                driver.restart();
                driver.apply_all(*chunk);
            }
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        reference.apply_all(1);
        prop_assert_eq!(&observed(&driver), &expected);
        prop_assert_eq!(content(&driver.machine), content(&reference.machine));
        prop_assert_eq!(driver.machine.digest(), reference.machine.digest());
        let live: BTreeMap<_, Vec<_>> =
            expected.iter().map(|(id, r)| (id.clone(), r.keys().cloned().collect())).collect();
        prop_assert_eq!(replayed(&driver), live);
        let properties: usize = expected.values().map(BTreeMap::len).sum();
        let counters = driver.machine.state().head().counters;
        prop_assert_eq!(counters.records, expected.len() as u64);
        prop_assert_eq!(counters.properties, properties as u64);
    }

    #[test]
    fn a_snapshot_holds_its_index_while_applies_go_on(
        steps in prop::collection::vec(step(), 2..40),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(steps.len());
        let mut driver = Driver::new();
        for step in &steps[..at] {
            driver.append(1_000, vec![operation(step)]);
        }
        driver.apply_all(3);
        let (then, digest) = (content(&driver.machine), driver.machine.digest());
        let mut source = driver.machine.snapshot().unwrap();
        for step in &steps[at..] {
            driver.append(1_000, vec![operation(step)]);
        }
        driver.apply_all(1);
        let restored = Driver::new();
        let mut sink = restored.machine.install().unwrap();
        while let Some(block) = source.next_block().unwrap() {
            sink.put_block(block).unwrap();
        }
        prop_assert_eq!((source.applied().index, source.state_hash()), digest);
        sink.commit(&source.applied(), source.state_hash()).unwrap();
        prop_assert_eq!(content(&restored.machine), then);
        prop_assert_eq!(restored.machine.digest(), digest);
    }
}
