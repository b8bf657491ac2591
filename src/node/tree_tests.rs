//! The tree over the real state machine: equal logs give equal trees, however they came about.
//!
//! Not here: doors and the log (an entry is handed to the machine directly).
//! Must always hold: compared is all that a client can see: paths, inode numbers, sizes and times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use metad_raft::{
    Applied, Entry as LogEntry, Fut, PosixMetadataReplicator, Proposal, ReplicateError, Role, StartError,
    StateMachine, Status,
};
use proptest::prelude::*;
use tokio::sync::watch;

use crate::clock::{Clock, ManualClock};
use crate::codec::Blob;
use crate::meta::entry::{Entry, FEATURE_LEVEL, HandOver, OpId};
use crate::meta::log_service::LogService;
use crate::meta::machine::MetaMachine;
use crate::meta::op::{Op, RecordOp};
use crate::meta::service::MetadataService;
use crate::meta::store::shelf::MemoryShelf;
use crate::vfs::first_scan::FirstScan;
use crate::vfs::follower::Follower;
use crate::vfs::keeper::TreeKeeper;
use crate::vfs::{Filesystem, RuleSet, Source, VirtualTree};

/// A log that is fed by hand: nobody proposes.
struct Still(watch::Sender<Status>);

impl Still {
    fn new() -> Self {
        let status = Status { role: Role::Leader, recovered: true, ..Status::initial(1) };
        Self(watch::Sender::new(status))
    }
}

impl PosixMetadataReplicator for Still {
    fn start(&self, _machine: Arc<dyn StateMachine>) -> Fut<'_, Result<(), StartError>> {
        Box::pin(async { Ok(()) })
    }

    fn replicate(&self, batch: Vec<Proposal>) -> Fut<'_, Vec<Result<u64, ReplicateError>>> {
        Box::pin(async move { batch.iter().map(|_| Err(ReplicateError::Stopped)).collect() })
    }

    fn read_barrier(&self, _deadline: Instant) -> Fut<'_, Result<u64, ReplicateError>> {
        Box::pin(async { Err(ReplicateError::Stopped) })
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.0.subscribe()
    }

    fn stop(&self) -> Fut<'_, ()> {
        Box::pin(async {})
    }
}

/// A node's state and tree.
struct Seen {
    machine: Arc<MetaMachine>,
    tree: Arc<VirtualTree>,
    follower: Follower,
    applied: u64,
}

impl Seen {
    fn new() -> Self {
        Self::over(MetaMachine::open(Box::new(MemoryShelf::default())).unwrap())
    }

    fn over(machine: MetaMachine) -> Self {
        let (machine, clock) = (Arc::new(machine), Arc::new(ManualClock::at(9)) as Arc<dyn Clock>);
        let still = Arc::new(Still::new());
        let service = LogService::start(Arc::clone(&machine), still, None, Arc::clone(&clock), 1).unwrap();
        let tree = Arc::new(VirtualTree::new(Source::new("/nowhere")));
        let since = machine.feed().reader();
        let follower = Follower::start(
            Arc::new(service) as Arc<dyn MetadataService>,
            Arc::clone(&tree),
            clock,
            FirstScan::default(),
            since,
        )
        .unwrap();
        let applied = machine.digest().0;
        Self { machine, tree, follower, applied }
    }

    /// Applies operations as entries of `per_entry`, in chunks of `per_chunk` entries.
    fn apply(&mut self, ops: &[Op], per_entry: usize, per_chunk: usize) {
        let entries: Vec<_> = ops.chunks(per_entry).map(<[Op]>::to_vec).collect();
        for chunk in entries.chunks(per_chunk) {
            let first = self.applied;
            let logged: Vec<_> = (first + 1..).zip(chunk).map(|(index, ops)| entry(index, ops)).collect();
            self.applied += logged.len() as u64;
            self.machine.log_flushed(self.applied);
            let upto = Applied { index: self.applied, mark: Bytes::from_static(b"m") };
            self.machine.apply(&logged, &upto).unwrap();
        }
    }

    /// Everything a client can see, once the tree has all that was applied.
    async fn picture(&self) -> Vec<String> {
        self.follower.refresh().await.unwrap();
        let tree = &self.tree;
        let mut lines = Vec::new();
        for path in tree.directories().into_iter().chain(tree.files()) {
            let attr = tree.resolve(&path).unwrap();
            lines.push(format!("{path} {} {} {}", attr.inode, attr.size, attr.mtime_ms));
        }
        lines
    }

    /// Paths by hashId of the live tree, once it has followed to the last entry.
    async fn paths(&self) -> BTreeMap<Vec<u8>, BTreeSet<String>> {
        self.tree.published().wait_for(|index| *index >= self.applied).await.unwrap();
        let mut found: BTreeMap<Vec<u8>, BTreeSet<String>> = BTreeMap::new();
        for path in self.tree.files() {
            let inode = self.tree.resolve(&path).unwrap().inode;
            let id = self.tree.read().id_of(inode).unwrap().to_vec();
            found.entry(id).or_default().insert(path);
        }
        found
    }

    /// What the pinner does: pins in small batches until nobody needs one. Answers the operations.
    async fn settle(&mut self) -> Vec<Op> {
        let mut applied = Vec::new();
        loop {
            self.paths().await;
            let pins = self.tree.unpinned(2);
            if pins.is_empty() {
                return applied;
            }
            self.apply(&pins, 1, 1);
            applied.extend(pins);
        }
    }

    /// Another node with this one's snapshot.
    fn restored(&self) -> Self {
        let mut source = self.machine.snapshot().unwrap();
        let machine = MetaMachine::open(Box::new(MemoryShelf::default())).unwrap();
        let mut sink = machine.install().unwrap();
        while let Some(block) = source.next_block().unwrap() {
            sink.put_block(block).unwrap();
        }
        sink.commit(&source.applied(), source.state_hash()).unwrap();
        Self::over(machine)
    }

    /// The live tree, without a refresh: what following alone has made.
    fn followed(&self) -> BTreeSet<String> {
        self.tree.files().into_iter().collect()
    }
}

fn entry(index: u64, ops: &[Op]) -> LogEntry {
    let hand_over =
        HandOver { id: OpId { node: 1, boot: 1, seq: index }, floor: index - 1, ops: ops.to_vec() };
    let stamp_ms = 1_700_000_000_000;
    let entry = Entry { feature_level: FEATURE_LEVEL, stamp_ms, hand_overs: vec![hand_over] };
    LogEntry::Ops { index, ops: entry.encode() }
}

fn rules() -> Op {
    let rules = RuleSet::default();
    rules.set_operation(rules.to_string())
}

fn put(id: u8, properties: &[(&str, String)]) -> Op {
    let properties =
        properties.iter().map(|(n, v)| (Blob::from((*n).to_owned()), Blob::from(v.clone()))).collect();
    Op::Record(RecordOp::Put { id: Blob::from(format!("midhash256:{id}")), properties })
}

fn id_of(op: &Op) -> Vec<u8> {
    match op {
        Op::Record(RecordOp::Put { id, .. } | RecordOp::Delete { id }) => id.to_vec(),
        other => panic!("no change makes {other:?}"),
    }
}

/// Changes of a few files that often want the same name.
fn change() -> impl Strategy<Value = Op> {
    let film = (0..12u8, 0..3u8, prop::option::of(0..2u8)).prop_map(|(id, title, version)| {
        let mut properties = vec![
            ("filePath", format!("in/{id}.mkv")),
            ("title", ["Heat", "Face/Off", "HEAT"][usize::from(title)].to_owned()),
            ("year", "1995".to_owned()),
            ("sizeByte", id.to_string()),
        ];
        properties.extend(version.map(|v| ("version", format!("cut {v}"))));
        put(id, &properties)
    });
    let retitle = (0..12u8, 0..3u8).prop_map(|(id, n)| put(id, &[("title", format!("Other {n}"))]));
    let plot = (0..12u8, any::<u8>()).prop_map(|(id, n)| put(id, &[("plot/eng", n.to_string())]));
    let delete =
        (0..12u8).prop_map(|id| Op::Record(RecordOp::Delete { id: Blob::from(format!("midhash256:{id}")) }));
    prop_oneof![6 => film, 2 => retitle, 1 => plot, 2 => delete]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_pin_reaches_the_tree_also_beside_a_write_that_no_rule_asks_for() {
    let film = |id| put(id, &[("filePath", format!("in/{id}.mkv")), ("title", "Heat".into())]);
    runtime().block_on(async {
        let mut seen = Seen::new();
        seen.apply(&[rules(), film(1), film(2)], 1, 1);
        let before = seen.paths().await;
        let mut entry = vec![put(2, &[("plot/eng", "long".into())])];
        entry.extend(seen.tree.unpinned(9));
        assert_eq!(entry.len(), 2);
        seen.apply(&entry, 2, 1);
        seen.apply(&[Op::Record(RecordOp::Delete { id: Blob::from("midhash256:1") })], 1, 1);
        let after = seen.paths().await;
        assert_eq!(after.values().collect::<Vec<_>>(), [&before[&b"midhash256:2"[..]]]);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_tree_is_the_same_for_any_batching_and_after_snapshot_and_restore(
        changes in prop::collection::vec(change(), 1..40),
        per_entry in 1..7usize,
        per_chunk in 1..5usize,
    ) {
        let (one, other, restored) = runtime().block_on(async {
            let ops: Vec<Op> = std::iter::once(rules()).chain(changes).collect();
            let mut one = Seen::new();
            one.apply(&ops, 1, 1);
            let mut other = Seen::new();
            other.apply(&ops, per_entry, per_chunk);
            let restored = one.restored();
            (one.picture().await, other.picture().await, restored.picture().await)
        });
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(&one, &restored);
    }

    /// Issue 2: adding, changing or removing a file moves no other file's path; and the same log gives the same tree
    /// for any batching and after snapshot and restore, pins and all.
    #[test]
    fn no_change_moves_another_file_once_pins_have_settled(
        changes in prop::collection::vec(change(), 1..25),
        per_entry in 1..7usize,
        per_chunk in 1..5usize,
    ) {
        runtime().block_on(async {
            let mut one = Seen::new();
            let mut log = vec![rules()];
            one.apply(&log, 1, 1);
            for change in changes {
                let before = one.paths().await;
                one.apply(std::slice::from_ref(&change), 1, 1);
                let after = one.paths().await;
                let own = id_of(&change);
                for (id, paths) in before.iter().filter(|(id, _)| **id != own) {
                    prop_assert_eq!(Some(paths), after.get(id), "{:?}", change);
                }
                log.push(change);
                log.extend(one.settle().await);
                prop_assert_eq!(one.paths().await, after, "a pin moved a file");
            }
            let mut other = Seen::new();
            other.apply(&log, per_entry, per_chunk);
            let live = one.paths().await;
            prop_assert_eq!(other.paths().await, live);
            let restored = one.restored();
            let picture = one.picture().await;
            prop_assert_eq!(other.picture().await, picture.clone());
            prop_assert_eq!(restored.picture().await, picture);
            prop_assert!(restored.tree.unpinned(1).is_empty(), "an idle node proposes nothing");
            Ok(())
        })?;
    }

    #[test]
    fn a_new_file_moves_no_other_file(
        changes in prop::collection::vec(change(), 1..30),
        title in 0..3u8,
    ) {
        let (before, after) = runtime().block_on(async {
            let ops: Vec<Op> = std::iter::once(rules()).chain(changes).collect();
            let mut seen = Seen::new();
            seen.apply(&ops, 1, 3);
            seen.picture().await;
            let before = seen.followed();
            let title = ["Heat", "Face/Off", "HEAT"][usize::from(title)].to_owned();
            let new = put(99, &[("filePath", "in/new.mkv".into()), ("title", title), ("year", "1995".into())]);
            seen.apply(&[new], 1, 1);
            seen.picture().await;
            (before, seen.followed())
        });
        prop_assert!(before.is_subset(&after), "gone: {:?}", before.difference(&after).collect::<Vec<_>>());
        prop_assert_eq!(after.len(), before.len() + 1);
    }
}
