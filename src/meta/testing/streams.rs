//! Random operations on streams and their groups against plain maps: entries, groups, answers, however the log is cut.
//!
//! Not here: single promises of streams (`stream_promises`), keys of other types (`keys`).
//! Must always hold: the model is written the slow, obvious way and knows no objects, indexes or counts.

use std::ops::Bound;

use metad_raft::StateMachine;
use proptest::prelude::*;

use super::key_promises::replies;
use super::stream_model::{self as model, Model, run};
use super::{Driver, content, stored};
use crate::codec::Blob;
use crate::meta::group::{self, GroupState};
use crate::meta::key_op::{ExpireIf, Expiry, KeyOp};
use crate::meta::layout::{self, Kind};
use crate::meta::op::Op;
use crate::meta::state::Pinned;
use crate::meta::stream::{Stream, StreamId};
use crate::meta::stream_op::{Delivered, GroupOp, GroupStart, Keep, NewId, ReadFrom, StreamOp, Trim};

fn name() -> impl Strategy<Value = Blob> {
    (0..3u8).prop_map(|n| Blob::from(format!("key{n}")))
}

fn group_name() -> impl Strategy<Value = Blob> {
    prop_oneof![4 => Just(Blob::from("g")), 1 => Just(Blob::from("")), 1 => Just(Blob::from("other"))]
}

fn consumer() -> impl Strategy<Value = Blob> {
    (0..3u8).prop_map(|n| Blob::from("c".repeat(usize::from(n))))
}

/// Ids that entries are likely to have: times are small, and so are sequence numbers.
fn id() -> impl Strategy<Value = StreamId> {
    (0..40u64, 0..3u64).prop_map(|(ms, seq)| StreamId { ms, seq })
}

fn ids() -> impl Strategy<Value = Vec<StreamId>> {
    prop::collection::vec(id(), 1..20)
}

fn trim() -> impl Strategy<Value = Trim> {
    let keep = prop_oneof![(0..8u64).prop_map(Keep::Last), id().prop_map(Keep::From)];
    (keep, prop::option::of(0..4u64)).prop_map(|(keep, limit)| Trim { keep, limit })
}

fn stream_op() -> impl Strategy<Value = StreamOp> {
    let new = prop_oneof![
        6 => Just(NewId::Auto),
        1 => (0..60u64).prop_map(NewId::AutoSeq),
        1 => id().prop_map(NewId::Exact),
    ];
    let fields = prop::collection::vec((Just(Blob::from("f")), "[a-c]{0,3}".prop_map(Blob::from)), 1..3);
    let add = (name(), new, fields, prop::bool::weighted(0.9), prop::option::weighted(0.2, trim()));
    let numbers = (prop::option::of(0..30u64), prop::option::of(id()));
    prop_oneof![
        12 => add.prop_map(|(key, id, fields, create, trim)| StreamOp::Add { key, id, fields, create, trim }),
        1 => (name(), trim()).prop_map(|(key, trim)| StreamOp::Trim { key, trim }),
        3 => (name(), ids()).prop_map(|(key, ids)| StreamOp::Delete { key, ids }),
        1 => (name(), id(), numbers)
            .prop_map(|(key, last, (added, max_deleted))| StreamOp::SetId { key, last, added, max_deleted }),
    ]
}

fn start() -> impl Strategy<Value = GroupStart> {
    prop_oneof![
        Just(GroupStart::Last),
        Just(GroupStart::After(StreamId::default())),
        id().prop_map(GroupStart::After)
    ]
}

fn from() -> impl Strategy<Value = ReadFrom> {
    prop_oneof![3 => Just(ReadFrom::New), 1 => Just(ReadFrom::Pending(StreamId::default())), 1 => id().prop_map(ReadFrom::Pending)]
}

fn managing() -> impl Strategy<Value = GroupOp> {
    let read = prop::option::of(0..9u64);
    prop_oneof![
        4 => (name(), group_name(), start(), read.clone(), any::<bool>())
            .prop_map(|(key, group, start, read, create)| GroupOp::Create { key, group, start, read, create }),
        1 => (name(), group_name()).prop_map(|(key, group)| GroupOp::Destroy { key, group }),
        1 => (name(), group_name(), start(), read)
            .prop_map(|(key, group, start, read)| GroupOp::SetId { key, group, start, read }),
        1 => (name(), group_name(), consumer())
            .prop_map(|(key, group, consumer)| GroupOp::CreateConsumer { key, group, consumer }),
        1 => (name(), group_name(), consumer())
            .prop_map(|(key, group, consumer)| GroupOp::DeleteConsumer { key, group, consumer }),
    ]
}

fn claiming() -> impl Strategy<Value = GroupOp> {
    let delivered = prop_oneof![
        Just(Delivered::Now),
        (0..60u64).prop_map(Delivered::At),
        (0..60u64).prop_map(Delivered::Ago)
    ];
    let who = || (name(), group_name(), consumer(), 0..9u64);
    let how = (delivered, prop::option::of(0..5u64), any::<bool>(), any::<bool>(), prop::option::of(id()));
    prop_oneof![
        (who(), ids(), how).prop_map(
            |((key, group, consumer, min_idle_ms), ids, (delivered, deliveries, force, just_ids, last))| {
                GroupOp::Claim {
                    key,
                    group,
                    consumer,
                    min_idle_ms,
                    ids,
                    delivered,
                    deliveries,
                    force,
                    just_ids,
                    last,
                }
            }
        ),
        (who(), id(), 1..4u64, any::<bool>()).prop_map(
            |((key, group, consumer, min_idle_ms), start, count, just_ids)| {
                GroupOp::AutoClaim { key, group, consumer, min_idle_ms, start, count, just_ids }
            }
        ),
    ]
}

fn group_op() -> impl Strategy<Value = GroupOp> {
    let streams = prop::collection::vec((name(), from()), 1..3);
    prop_oneof![
        3 => managing(),
        5 => (group_name(), consumer(), streams, prop::option::of(1..4u64), prop::bool::weighted(0.2)).prop_map(
            |(group, consumer, streams, count, no_ack)| GroupOp::Read { group, consumer, streams, count, no_ack }
        ),
        2 => (name(), group_name(), ids()).prop_map(|(key, group, ids)| GroupOp::Ack { key, group, ids }),
        3 => claiming(),
    ]
}

fn key_op() -> impl Strategy<Value = KeyOp> {
    prop_oneof![
        2 => name().prop_map(|key| KeyOp::Delete { keys: vec![key] }),
        1 => (name(), 0..9i64).prop_map(|(key, ms)| KeyOp::Expire { key, expiry: Expiry::In(ms), only: ExpireIf::Always }),
        2 => (name(), name()).prop_map(|(from, to)| KeyOp::Rename { from, to, if_free: false }),
        2 => (name(), name()).prop_map(|(from, to)| KeyOp::Copy { from, to, replace: true }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => stream_op().prop_map(Op::Stream),
        12 => group_op().prop_map(Op::Group),
        1 => key_op().prop_map(Op::Key),
    ]
}

/// The streams of a machine, read the way doors read them.
fn observed(driver: &Driver) -> Model {
    let pinned = driver.machine.state().pinned();
    let counters = pinned.head().counters;
    let mut out = Model::new();
    for (stored, value) in content(&driver.machine) {
        let Some(name) = layout::key_name(&stored) else { continue };
        let found = Stream::open(&pinned, counters.generation, counters.now_ms, &name).unwrap();
        let Some(stream) = found.unwrap() else { continue };
        let key = crate::meta::object::Key::decode(&value).unwrap();
        let entries = stream.range(Bound::Unbounded, Bound::Unbounded, usize::MAX).unwrap();
        let mut back = stream.range_back(Bound::Unbounded, Bound::Unbounded, usize::MAX).unwrap();
        back.reverse();
        assert_eq!(entries, back);
        assert_eq!(stream.head.entries, entries.len() as u64);
        let groups = group::page(&pinned, counters.generation, stream.object, None, usize::MAX).unwrap();
        assert_eq!(stream.head.groups as usize, groups.len());
        let groups = groups.into_iter().map(|(name, state)| (name, observed_group(&pinned, &state)));
        let seen = model::Stream {
            entries: entries.into_iter().map(|entry| (entry.id, entry.fields.unwrap())).collect(),
            added: stream.head.added,
            last: stream.head.last,
            max_deleted: stream.head.max_deleted,
            groups: groups.collect(),
            expire_ms: key.expire_ms,
        };
        out.insert(name, seen);
    }
    out
}

fn observed_group(pinned: &Pinned<'_>, state: &GroupState) -> model::Group {
    let generation = pinned.head().counters.generation;
    let consumers = group::consumers(pinned, generation, state.object, None, usize::MAX).unwrap();
    let pending =
        group::pending_from(pinned, generation, state.object, StreamId::default(), usize::MAX).unwrap();
    assert_eq!((state.consumers, state.pending), (consumers.len() as u64, pending.len() as u64));
    for (name, consumer) in &consumers {
        let own = pending.iter().filter(|(_, pending)| pending.consumer.0 == *name).map(|(id, _)| *id);
        let own: Vec<_> = own.collect();
        let from = StreamId::default();
        let listed = group::pending_ids(pinned, generation, state.object, name, from, usize::MAX).unwrap();
        assert_eq!((consumer.pending, listed), (own.len() as u64, own));
    }
    model::Group {
        last: state.last,
        read: state.read,
        consumers: consumers.into_iter().map(|(name, c)| (name, (c.seen_ms, c.active_ms))).collect(),
        pending: pending
            .into_iter()
            .map(|(id, p)| (id, (p.consumer.0, p.delivered_ms, p.deliveries)))
            .collect(),
    }
}

/// Elements that the store must have for a stream.
fn elements(stream: &model::Stream) -> usize {
    let groups = stream.groups.values().map(|group| 1 + group.consumers.len() + 2 * group.pending.len());
    stream.entries.len() + groups.sum::<usize>()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_stream_operations_cut_and_restarted_anywhere_give_the_models_state_and_answers(
        steps in prop::collection::vec((op(), 0..3u64), 1..80),
        cuts in prop::collection::vec((1..8usize, 1..6usize, any::<bool>()), 1..20),
    ) {
        let (mut driver, mut reference, mut expected) = (Driver::new(), Driver::new(), Model::new());
        let (mut now, mut rest) = (1, steps.as_slice());
        for (take, chunk, restart) in cuts.iter().cycle() {
            let (part, later) = rest.split_at(rest.len().min(*take));
            for (op, ms) in part {
                now += ms;
                driver.append(now, vec![op.clone()]);
                reference.append(now, vec![op.clone()]);
                let seen = replies(&mut reference);
                prop_assert_eq!(seen, vec![run(&mut expected, now, op)], "{:?}", op);
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
        prop_assert_eq!(&observed(&driver), &expected);
        prop_assert_eq!(content(&driver.machine), content(&reference.machine));
        prop_assert_eq!(driver.machine.digest(), reference.machine.digest());
        prop_assert_eq!(stored(&driver, Kind::Key), expected.len());
        // Deleted streams and destroyed groups are swept away without leaving anything.
        prop_assert_eq!(stored(&driver, Kind::Doomed), 0);
        prop_assert_eq!(stored(&driver, Kind::Element), expected.values().map(elements).sum::<usize>());
    }
}
