//! The transaction of a chunk of entries: the state as apply sees it, and what it changes.
//!
//! Not here: what operations mean (`record`, …), where changes go (`machine`).
//! Must always hold: every change of content goes through [`Tx::replace`], which keeps the state hash; records are
//! encoded once per entry, however many operations touched them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use metad_raft::Fatal;

use crate::codec;
use crate::limits;
use crate::meta::cluster::Book;
use crate::meta::counters::Counters;
use crate::meta::event::{Event, EventKind};
use crate::meta::feed::{ChangeSet, KeyFate};
use crate::meta::hash::StateHash;
use crate::meta::layout::{self, Kind};
use crate::meta::lookers::{Lookers, Moment};
use crate::meta::object::KeyCounters;
use crate::meta::record::{EventId, Record};
use crate::meta::rules::StoredRules;
use crate::meta::session::Session;
use crate::meta::tail;
use crate::meta::view::{View, scan_over, scan_over_back, successor};

/// Version byte in front of the stored counters.
const COUNTERS_VERSION: u8 = 1;

/// What apply keeps between chunks: copies of small parts of the state, and the hash.
#[derive(Clone, Debug, Default)]
pub struct Core {
    /// The counters as of the last applied entry.
    pub counters: Counters,
    /// The counters of the generic keys as of the last applied entry.
    pub keys: KeyCounters,
    /// Hash of the content that outlives clearing (counters, rules, sessions).
    pub system_hash: StateHash,
    /// Hash of the content of the present generation.
    pub user_hash: StateHash,
    /// The rules in force.
    pub rules: StoredRules,
    /// The cluster's book of members; another one after each change.
    pub book: Arc<Book>,
    stored_counters: Option<Bytes>,
    stored_keys: Option<Bytes>,
    sessions: HashMap<u64, Kept<Session>>,
    /// First id and number of events of each block of the tail.
    tail: VecDeque<(EventId, u64)>,
}

/// A value and its stored form.
#[derive(Clone, Debug, Default)]
struct Kept<T> {
    value: T,
    stored: Option<Bytes>,
    dirty: bool,
    /// Whether `stored` is the value, though it is still to be told.
    shown: bool,
}

impl Core {
    /// Reads the small parts out of a state whose hash is known.
    pub fn load(view: &dyn View, system_hash: StateHash, user_hash: StateHash) -> Result<Self, Fatal> {
        let mut core = Self { system_hash, user_hash, ..Self::default() };
        if let Some(stored) = view.get(layout::COUNTERS)? {
            core.counters = decode_counters(&stored)?;
            core.stored_counters = Some(stored);
        }
        if let Some(stored) = view.get(layout::RULES)? {
            core.rules = StoredRules::decode(&stored).map_err(|e| Fatal::with("decode the rules", e))?;
        }
        if let Some(stored) = view.get(layout::KEY_COUNTERS)? {
            core.keys =
                KeyCounters::decode(&stored).map_err(|e| Fatal::with("decode the key counters", e))?;
            core.stored_keys = Some(stored);
        }
        if let Some(stored) = view.get(layout::BOOK)? {
            let book = Book::decode(&stored).map_err(|e| Fatal::with("decode the cluster's book", e))?;
            core.book = Arc::new(book);
        }
        core.load_tail(view)?;
        Ok(core)
    }

    fn load_tail(&mut self, view: &dyn View) -> Result<(), Fatal> {
        let generation = self.counters.generation;
        let to = layout::end_of(Kind::Tail, generation);
        let mut from = layout::first_of(Kind::Tail, generation);
        loop {
            let page = view.scan(&from, &to, limits::SCAN_PAGE_KEYS)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = successor(last);
            for (key, stored) in &page {
                let first = event_id(key)?;
                let events =
                    tail::decode(first, stored).map_err(|e| Fatal::with("decode a tail block", e))?;
                self.tail.push_back((first, events.len() as u64));
            }
        }
    }

    /// Hash of the whole content.
    pub fn hash(&self) -> StateHash {
        self.system_hash.plus(self.user_hash)
    }

    /// First id of the raw tail.
    pub fn tail_first(&self) -> Option<EventId> {
        self.tail.front().map(|(id, _)| *id)
    }
}

/// Reads stored counters.
pub fn decode_counters(stored: &Bytes) -> Result<Counters, Fatal> {
    match stored.split_first() {
        Some((&COUNTERS_VERSION, body)) => {
            codec::decode(body).map_err(|e| Fatal::with("decode the counters", e))
        }
        Some(_) | None => Err(Fatal::new("the counters have an unknown version")),
    }
}

/// The stored form of the counters.
pub fn encode_counters(counters: &Counters) -> Bytes {
    let mut out = vec![COUNTERS_VERSION];
    codec::encode_into(counters, &mut out);
    Bytes::from(out)
}

fn event_id(key: &[u8]) -> Result<EventId, Fatal> {
    layout::event_of(key).ok_or_else(|| Fatal::new("a key of the events' tail has no id"))
}

impl View for Tx<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        Tx::get(self, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        Tx::scan(self, from, to, limit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let older = |to: &[u8], limit| self.view.scan_back(from, to, limit);
        scan_over_back(&self.changes, Option::clone, older, (from, to), limit)
    }
}

/// A chunk of entries being applied.
pub struct Tx<'a> {
    /// What lasts between chunks.
    pub core: &'a mut Core,
    /// Elements of objects that this entry created: it sweeps as many away.
    pub created: usize,
    view: &'a dyn View,
    changes: BTreeMap<Bytes, Option<Bytes>>,
    records: HashMap<Bytes, Kept<Record>>,
    index: u64,
    events: Vec<Event>,
    touched: Vec<Bytes>,
    touched_keys: Vec<(Bytes, KeyFate)>,
    reset: bool,
    lookers: Option<&'a Lookers>,
}

impl<'a> Tx<'a> {
    /// A transaction over `view`, which must not change while it lives but by what it publishes.
    pub fn new(view: &'a dyn View, core: &'a mut Core) -> Self {
        Self {
            core,
            created: 0,
            view,
            changes: BTreeMap::new(),
            records: HashMap::new(),
            index: 0,
            events: Vec::new(),
            touched: Vec::new(),
            touched_keys: Vec::new(),
            reset: false,
            lookers: None,
        }
    }

    /// Lets lookers of this node see the state at their marks.
    pub fn shown_to(mut self, lookers: &'a Lookers) -> Self {
        self.lookers = Some(lookers);
        self
    }

    /// A mark: whoever waits for it on this node reads the state as of now.
    pub fn look(&mut self, ticket: u64, part: u32) {
        let Some(lookers) = self.lookers else { return };
        self.show_records();
        let mut moment = Moment::of(&self.core.counters);
        moment.keys = Some(self.core.keys.keys);
        moment.events += self.events.len() as u64;
        lookers.look(ticket, part, self, moment);
    }

    /// Stores changed records as they are now, for those who read in the middle of an entry.
    fn show_records(&mut self) {
        let generation = self.core.counters.generation;
        let mut touched = std::mem::take(&mut self.touched);
        for id in &touched {
            let kept = self.records.get_mut(id).expect("touched records are loaded");
            if std::mem::replace(&mut kept.shown, true) {
                continue;
            }
            let encoded = kept.value.encode();
            let old = kept.stored.replace(encoded.clone());
            self.replace(layout::record(generation, id), old.as_deref(), Some(encoded));
        }
        touched.append(&mut self.touched);
        self.touched = touched;
    }

    /// Everything that changed, for the state to publish.
    pub fn into_changes(self) -> BTreeMap<Bytes, Option<Bytes>> {
        self.changes
    }

    /// Begins the entry at `index`: the log's time moves to the leader's stamp, never back.
    pub fn begin(&mut self, index: u64, stamp_ms: u64) {
        self.index = index;
        self.created = 0;
        self.core.counters.now_ms = self.core.counters.now_ms.max(stamp_ms);
    }

    /// Index of the entry that is being applied.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The value of a key as of now.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        match self.changes.get(key) {
            Some(changed) => Ok(changed.clone()),
            None => self.view.get(key),
        }
    }

    /// Pairs in key order as of now, see [`View::scan`].
    pub fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let older = |from: &[u8], limit| self.view.scan(from, to, limit);
        scan_over(&self.changes, Option::clone, older, (from, to), limit)
    }

    /// Changes a key. `old` is its value as of now, which the caller has read anyway.
    pub fn replace(&mut self, key: Bytes, old: Option<&[u8]>, new: Option<Bytes>) {
        debug_assert_eq!(self.get(&key).ok().flatten().as_deref(), old, "replace was told a wrong old value");
        let hash =
            if key[0] < Kind::Record as u8 { &mut self.core.system_hash } else { &mut self.core.user_hash };
        if let Some(old) = old {
            hash.remove(&key, old);
        }
        if let Some(new) = &new {
            hash.add(&key, new);
        }
        self.changes.insert(key, new);
    }

    /// Changes a key whose old value is not known.
    pub fn put(&mut self, key: Bytes, new: Option<Bytes>) -> Result<(), Fatal> {
        let old = self.get(&key)?;
        self.replace(key, old.as_deref(), new);
        Ok(())
    }

    /// The session of a node's doors; it is stored at the end of the entry.
    pub fn session(&mut self, node: u64) -> Result<&mut Session, Fatal> {
        if !self.core.sessions.contains_key(&node) {
            let stored = self.get(&layout::session(node))?;
            let value = match &stored {
                Some(bytes) => Session::decode(bytes).map_err(|e| Fatal::with("decode a session", e))?,
                None => Session::default(),
            };
            self.core.sessions.insert(node, Kept { value, stored, dirty: false, shown: false });
        }
        let kept = self.core.sessions.get_mut(&node).expect("inserted above");
        kept.dirty = true;
        Ok(&mut kept.value)
    }

    /// A record as of now; an absent one is empty.
    pub fn record(&mut self, id: &Bytes) -> Result<&Record, Fatal> {
        self.load(id)?;
        Ok(&self.records[id].value)
    }

    /// Takes a record out to change it; give it back with [`Tx::put_record`].
    pub fn take_record(&mut self, id: &Bytes) -> Result<Record, Fatal> {
        self.load(id)?;
        let kept = self.records.get_mut(id).expect("loaded above");
        Ok(std::mem::take(&mut kept.value))
    }

    /// Gives a changed record back; it is stored at the end of the entry.
    pub fn put_record(&mut self, id: &Bytes, record: Record) {
        let kept = self.records.get_mut(id).expect("only a record that was taken is given back");
        kept.value = record;
        kept.shown = false;
        if !kept.dirty {
            kept.dirty = true;
            self.touched.push(id.clone());
        }
    }

    /// Gives a record back that was taken and not changed.
    pub fn restore_record(&mut self, id: &Bytes, record: Record) {
        self.records.get_mut(id).expect("only a record that was taken is given back").value = record;
    }

    /// Removes a record's key, tombstone and all, as if it had never been there.
    pub fn forget_record(&mut self, id: &Bytes) -> Result<(), Fatal> {
        self.records.remove(id);
        self.touched.retain(|touched| touched != id);
        self.put(layout::record(self.core.counters.generation, id), None)
    }

    fn load(&mut self, id: &Bytes) -> Result<(), Fatal> {
        if self.records.contains_key(id) {
            return Ok(());
        }
        let stored = self.get(&layout::record(self.core.counters.generation, id))?;
        let value = match &stored {
            Some(bytes) => Record::decode(bytes).map_err(|e| Fatal::with("decode a record", e))?,
            None => Record::default(),
        };
        self.records.insert(id.clone(), Kept { value, stored, dirty: false, shown: false });
        Ok(())
    }

    /// Adds an event to the stream and answers its id.
    pub fn event(&mut self, kind: EventKind, record: &Bytes, property: &Bytes) -> EventId {
        let id = self.core.counters.next_event();
        self.events.push(Event { id, kind, record: record.clone(), property: property.clone() });
        id
    }

    /// Tells followers of a generic key.
    pub fn touch_key(&mut self, name: &Bytes, fate: KeyFate) {
        if self.touched_keys.last().is_none_or(|last| last.0 != *name || last.1 != fate) {
            // A copy: the name must not keep a whole log entry in the feed's memory.
            self.touched_keys.push((Bytes::copy_from_slice(name), fate));
        }
    }

    /// Replaces the rules; followers start over.
    pub fn set_rules(&mut self, rules: StoredRules) -> Result<(), Fatal> {
        self.put(Bytes::from_static(layout::RULES), Some(rules.encode()))?;
        self.core.rules = rules;
        self.reset = true;
        Ok(())
    }

    /// Deletes all user content by beginning a new generation.
    pub fn clear(&mut self) {
        let counters = &mut self.core.counters;
        counters.generation += 1;
        (counters.records, counters.properties, counters.tail_events, counters.tombstones) = (0, 0, 0, 0);
        counters.tail_floor = counters.last_event;
        self.core.keys = KeyCounters { next_object: self.core.keys.next_object, ..KeyCounters::default() };
        self.core.user_hash = StateHash::default();
        self.core.tail.clear();
        self.records.clear();
        self.touched.clear();
        self.touched_keys.clear();
        self.events.clear();
        self.reset = true;
    }

    /// Ends the entry: stores what was touched and tells what followers should know.
    pub fn finish(&mut self) -> Result<ChangeSet, Fatal> {
        let records = self.store_records();
        let events = std::mem::take(&mut self.events);
        self.store_events(&events)?;
        self.store_sessions();
        self.store_key_counters();
        self.store_counters();
        Ok(ChangeSet {
            index: self.index,
            now_ms: self.core.counters.now_ms,
            events,
            records,
            keys: std::mem::take(&mut self.touched_keys),
            reset: std::mem::take(&mut self.reset),
        })
    }

    fn store_records(&mut self) -> Vec<(Bytes, Option<Arc<Record>>)> {
        let generation = self.core.counters.generation;
        let mut out = Vec::with_capacity(self.touched.len());
        for id in std::mem::take(&mut self.touched) {
            let kept = self.records.get_mut(&id).expect("touched records are loaded");
            let encoded = kept.value.encode();
            let old = kept.stored.replace(encoded.clone());
            kept.dirty = false;
            let gone = kept.value.is_deleted();
            let image = (!gone).then(|| Arc::new(kept.value.clone()));
            self.replace(layout::record(generation, &id), old.as_deref(), Some(encoded));
            out.push((id, image));
        }
        out
    }

    fn store_events(&mut self, events: &[Event]) -> Result<(), Fatal> {
        let Some(first) = events.first() else { return Ok(()) };
        let generation = self.core.counters.generation;
        let block = tail::encode(self.index, events);
        self.replace(layout::by_event(Kind::Tail, generation, first.id), None, Some(block));
        self.core.tail.push_back((first.id, events.len() as u64));
        self.core.counters.tail_events += events.len() as u64;
        self.trim_tail()
    }

    fn trim_tail(&mut self) -> Result<(), Fatal> {
        let generation = self.core.counters.generation;
        while let Some((first, count)) = self.core.tail.front().copied() {
            if self.core.counters.tail_events - count < limits::TAIL_EVENTS_MIN {
                break;
            }
            self.put(layout::by_event(Kind::Tail, generation, first), None)?;
            self.core.tail.pop_front();
            self.core.counters.tail_events -= count;
            self.core.counters.tail_floor = EventId { ms: first.ms, seq: first.seq + count - 1 };
        }
        Ok(())
    }

    fn store_sessions(&mut self) {
        let mut nodes: Vec<u64> =
            self.core.sessions.iter().filter(|(_, s)| s.dirty).map(|(n, _)| *n).collect();
        nodes.sort_unstable();
        for node in nodes {
            let kept = self.core.sessions.get_mut(&node).expect("listed above");
            kept.dirty = false;
            let encoded = kept.value.encode();
            let old = kept.stored.replace(encoded.clone());
            self.replace(layout::session(node), old.as_deref(), Some(encoded));
        }
    }

    /// Stored only when they changed: most entries touch no generic key.
    fn store_key_counters(&mut self) {
        let untouched = self.core.stored_keys.is_none() && self.core.keys == KeyCounters::default();
        let encoded = self.core.keys.encode();
        if untouched || self.core.stored_keys.as_ref() == Some(&encoded) {
            return;
        }
        let old = self.core.stored_keys.replace(encoded.clone());
        self.replace(Bytes::from_static(layout::KEY_COUNTERS), old.as_deref(), Some(encoded));
    }

    fn store_counters(&mut self) {
        let encoded = encode_counters(&self.core.counters);
        let old = self.core.stored_counters.replace(encoded.clone());
        self.replace(Bytes::from_static(layout::COUNTERS), old.as_deref(), Some(encoded));
    }
}
