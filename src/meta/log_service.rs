//! `LogService`: the [`MetadataService`] over a replicated log.
//!
//! Not here: protocols. Must always hold: a linearizable read waits for the log's barrier and reads afterwards; local
//! reads never wait for anybody; a store that fails is told as `Stopped`, because the node is about to.

use std::sync::Arc;

use bytes::Bytes;
use metad_raft::{Fatal, Fut, PeerService, PosixMetadataReplicator, StateMachine, Status, Transport};

use super::apply::record::{is_listed, read_value};
use super::counters::Counters;
use super::feed::FeedReader;
use super::forward::ForwardService;
use super::freshness;
use super::history::History;
use super::intake::{self, Intake};
use super::key_service::{KeyService, Look};
use super::layout::{self, Kind};
use super::lookers::Lookers;
use super::machine::MetaMachine;
use super::op::Op;
use super::packer::Packer;
use super::record::{EventId, Record};
use super::rules::StoredRules;
use super::service::{
    AppliedState, EventPage, MetadataService, Read, ReadOptions, RecordView, RulesView, ScanPage,
    ServiceError, StateTotals, StoredPage, WriteOptions, Written,
};
use super::session::Session;
use super::view::{View, successor};
use crate::clock::Clock;
use crate::limits;

/// Metadata over a log.
pub struct LogService {
    machine: Arc<MetaMachine>,
    replicator: Arc<dyn PosixMetadataReplicator>,
    intake: Intake,
    forwarding: Arc<ForwardService>,
    history: History,
}

impl LogService {
    /// A service over a replicator that has been started with `machine`. Needs a tokio runtime.
    ///
    /// `transport` leads to the other nodes, if there are any; without it only the log on this node takes writes. `boot` is
    /// above the boot of every service that this node ever started, also where the state does not know of it (yet).
    pub fn start(
        machine: Arc<MetaMachine>,
        replicator: Arc<dyn PosixMetadataReplicator>,
        transport: Option<Arc<dyn Transport>>,
        clock: Arc<dyn Clock>,
        boot: u64,
    ) -> Result<Self, Fatal> {
        let status = replicator.status();
        let node = status.borrow().id;
        let boot = next_boot(&machine, node, boot)?;
        let packer = Packer::start(Arc::clone(&replicator), Arc::clone(&machine), clock);
        let forwarding = ForwardService::new(packer.clone());
        let machine_of_intake = Arc::clone(&machine);
        let parts = intake::Parts { machine: machine_of_intake, status, packer, transport, boot };
        let intake = Intake::start(parts);
        Ok(Self { machine, replicator, intake, forwarding, history: History::default() })
    }

    /// Who takes the requests that other nodes forward: to be registered for
    /// [`Channel::FORWARD`](metad_raft::Channel::FORWARD).
    pub fn forwarding(&self) -> Arc<dyn PeerService> {
        Arc::clone(&self.forwarding) as Arc<dyn PeerService>
    }

    /// Waits until the local state is as fresh as a read asks for.
    async fn wait_for(&self, options: ReadOptions) -> Result<(), ServiceError> {
        freshness::wait(self.replicator.as_ref(), self.machine.applied(), options).await
    }

    /// Reads several things at one applied index.
    async fn read<T>(
        &self,
        options: ReadOptions,
        look: impl FnOnce(&dyn View, &super::state::Head) -> Result<T, Fatal> + Send,
    ) -> Result<Read<T>, ServiceError> {
        self.wait_for(options).await?;
        let pinned = self.machine.state().pinned();
        let value = look(&pinned, pinned.head()).map_err(stopped)?;
        Ok(Read { value, index: pinned.head().applied.index })
    }

    fn scan_records(
        &self,
        mut cursor: Option<Bytes>,
        count: usize,
        mut visit: impl FnMut(&dyn View, &Counters, Bytes, Record) -> Result<(), Fatal>,
    ) -> Result<(Option<Bytes>, u64), Fatal> {
        let state = self.machine.state();
        let mut left = count.max(1);
        loop {
            let pinned = state.pinned();
            let counters = pinned.head().counters;
            let index = pinned.head().applied.index;
            let from = match &cursor {
                Some(cursor) => layout::in_generation(cursor, counters.generation),
                None => layout::first_of(Kind::Record, counters.generation),
            };
            let to = layout::end_of(Kind::Record, counters.generation);
            let page = pinned.scan(&from, &to, left.min(limits::SCAN_PAGE_KEYS))?;
            let Some((last, _)) = page.last() else { return Ok((None, index)) };
            cursor = Some(successor(last));
            left = left.saturating_sub(page.len());
            for (key, stored) in page {
                let id = layout::record_id(&key).ok_or_else(|| Fatal::new("a record's key has no id"))?;
                let record = Record::decode(&stored).map_err(|e| Fatal::with("decode a record", e))?;
                visit(&pinned, &counters, id, record)?;
            }
            if left == 0 {
                return Ok((cursor, index));
            }
        }
    }
}

/// A boot number above every one that this node has used: `boot`, unless the state knows of a higher one.
fn next_boot(machine: &MetaMachine, node: u64, boot: u64) -> Result<u64, Fatal> {
    let last = match machine.state().get(&layout::session(node))? {
        Some(stored) => Session::decode(&stored).map_err(|e| Fatal::with("decode a session", e))?.boot(),
        None => 0,
    };
    Ok(boot.max(last + 1))
}

fn stopped(fault: Fatal) -> ServiceError {
    tracing::error!(%fault, "reading the state failed");
    ServiceError::Stopped { applied: AppliedState::No }
}

/// The record as readers see it; `None` when nothing in it is live.
fn view_of(
    view: &dyn View,
    generation: u32,
    now_ms: u64,
    id: &[u8],
    record: &Record,
) -> Result<Option<RecordView>, Fatal> {
    let mut properties = Vec::with_capacity(record.properties.len());
    for property in record.properties.iter().filter(|p| p.is_live(now_ms)) {
        let bytes = read_value(|key: &[u8]| view.get(key), generation, id, &property.name, &property.value)?;
        properties.push((property.name.clone(), bytes));
    }
    let version = record.header.mod_index;
    Ok((!properties.is_empty()).then_some(RecordView { properties, version }))
}

fn load(view: &dyn View, generation: u32, id: &[u8]) -> Result<Option<Record>, Fatal> {
    let Some(stored) = view.get(&layout::record(generation, id))? else { return Ok(None) };
    let record = Record::decode(&stored).map_err(|e| Fatal::with("decode a record", e))?;
    Ok((!record.is_deleted()).then_some(record))
}

impl KeyService for LogService {
    fn freshen(&self, options: ReadOptions) -> Fut<'_, Result<(), ServiceError>> {
        Box::pin(self.wait_for(options))
    }

    fn look(&self, look: Look<'_>) -> Result<(), ServiceError> {
        let pinned = self.machine.state().pinned();
        look(&pinned, pinned.head()).map_err(stopped)
    }

    fn lookers(&self) -> &Lookers {
        self.machine.lookers()
    }
}

impl MetadataService for LogService {
    fn write(&self, ops: Vec<Op>, options: WriteOptions) -> Fut<'_, Result<Written, ServiceError>> {
        Box::pin(self.intake.submit(ops, options))
    }

    fn ids(&self, options: ReadOptions) -> Fut<'_, Result<Read<Vec<Bytes>>, ServiceError>> {
        Box::pin(async move {
            self.wait_for(options).await?;
            let mut ids = Vec::new();
            let visit = |_: &dyn View, _: &Counters, id, record: Record| {
                if is_listed(&record) {
                    ids.push(id);
                }
                Ok(())
            };
            let (_, index) = self.scan_records(None, usize::MAX, visit).map_err(stopped)?;
            ids.sort_unstable();
            Ok(Read { value: ids, index })
        })
    }

    fn record(
        &self,
        id: Bytes,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Option<RecordView>>, ServiceError>> {
        Box::pin(async move {
            let records = self.records(vec![id], options).await?;
            Ok(Read { value: records.value.into_iter().next().flatten(), index: records.index })
        })
    }

    fn records(
        &self,
        ids: Vec<Bytes>,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Vec<Option<RecordView>>>, ServiceError>> {
        Box::pin(self.read(options, move |view, head| {
            let (generation, now_ms) = (head.counters.generation, head.counters.now_ms);
            let one = |id: &Bytes| match load(view, generation, id)? {
                Some(record) => view_of(view, generation, now_ms, id, &record),
                None => Ok(None),
            };
            ids.iter().map(one).collect()
        }))
    }

    fn property(
        &self,
        id: Bytes,
        name: Bytes,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Option<Bytes>>, ServiceError>> {
        Box::pin(self.read(options, move |view, head| {
            let (generation, now_ms) = (head.counters.generation, head.counters.now_ms);
            let Some(record) = load(view, generation, &id)? else { return Ok(None) };
            let Some(property) = record.property(&name).filter(|p| p.is_live(now_ms)) else {
                return Ok(None);
            };
            let get = |key: &[u8]| view.get(key);
            read_value(get, generation, &id, &name, &property.value).map(Some)
        }))
    }

    fn scan(&self, cursor: Option<Bytes>, count: usize) -> Result<ScanPage, ServiceError> {
        let mut records = Vec::new();
        let visit = |view: &dyn View, counters: &Counters, id: Bytes, record: Record| {
            let (generation, now_ms) = (counters.generation, counters.now_ms);
            let live =
                if record.is_deleted() { None } else { view_of(view, generation, now_ms, &id, &record)? };
            records.extend(live.map(|view| (id, view)));
            Ok(())
        };
        let (next, index) = self.scan_records(cursor, count, visit).map_err(stopped)?;
        Ok(ScanPage { records, next, index })
    }

    fn scan_stored(&self, cursor: Option<Bytes>, count: usize) -> Result<StoredPage, ServiceError> {
        let mut now_ms = self.machine.state().head().counters.now_ms;
        let mut records = Vec::with_capacity(count);
        let visit = |_: &dyn View, counters: &Counters, id, record: Record| {
            now_ms = counters.now_ms;
            if !record.is_deleted() {
                records.push((id, record));
            }
            Ok(())
        };
        let (next, index) = self.scan_records(cursor, count, visit).map_err(stopped)?;
        Ok(StoredPage { records, next, index, now_ms })
    }

    fn events(&self, after: EventId, count: usize) -> Result<EventPage, ServiceError> {
        self.history.page(self.machine.state(), after, count).map_err(stopped)
    }

    fn rules(&self) -> Result<RulesView, ServiceError> {
        let Some(stored) = self.machine.state().get(layout::RULES).map_err(stopped)? else {
            return Ok(RulesView { text: None, version: 0 });
        };
        let rules = StoredRules::decode(&stored).map_err(|e| stopped(Fatal::with("decode the rules", e)))?;
        Ok(RulesView { text: Some(rules.text.0), version: rules.version })
    }

    fn watch(&self) -> FeedReader {
        self.machine.feed().reader()
    }

    fn stored(&self, id: &[u8]) -> Result<Option<Arc<Record>>, ServiceError> {
        let state = self.machine.state();
        let generation = state.head().counters.generation;
        let Some(stored) = state.get(&layout::record(generation, id)).map_err(stopped)? else {
            return Ok(None);
        };
        let record = Record::decode(&stored).map_err(|e| stopped(Fatal::with("decode a record", e)))?;
        Ok((!record.is_deleted()).then(|| Arc::new(record)))
    }

    fn totals(&self) -> StateTotals {
        let (head, unstored) = (self.machine.state().head(), self.machine.state().unstored());
        StateTotals {
            records: head.counters.records,
            properties: head.counters.properties,
            tail_events: head.counters.tail_events,
            last_event: head.counters.last_event,
            tail_first: head.tail_first.unwrap_or(head.counters.last_event),
            content_bytes: head.hash().bytes,
            unstored_keys: unstored.keys as u64,
            unstored_bytes: unstored.bytes as u64,
            stored_index: unstored.after,
            waiting_bytes: self.intake.waiting_bytes() as u64,
        }
    }

    fn digest(&self) -> (u64, [u8; 16]) {
        self.machine.digest()
    }

    fn status(&self) -> Status {
        let mut status = self.replicator.status().borrow().clone();
        // The log tells of what was applied a moment after doors have answered: none of them goes back behind that.
        let applied = self.machine.state().pinned().head().applied.index;
        status.applied_index = status.applied_index.max(applied);
        status
    }
}
