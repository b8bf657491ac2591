//! Golden files of the log: an entry for each kind of operation and of guard, and what a follower
//! and the leader say to each other.
//!
//! Not here: what operations do. Must always hold: every variant has a row, see [`variants`].

use super::{Case, Row, variants};
use crate::codec::{self, Blob};
use crate::meta::cluster::{ClusterOp, Member, NodeCard};
use crate::meta::collection_op::{HashOp, SetOp};
use crate::meta::entry::{Entry, HandOver, OpId, Sealed};
use crate::meta::forward::{self, Answer};
use crate::meta::key_op::{KeyOp, StrOp};
use crate::meta::op::{Guard, Op, RecordOp, SystemOp};
use crate::meta::pin::LinkPin;
use crate::meta::stream::StreamId;
use crate::meta::stream_op::{Delivered, GroupOp, GroupStart, Keep, NewId, ReadFrom, StreamOp, Trim};

pub(super) fn cases() -> Vec<Case> {
    let records = record_operations().into_iter().map(|row| entry_row(row, Op::Record));
    let systems = system_operations().into_iter().map(|row| entry_row(row, Op::System));
    let guarded = |guard| Op::Atomic { guards: vec![guard], ops: Vec::new() };
    let guards = guards().into_iter().map(|row| entry_row(row, guarded));
    let groups = operations().into_iter().map(|row| entry_row(row, |op| op));
    let cluster =
        cluster_operations().into_iter().map(|row| entry_row(row, |op| Op::System(SystemOp::Cluster(op))));
    let streams = stream_operations().into_iter().chain(new_ids()).map(|row| entry_row(row, Op::Stream));
    let consumers = group_operations().into_iter().chain(starts()).map(|row| entry_row(row, Op::Group));
    let generic = streams.chain(consumers);
    let entries =
        records.chain(systems).chain(cluster).chain(guards).chain(groups).chain(generic).chain([two_nodes()]);
    let entries = entries.map(|row| Case::new(row, Entry::encode, Entry::decode));
    let answers = answers().into_iter().map(|row| Case::new(row, Answer::encode, Answer::decode));
    let request = Case::new(forwarded(), forward::request, forward::read);
    entries.chain(answers).chain([request]).collect()
}

/// A hand-over on its way to the leader.
fn forwarded() -> Row<Sealed> {
    let op = codec::encode(&Op::Record(RecordOp::Delete { id: id() }));
    let ops = Sealed::list(1, [op.as_slice()].into_iter());
    let id = OpId { node: 2, boot: 1_700_000_000_000, seq: 251 };
    ("forward-hand-over", "A hand-over that a follower forwards", Sealed { id, floor: 250, ops })
}

fn answers() -> Vec<Row<Answer>> {
    variants!(Answer:
        Answer::Committed { .. } => ("forward-committed", "Answer to a forwarded hand-over: committed",
            Answer::Committed { index: 251 }),
        Answer::NotLeader { .. } => ("forward-not-leader", "The same: not the leader, which is node 3",
            Answer::NotLeader { leader: Some(3) }),
        Answer::Busy => ("forward-busy", "The same: too much in flight", Answer::Busy),
        Answer::TooLarge { .. } => ("forward-too-large", "The same: too large",
            Answer::TooLarge { bytes: 65_537, limit: 65_536 }),
        Answer::NoSpace => ("forward-no-space", "The same: the disk is full", Answer::NoSpace),
        Answer::Unknown => ("forward-unknown", "The same: nobody knows", Answer::Unknown),
        Answer::Unreadable => ("forward-unreadable", "The same: the request cannot be read", Answer::Unreadable),
    )
}

/// The smallest entry around one operation.
fn entry_row<T>((name, intent, value): Row<T>, op: impl Fn(T) -> Op) -> Row<Entry> {
    let hand_over = HandOver { id: OpId { node: 1, boot: 2, seq: 3 }, floor: 2, ops: vec![op(value)] };
    let entry = Entry { feature_level: 1, stamp_ms: 1_700_000_000_000, hand_overs: vec![hand_over] };
    (name, intent, entry)
}

fn id() -> Blob {
    Blob::from("midhash256:abc")
}

fn operations() -> Vec<Row<Op>> {
    let nested = vec![Op::Record(RecordOp::Clear), Op::System(SystemOp::Tick)];
    let long =
        RecordOp::Put { id: id(), properties: vec![(Blob::from("plot"), Blob::from(vec![b'x'; 300]))] };
    let no_rules = SystemOp::SetRules { text: Blob::default(), naming: Vec::new() };
    variants!(Op:
        Op::Record(_) => ("entry-record", "An operation on a record, its value of 300 bytes", Op::Record(long)),
        Op::System(_) => ("entry-system", "An operation on the hidden keyspace: empty rules", Op::System(no_rules)),
        Op::Atomic { .. } => ("entry-atomic", "An entry with an atomic group without guards",
            Op::Atomic { guards: Vec::new(), ops: nested }),
        Op::Key(_) => ("entry-key", "An operation on a key of any type", Op::Key(KeyOp::Persist { key: id() })),
        Op::Str(_) => ("entry-str", "An operation on a string", Op::Str(StrOp::IncrBy { key: id(), by: -1 })),
        Op::Hash(_) => ("entry-hash", "An operation on a hash",
            Op::Hash(HashOp::Delete { key: id(), fields: vec![Blob::from("field")] })),
        Op::Set(_) => ("entry-set", "An operation on a set",
            Op::Set(SetOp::Add { key: id(), members: vec![Blob::from("member")] })),
        Op::Stream(_) => ("entry-stream", "An operation on a stream",
            Op::Stream(StreamOp::Delete { key: id(), ids: vec![ENTRY] })),
        Op::Group(_) => ("entry-group", "An operation on a consumer group",
            Op::Group(GroupOp::Destroy { key: id(), group: Blob::from("group") })),
        Op::Once { .. } => ("entry-once", "A request with a key: one operation",
            Op::Once { key: Blob::from("key"), request: [7; 16], ops: vec![Op::System(SystemOp::Tick)] }),
        Op::Look { .. } => ("entry-look", "A mark at which a node reads", Op::Look { ticket: 300, part: 2 }),
    )
}

fn record_operations() -> Vec<Row<RecordOp>> {
    let text = |text: &'static str| Blob::from(text);
    let pairs = vec![
        (text("title"), text("Face/Off")),
        (text("empty"), text("")),
        (text("bytes"), Blob::from(vec![0xff, 0x00])),
    ];
    variants!(RecordOp:
        RecordOp::Put { .. } => ("entry-record-put", "Properties written: a text, an empty value, bytes that are no text",
            RecordOp::Put { id: id(), properties: pairs }),
        RecordOp::Remove { .. } => ("entry-record-remove", "Two properties deleted",
            RecordOp::Remove { id: id(), properties: vec![text("title"), text("titles/eng")] }),
        RecordOp::Delete { .. } => ("entry-record-delete", "A record deleted", RecordOp::Delete { id: id() }),
        RecordOp::AddMember { .. } => ("entry-record-add-member", "A member added to a set property",
            RecordOp::AddMember { id: id(), property: text("genres"), member: text("Drama") }),
        RecordOp::List { .. } => ("entry-record-list", "A record put into the index", RecordOp::List { id: id() }),
        RecordOp::Unlist { .. } => ("entry-record-unlist", "A record taken out of the index", RecordOp::Unlist { id: id() }),
        RecordOp::Clear => ("entry-record-clear", "Every record deleted", RecordOp::Clear),
        RecordOp::Pin { .. } => ("entry-record-pin", "A file kept where it is: two links, one in another spelling of its folder",
            RecordOp::Pin { id: id(), order: 300, rules: 2, links: vec![
                LinkPin { folder: "Movies/Anime".to_owned(), candidate: 0 },
                LinkPin { folder: String::new(), candidate: 251 },
            ] }),
    )
}

fn system_operations() -> Vec<Row<SystemOp>> {
    let naming = vec![Blob::from("filePath"), Blob::from("title")];
    variants!(SystemOp:
        SystemOp::SetRules { .. } => ("entry-system-set-rules", "Naming rules set, with the properties that they name by",
            SystemOp::SetRules { text: Blob::from("[[view]]"), naming }),
        SystemOp::Tick => ("entry-system-tick", "The log's time moved", SystemOp::Tick),
        SystemOp::SetFeatureLevel { .. } => ("entry-system-feature-level", "The feature level raised",
            SystemOp::SetFeatureLevel { level: 2 }),
        SystemOp::Cluster(_) => ("entry-system-cluster", "A change of the book of members: a node removed",
            SystemOp::Cluster(ClusterOp::Remove { id: 251 })),
    )
}

fn cluster_operations() -> Vec<Row<ClusterOp>> {
    let member = member();
    let cluster_id = String::from("0123456789abcdef0123456789abcdef");
    variants!(ClusterOp:
        ClusterOp::Found { .. } => ("entry-cluster-found", "A cluster founded with one member",
            ClusterOp::Found { cluster_id, members: vec![member.clone()] }),
        ClusterOp::Admit { .. } => ("entry-cluster-admit", "A node asks for an id",
            ClusterOp::Admit { card: member.card.clone() }),
        ClusterOp::Announce { .. } => ("entry-cluster-announce", "A member tells where it is",
            ClusterOp::Announce { member: member.clone() }),
        ClusterOp::Move { .. } => ("entry-cluster-move", "A member is where another one was", ClusterOp::Move { member }),
        ClusterOp::Remove { .. } => ("entry-cluster-remove", "A node removed", ClusterOp::Remove { id: 3 }),
    )
}

/// A member, each of its parts with a value of its own.
pub(super) fn member() -> Member {
    let card = NodeCard {
        name: "nas".into(),
        incarnation: 0x0102_0304_0506_0708,
        peer: "10.0.0.1:9001".into(),
        http: "10.0.0.1:9000".into(),
        resp: "10.0.0.1:6379".into(),
        feature_min: 1,
        feature_max: 2,
    };
    Member { id: 251, card }
}

fn guards() -> Vec<Row<Guard>> {
    variants!(Guard:
        Guard::RecordAbsent { .. } => ("entry-guard-record-absent", "The condition that a record is not there",
            Guard::RecordAbsent { id: id() }),
        Guard::RecordVersion { .. } => ("entry-guard-record-version", "The condition that a record has one of two versions",
            Guard::RecordVersion { id: id(), versions: vec![250, 251] }),
        Guard::KeyVersion { .. } => ("entry-guard-key-version", "The condition that a key has one version",
            Guard::KeyVersion { key: id(), version: 251 }),
        Guard::NoRules => ("entry-guard-no-rules", "The condition that no rules were ever set", Guard::NoRules),
        Guard::RecordPresent { .. } => ("entry-guard-record-present", "The condition that a record is there",
            Guard::RecordPresent { id: id() }),
    )
}

const ENTRY: StreamId = StreamId { ms: 1_700_000_000_000, seq: 3 };

fn stream_operations() -> Vec<Row<StreamOp>> {
    let fields = vec![(Blob::from("name"), Blob::from("value")), (Blob::from("name"), Blob::from(""))];
    let trim = Trim { keep: Keep::From(ENTRY), limit: Some(251) };
    variants!(StreamOp:
        StreamOp::Add { .. } => ("entry-stream-add", "An entry added, its id from the log's time, then trimmed",
            StreamOp::Add { key: id(), id: NewId::Auto, fields, create: true, trim: Some(trim) }),
        StreamOp::Trim { .. } => ("entry-stream-trim", "A stream trimmed to its last 1,000 entries",
            StreamOp::Trim { key: id(), trim: Trim { keep: Keep::Last(1_000), limit: None } }),
        StreamOp::Delete { .. } => ("entry-stream-delete", "An entry deleted",
            StreamOp::Delete { key: id(), ids: vec![ENTRY] }),
        StreamOp::SetId { .. } => ("entry-stream-set-id", "A stream's last id and its other numbers set",
            StreamOp::SetId { key: id(), last: ENTRY, added: Some(7), max_deleted: Some(StreamId { ms: 1, seq: 2 }) }),
    )
}

fn new_ids() -> Vec<Row<StreamOp>> {
    let add =
        |id: NewId| StreamOp::Add { key: self::id(), id, fields: Vec::new(), create: false, trim: None };
    let rows = variants!(NewId:
        NewId::Auto => ("entry-stream-id-auto", "An entry with an id from the log's time", NewId::Auto),
        NewId::AutoSeq(_) => ("entry-stream-id-seq", "An entry with given milliseconds", NewId::AutoSeq(ENTRY.ms)),
        NewId::Exact(_) => ("entry-stream-id-exact", "An entry with a given id", NewId::Exact(ENTRY)),
    );
    rows.into_iter().map(|(name, intent, id)| (name, intent, add(id))).collect()
}

fn group_operations() -> Vec<Row<GroupOp>> {
    let (key, group, consumer) = (id(), Blob::from("group"), Blob::from("consumer"));
    let streams = vec![(id(), ReadFrom::New), (Blob::from("k"), ReadFrom::Pending(ENTRY))];
    variants!(GroupOp:
        GroupOp::Create { .. } => ("entry-group-create", "A group made, with the stream",
            GroupOp::Create { key: key.clone(), group: group.clone(), start: GroupStart::Last, read: Some(7), create: true }),
        GroupOp::Destroy { .. } => ("entry-group-destroy", "A group destroyed",
            GroupOp::Destroy { key: key.clone(), group: group.clone() }),
        GroupOp::SetId { .. } => ("entry-group-set-id", "A group's last delivered id set",
            GroupOp::SetId { key: key.clone(), group: group.clone(), start: GroupStart::After(ENTRY), read: None }),
        GroupOp::CreateConsumer { .. } => ("entry-group-create-consumer", "A consumer made",
            GroupOp::CreateConsumer { key: key.clone(), group: group.clone(), consumer: consumer.clone() }),
        GroupOp::DeleteConsumer { .. } => ("entry-group-delete-consumer", "A consumer deleted",
            GroupOp::DeleteConsumer { key: key.clone(), group: group.clone(), consumer: consumer.clone() }),
        GroupOp::Read { .. } => ("entry-group-read", "New entries of one stream and pending ones of another read",
            GroupOp::Read { group: group.clone(), consumer: consumer.clone(), streams, count: Some(10), no_ack: true }),
        GroupOp::Ack { .. } => ("entry-group-ack", "An entry acknowledged",
            GroupOp::Ack { key: key.clone(), group: group.clone(), ids: vec![ENTRY] }),
        GroupOp::Claim { .. } => ("entry-group-claim", "An entry claimed, every option given",
            GroupOp::Claim { key: key.clone(), group: group.clone(), consumer: consumer.clone(), min_idle_ms: 300,
                ids: vec![ENTRY], delivered: Delivered::Ago(5), deliveries: Some(2), force: true, just_ids: true,
                last: Some(ENTRY) }),
        GroupOp::AutoClaim { .. } => ("entry-group-auto-claim", "Entries claimed from an id on",
            GroupOp::AutoClaim { key, group, consumer, min_idle_ms: 300, start: ENTRY, count: 100, just_ids: false }),
    )
}

fn starts() -> Vec<Row<GroupOp>> {
    let claim = |delivered| GroupOp::Claim {
        key: id(),
        group: Blob::from("g"),
        consumer: Blob::from("c"),
        min_idle_ms: 0,
        ids: Vec::new(),
        delivered,
        deliveries: None,
        force: false,
        just_ids: false,
        last: None,
    };
    let rows = variants!(Delivered:
        Delivered::Now => ("entry-group-claim-now", "A claim, delivered now", Delivered::Now),
        Delivered::At(_) => ("entry-group-claim-at", "A claim, delivered at a moment", Delivered::At(ENTRY.ms)),
        Delivered::Ago(_) => ("entry-group-claim-ago", "A claim, delivered some time ago", Delivered::Ago(5)),
    );
    rows.into_iter().map(|(name, intent, delivered)| (name, intent, claim(delivered))).collect()
}

/// Numbers on both sides of every step of the variable-length encoding.
fn two_nodes() -> Row<Entry> {
    let hand_over =
        |node, boot, seq, floor| HandOver { id: OpId { node, boot, seq }, floor, ops: Vec::new() };
    let hand_overs = vec![
        hand_over(250, 251, 65_535, 0),
        hand_over(65_536, u64::from(u32::MAX), u64::from(u32::MAX) + 1, u64::MAX),
    ];
    let entry = Entry { feature_level: u32::MAX, stamp_ms: 0, hand_overs };
    ("entry-numbers", "Two hand-overs without operations, their numbers at the edges of the encoding", entry)
}
