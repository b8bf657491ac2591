//! Requests with a key: applied once, answered as often as they come.
//!
//! Not here: the header and its answers (`http`). Must always hold: a test's name is the promise it guards.

use bytes::Bytes;

use super::{Driver, content, put, stored};
use crate::codec::Blob;
use crate::limits;
use crate::meta::entry::OpId;
use crate::meta::layout::{self, Kind};
use crate::meta::once::Line;
use crate::meta::op::{Op, RecordOp};
use crate::meta::response::{Reject, Response};
use crate::meta::waiters::{Fate, Heard};

fn add(member: &str) -> Op {
    let (id, property) = (Blob::from("a"), Blob::from("tags"));
    Op::Record(RecordOp::AddMember { id, property, member: Blob::from(member.to_owned()) })
}

fn once(key: &str, request: u8, ops: Vec<Op>) -> Op {
    Op::Once { key: Blob::from(key.to_owned()), request: [request; 16], ops }
}

/// Runs an operation and tells its response.
fn told(driver: &mut Driver, op: Op) -> Response {
    let mut heard = driver.machine.waiters().listen(1);
    driver.run(1, op);
    match heard.try_recv().unwrap() {
        Heard::HandOver { id: OpId { node: 1, .. }, fate: Fate::Applied(Some(responses)), .. } => {
            responses.into_iter().next().unwrap()
        }
        other => panic!("expected a response, heard {other:?}"),
    }
}

fn line(driver: &Driver) -> Line {
    let stored = driver.machine.state().get(layout::ONCE_LINE).unwrap();
    stored.map_or_else(Line::default, |bytes| Line::decode(&bytes).unwrap())
}

#[test]
fn the_same_request_again_changes_nothing_and_hears_the_first_answer_also_after_a_restart() {
    let mut driver = Driver::new();
    let first = |replayed| Response::Once { index: 1, replayed, responses: Some(vec![Response::Flag(true)]) };
    assert_eq!(told(&mut driver, once("k", 1, vec![add("drama")])), first(false));
    driver.run(1, put("a", &[("tags", "other")]));
    let hash = |driver: &Driver| driver.machine.state().head().user_hash;
    let before = hash(&driver);
    assert_eq!(told(&mut driver, once("k", 1, vec![add("drama")])), first(true));
    driver.restart();
    assert_eq!(told(&mut driver, once("k", 1, vec![add("drama")])), first(true));
    assert_eq!(hash(&driver), before, "it was not applied again");
}

#[test]
fn a_request_that_has_nothing_to_tell_is_kept_without_a_list() {
    let mut driver = Driver::new();
    let op = || once("k", 1, vec![put("a", &[("t", "1")]), put("b", &[("t", "1")])]);
    for replayed in [false, true] {
        assert_eq!(told(&mut driver, op()), Response::Once { index: 1, replayed, responses: None });
    }
}

#[test]
fn another_request_with_the_key_is_refused_and_changes_nothing() {
    let mut driver = Driver::new();
    driver.run(1, once("k", 1, vec![add("drama")]));
    let before = content(&driver.machine).into_iter().filter(|(key, _)| key[0] >= Kind::Once as u8);
    let before: Vec<_> = before.collect();
    assert_eq!(told(&mut driver, once("k", 2, vec![add("war")])), Response::Rejected(Reject::KeyReused));
    let after = content(&driver.machine).into_iter().filter(|(key, _)| key[0] >= Kind::Once as u8);
    assert_eq!(after.collect::<Vec<_>>(), before);
}

#[test]
fn a_refusal_is_an_answer_like_any_other() {
    let mut driver = Driver::new();
    let guards = || vec![crate::meta::op::Guard::RecordPresent { id: Blob::from("a") }];
    let op = || once("k", 1, vec![Op::Atomic { guards: guards(), ops: vec![add("drama")] }]);
    let refused = Some(vec![Response::Rejected(Reject::Precondition)]);
    let first = Response::Once { index: 1, replayed: false, responses: refused.clone() };
    assert_eq!(told(&mut driver, op()), first);
    driver.run(1, put("a", &[("t", "1")]));
    assert_eq!(told(&mut driver, op()), Response::Once { index: 1, replayed: true, responses: refused });
}

#[test]
fn the_oldest_keys_are_forgotten_by_number_and_the_newest_is_kept() {
    let mut driver = Driver::new();
    let requests = (0..limits::ONCE_KEYS_MAX + 10).map(|n| once(&format!("k{n}"), 1, Vec::new()));
    for chunk in requests.collect::<Vec<_>>().chunks(1_000) {
        driver.append(1, chunk.to_vec());
    }
    driver.apply_all(3);
    assert_eq!(line(&driver).len(), limits::ONCE_KEYS_MAX);
    // Each is there twice: its answer, and its place.
    assert_eq!(stored(&driver, Kind::Once) as u64, 2 * limits::ONCE_KEYS_MAX);
    let replayed = |response| matches!(response, Response::Once { replayed: true, .. });
    assert!(!replayed(told(&mut driver, once("k9", 1, Vec::new()))));
    assert!(replayed(told(&mut driver, once(&format!("k{}", limits::ONCE_KEYS_MAX + 9), 1, Vec::new()))));
}

#[test]
fn kept_answers_are_bounded_by_bytes_and_the_count_of_bytes_is_exact() {
    let mut driver = Driver::new();
    // A response of 100,000 flags.
    let long = |n: u32| once(&format!("k{n}"), 1, vec![add("x"); 100_000]);
    for n in 0..60 {
        driver.append(1, vec![long(n)]);
    }
    driver.apply_all(7);
    let line = line(&driver);
    assert!(line.bytes <= limits::ONCE_BYTES_MAX && line.len() > 1, "{line:?}");
    let answers = content(&driver.machine).into_iter().filter(|(key, _)| key[..2] == [Kind::Once as u8, 0]);
    let bytes: usize = answers.map(|(key, value): (Bytes, Bytes)| key.len() - 2 + value.len()).sum();
    assert_eq!(line.bytes, bytes as u64);
}

#[test]
fn clearing_everything_keeps_the_keys() {
    let mut driver = Driver::new();
    driver.run(1, put("a", &[("t", "1")]));
    let clear = || once("k", 1, vec![Op::Record(RecordOp::Clear)]);
    let cleared = |replayed| Response::Once { index: 2, replayed, responses: Some(vec![Response::Count(1)]) };
    assert_eq!(told(&mut driver, clear()), cleared(false));
    driver.run(1, put("b", &[("t", "1")]));
    assert_eq!(told(&mut driver, clear()), cleared(true));
    assert_eq!(driver.machine.state().head().counters.records, 1);
}

#[test]
fn kept_answers_do_not_depend_on_how_entries_are_cut_into_chunks() {
    let digests: Vec<_> = [1, 2, 7]
        .into_iter()
        .map(|chunk| {
            let mut driver = Driver::new();
            for n in 0..20 {
                driver.append(n, vec![once(&format!("k{}", n % 5), (n % 3) as u8, vec![add("x")])]);
            }
            driver.apply_all(chunk);
            driver.machine.recent_digests().last().copied().unwrap()
        })
        .collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
}
