//! A consumer group on its way through one operation.
//!
//! Not here: what the operations mean (`delivery`), where entries come from: an owner's object and ids are all that is
//! known here, so that `meta:events` can have groups too.
//! Must always hold: a pending entry is in the group's list and in that of one consumer; the numbers in groups and
//! consumers are those of what lies below them; close it to keep what was changed.

use std::collections::BTreeMap;

use bytes::Bytes;
use metad_raft::Fatal;

use super::keyspace;
use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::group::{self, ConsumerState, GroupState, Pending};
use crate::meta::layout;
use crate::meta::stream::StreamId;

/// An open group.
pub struct Group {
    key: Bytes,
    generation: u32,
    /// Its numbers.
    pub state: GroupState,
    /// Consumers that were looked at.
    consumers: BTreeMap<Bytes, ConsumerState>,
}

impl Group {
    /// The group `name` of an owner's object.
    pub fn find(tx: &Tx<'_>, owner: u64, name: &[u8]) -> Result<Option<Self>, Fatal> {
        let generation = tx.core.counters.generation;
        let key = layout::group(generation, owner, name);
        let found = group::find(tx, generation, owner, name)?;
        Ok(found.map(|state| Self { key, generation, state, consumers: BTreeMap::new() }))
    }

    /// Makes a group that was not there.
    pub fn create(
        tx: &mut Tx<'_>,
        owner: u64,
        name: &[u8],
        last: StreamId,
        read: Option<u64>,
    ) -> Result<(), Fatal> {
        let object = keyspace::new_object(tx);
        let state = GroupState { last, read, pending: 0, consumers: 0, object };
        let key = layout::group(tx.core.counters.generation, owner, name);
        keyspace::put_element(tx, key, Some(group::encode(&state)))?;
        Ok(())
    }

    /// Removes the group; what lies below it is swept away later.
    pub fn destroy(self, tx: &mut Tx<'_>) -> Result<(), Fatal> {
        keyspace::put_element(tx, self.key, None)?;
        keyspace::doom(tx, self.state.object)
    }

    /// Settles the group and its consumers.
    pub fn close(self, tx: &mut Tx<'_>) -> Result<(), Fatal> {
        for (name, state) in &self.consumers {
            let key = layout::consumer(self.generation, self.state.object, name);
            keyspace::put_element(tx, key, Some(group::encode(state)))?;
        }
        keyspace::put_element(tx, self.key, Some(group::encode(&self.state)))?;
        Ok(())
    }

    /// A consumer as of now.
    pub fn consumer(&mut self, tx: &Tx<'_>, name: &Bytes) -> Result<Option<&mut ConsumerState>, Fatal> {
        if !self.consumers.contains_key(name) {
            let Some(state) = group::consumer(tx, self.generation, self.state.object, name)? else {
                return Ok(None);
            };
            self.consumers.insert(name.clone(), state);
        }
        Ok(self.consumers.get_mut(name))
    }

    /// Makes a consumer unless it is there; answers whether it is new.
    pub fn ensure_consumer(&mut self, tx: &Tx<'_>, name: &Bytes) -> Result<bool, Fatal> {
        if self.consumer(tx, name)?.is_some() {
            return Ok(false);
        }
        let seen_ms = tx.core.counters.now_ms;
        let state = ConsumerState { seen_ms, active_ms: None, pending: 0 };
        self.consumers.insert(name.clone(), state);
        self.state.consumers += 1;
        Ok(true)
    }

    /// Notes that a consumer was heard of, and makes it when it is new.
    pub fn hear_of(&mut self, tx: &Tx<'_>, name: &Bytes) -> Result<(), Fatal> {
        self.ensure_consumer(tx, name)?;
        let now_ms = tx.core.counters.now_ms;
        self.consumers.entry(name.clone()).and_modify(|consumer| consumer.seen_ms = now_ms);
        Ok(())
    }

    /// Notes that a consumer was given something. It was heard of before.
    pub fn give(&mut self, tx: &Tx<'_>, name: &Bytes) {
        let now_ms = tx.core.counters.now_ms;
        self.consumers.entry(name.clone()).and_modify(|consumer| consumer.active_ms = Some(now_ms));
    }

    /// Removes a consumer and what is pending for it.
    pub fn delete_consumer(&mut self, tx: &mut Tx<'_>, name: &Bytes) -> Result<(), Fatal> {
        let object = self.state.object;
        loop {
            let from = StreamId::default();
            let ids = group::pending_ids(tx, self.generation, object, name, from, limits::SCAN_PAGE_KEYS)?;
            if ids.is_empty() {
                break;
            }
            for id in ids {
                self.release(tx, id, name)?;
            }
        }
        let key = layout::consumer(self.generation, object, name);
        self.consumers.remove(name);
        self.state.consumers -= u64::from(keyspace::put_element(tx, key, None)?);
        Ok(())
    }

    /// A pending entry.
    pub fn pending(&self, tx: &Tx<'_>, id: StreamId) -> Result<Option<Pending>, Fatal> {
        group::pending(tx, self.generation, self.state.object, id)
    }

    /// Makes an entry pending for a consumer that is there, whoever had it.
    pub fn assign(
        &mut self,
        tx: &mut Tx<'_>,
        id: StreamId,
        name: &Bytes,
        delivered_ms: u64,
        deliveries: u64,
    ) -> Result<(), Fatal> {
        let (generation, object) = (self.generation, self.state.object);
        let old = self.pending(tx, id)?;
        if old.as_ref().is_none_or(|old| old.consumer.0 != *name) {
            if let Some(old) = old {
                self.release(tx, id, &old.consumer.0)?;
            }
            keyspace::put_element(tx, layout::pending_of(generation, object, name, id), Some(Bytes::new()))?;
            self.state.pending += 1;
            self.consumer(tx, name)?.ok_or_else(missing)?.pending += 1;
        }
        let pending = Pending { consumer: Blob(name.clone()), delivered_ms, deliveries };
        let key = layout::pending(generation, object, id);
        keyspace::put_element(tx, key, Some(group::encode(&pending)))?;
        Ok(())
    }

    /// Forgets that an entry is pending for a consumer.
    pub fn release(&mut self, tx: &mut Tx<'_>, id: StreamId, name: &Bytes) -> Result<(), Fatal> {
        let (generation, object) = (self.generation, self.state.object);
        keyspace::put_element(tx, layout::pending(generation, object, id), None)?;
        keyspace::put_element(tx, layout::pending_of(generation, object, name, id), None)?;
        self.state.pending -= 1;
        self.consumer(tx, name)?.ok_or_else(missing)?.pending -= 1;
        Ok(())
    }

    /// Ids of at most `limit` entries that are pending for a consumer, from an id on.
    pub fn pending_ids(
        &self,
        tx: &Tx<'_>,
        name: &Bytes,
        from: StreamId,
        limit: usize,
    ) -> Result<Vec<StreamId>, Fatal> {
        group::pending_ids(tx, self.generation, self.state.object, name, from, limit)
    }

    /// At most `limit` pending entries from an id on.
    pub fn pending_from(
        &self,
        tx: &Tx<'_>,
        from: StreamId,
        limit: usize,
    ) -> Result<Vec<(StreamId, Pending)>, Fatal> {
        group::pending_from(tx, self.generation, self.state.object, from, limit)
    }
}

fn missing() -> Fatal {
    Fatal::new("an entry is pending for a consumer that is not there")
}
