//! A metadata service and a tree in memory, just true enough for the door's tests.
//!
//! Not here: promises about the real ones. Must always hold: no clock, no threads; equal scripts give equal answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use metad_raft::{Fut, Leader, Role, Status};
use parking_lot::Mutex;

use crate::meta::event::{Event, EventKind};
use crate::meta::feed::{ChangeSet, Feed, FeedReader};
use crate::meta::op::{Guard, Op, RecordOp, SystemOp};
use crate::meta::record::{EventId, Header, Property, Record, Value};
use crate::meta::response::{Reject, Response};
use crate::meta::service::{
    AppliedState, EventPage, MetadataService, Read, ReadOptions, RecordView, RulesView, ScanPage,
    ServiceError, StateTotals, StoredPage, WriteOptions, Written,
};

/// The log's time before the first entry.
pub const EPOCH_MS: u64 = 1_700_000_000_000;

#[derive(Default)]
struct State {
    records: BTreeMap<Bytes, (BTreeMap<Bytes, Bytes>, u64)>,
    events: Vec<Event>,
    index: u64,
    rules: Option<(Bytes, u64)>,
    /// What the next calls answer instead.
    failure: Option<ServiceError>,
    /// The number of the calls that see the failure.
    failures: usize,
    /// Events before this position are gone from the tail.
    tail_from: usize,
    role: Option<Role>,
    /// By key: which request it was, its index and its responses.
    once: BTreeMap<Bytes, ([u8; 16], u64, Vec<Response>)>,
}

/// The fake.
#[derive(Default)]
pub struct FakeService {
    state: Mutex<State>,
    feed: Arc<Feed>,
}

impl State {
    fn event(&mut self, kind: EventKind, record: &Bytes, property: &Bytes) {
        let ms = EPOCH_MS + self.index;
        let seq = self.events.iter().rev().take_while(|e| e.id.ms == ms).count() as u64;
        let (record, property) = (record.clone(), property.clone());
        self.events.push(Event { id: EventId { ms, seq }, kind, record, property });
    }

    fn put(&mut self, id: &Bytes, name: &Bytes, value: &Bytes) {
        let record = self.records.entry(id.clone()).or_default();
        record.0.insert(name.clone(), value.clone());
        record.1 = self.index;
        self.event(EventKind::Set, id, name);
    }

    fn remove(&mut self, id: &Bytes, name: &Bytes) -> bool {
        let index = self.index;
        let Some(record) = self.records.get_mut(id) else { return false };
        if record.0.remove(name).is_none() {
            return false;
        }
        record.1 = index;
        if record.0.is_empty() {
            self.records.remove(id);
        }
        self.event(EventKind::Del, id, name);
        true
    }

    fn holds(&self, guard: &Guard) -> bool {
        match guard {
            Guard::RecordAbsent { id } => !self.records.contains_key(&id.0),
            Guard::RecordPresent { id } => self.records.contains_key(&id.0),
            Guard::RecordVersion { id, versions } => {
                self.records.get(&id.0).is_some_and(|(_, version)| versions.contains(version))
            }
            Guard::KeyVersion { .. } | Guard::NoRules => panic!("no HTTP request has this guard"),
        }
    }

    fn apply(&mut self, op: &Op) -> Response {
        match op {
            Op::Record(op) => self.apply_record(op),
            Op::System(SystemOp::SetRules { text, .. }) => {
                self.rules = Some((text.0.clone(), self.index));
                Response::Done
            }
            Op::System(_) => Response::Done,
            Op::Atomic { guards, ops } if guards.iter().all(|g| self.holds(g)) => {
                Response::List(ops.iter().map(|op| self.apply(op)).collect())
            }
            Op::Once { key, request, ops } => match self.once.get(&key.0).cloned() {
                Some((known, _, _)) if known != *request => Response::Rejected(Reject::KeyReused),
                Some((_, index, responses)) => {
                    Response::Once { index, replayed: true, responses: Some(responses) }
                }
                None => {
                    let (index, responses): (_, Vec<_>) =
                        (self.index, ops.iter().map(|op| self.apply(op)).collect());
                    self.once.insert(key.0.clone(), (*request, index, responses.clone()));
                    Response::Once { index, replayed: false, responses: Some(responses) }
                }
            },
            Op::Atomic { .. } => Response::Rejected(Reject::Precondition),
            Op::Key(_)
            | Op::Str(_)
            | Op::Hash(_)
            | Op::Set(_)
            | Op::Stream(_)
            | Op::Group(_)
            | Op::Look { .. } => {
                panic!("no HTTP request changes a generic key")
            }
        }
    }

    fn apply_record(&mut self, op: &RecordOp) -> Response {
        match op {
            RecordOp::Put { id, properties } => {
                properties.iter().for_each(|(name, value)| self.put(&id.0, &name.0, &value.0));
                Response::Done
            }
            RecordOp::Remove { id, properties } => {
                let removed = properties.iter().filter(|name| self.remove(&id.0, &name.0)).count();
                Response::Count(removed as i64)
            }
            RecordOp::Delete { id } => {
                let names: Vec<Bytes> =
                    self.records.get(&id.0).map(|r| r.0.keys().cloned().collect()).unwrap_or_default();
                names.iter().for_each(|name| assert!(self.remove(&id.0, name)));
                Response::Count(names.len() as i64)
            }
            RecordOp::AddMember { id, property, member } => self.add_member(&id.0, &property.0, &member.0),
            RecordOp::Clear => {
                let records = self.records.len();
                self.records.clear();
                Response::Count(records as i64)
            }
            RecordOp::List { .. } | RecordOp::Unlist { .. } | RecordOp::Pin { .. } => Response::Done,
        }
    }

    fn add_member(&mut self, id: &Bytes, property: &Bytes, member: &Bytes) -> Response {
        let old = self.records.get(id).and_then(|r| r.0.get(property)).cloned().unwrap_or_default();
        if old.split(|b| *b == b'|').any(|m| m == member.as_ref()) {
            return Response::Flag(false);
        }
        let joined = if old.is_empty() { member.clone() } else { [&old[..], b"|", member].concat().into() };
        self.put(id, property, &joined);
        Response::Flag(true)
    }

    fn view(&self, id: &Bytes) -> Option<RecordView> {
        let (properties, version) = self.records.get(id)?;
        let properties = properties.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        Some(RecordView { properties, version: *version })
    }
}

impl FakeService {
    /// The next `times` calls are refused.
    pub fn fail(&self, error: ServiceError, times: usize) {
        let mut state = self.state.lock();
        (state.failure, state.failures) = (Some(error), times);
    }

    /// Plays another role from now on.
    pub fn play(&self, role: Role) {
        self.state.lock().role = Some(role);
    }

    /// Takes the first `count` events out of the tail.
    pub fn trim(&self, count: usize) {
        self.state.lock().tail_from = count;
    }

    /// Writes a property as another client would.
    pub fn set(&self, id: &'static str, name: &'static str, value: &str) -> u64 {
        let properties = vec![(Bytes::from(name).into(), Bytes::copy_from_slice(value.as_bytes()).into())];
        self.apply(&[Op::Record(RecordOp::Put { id: Bytes::from(id).into(), properties })]).index
    }

    /// All records in their stored form, with inodes and orders by hashId.
    pub fn stored_records(&self) -> Vec<(Bytes, Record)> {
        let state = self.state.lock();
        let stored = state.records.iter().zip(1u64..).map(|((id, (properties, version)), at)| {
            let header = Header {
                inode: 100 + at,
                order: at,
                order_ms: EPOCH_MS,
                mod_index: *version,
                ..Header::default()
            };
            let mut record = Record { header, ..Record::default() };
            for (name, value) in properties {
                let value = Value::Inline(value.clone());
                let event = EventId { ms: EPOCH_MS + version, seq: 0 };
                let (name, mod_index) = (name.clone(), *version);
                record.put(Property { name, event, mod_index, expire_ms: 0, value });
            }
            (id.clone(), record)
        });
        stored.collect()
    }

    /// Ends the feed, as a stopping node does.
    pub fn close(&self) {
        self.feed.close();
    }

    fn apply(&self, ops: &[Op]) -> Written {
        let mut state = self.state.lock();
        state.index += 1;
        let before = state.events.len();
        let responses = ops.iter().map(|op| state.apply(op)).collect();
        let (index, events) = (state.index, state.events[before..].to_vec());
        drop(state);
        let stored = self.stored_records();
        let of = |id: &Bytes| stored.iter().find(|(known, _)| known == id).map(|(_, r)| Arc::new(r.clone()));
        let records = events.iter().map(|event| (event.record.clone(), of(&event.record))).collect();
        let set = ChangeSet { index, now_ms: EPOCH_MS + index, events, records, ..ChangeSet::default() };
        let index = set.index;
        self.feed.publish([Arc::new(set)], index);
        Written { responses, index }
    }

    fn refusal(&self) -> Result<(), ServiceError> {
        let mut state = self.state.lock();
        if state.failures == 0 {
            return Ok(());
        }
        state.failures -= 1;
        state.failure.clone().map_or(Ok(()), Err)
    }

    fn read<T>(
        &self,
        options: ReadOptions,
        value: impl FnOnce(&State) -> T,
    ) -> Fut<'_, Result<Read<T>, ServiceError>>
    where
        T: Send + 'static,
    {
        let answer = self.refusal().and_then(|()| {
            let state = self.state.lock();
            if options.min_index > state.index {
                return Err(ServiceError::TimedOut { applied: crate::meta::service::AppliedState::No });
            }
            Ok(Read { value: value(&state), index: state.index })
        });
        Box::pin(async move { answer })
    }
}

impl MetadataService for FakeService {
    fn write(&self, ops: Vec<Op>, _: WriteOptions) -> Fut<'_, Result<Written, ServiceError>> {
        let answer = self.refusal().map(|()| self.apply(&ops));
        Box::pin(async move { answer })
    }

    fn ids(&self, options: ReadOptions) -> Fut<'_, Result<Read<Vec<Bytes>>, ServiceError>> {
        self.read(options, |state| state.records.keys().cloned().collect())
    }

    fn record(
        &self,
        id: Bytes,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Option<RecordView>>, ServiceError>> {
        self.read(options, |state| state.view(&id))
    }

    fn records(
        &self,
        ids: Vec<Bytes>,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Vec<Option<RecordView>>>, ServiceError>> {
        self.read(options, |state| ids.iter().map(|id| state.view(id)).collect())
    }

    fn property(
        &self,
        id: Bytes,
        name: Bytes,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Option<Bytes>>, ServiceError>> {
        self.read(options, |state| state.records.get(&id)?.0.get(&name).cloned())
    }

    fn scan(&self, cursor: Option<Bytes>, count: usize) -> Result<ScanPage, ServiceError> {
        self.refusal()?;
        let state = self.state.lock();
        let after = |id: &&Bytes| cursor.as_ref().is_none_or(|cursor| *id > cursor);
        let ids: Vec<Bytes> = state.records.keys().filter(after).take(count + 1).cloned().collect();
        let page = ids.iter().take(count).map(|id| (id.clone(), state.view(id).unwrap())).collect();
        let next = (ids.len() > count).then(|| ids[count - 1].clone());
        Ok(ScanPage { records: page, next, index: state.index })
    }

    fn scan_stored(&self, _cursor: Option<Bytes>, _count: usize) -> Result<StoredPage, ServiceError> {
        // Only a follower asks, and the door's tests have none.
        Err(ServiceError::Stopped { applied: AppliedState::No })
    }

    fn events(&self, after: EventId, count: usize) -> Result<EventPage, ServiceError> {
        self.refusal()?;
        let state = self.state.lock();
        let tail = &state.events[state.tail_from.min(state.events.len())..];
        let compacted = state.tail_from > 0 && tail.first().is_some_and(|first| after < first.id);
        let rest: Vec<&Event> = tail.iter().filter(|e| e.id > after).collect();
        let events: Vec<Event> = rest.iter().take(count).map(|e| (*e).clone()).collect();
        let next = events.last().map_or(after, |e| e.id);
        Ok(EventPage { at_end: rest.len() <= count, next, compacted, events, index: state.index })
    }

    fn rules(&self) -> Result<RulesView, ServiceError> {
        let rules = self.state.lock().rules.clone();
        Ok(RulesView {
            version: rules.as_ref().map_or(0, |(_, version)| *version),
            text: rules.map(|(text, _)| text),
        })
    }

    fn watch(&self) -> FeedReader {
        self.feed.reader()
    }

    fn stored(&self, id: &[u8]) -> Result<Option<Arc<Record>>, ServiceError> {
        Ok(self
            .stored_records()
            .into_iter()
            .find(|(known, _)| known == id)
            .map(|(_, record)| Arc::new(record)))
    }

    fn totals(&self) -> StateTotals {
        let state = self.state.lock();
        StateTotals {
            records: state.records.len() as u64,
            properties: state.records.values().map(|(p, _)| p.len() as u64).sum(),
            tail_events: state.events.len() as u64,
            last_event: state.events.last().map_or_else(EventId::default, |e| e.id),
            ..StateTotals::default()
        }
    }

    fn digest(&self) -> (u64, [u8; 16]) {
        let index = self.state.lock().index;
        (index, [index as u8; 16])
    }

    fn status(&self) -> Status {
        let state = self.state.lock();
        let role = state.role.unwrap_or(Role::Leader);
        Status {
            id: 1,
            role,
            leader: (role == Role::Leader).then_some(Leader { id: 1, peer: None }),
            term: 0,
            last_log_index: state.index,
            committed_index: state.index,
            applied_index: state.index,
            snapshot_index: 0,
            purged_index: 0,
            recovered: true,
            failure: None,
        }
    }
}
