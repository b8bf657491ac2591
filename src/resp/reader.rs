//! Reading keys for a command: the state at one applied index, and the time.
//!
//! Not here: making the state fresh (`executor`). Must always hold: whether a key is there is decided by the log's time;
//! one whose time has passed by the clock only is noticed, so that the log's time can move on before the answer.

use std::cell::Cell;

use bytes::Bytes;
use metad_raft::Fatal;

use super::codec::{Reply, Request};
use super::error::{Refusal, Stop, WRONG_TYPE};
use crate::codec::Blob;
use crate::limits;
use crate::meta::apply::files::is_there;
use crate::meta::apply::record::read_value;
use crate::meta::key::{Family, Place, may_be_of_a_file};
use crate::meta::layout;
use crate::meta::lookers::Moment;
use crate::meta::object::{self, Content, Key, KeyCounters};
use crate::meta::record::{Record, Value};
use crate::meta::stream::StreamHead;
use crate::meta::view::View;

/// Answers a command from the state.
pub type ReadFn = fn(&Reader<'_>, &Request<'_>, &mut Reply) -> Result<(), Stop>;

/// The state as commands read it.
pub struct Reader<'a> {
    /// The state.
    pub view: &'a dyn View,
    moment: Moment,
    /// This node's clock in milliseconds, never before the log's time: for the time that is left.
    pub clock_ms: u64,
    /// Gives a number by chance, for random picks.
    pub seed: fn() -> u64,
    overdue: Cell<bool>,
}

impl<'a> Reader<'a> {
    /// Reads `view` when the clock shows `clock_ms`.
    pub fn new(view: &'a dyn View, moment: Moment, clock_ms: u64, seed: fn() -> u64) -> Self {
        let clock_ms = clock_ms.max(moment.now_ms);
        Self { view, moment, clock_ms, seed, overdue: Cell::new(false) }
    }

    /// The generation of the keys.
    pub fn generation(&self) -> u32 {
        self.moment.generation
    }

    /// Refuses what walks `elements` elements in the middle of an entry: all other entries wait for it.
    pub fn walks(&self, elements: u64) -> Result<(), Stop> {
        match self.moment.keys {
            Some(_) if elements > limits::OPERATION_ELEMENTS_MAX => Err(Stop::Refused(TOO_MANY_IN_EXEC)),
            _ => Ok(()),
        }
    }

    /// The log's time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.moment.now_ms
    }

    /// How many generic keys there are.
    pub fn keys(&self) -> Result<u64, Fatal> {
        if let Some(keys) = self.moment.keys {
            return Ok(keys);
        }
        let Some(stored) = self.view.get(layout::KEY_COUNTERS)? else { return Ok(0) };
        let counters =
            KeyCounters::decode(&stored).map_err(|e| Fatal::with("decode the counters of keys", e))?;
        Ok(counters.keys)
    }

    /// Whether a key was met whose time has passed by the clock and not in the log.
    pub fn met_overdue(&self) -> bool {
        self.overdue.get()
    }

    /// What `name` means to commands of `family` when it is a file's key; `None` for a client's own.
    pub fn place(&self, name: &[u8], family: Family) -> Option<Place> {
        if !may_be_of_a_file(name) {
            return None;
        }
        // A key that is too long is refused before anything is read.
        Place::of(&Bytes::copy_from_slice(name), family)
            .ok()
            .filter(|place| !matches!(place, Place::Generic { .. }))
    }

    /// The record of a file; `None` when it has no property: then there is no such hash.
    pub fn record(&self, id: &[u8]) -> Result<Option<Record>, Fatal> {
        let Some(stored) = self.view.get(&layout::record(self.generation(), id))? else { return Ok(None) };
        let record = Record::decode(&stored).map_err(|e| Fatal::with("decode a record", e))?;
        Ok(is_there(&record, self.now_ms()).then_some(record))
    }

    /// The bytes of a property of a record.
    pub fn property(&self, id: &[u8], record: &Record, name: &[u8]) -> Result<Option<Bytes>, Fatal> {
        let Some(found) = record.property(name).filter(|p| p.is_live(self.now_ms())) else { return Ok(None) };
        let get = |key: &[u8]| self.view.get(key);
        read_value(get, self.generation(), id, name, &found.value).map(Some)
    }

    /// How many records are listed.
    pub fn records(&self) -> u64 {
        self.moment.records
    }

    /// How many keys SCAN shows that are files': properties, the index and the events.
    pub fn file_keys(&self) -> u64 {
        self.moment.properties + u64::from(self.records() > 0) + u64::from(self.moment.events > 0)
    }

    /// A file's key as if it were a generic one: its type, its size and its version.
    fn of_a_file(&self, place: Place) -> Result<Option<Key>, Fatal> {
        let key = |mod_index, content| Some(Key { expire_ms: 0, mod_index, object: 0, content });
        let property = |id: &Bytes, name: &Bytes| -> Result<Option<Key>, Fatal> {
            let Some(record) = self.record(id)? else { return Ok(None) };
            let found = record.property(name).filter(|p| p.is_live(self.now_ms()));
            Ok(found.and_then(|p| match &p.value {
                Value::Inline(bytes) => key(p.mod_index, Content::Text(Blob(bytes.clone()))),
                Value::Chunked { len, .. } => key(p.mod_index, Content::LongText { len: *len }),
                Value::Deleted => None,
            }))
        };
        let record = |id: &Bytes| -> Result<Option<Key>, Fatal> {
            let Some(record) = self.record(id)? else { return Ok(None) };
            let fields = record.properties.iter().filter(|p| p.is_live(self.now_ms())).count() as u64;
            Ok(key(record.header.mod_index, Content::Hash { fields }))
        };
        match place {
            Place::Property { id, name, .. } => property(&id, &name),
            Place::Record { id } => record(&id),
            Place::RecordOrProperty { record: whole, id, name } => match record(&whole)? {
                Some(key) => Ok(Some(key)),
                None => property(&id, &name),
            },
            Place::Index => {
                let members = self.records();
                Ok((members > 0).then(|| key(0, Content::Set { members })).flatten())
            }
            Place::Events => {
                let entries = self.moment.events;
                let head = StreamHead { entries, ..StreamHead::default() };
                Ok((entries > 0).then(|| key(0, Content::Stream(head))).flatten())
            }
            Place::Generic { .. } => Ok(None),
        }
    }

    /// The key `name`; expired ones are absent. A file's key tells its type, its size and its version, and holds no
    /// elements.
    pub fn key(&self, name: &[u8]) -> Result<Option<Key>, Fatal> {
        if let Some(place) = self.place(name, Family::Any) {
            return self.of_a_file(place);
        }
        let key = object::read(self.view, self.generation(), self.now_ms(), name)?;
        if let Some(key) = &key
            && !key.is_live(self.clock_ms)
        {
            self.overdue.set(true);
        }
        Ok(key)
    }

    /// The string at `name`; refused when the key holds something else.
    pub fn text(&self, name: &[u8]) -> Result<Option<Bytes>, Stop> {
        match self.place(name, Family::Text) {
            Some(Place::Property { id, name, .. }) => {
                let Some(record) = self.record(&id)? else { return Ok(None) };
                return Ok(self.property(&id, &record, &name)?);
            }
            Some(place) => {
                return match self.of_a_file(place)? {
                    Some(_) => Err(Stop::Refused(WRONG_TYPE)),
                    None => Ok(None),
                };
            }
            None => {}
        }
        let Some(key) = self.key(name)? else { return Ok(None) };
        match key.content {
            // The commonest case, without another look at the state.
            Content::Text(bytes) => Ok(Some(bytes.0)),
            _ => match object::text(self.view, self.generation(), &key)? {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(Stop::Refused(WRONG_TYPE)),
            },
        }
    }
}

const TOO_MANY_IN_EXEC: Refusal =
    Refusal::fixed("ERR too many elements to be read inside a transaction that writes");

/// The refusal in a stop; a fault is told as the node's end.
pub fn refusal_of(stop: Stop) -> Refusal {
    match stop {
        Stop::Refused(refusal) => refusal,
        Stop::Fault(fault) => {
            tracing::error!(%fault, "reading the state failed");
            Refusal::fixed("CLUSTERDOWN the node is stopping")
        }
    }
}
