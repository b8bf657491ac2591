//! Apply: what a log entry does to the state. Pure.
//!
//! ```text
//! entry ─► time moves on ─► each hand-over once (session) ─► each operation ─► responses
//!                                                                └─► events, changed records
//! ```
//!
//! Not here: disks, locks, waiting callers (`machine`), the clock (the entry carries the leader's).
//! Must always hold: the same entries give the same state, responses and events on every node, however they were cut
//! into chunks; an error here is a fault of this node (a store that lies, an entry of a newer version), never a
//! client's mistake.

pub mod cluster;
pub mod collection;
pub mod delivery;
pub mod files;
pub mod group;
pub mod group_op;
pub mod hash;
pub mod key;
pub mod keyspace;
pub mod once;
pub mod record;
pub mod set;
pub mod stream;
pub mod text;
pub mod tx;

use bytes::Bytes;
use metad_raft::Fatal;

use self::tx::Tx;
use super::entry::{Entry, HandOver, NewerEntry, OpId};
use super::feed::ChangeSet;
use super::op::{Guard, Op, SystemOp};
use super::response::{Reject, Response};
use super::rules::StoredRules;
use super::session::Verdict;
use super::waiters::Fate;

/// What an entry did, for those who wait for it or follow the log.
#[derive(Debug)]
pub struct Effects {
    /// For followers.
    pub changes: ChangeSet,
    /// For the doors that handed over: what became of each hand-over.
    pub replies: Vec<(OpId, Fate)>,
}

/// Why an entry was not applied. Either stops this node.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// It is of a newer version.
    #[error(transparent)]
    Newer(#[from] NewerEntry),
    /// A fault of this node.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// Applies one log entry, on a node that knows feature levels up to `known`.
pub fn apply(tx: &mut Tx<'_>, index: u64, payload: &Bytes, known: u32) -> Result<Effects, Stop> {
    let entry = Entry::decode_at(known, payload)
        .map_err(|e| Fatal::with(format!("decode log entry {index}"), e))?
        .map_err(|needs| NewerEntry { index, needs, known })?;
    tx.begin(index, entry.stamp_ms);
    keyspace::expire_due(tx)?;
    let mut replies = Vec::with_capacity(entry.hand_overs.len());
    for hand_over in entry.hand_overs {
        replies.push(hand_over_once(tx, hand_over)?);
    }
    keyspace::sweep(tx)?;
    let changes = tx.finish()?;
    Ok(Effects { changes, replies })
}

/// Applies a hand-over unless its session has seen it, or has not seen the one before it.
fn hand_over_once(tx: &mut Tx<'_>, hand_over: HandOver) -> Result<(OpId, Fate), Fatal> {
    let HandOver { id, floor, ops } = hand_over;
    let fate = match tx.session(id.node)?.admit(id, floor) {
        Verdict::Stale => Fate::Stale,
        Verdict::Gap => Fate::Gap,
        Verdict::Settled => Fate::Settled,
        Verdict::Repeated(replies) => Fate::Applied(replies),
        Verdict::New => {
            let responses = ops.into_iter().map(|op| operation(tx, op)).collect::<Result<Vec<_>, _>>()?;
            tx.session(id.node)?.remember(id.seq, &responses);
            Fate::Applied(Some(responses))
        }
    };
    Ok((id, fate))
}

fn operation(tx: &mut Tx<'_>, op: Op) -> Result<Response, Fatal> {
    match op {
        Op::Record(op) => record::apply(tx, op),
        Op::System(op) => system(tx, op),
        Op::Key(op) => files::key(tx, op),
        Op::Str(op) => files::text(tx, op),
        Op::Hash(op) => files::hash(tx, op),
        Op::Set(op) => files::set(tx, op),
        Op::Stream(op) => stream::apply(tx, op),
        Op::Group(op) => group_op::apply(tx, op),
        Op::Look { ticket, part } => {
            tx.look(ticket, part);
            Ok(Response::Done)
        }
        Op::Once { key, request, ops } => once::apply(tx, &key, request, ops),
        Op::Atomic { guards, ops } => {
            for guard in &guards {
                if !holds(tx, guard)? {
                    return Ok(Response::Rejected(Reject::Precondition));
                }
            }
            let responses = ops.into_iter().map(|op| operation(tx, op)).collect::<Result<_, _>>()?;
            Ok(Response::List(responses))
        }
    }
}

fn holds(tx: &mut Tx<'_>, guard: &Guard) -> Result<bool, Fatal> {
    let version = |tx: &mut Tx<'_>, id: &Bytes| -> Result<Option<u64>, Fatal> {
        let now_ms = tx.core.counters.now_ms;
        let record = tx.record(id)?;
        let live = record.properties.iter().any(|p| p.is_live(now_ms));
        Ok((live && !record.is_deleted()).then_some(record.header.mod_index))
    };
    Ok(match guard {
        Guard::RecordAbsent { id } => version(tx, &id.0)?.is_none(),
        Guard::RecordPresent { id } => version(tx, &id.0)?.is_some(),
        Guard::RecordVersion { id, versions } => version(tx, &id.0)?.is_some_and(|v| versions.contains(&v)),
        Guard::NoRules => tx.core.rules.version == 0,
        Guard::KeyVersion { key, version } => files::version(tx, key)? == *version,
    })
}

fn system(tx: &mut Tx<'_>, op: SystemOp) -> Result<Response, Fatal> {
    match op {
        SystemOp::SetRules { text, naming } => {
            // The same rules again move nothing: pins of this version stay good.
            if tx.core.rules.version != 0 && tx.core.rules.text == text && tx.core.rules.naming == naming {
                return Ok(Response::Done);
            }
            tx.set_rules(StoredRules { text, version: tx.index(), naming })?;
            Ok(Response::Done)
        }
        SystemOp::Cluster(op) => cluster::apply(tx, op),
        // Beginning the entry has moved the time already.
        SystemOp::Tick => Ok(Response::Done),
        SystemOp::SetFeatureLevel { level } => {
            let present = tx.core.counters.feature_level;
            // Nobody is asked where there is no book: a node alone knows what it can do.
            let cannot = tx.core.book.members.iter().find(|m| m.card.feature_max < level);
            if let Some(member) = cannot {
                let (id, max) = (member.id, member.card.feature_max);
                return Ok(Response::Rejected(Reject::FeatureUnknown { asked: level, id, max }));
            }
            if level < present {
                return Ok(Response::Rejected(Reject::FeatureLevel { asked: level, present }));
            }
            tx.core.counters.feature_level = level;
            Ok(Response::Done)
        }
    }
}
