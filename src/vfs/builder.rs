//! `StreamingStateBuilder`: turns the stream of metadata changes into what the tree needs to know.
//!
//! ```text
//!   scan of all records ──┐                          ┌─► on_property_change / on_property_delete
//!                         ├─► StreamingStateBuilder ─┤
//!   events, then records ─┘   (relevant? complete?)  └─► on_file_complete / on_file_delete ──► Projection ──► Tree
//! ```
//!
//! Not here: reading the change feed (`follower`), the rules (`Placer` is implemented by the rule set), names (`tree`).
//! Must always hold: pure: the log's time comes with each call; a file exists exactly while it has a live, non-empty
//! `filePath` and is not deleted; no property is kept here: a rule change scans the records again.
//!
//! Source: seed 004. The seed fetches a property per event; here the record comes with the event.

use std::sync::Arc;

use super::attr::source_path;
use super::properties::PropertySet;
use super::rule::Explanation;
use crate::meta::record::{EventId, Record};

/// A path that the rules want for a file: one for each view that shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Path below the root, `/` between components, view included. The last component is the name.
    pub path: String,
    /// Bytes at the end of the name that labels and hashes go in front of: `.mkv`, `.en.srt`.
    pub suffix_len: usize,
    /// What tells the file from others of the same name, best first: edition, version, resolution.
    pub labels: Vec<String>,
}

/// Decides where files go. Pure: equal input, equal output, on every node.
pub trait Placer: Send + Sync {
    /// Where a record's file goes, at the log's time `now_ms`. Nothing means: nowhere.
    fn place(&self, record: &Record, now_ms: u64) -> Vec<Wish>;

    /// Properties that placing, labels and attributes may read.
    fn properties(&self) -> PropertySet;

    /// Why the file is where it is, view by view.
    fn explain(&self, record: &Record, now_ms: u64) -> Explanation;
}

/// The seed's four callbacks. The tree's projection implements them.
///
/// Source: seed 004, "VFSUpdateCallback Interface".
pub trait VfsUpdate {
    /// A relevant property of a file was written.
    fn on_property_change(&mut self, id: &[u8], property: &[u8], record: &Record);

    /// A relevant property of a file was deleted or expired.
    fn on_property_delete(&mut self, id: &[u8], property: &[u8]);

    /// The file is gone: its `filePath` or the whole record. Answers whether it was complete before.
    fn on_file_delete(&mut self, id: &[u8]) -> bool;

    /// The file has what it needs to appear: first when it gets a `filePath`, then on each relevant change. Answers
    /// whether it is new.
    fn on_file_complete(&mut self, id: &[u8], record: Held<'_>, now_ms: u64) -> bool;
}

/// A record that is lent for the call, or that may be kept.
#[derive(Clone, Copy, Debug)]
pub enum Held<'r> {
    /// From a scan.
    Lent(&'r Record),
    /// From the change feed.
    Shared(&'r Arc<Record>),
}

impl<'r> Held<'r> {
    /// The record.
    pub fn record(self) -> &'r Record {
        match self {
            Held::Lent(record) => record,
            Held::Shared(record) => record,
        }
    }
}

/// What happened to a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was written.
    Set,
    /// It was deleted, or it expired.
    Del,
}

/// One event of the log, as the builder takes it.
#[derive(Clone, Copy, Debug)]
pub struct Change<'c> {
    /// Id of the event.
    pub event: EventId,
    /// What happened.
    pub kind: ChangeKind,
    /// hashId of the record.
    pub id: &'c [u8],
    /// Name of the property.
    pub property: &'c [u8],
    /// The record after the change, or after a later one of the same batch; `None` when it is gone.
    pub record: Option<&'c Arc<Record>>,
}

/// Counters of the statistics page. Source: seed 004, "Stats API".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuilderStats {
    /// Events taken, relevant or not.
    pub events_processed: u64,
    /// PropertySet properties read, by events and by scans.
    pub properties_fetched: u64,
    /// Properties that no rule asks for.
    pub properties_skipped: u64,
    /// Files that exist now.
    pub files_complete: u64,
    /// The last event taken, or the newest event of a scanned record.
    pub last_event_id: EventId,
}

/// The builder of seed 004. See the module's header.
#[derive(Debug)]
pub struct StreamingStateBuilder<U> {
    update: U,
    relevant: PropertySet,
    stats: BuilderStats,
}

impl<U: VfsUpdate> StreamingStateBuilder<U> {
    /// A builder over an empty projection.
    pub fn new(update: U, relevant: PropertySet) -> Self {
        Self { update, relevant, stats: BuilderStats::default() }
    }

    /// Takes one record of a scan. Records may come in any order and more than once.
    pub fn scan(&mut self, id: &[u8], record: &Record, now_ms: u64) {
        for property in record.properties.iter().filter(|p| p.is_live(now_ms)) {
            self.count(&property.name);
        }
        self.stats.last_event_id = self.stats.last_event_id.max(record.header.event);
        self.complete_or_delete(id, Some(Held::Lent(record)), now_ms);
    }

    /// Takes one event at the log's time `now_ms`. Answers whether it mattered.
    pub fn process(&mut self, change: &Change<'_>, now_ms: u64) -> bool {
        self.stats.events_processed += 1;
        self.stats.last_event_id = self.stats.last_event_id.max(change.event);
        if !self.count(change.property) {
            return false;
        }
        match (change.kind, change.record) {
            (ChangeKind::Set, Some(record)) => {
                self.update.on_property_change(change.id, change.property, record);
            }
            (ChangeKind::Set, None) | (ChangeKind::Del, _) => {
                self.update.on_property_delete(change.id, change.property);
            }
        }
        self.complete_or_delete(change.id, change.record.map(Held::Shared), now_ms);
        true
    }

    /// Takes the state of a record without an event: one that was pinned, or one that vanished with all its events.
    pub fn sync(&mut self, id: &[u8], record: Option<&Arc<Record>>, now_ms: u64) {
        self.complete_or_delete(id, record.map(Held::Shared), now_ms);
    }

    /// The counters.
    pub fn stats(&self) -> BuilderStats {
        self.stats
    }

    /// The projection that it feeds.
    pub fn update(&mut self) -> &mut U {
        &mut self.update
    }

    /// Takes the builder apart: after a scan the projection and its counters go on in another builder.
    pub fn into_parts(self) -> (U, PropertySet, BuilderStats) {
        (self.update, self.relevant, self.stats)
    }

    /// Goes on under other rules: counters add up, the number of complete files is the other's.
    pub fn adopt(&mut self, relevant: PropertySet, scanned: BuilderStats) {
        self.relevant = relevant;
        self.stats.properties_fetched += scanned.properties_fetched;
        self.stats.properties_skipped += scanned.properties_skipped;
        self.stats.files_complete = scanned.files_complete;
        self.stats.last_event_id = self.stats.last_event_id.max(scanned.last_event_id);
    }

    fn count(&mut self, property: &[u8]) -> bool {
        let relevant = std::str::from_utf8(property).is_ok_and(|p| self.relevant.contains(p));
        if relevant {
            self.stats.properties_fetched += 1;
        } else {
            self.stats.properties_skipped += 1;
        }
        relevant
    }

    fn complete_or_delete(&mut self, id: &[u8], record: Option<Held<'_>>, now_ms: u64) {
        match record.filter(|r| source_path(r.record(), now_ms).is_some()) {
            Some(record) => {
                self.stats.files_complete += u64::from(self.update.on_file_complete(id, record, now_ms));
            }
            None => self.stats.files_complete -= u64::from(self.update.on_file_delete(id)),
        }
    }
}
