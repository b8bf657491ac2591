//! The types that openraft is filled in with, and how they map to the journal's own.
//!
//! Not here: behaviour. Must always hold: nobody outside this folder spells a type of openraft, and none is ever stored;
//! what is stored are the journal's types.

// Named only so that the manifest can pin them: openraft's own range on its siblings would let two alphas mix.
use openraft_macros as _;
use openraft_rt as _;
use openraft_rt_tokio as _;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use openraft::vote::RaftLeaderId;
use openraft::{EmptyNode, EntryPayload, RaftTypeConfig};

use crate::codec::{CodecError, Fields};
use crate::journal::record::{self, Payload, PayloadKind};

/// A proposal on its way through openraft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ops(pub Bytes);

impl fmt::Display for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

openraft::declare_raft_types!(
    /// Our openraft: node ids are numbers, membership holds ids only, an answer is the applied index.
    pub(crate) TypeConfig: D = Ops, R = u64, NodeId = u64, Node = EmptyNode
);

pub(crate) type LeaderId = <TypeConfig as RaftTypeConfig>::LeaderId;
pub(crate) type LogId = openraft::LogId<LeaderId>;
pub(crate) type Vote = openraft::Vote<LeaderId>;
pub(crate) type Membership = openraft::Membership<u64, EmptyNode>;
pub(crate) type StoredMembership = openraft::StoredMembership<LeaderId, u64, EmptyNode>;
pub(crate) type Entry = openraft::Entry<LeaderId, EntryPayload<Ops, u64, EmptyNode>>;
pub(crate) type SnapshotMeta = openraft::storage::SnapshotMeta<LeaderId, u64, EmptyNode>;

/// The journal's name of an entry.
pub(crate) fn to_journal(id: &LogId) -> record::LogId {
    record::LogId { term: id.leader_id.term, node: id.leader_id.node_id, index: id.index }
}

/// openraft's name of an entry.
pub(crate) fn from_journal(id: &record::LogId) -> LogId {
    LogId { leader_id: LeaderId::new(id.term, id.node), index: id.index }
}

/// The journal's vote.
pub(crate) fn vote_to_journal(vote: &Vote) -> record::Vote {
    record::Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

/// openraft's vote.
pub(crate) fn vote_from_journal(vote: &record::Vote) -> Vote {
    Vote { leader_id: LeaderId::new(vote.term, vote.node), committed: vote.committed }
}

/// What the journal stores of an entry.
pub(crate) fn payload_to_journal(payload: EntryPayload<Ops, u64, EmptyNode>) -> Payload {
    match payload {
        EntryPayload::Blank => Payload { kind: PayloadKind::Blank, body: Bytes::new() },
        EntryPayload::Normal(ops) => Payload { kind: PayloadKind::Ops, body: ops.0 },
        EntryPayload::Membership(m) => {
            let mut body = Vec::new();
            encode_membership(&m, &mut body);
            Payload { kind: PayloadKind::Membership, body: Bytes::from(body) }
        }
    }
}

/// An entry as openraft wants it.
pub(crate) fn entry_from_journal(id: &record::LogId, payload: Payload) -> Result<Entry, CodecError> {
    let payload = match payload.kind {
        PayloadKind::Blank => EntryPayload::Blank,
        PayloadKind::Ops => EntryPayload::Normal(Ops(payload.body)),
        PayloadKind::Membership => {
            let mut fields = Fields::new(&payload.body);
            let membership = decode_membership(&mut fields)?;
            fields.end()?;
            EntryPayload::Membership(membership)
        }
    };
    Ok(Entry { log_id: from_journal(id), payload })
}

/// `configs u32 | { ids u32 | id u64 … } … | nodes u32 | id u64 …`, all little-endian.
pub(crate) fn encode_membership(membership: &Membership, out: &mut Vec<u8>) {
    let ids = |out: &mut Vec<u8>, ids: &mut dyn ExactSizeIterator<Item = u64>| {
        out.extend_from_slice(&u32::try_from(ids.len()).expect("clusters are small").to_le_bytes());
        ids.for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    };
    let configs = membership.get_joint_config();
    out.extend_from_slice(&u32::try_from(configs.len()).expect("at most two").to_le_bytes());
    for config in configs {
        ids(out, &mut config.iter().copied());
    }
    let nodes: Vec<u64> = membership.nodes().map(|(id, _)| *id).collect();
    ids(out, &mut nodes.into_iter());
}

/// The reverse of [`encode_membership`].
pub(crate) fn decode_membership(fields: &mut Fields<'_>) -> Result<Membership, CodecError> {
    fn ids(fields: &mut Fields<'_>) -> Result<Vec<u64>, CodecError> {
        (0..fields.u32()?).map(|_| fields.u64()).collect()
    }
    let configs = (0..fields.u32()?)
        .map(|_| Ok(ids(fields)?.into_iter().collect::<BTreeSet<u64>>()))
        .collect::<Result<Vec<_>, CodecError>>()?;
    let nodes: BTreeMap<u64, EmptyNode> = ids(fields)?.into_iter().map(|id| (id, EmptyNode {})).collect();
    Membership::new(configs, nodes).map_err(|_| CodecError::Malformed("a membership that cannot be"))
}
