//! Promises of streams and their groups, one test each.
//!
//! Not here: random operations (`streams`). Must always hold: a test's name is the promise it guards.

use std::ops::Bound;

use super::key_promises::replies;
use super::{Driver, content, put};
use crate::codec::Blob;
use crate::limits;
use crate::meta::entry::{Entry as LogEntry, FEATURE_LEVEL, HandOver, OpId};
use crate::meta::feed::{FeedReader, Followed, KeyFate};
use crate::meta::group::{self, PendingQuery};
use crate::meta::key_op::{ExpireIf, Expiry, KeyOp, SetExpiry, SetIf, StrOp};
use crate::meta::layout::Kind;
use crate::meta::op::Op;
use crate::meta::response::{Reject, Response};
use crate::meta::stream::{Stream, StreamId};
use crate::meta::stream_op::{GroupOp, GroupStart, Keep, NewId, ReadFrom, StreamOp, Trim};

fn id(ms: u64, seq: u64) -> StreamId {
    StreamId { ms, seq }
}

fn one(driver: &mut Driver, stamp_ms: u64, op: Op) -> Response {
    driver.append(stamp_ms, vec![op]);
    replies(driver).pop().unwrap()
}

fn add(key: &str, id: NewId) -> Op {
    let fields = vec![(Blob::from("f"), Blob::from("v"))];
    Op::Stream(StreamOp::Add { key: Blob::from(key.to_string()), id, fields, create: true, trim: None })
}

fn trim(key: &str, keep: Keep) -> Op {
    Op::Stream(StreamOp::Trim { key: Blob::from(key.to_string()), trim: Trim { keep, limit: None } })
}

fn create(key: &str, group: &str) -> Op {
    Op::Group(GroupOp::Create {
        key: Blob::from(key.to_string()),
        group: Blob::from(group.to_string()),
        start: GroupStart::After(StreamId::default()),
        read: None,
        create: true,
    })
}

fn read(keys: &[&str], count: Option<u64>) -> Op {
    let streams = keys.iter().map(|key| (Blob::from(key.to_string()), ReadFrom::New)).collect();
    let (group, consumer) = (Blob::from("g"), Blob::from("c"));
    Op::Group(GroupOp::Read { group, consumer, streams, count, no_ack: false })
}

fn delete(key: &str) -> Op {
    Op::Key(KeyOp::Delete { keys: vec![Blob::from(key.to_string())] })
}

/// A stream with entries 1-0, 2-0, …
fn filled(driver: &mut Driver, key: &str, entries: u64) {
    for from in (1..=entries).step_by(4096) {
        let ids = from..=entries.min(from + 4095);
        driver.append(1, ids.map(|ms| add(key, NewId::Exact(id(ms, 0)))).collect());
    }
    driver.apply_all(8);
}

fn stored(driver: &Driver, kind: Kind) -> usize {
    content(&driver.machine).iter().filter(|(key, _)| key[0] == kind as u8).count()
}

fn with<T>(driver: &Driver, key: &str, look: impl FnOnce(&Stream<'_>) -> T) -> T {
    let pinned = driver.machine.state().pinned();
    let counters = pinned.head().counters;
    let stream = Stream::open(&pinned, counters.generation, counters.now_ms, key.as_bytes()).unwrap();
    look(&stream.unwrap().unwrap())
}

#[test]
fn ids_never_go_back_when_the_clock_does_and_end_at_the_last_one() {
    let mut driver = Driver::new();
    assert_eq!(one(&mut driver, 50, add("k", NewId::Auto)), Response::Id(id(50, 0)));
    assert_eq!(one(&mut driver, 20, add("k", NewId::Auto)), Response::Id(id(50, 1)));
    assert_eq!(one(&mut driver, 60, add("k", NewId::AutoSeq(50))), Response::Id(id(50, 2)));
    let refused = |reject| Response::Rejected(reject);
    assert_eq!(one(&mut driver, 60, add("k", NewId::AutoSeq(49))), refused(Reject::IdTooSmall));
    assert_eq!(one(&mut driver, 60, add("k", NewId::Exact(id(50, 2)))), refused(Reject::IdTooSmall));
    assert_eq!(one(&mut driver, 60, add("k", NewId::Exact(id(0, 0)))), refused(Reject::IdZero));
    assert_eq!(one(&mut driver, 60, add("new", NewId::Exact(id(0, 0)))), refused(Reject::IdZero));
    assert_eq!(one(&mut driver, 60, add("zero", NewId::AutoSeq(0))), Response::Id(id(0, 1)));
    let end = id(u64::MAX, u64::MAX);
    assert_eq!(
        one(&mut driver, 60, add("k", NewId::Exact(id(70, u64::MAX)))),
        Response::Id(id(70, u64::MAX))
    );
    assert_eq!(one(&mut driver, 60, add("k", NewId::AutoSeq(70))), refused(Reject::IdTooSmall));
    assert_eq!(one(&mut driver, 60, add("k", NewId::Auto)), Response::Id(id(71, 0)));
    assert_eq!(one(&mut driver, 60, add("k", NewId::Exact(end))), Response::Id(end));
    assert_eq!(one(&mut driver, 60, add("k", NewId::Auto)), refused(Reject::IdsExhausted));
    assert_eq!(stored(&driver, Kind::Key), 2, "a refused first entry leaves no key");
}

#[test]
fn an_impossible_id_is_refused_before_anyone_asks_whether_the_stream_is_there() {
    let mut driver = Driver::new();
    let key = || Blob::from("absent");
    let zero = NewId::Exact(id(0, 0));
    let op = StreamOp::Add { key: key(), id: zero, fields: Vec::new(), create: false, trim: None };
    assert_eq!(one(&mut driver, 1, Op::Stream(op)), Response::Rejected(Reject::IdZero));
    let fields = vec![(Blob::from("f"), Blob::from(vec![b'x'; limits::VALUE_BYTES_MAX]))];
    let op = StreamOp::Add { key: key(), id: NewId::Auto, fields, create: true, trim: None };
    let too_long = Reject::TooLong { limit: limits::VALUE_BYTES_MAX as u64 };
    assert_eq!(one(&mut driver, 1, Op::Stream(op)), Response::Rejected(too_long));
    assert_eq!(driver.machine.state().head().user_hash, Default::default());
    let set = |max_deleted| StreamOp::SetId { key: key(), last: id(5, 1), added: None, max_deleted };
    let below = one(&mut driver, 1, Op::Stream(set(Some(id(31, 0)))));
    assert_eq!(below, Response::Rejected(Reject::IdBelowDeleted));
    assert_eq!(one(&mut driver, 1, Op::Stream(set(None))), Response::Rejected(Reject::NoSuchKey));
}

#[test]
fn an_entry_deleted_before_the_first_one_leaves_a_groups_lag_known() {
    let mut driver = Driver::new();
    filled(&mut driver, "k", 3);
    let (key, group) = (Blob::from("k"), Blob::from("g"));
    let start = GroupStart::After(id(0, 0));
    driver
        .run(1, Op::Group(GroupOp::Create { key: key.clone(), group, start, read: Some(1), create: false }));
    let lag = |driver: &Driver| {
        let pinned = driver.machine.state().pinned();
        let generation = pinned.head().counters.generation;
        let (object, extent) = with(driver, "k", |stream| (stream.object, stream.extent().unwrap()));
        extent.lag(&group::find(&pinned, generation, object, b"g").unwrap().unwrap())
    };
    driver.run(1, Op::Stream(StreamOp::Delete { key: key.clone(), ids: vec![id(1, 0)] }));
    assert_eq!(lag(&driver), Some(2));
    driver.run(1, Op::Stream(StreamOp::Delete { key, ids: vec![id(3, 0)] }));
    assert_eq!(lag(&driver), None, "nobody knows which of the entries ahead are gone");
}

#[test]
fn large_entries_are_given_a_few_at_a_time_and_none_is_passed_over() {
    let mut driver = Driver::new();
    let fields = vec![(Blob::from("f"), Blob::from(vec![b'x'; limits::VALUE_BYTES_MAX / 2 - 1]))];
    for ms in 1..=5 {
        let id = NewId::Exact(id(ms, 0));
        let add =
            StreamOp::Add { key: Blob::from("k"), id, fields: fields.clone(), create: true, trim: None };
        driver.run(1, Op::Stream(add));
    }
    driver.run(1, create("k", "g"));
    let count = |response: &Response| match response {
        Response::Entries(entries) => entries.len(),
        other => panic!("expected entries, found {other:?}"),
    };
    let given = |response| match response {
        Response::List(list) => list.iter().map(count).sum::<usize>(),
        other => panic!("expected a list, found {other:?}"),
    };
    let read = [(); 3].map(|()| given(one(&mut driver, 1, read(&["k"], None))));
    assert_eq!(read, [2, 2, 1]);
    let (mut start, mut claimed) = (id(0, 0), Vec::new());
    loop {
        let claim = GroupOp::AutoClaim {
            key: Blob::from("k"),
            group: Blob::from("g"),
            consumer: Blob::from("d"),
            min_idle_ms: 0,
            start,
            count: 100,
            just_ids: false,
        };
        let Response::List(list) = one(&mut driver, 2, Op::Group(claim)) else {
            panic!("a claim answers a list")
        };
        claimed.push(count(&list[1]));
        let Response::Id(next) = list[0] else { panic!("a claim answers where to go on") };
        if next == StreamId::default() {
            break;
        }
        start = next;
    }
    assert_eq!(claimed, [2, 2, 1]);
}

#[test]
fn a_key_of_another_type_is_refused_by_every_operation_and_a_stream_by_those_of_others() {
    let mut driver = Driver::new();
    let set = |key: &str| {
        let (key, value) = (Blob::from(key.to_string()), Blob::from("v"));
        Op::Str(StrOp::Set { key, value, only: SetIf::Always, expiry: SetExpiry::Clear, get: false })
    };
    driver.run(1, set("text"));
    driver.run(1, create("stream", "g"));
    let wrong = Response::Rejected(Reject::WrongType);
    let ack = GroupOp::Ack { key: Blob::from("text"), group: Blob::from("g"), ids: vec![id(1, 1)] };
    let mixed = read(&["stream", "text"], None);
    for op in
        [add("text", NewId::Auto), trim("text", Keep::Last(0)), create("text", "g"), mixed, Op::Group(ack)]
    {
        assert_eq!(one(&mut driver, 1, op), wrong);
    }
    let append = StrOp::Append { key: Blob::from("stream"), value: Blob::from("v") };
    assert_eq!(one(&mut driver, 1, Op::Str(append)), wrong);
    assert_eq!(one(&mut driver, 1, set("stream")), Response::Done);
    driver.run(1, set("other"));
    assert_eq!((stored(&driver, Kind::Element), stored(&driver, Kind::Doomed)), (0, 0));
}

#[test]
fn a_group_that_one_of_the_streams_lacks_refuses_the_read_of_all_and_gives_nothing() {
    let mut driver = Driver::new();
    driver.run(1, create("a", "g"));
    driver.run(1, add("a", NewId::Auto));
    driver.run(1, add("b", NewId::Auto));
    let before = content(&driver.machine);
    let refused = |stream| Response::Rejected(Reject::NoGroup { stream });
    assert_eq!(one(&mut driver, 2, read(&["a", "b"], None)), refused(1));
    assert_eq!(one(&mut driver, 2, read(&["absent", "a"], None)), refused(0));
    let generic = |pairs: Vec<(bytes::Bytes, bytes::Bytes)>| {
        pairs.into_iter().filter(|(key, _)| key[0] >= Kind::Key as u8).collect::<Vec<_>>()
    };
    assert_eq!(generic(content(&driver.machine)), generic(before));
}

#[test]
fn deleting_a_stream_is_one_write_and_its_groups_are_swept_with_it() {
    let mut driver = Driver::new();
    filled(&mut driver, "k", 3_000);
    driver.run(1, create("k", "g"));
    driver.run(1, create("k", "h"));
    driver.run(1, read(&["k"], None));
    // Each entry, each as pending by id and by consumer, two groups, a consumer.
    assert_eq!(stored(&driver, Kind::Element), 3 * 3_000 + 3);
    assert_eq!(one(&mut driver, 2, delete("k")), Response::Count(1));
    assert_eq!(stored(&driver, Kind::Element), 3 * 3_000 + 3 - limits::SWEPT_ELEMENTS_PER_ENTRY);
    for _ in 0..40 {
        driver.run(2, put("a", &[("title", "x")]));
    }
    assert_eq!((stored(&driver, Kind::Element), stored(&driver, Kind::Doomed)), (0, 0));
}

#[test]
fn a_trim_of_more_than_an_operation_may_touch_moves_what_is_left_and_its_groups() {
    let mut driver = Driver::new();
    let entries = limits::OPERATION_ELEMENTS_MAX + 601;
    filled(&mut driver, "k", entries);
    driver.run(1, create("k", "g"));
    driver.run(1, read(&["k"], Some(3)));
    let object = with(&driver, "k", |stream| stream.object);
    assert_eq!(one(&mut driver, 2, trim("k", Keep::From(id(2, 0)))), Response::Count(1));
    assert_eq!(with(&driver, "k", |stream| stream.object), object, "a few go one by one");
    driver.run(2, add("k", NewId::Exact(id(entries + 1, 0))));
    let entries = entries + 1;
    let trimmed = one(&mut driver, 2, trim("k", Keep::From(id(entries - 599, 0))));
    assert_eq!(trimmed, Response::Count(limits::OPERATION_ELEMENTS_MAX as i64 + 1));
    assert_ne!(with(&driver, "k", |stream| stream.object), object);
    let trimmed = one(&mut driver, 2, trim("k", Keep::Last(7)));
    assert_eq!(trimmed, Response::Count(593));
    with(&driver, "k", |stream| {
        let left = stream.range(Bound::Unbounded, Bound::Unbounded, 100).unwrap();
        assert_eq!(
            left.iter().map(|e| e.id.ms).collect::<Vec<_>>(),
            (entries - 6..=entries).collect::<Vec<_>>()
        );
        assert_eq!((stream.head.entries, stream.head.added), (7, entries));
    });
    let again = one(&mut driver, 2, read(&["k"], Some(1)));
    assert!(
        matches!(again, Response::List(list) if matches!(&list[0], Response::Entries(e) if e[0].id.ms == entries - 6))
    );
}

#[test]
fn a_repeated_hand_over_is_told_the_ids_that_it_was_given_first_and_gives_nothing_again() {
    let mut driver = Driver::new();
    driver.run(1, create("k", "g"));
    driver.run(1, add("k", NewId::Auto));
    let first = one(&mut driver, 2, read(&["k"], None));
    assert!(
        matches!(&first, Response::List(list) if matches!(&list[0], Response::Entries(e) if e.len() == 1))
    );
    let handed = OpId { node: 1, boot: 1, seq: driver.seq };
    let hand_over = HandOver { id: handed, floor: 0, ops: vec![read(&["k"], None)] };
    let entry = LogEntry { feature_level: FEATURE_LEVEL, stamp_ms: 3, hand_overs: vec![hand_over] };
    driver.log.push(entry.encode());
    let again = replies(&mut driver).pop().unwrap();
    assert_eq!(again, Response::List(vec![Response::Ids(vec![id(1, 0)])]));
}

#[test]
fn pending_entries_are_told_by_range_age_and_consumer_in_pages() {
    let mut driver = Driver::new();
    filled(&mut driver, "k", 1_200);
    driver.run(1, create("k", "g"));
    driver.run(10, read(&["k"], Some(700)));
    driver.run(20, read(&["k"], None));
    let pinned = driver.machine.state().pinned();
    let generation = pinned.head().counters.generation;
    let object = with(&driver, "k", |stream| stream.object);
    let state = group::find(&pinned, generation, object, b"g").unwrap().unwrap();
    let summary = group::summary(&pinned, generation, &state).unwrap();
    assert_eq!((summary.count, summary.ends), (1_200, Some((id(1, 0), id(1_200, 0)))));
    let all = |min_idle_ms, consumer| {
        let (mut found, mut from) = (0, Bound::Unbounded);
        loop {
            let to = Bound::Excluded(id(1_200, 0));
            let asked = PendingQuery { from, to, min_idle_ms, consumer, limit: usize::MAX };
            let page = group::query(&pinned, generation, state.object, 25, &asked).unwrap();
            found += page.found.len();
            let Some(next) = page.next else { return found };
            from = Bound::Included(next);
        }
    };
    assert_eq!(
        (all(0, None), all(10, None), all(10, Some(&b"c"[..])), all(0, Some(b"nobody"))),
        (1_199, 700, 700, 0)
    );
    let asked = PendingQuery {
        from: Bound::Excluded(id(3, 0)),
        to: Bound::Unbounded,
        min_idle_ms: 0,
        consumer: None,
        limit: 2,
    };
    let page = group::query(&pinned, generation, state.object, 25, &asked).unwrap();
    assert_eq!((page.found.iter().map(|(id, _)| id.ms).collect::<Vec<_>>(), page.next), (vec![4, 5], None));
}

#[test]
fn one_operation_gives_a_bounded_number_of_entries_and_the_next_one_goes_on() {
    let mut driver = Driver::new();
    filled(&mut driver, "k", limits::DELIVERED_ENTRIES_MAX + 5);
    driver.run(1, create("k", "g"));
    let count = |response| match response {
        Response::List(list) => match &list[0] {
            Response::Entries(entries) => entries.len() as u64,
            other => panic!("expected entries, found {other:?}"),
        },
        other => panic!("expected a list, found {other:?}"),
    };
    assert_eq!(count(one(&mut driver, 1, read(&["k"], None))), limits::DELIVERED_ENTRIES_MAX);
    assert_eq!(count(one(&mut driver, 1, read(&["k"], None))), 5);
    assert_eq!(one(&mut driver, 1, read(&["k"], None)), Response::List(vec![Response::Nil]));
}

fn told(reader: &mut FeedReader) -> Vec<(String, KeyFate)> {
    let Followed::Sets(sets) = reader.poll() else { panic!("the feed has sets") };
    let text = |name: &bytes::Bytes| String::from_utf8(name.to_vec()).unwrap();
    sets.iter().flat_map(|set| &set.keys).map(|(name, fate)| (text(name), *fate)).collect()
}

#[test]
fn followers_learn_which_generic_keys_an_entry_touched_and_how() {
    let mut driver = Driver::new();
    let mut reader = driver.machine.feed().reader();
    let (a, b) = (Blob::from("a"), Blob::from("b"));
    driver.append(1, vec![add("a", NewId::Auto), add("a", NewId::Auto), add("b", NewId::Auto)]);
    driver.apply_all(1);
    let written = |name: &str| (name.to_string(), KeyFate::Written);
    let deleted = |name: &str| (name.to_string(), KeyFate::Deleted);
    assert_eq!(told(&mut reader), [written("a"), written("b")]);
    driver.run(2, Op::Key(KeyOp::Rename { from: a.clone(), to: b.clone(), if_free: false }));
    assert_eq!(told(&mut reader), [deleted("a"), written("b")]);
    driver.run(2, Op::Key(KeyOp::Expire { key: b, expiry: Expiry::At(9), only: ExpireIf::Always }));
    driver.run(9, delete("a"));
    assert_eq!(told(&mut reader), [written("b"), ("b".to_string(), KeyFate::Expired)]);
}

#[test]
fn followers_of_records_are_told_of_no_keys_and_readers_of_groups_neither() {
    let mut driver = Driver::new();
    driver.run(1, create("k", "g"));
    driver.run(1, add("k", NewId::Auto));
    let mut reader = driver.machine.feed().reader();
    driver.run(2, put("a", &[("title", "x")]));
    driver.run(2, read(&["k"], None));
    driver.run(2, delete("absent"));
    assert_eq!(told(&mut reader), []);
}
