//! Promises of the generic keys, one test each, and how tests read them.
//!
//! Not here: random operations (`keys`). Must always hold: a test's name is the promise it guards; encodings that are
//! pinned here are in logs on disk and never change.

use bytes::Bytes;

use super::keys::{Held, Model};
use super::{Driver, content};
use crate::codec::{self, Blob};
use crate::limits;
use crate::meta::collection_op::{Combine, HashOp, SetOp};
use crate::meta::decimal::Decimal;
use crate::meta::key_op::{ExpireIf, Expiry, KeyOp, SetExpiry, SetIf, StrOp};
use crate::meta::layout::{self, Kind};
use crate::meta::object::{self, Content, Key};
use crate::meta::op::{Guard, Op, RecordOp};
use crate::meta::response::{Reject, Response};
use crate::meta::waiters::{Fate, Heard};

/// Applies what was appended last, in an entry of its own, and gives its answers.
pub fn replies(driver: &mut Driver) -> Vec<Response> {
    let mut heard = driver.machine.waiters().listen(1);
    driver.apply_all(1);
    match heard.try_recv().unwrap() {
        Heard::HandOver { id, fate: Fate::Applied(Some(replies)), .. } if id.seq == driver.seq => replies,
        other => panic!("the last hand-over was not applied: {other:?}"),
    }
}

/// The keys of a machine, read the way doors read them.
pub fn keys(driver: &Driver) -> Model {
    let pinned = driver.machine.state().pinned();
    let counters = pinned.head().counters;
    let mut out = Model::new();
    for name in content(&driver.machine).iter().filter_map(|(key, _)| layout::key_name(key)) {
        let Some(key) = object::read(&pinned, counters.generation, counters.now_ms, &name).unwrap() else {
            continue;
        };
        let members = || {
            let page = object::members(&pinned, counters.generation, key.object, 0, usize::MAX).unwrap();
            page.into_iter().map(|(name, value)| (name.to_vec(), value.to_vec()))
        };
        let held = match &key.content {
            Content::Text(_) | Content::LongText { .. } => {
                let text = object::text(&pinned, counters.generation, &key).unwrap();
                Held::Text(text.unwrap().to_vec())
            }
            Content::Hash { fields } => {
                assert_eq!(*fields, members().count() as u64);
                Held::Hash(members().collect())
            }
            Content::Set { members: count } => {
                assert_eq!(*count, members().count() as u64);
                Held::Set(members().map(|(name, _)| name).collect())
            }
            Content::Stream(_) => panic!("streams have a model of their own"),
        };
        out.insert(name, (held, key.expire_ms));
    }
    out
}

fn one(driver: &mut Driver, stamp_ms: u64, op: Op) -> Response {
    driver.append(stamp_ms, vec![op]);
    replies(driver).pop().unwrap()
}

fn set(key: &str, value: Vec<u8>, expiry: SetExpiry) -> Op {
    let (key, value) = (Blob::from(key.to_string()), Blob::from(value));
    Op::Str(StrOp::Set { key, value, only: SetIf::Always, expiry, get: false })
}

fn count(driver: &Driver, kind: Kind) -> usize {
    content(&driver.machine).iter().filter(|(key, _)| key[0] == kind as u8).count()
}

fn hex<T: bincode::Encode>(value: &T) -> String {
    data_encoding::HEXLOWER.encode(&codec::encode(value))
}

#[test]
fn operations_keep_their_bytes_in_the_log() {
    let (key, value) = (Blob::from("k"), Blob::from("v"));
    let at = Expiry::At(5);
    let quarter = Decimal::parse(b"-0.25").unwrap();
    let cases = [
        (Op::Key(KeyOp::Delete { keys: vec![key.clone()] }), "030001016b"),
        (
            Op::Key(KeyOp::Expire { key: key.clone(), expiry: at, only: ExpireIf::AlreadySooner }),
            "0301016b000505",
        ),
        (Op::Key(KeyOp::Persist { key: key.clone() }), "0302016b"),
        (Op::Key(KeyOp::Rename { from: key.clone(), to: value.clone(), if_free: true }), "0303016b017601"),
        (Op::Key(KeyOp::Copy { from: key.clone(), to: value.clone(), replace: true }), "0304016b017601"),
        (
            Op::Str(StrOp::Set {
                key: key.clone(),
                value: value.clone(),
                only: SetIf::Present,
                expiry: SetExpiry::To(Expiry::In(-1)),
                get: true,
            }),
            "0400016b01760202010101",
        ),
        (
            Op::Str(StrOp::SetMany { pairs: vec![(key.clone(), value.clone())], if_absent: true }),
            "040101016b017601",
        ),
        (Op::Str(StrOp::Append { key: key.clone(), value: value.clone() }), "0402016b0176"),
        (Op::Str(StrOp::SetRange { key: key.clone(), offset: 3, value: value.clone() }), "0403016b030176"),
        (Op::Str(StrOp::IncrBy { key: key.clone(), by: -2 }), "0404016b03"),
        (Op::Str(StrOp::IncrByFloat { key: key.clone(), by: quarter }), "0405016bfdffffc42ebca2b100"),
        (Op::Str(StrOp::GetDelete { key: key.clone() }), "0406016b"),
        (Op::Str(StrOp::GetExpire { key: key.clone(), expiry: None }), "0407016b00"),
        (
            Op::Hash(HashOp::Set { key: key.clone(), pairs: vec![(key.clone(), value.clone())] }),
            "0500016b01016b0176",
        ),
        (
            Op::Hash(HashOp::SetIfAbsent { key: key.clone(), field: key.clone(), value: value.clone() }),
            "0501016b016b0176",
        ),
        (Op::Hash(HashOp::Delete { key: key.clone(), fields: vec![key.clone()] }), "0502016b01016b"),
        (Op::Hash(HashOp::IncrBy { key: key.clone(), field: key.clone(), by: 3 }), "0503016b016b06"),
        (
            Op::Hash(HashOp::IncrByFloat { key: key.clone(), field: key.clone(), by: Decimal::ZERO }),
            "0504016b016b00",
        ),
        (Op::Set(SetOp::Add { key: key.clone(), members: vec![value.clone()] }), "0600016b010176"),
        (Op::Set(SetOp::Remove { key: key.clone(), members: vec![value.clone()] }), "0601016b010176"),
        (Op::Set(SetOp::Pop { key: key.clone(), count: Some(2), seed: 9 }), "0602016b010209"),
        (
            Op::Set(SetOp::Move { from: key.clone(), to: value.clone(), member: value.clone() }),
            "0603016b01760176",
        ),
        (
            Op::Set(SetOp::Store { to: value.clone(), how: Combine::Diff, keys: vec![key.clone()] }),
            "060401760201016b",
        ),
    ];
    for (op, expected) in cases {
        assert_eq!(hex(&op), expected, "{op:?}");
    }
    assert_eq!(hex(&Guard::KeyVersion { key, version: 7 }), "02016b07");
}

#[test]
fn answers_keep_their_bytes_in_the_sessions() {
    let cases = [
        (Reject::WrongType, "0603"),
        (Reject::NotInteger, "0604"),
        (Reject::NotFloat, "0605"),
        (Reject::Overflow, "0606"),
        (Reject::NoSuchKey, "0607"),
        (Reject::TooLong { limit: 5 }, "060805"),
        (Reject::TooManyElements { limit: 5 }, "060905"),
    ];
    for (reject, expected) in cases {
        assert_eq!(hex(&Response::Rejected(reject)), expected);
    }
}

#[test]
fn a_key_whose_time_has_come_is_gone_for_readers_and_writers_though_others_are_removed_first() {
    let mut driver = Driver::new();
    let many = limits::EXPIRED_KEYS_PER_ENTRY + 9;
    let ops = (0..many).map(|n| set(&format!("k{n}"), b"1".to_vec(), SetExpiry::To(Expiry::At(50))));
    driver.append(1, ops.collect());
    driver.apply_all(1);
    assert_eq!(count(&driver, Kind::Expiry), many);
    let persist = |n| Op::Key(KeyOp::Persist { key: Blob::from(format!("k{n}")) });
    driver.append(50, (0..many).map(persist).collect());
    assert!(replies(&mut driver).iter().all(|reply| *reply == Response::Flag(false)));
    assert_eq!((count(&driver, Kind::Key), count(&driver, Kind::Expiry)), (9, 9));
    assert!(keys(&driver).is_empty());
    let incremented = one(&mut driver, 50, Op::Str(StrOp::IncrBy { key: Blob::from("k0"), by: 5 }));
    assert_eq!(incremented, Response::Count(5));
    assert_eq!((count(&driver, Kind::Key), count(&driver, Kind::Expiry)), (1, 0));
}

#[test]
fn deleting_a_large_object_is_one_write_and_the_entries_after_it_sweep_up() {
    let mut driver = Driver::new();
    let chunks = limits::VALUE_BYTES_MAX / limits::CHUNK_BYTES;
    for n in 0..3 {
        driver.run(1, set(&format!("k{n}"), vec![7; limits::VALUE_BYTES_MAX], SetExpiry::Clear));
    }
    assert_eq!(count(&driver, Kind::Element), 3 * chunks);
    let all = (0..3).map(|n| Blob::from(format!("k{n}"))).collect();
    assert_eq!(one(&mut driver, 2, Op::Key(KeyOp::Delete { keys: all })), Response::Count(3));
    assert_eq!(count(&driver, Kind::Element), 3 * chunks - limits::SWEPT_ELEMENTS_PER_ENTRY);
    driver.run(2, set("other", b"1".to_vec(), SetExpiry::Clear));
    assert_eq!((count(&driver, Kind::Element), count(&driver, Kind::Doomed)), (0, 0));
}

#[test]
fn a_watched_key_that_changed_expired_or_went_stops_the_transaction() {
    let mut driver = Driver::new();
    let watch = |version| {
        let guards = vec![Guard::KeyVersion { key: Blob::from("k"), version }];
        Op::Atomic { guards, ops: vec![set("done", b"1".to_vec(), SetExpiry::Clear)] }
    };
    let (refused, done) = (Response::Rejected(Reject::Precondition), Response::List(vec![Response::Done]));
    assert_eq!(one(&mut driver, 1, watch(0)), done);
    driver.run(1, set("k", b"1".to_vec(), SetExpiry::To(Expiry::At(9))));
    let version = driver.log.len() as u64;
    assert_eq!(one(&mut driver, 1, watch(0)), refused);
    assert_eq!(one(&mut driver, 1, watch(version)), done);
    assert_eq!(one(&mut driver, 9, watch(version)), refused);
    assert_eq!(one(&mut driver, 9, watch(0)), done);
}

#[test]
fn clearing_takes_the_keys_too_and_reuses_no_object() {
    let mut driver = Driver::new();
    driver.run(1, set("long", vec![1; 100_000], SetExpiry::To(Expiry::At(50))));
    driver.run(1, Op::Record(RecordOp::Clear));
    assert!(content(&driver.machine).iter().all(|(key, _)| key[0] < Kind::Record as u8));
    driver.run(60, set("long", vec![2; 100_000], SetExpiry::Clear));
    let pinned = driver.machine.state().pinned();
    let key = object::read(&pinned, pinned.head().counters.generation, 60, b"long").unwrap().unwrap();
    assert_eq!(
        key,
        Key { expire_ms: 0, mod_index: 3, object: 2, content: Content::LongText { len: 100_000 } }
    );
}

#[test]
fn a_string_never_grows_beyond_its_limit() {
    let mut driver = Driver::new();
    let limit = limits::VALUE_BYTES_MAX as u64;
    let range = |offset| {
        Op::Str(StrOp::SetRange { key: Blob::from("k"), offset, value: Blob::from(Bytes::from_static(b"x")) })
    };
    for offset in [limit, u64::MAX] {
        assert_eq!(one(&mut driver, 1, range(offset)), Response::Rejected(Reject::TooLong { limit }));
    }
    assert!(keys(&driver).is_empty());
    assert_eq!(one(&mut driver, 1, range(limit - 1)), Response::Count(limit as i64));
}

#[test]
fn which_members_are_popped_follows_from_the_seed_and_another_seed_pops_others() {
    let popped = |seed| {
        let mut driver = Driver::new();
        let members = (0..1_000).map(|n| Blob::from(format!("m{n}"))).collect();
        driver.run(1, Op::Set(SetOp::Add { key: Blob::from("k"), members }));
        one(&mut driver, 1, Op::Set(SetOp::Pop { key: Blob::from("k"), count: Some(5), seed }))
    };
    assert_eq!(popped(1), popped(1));
    assert_ne!(popped(1), popped(2));
}

#[test]
fn an_operation_that_would_visit_too_many_elements_is_refused_and_changes_nothing() {
    let mut driver = Driver::new();
    let limit = limits::OPERATION_ELEMENTS_MAX;
    for part in 0..2 {
        let members = (0..=limit / 2).map(|n| Blob::from(format!("{part}/{n}"))).collect();
        driver.run(1, Op::Set(SetOp::Add { key: Blob::from("k"), members }));
    }
    let digest = driver.machine.state().head().user_hash;
    let (key, to) = (Blob::from("k"), Blob::from("to"));
    let store = SetOp::Store { to: to.clone(), how: Combine::Union, keys: vec![key.clone()] };
    for op in [
        Op::Key(KeyOp::Copy { from: key.clone(), to: to.clone(), replace: true }),
        Op::Set(SetOp::Pop { key: key.clone(), count: Some(limit + 1), seed: 1 }),
        Op::Set(store),
    ] {
        assert_eq!(one(&mut driver, 1, op), Response::Rejected(Reject::TooManyElements { limit }));
    }
    assert_eq!(driver.machine.state().head().user_hash, digest);
}
