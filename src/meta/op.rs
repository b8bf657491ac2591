//! Operations: what may be replicated.
//!
//! Not here: how they change the state (`apply`), which protocol they came from (doors).
//! Must always hold: variants are only appended, because their numbers are in every log on disk; whatever depends on
//! time or chance takes it from the entry; a malformed request never becomes an operation.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::cluster::ClusterOp;
use super::collection_op::{HashOp, SetOp};
use super::key_op::{KeyOp, StrOp};
use super::once::RequestHash;
use super::pin::LinkPin;
use super::stream_op::{GroupOp, StreamOp};
use crate::codec::Blob;

/// One operation, applied atomically.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum Op {
    /// A change of file metadata.
    Record(RecordOp),
    /// A change of the hidden keyspace.
    System(SystemOp),
    /// Several operations as one step, if every guard holds.
    Atomic {
        /// What must be true before the first operation.
        guards: Vec<Guard>,
        /// Applied in order; a rejected one does not stop the others (as in MULTI).
        ops: Vec<Op>,
    },
    /// A change of generic keys of any type.
    Key(KeyOp),
    /// A change of strings.
    Str(StrOp),
    /// A change of hashes.
    Hash(HashOp),
    /// A change of sets.
    Set(SetOp),
    /// A change of streams.
    Stream(StreamOp),
    /// A change of streams' consumer groups.
    Group(GroupOp),
    /// Operations of a request with a key: applied as one step the first time, answered from what is kept later.
    Once {
        /// What the client calls the request, behind its door's prefix.
        key: Blob,
        /// Which request it is.
        request: RequestHash,
        /// Applied in order; a rejected one does not stop the others.
        ops: Vec<Op>,
    },
    /// Nothing: a mark at which the node that waits for it reads the state, see [`super::lookers`]. Answers `Done`.
    Look {
        /// Whose mark it is.
        ticket: u64,
        /// Number of the mark.
        part: u32,
    },
}

/// Operations on records (files).
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum RecordOp {
    /// Writes properties; those not named stay. One `set` event each, also when the value is unchanged.
    Put {
        /// hashId of the file.
        id: Blob,
        /// Name and value; a name given twice takes the last value.
        properties: Vec<(Blob, Blob)>,
    },
    /// Deletes single properties. One `del` event for each that was there.
    Remove {
        /// hashId of the file.
        id: Blob,
        /// Names of the properties.
        properties: Vec<Blob>,
    },
    /// Deletes a record with all its properties: `del` of `filePath` first, then of the others by name.
    Delete {
        /// hashId of the file.
        id: Blob,
    },
    /// Adds a member to a `|`-separated set property, keeping insertion order.
    AddMember {
        /// hashId of the file.
        id: Blob,
        /// Name of the property.
        property: Blob,
        /// The member; an empty one is refused at the door.
        member: Blob,
    },
    /// Lists a record in `file:__index__` though it has no property, or lists it again.
    List {
        /// hashId of the file.
        id: Blob,
    },
    /// Takes a record out of `file:__index__` without deleting it.
    Unlist {
        /// hashId of the file.
        id: Blob,
    },
    /// Deletes every record and the events' history. Event ids go on from where they are.
    Clear,
    /// Keeps a file where the tree has it, see [`super::pin`]. No event, and no change for clients. Refused when the
    /// naming order or the rules have moved on.
    Pin {
        /// hashId of the file.
        id: Blob,
        /// The naming order under which the tree placed it.
        order: u64,
        /// Version of the rules under which the tree placed it.
        rules: u64,
        /// Where its links are; an empty folder leaves what an earlier pin says.
        links: Vec<LinkPin>,
    },
}

/// Operations on the hidden keyspace: no Redis command reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum SystemOp {
    /// Replaces the naming rules.
    SetRules {
        /// The rules' text, TOML or JSON, checked by the proposer.
        text: Blob,
        /// The properties that can change a path under these rules, sorted: apply must know them to keep naming orders
        /// (design D12), and it must not evaluate rules.
        naming: Vec<Blob>,
    },
    /// Moves the log's time and removes what expired, when nothing else does.
    Tick,
    /// Raises the feature level; entries of a higher level may follow.
    SetFeatureLevel {
        /// The new level; lower than the present one is rejected.
        level: u32,
    },
    /// A change of the cluster's book of members.
    Cluster(ClusterOp),
}

/// A condition of [`Op::Atomic`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum Guard {
    /// The record is not there (HTTP `If-None-Match: *`).
    RecordAbsent {
        /// hashId of the file.
        id: Blob,
    },
    /// The record's modification index is one of these (HTTP `If-Match`).
    RecordVersion {
        /// hashId of the file.
        id: Blob,
        /// Acceptable modification indexes.
        versions: Vec<u64>,
    },
    /// The generic key's modification index is this one (WATCH).
    KeyVersion {
        /// The key.
        key: Blob,
        /// The modification index; 0 means that the key is absent.
        version: u64,
    },
    /// No naming rules were ever set.
    NoRules,
    /// The record is there, whatever its version (HTTP `If-Match: *`).
    RecordPresent {
        /// hashId of the file.
        id: Blob,
    },
}

impl Op {
    /// Bytes that the operation takes in a log entry, roughly and never much too low: the intake packs by it.
    pub fn weight(&self) -> usize {
        const EACH: usize = 16;
        match self {
            Op::Record(op) => op.weight() + EACH,
            Op::Key(op) => op.weight() + EACH,
            Op::Str(op) => op.weight() + EACH,
            Op::Hash(op) => op.weight() + EACH,
            Op::Set(op) => op.weight() + EACH,
            Op::Stream(op) => op.weight() + EACH,
            Op::Group(op) => op.weight() + EACH,
            Op::Look { .. } => EACH,
            Op::Once { key, ops, .. } => key.len() + ops.iter().map(Op::weight).sum::<usize>() + 3 * EACH,
            Op::System(SystemOp::SetRules { text, naming }) => {
                text.len() + naming.iter().map(|n| n.len() + EACH).sum::<usize>() + EACH
            }
            Op::System(SystemOp::Cluster(op)) => op.weight() + EACH,
            Op::System(SystemOp::Tick | SystemOp::SetFeatureLevel { .. }) => EACH,
            Op::Atomic { guards, ops } => {
                let guard = |g: &Guard| match g {
                    Guard::RecordAbsent { id } | Guard::RecordPresent { id } => id.len() + EACH,
                    Guard::RecordVersion { id, versions } => id.len() + versions.len() * 9 + EACH,
                    Guard::KeyVersion { key, .. } => key.len() + EACH,
                    Guard::NoRules => EACH,
                };
                guards.iter().map(guard).sum::<usize>() + ops.iter().map(Op::weight).sum::<usize>() + EACH
            }
        }
    }
}

impl RecordOp {
    fn weight(&self) -> usize {
        const EACH: usize = 6;
        match self {
            RecordOp::Put { id, properties } => {
                id.len() + properties.iter().map(|(n, v)| n.len() + v.len() + EACH).sum::<usize>()
            }
            RecordOp::Remove { id, properties } => {
                id.len() + properties.iter().map(|n| n.len() + EACH).sum::<usize>()
            }
            RecordOp::AddMember { id, property, member } => id.len() + property.len() + member.len() + EACH,
            RecordOp::Delete { id } | RecordOp::List { id } | RecordOp::Unlist { id } => id.len(),
            RecordOp::Clear => 0,
            RecordOp::Pin { id, links, .. } => {
                id.len() + links.iter().map(|l| l.folder.len() + EACH).sum::<usize>() + 3 * EACH
            }
        }
    }
}
