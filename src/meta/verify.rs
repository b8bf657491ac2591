//! Verification at start: whether a store's content has the hash of its checkpoint, in one scan.
//!
//! The filesystem needs the same scan, and it costs seconds for a million records. So a [`Witness`] sees each record
//! while it is hashed (design D3).
//!
//! Not here: what happens to a store that does not match (`machine`).
//! Must always hold: a witness is told that what it saw is true only after the whole content was found to match.

use bytes::Bytes;
use metad_raft::Fatal;

use super::apply::tx::decode_counters;
use super::counters::Counters;
use super::hash::StateHash;
use super::layout;
use super::rules::StoredRules;
use super::service::RulesView;
use super::snapshot;
use super::state::Head;
use super::store::StateStore;
use super::view::successor;
use super::write_behind::Checkpoint;
use crate::limits;

/// Sees the records of a store while they are verified. Called on one thread, in the order of the methods.
pub trait Witness {
    /// Before any record: the rules in force and the log's time.
    fn begin(&mut self, rules: RulesView, now_ms: u64);

    /// The next records: ids and stored forms, tombstones included. Not yet known to be true.
    fn records(&mut self, page: Vec<(Bytes, Bytes)>);

    /// What was seen is exactly the state at the log index `index`. Never called when it is not.
    fn verified(&mut self, index: u64);
}

/// A witness that looks away.
pub struct Nobody;

impl Witness for Nobody {
    fn begin(&mut self, _rules: RulesView, _now_ms: u64) {}

    fn records(&mut self, _page: Vec<(Bytes, Bytes)>) {}

    fn verified(&mut self, _index: u64) {}
}

/// The head that a store's checkpoint claims, once its content has been found to match.
pub(super) fn verified(store: &dyn StateStore, witness: &mut dyn Witness) -> Result<Head, Fatal> {
    let Some(stored) = store.get(layout::CHECKPOINT)? else {
        return match store.scan(&[], &[0xff], 1)?.is_empty() {
            true => Ok(Head::default()),
            false => Err(Fatal::new("the store has content and no checkpoint")),
        };
    };
    let checkpoint = Checkpoint::decode(&stored).map_err(|e| Fatal::with("decode the checkpoint", e))?;
    let (system, user) = content_hash(store, witness)?;
    if (system, user) != (checkpoint.system_hash(), checkpoint.user_hash()) {
        return Err(Fatal::new("the content does not have the hash of its checkpoint"));
    }
    let applied = checkpoint.applied();
    witness.verified(applied.index);
    Ok(Head { applied, system_hash: system, user_hash: user, ..Head::default() })
}

fn content_hash(store: &dyn StateStore, witness: &mut dyn Witness) -> Result<(StateHash, StateHash), Fatal> {
    let counters = match store.get(layout::COUNTERS)? {
        Some(stored) => decode_counters(&stored)?,
        None => Counters::default(),
    };
    witness.begin(rules(store)?, counters.now_ms);
    let (mut system, mut user) = (StateHash::default(), StateHash::default());
    let mut from = Bytes::new();
    loop {
        let mut page = store.scan(&from, &[0xff], limits::SCAN_PAGE_KEYS)?;
        let Some((last, _)) = page.last() else { return Ok((system, user)) };
        from = successor(last);
        page.retain(|(key, _)| layout::is_content(key, counters.generation));
        snapshot::hash_of(&page, &mut system, &mut user);
        let records = page.into_iter().filter_map(|(key, stored)| Some((layout::record_id(&key)?, stored)));
        witness.records(records.collect());
    }
}

fn rules(store: &dyn StateStore) -> Result<RulesView, Fatal> {
    let Some(stored) = store.get(layout::RULES)? else { return Ok(RulesView::default()) };
    let rules = StoredRules::decode(&stored).map_err(|e| Fatal::with("decode the rules", e))?;
    Ok(RulesView { text: Some(rules.text.0), version: rules.version })
}
