//! `MetadataService`: the one way in for reads, writes and watching.
//!
//! Not here: who implements it (`log_service` over the log; a Redis in flock mode), protocols (doors).
//! Must always hold: a success means what `docs/consistency.md` promises; every error tells whether the write was
//! applied (no, or unknown), so that doors can pass it on.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use metad_raft::{Fut, Status};

use super::event::Event;
use super::feed::FeedReader;
use super::op::Op;
use super::record::{EventId, Record};
use super::response::Response;

/// How fresh a read must be. Source: design D9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// Sees everything that was acknowledged anywhere before the read began.
    #[default]
    Linearizable,
    /// Sees at least `min_index` of the read's options; never goes back for a client that passes on what it got.
    Session,
    /// Whatever this node has, at once.
    Stale,
}

/// Options of a read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// How fresh.
    pub consistency: Consistency,
    /// The local state must have applied at least this index; 0 asks for nothing.
    pub min_index: u64,
    /// When to give up.
    pub deadline: Instant,
}

/// Options of a write.
#[derive(Clone, Copy, Debug)]
pub struct WriteOptions {
    /// When to give up waiting; the outcome is then unknown unless the write was never proposed.
    pub deadline: Instant,
}

/// An answer of a read and the applied index that it reflects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read<T> {
    /// The answer.
    pub value: T,
    /// Index of the log that the answer reflects.
    pub index: u64,
}

/// An acknowledged write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// One response per operation, in order.
    pub responses: Vec<Response>,
    /// Index of the log entry that holds them.
    pub index: u64,
}

/// A record as readers see it: live properties only, long values put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// Live properties sorted by name. Values are bytes; most are UTF-8.
    pub properties: Vec<(Bytes, Bytes)>,
    /// Index of the log entry that last changed the record: its version for `If-Match`.
    pub version: u64,
}

/// Whether a failed write was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppliedState {
    /// Certainly not.
    No,
    /// Nobody knows yet.
    Unknown,
}

/// A refusal of the service. Refusals of single operations are [`Response::Rejected`] instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// No leader could be found in time. Not applied; try again.
    #[error("no leader")]
    NoLeader,
    /// The deadline passed while the write was on its way, or a read could not be made fresh in time.
    #[error("timed out")]
    TimedOut {
        /// Whether the write was applied; `No` for reads.
        applied: AppliedState,
    },
    /// Too much is in flight. Not applied; try again.
    #[error("too many requests in flight")]
    Busy,
    /// The operations are larger than one log entry may be. Not applied.
    #[error("the request of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Size in bytes.
        bytes: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// The disk has no room. Not applied.
    #[error("no space left on the data volume")]
    NoSpace,
    /// The node is stopping or was stopped by a local fault.
    #[error("the node is stopped")]
    Stopped {
        /// Whether the write was applied.
        applied: AppliedState,
    },
}

impl ServiceError {
    /// Whether the write was applied.
    pub fn applied(&self) -> AppliedState {
        match self {
            ServiceError::TimedOut { applied } | ServiceError::Stopped { applied } => *applied,
            ServiceError::NoLeader
            | ServiceError::Busy
            | ServiceError::TooLarge { .. }
            | ServiceError::NoSpace => AppliedState::No,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            ServiceError::NoLeader
            | ServiceError::TimedOut { .. }
            | ServiceError::Busy
            | ServiceError::NoSpace
            | ServiceError::Stopped { .. } => true,
            ServiceError::TooLarge { .. } => false,
        }
    }
}

/// The rules in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesView {
    /// Their text; `None` while nobody has set any and the default preset holds.
    pub text: Option<Bytes>,
    /// Index of the log entry that set them.
    pub version: u64,
}

/// Figures about the state, read from RAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateTotals {
    /// Records that are listed.
    pub records: u64,
    /// Live properties of all records.
    pub properties: u64,
    /// Entries of the raw tail of `meta:events`.
    pub tail_events: u64,
    /// Id of the last event ever.
    pub last_event: EventId,
    /// Id of the first event of the raw tail.
    pub tail_first: EventId,
    /// Bytes of all keys and values in the snapshot's content.
    pub content_bytes: u64,
    /// Keys whose newest value is not in the store on disk yet.
    pub unstored_keys: u64,
    /// What the changes cost in RAM that are not there yet, in bytes.
    pub unstored_bytes: u64,
    /// Index of the log up to which the store has been written.
    pub stored_index: u64,
    /// Bytes of operations that wait to be handed to the log.
    pub waiting_bytes: u64,
}

/// A page of `meta:events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Events in order of their ids.
    pub events: Vec<Event>,
    /// Where to go on: the id of the last event, or the id asked for when there is none.
    pub next: EventId,
    /// The page began below the raw tail: superseded events are missing from it.
    pub compacted: bool,
    /// The page ends at the end of the stream, as of `index`.
    pub at_end: bool,
    /// Applied index that the page reflects.
    pub index: u64,
}

/// The one way in to metadata. Object-safe: the doors hold an `Arc<dyn MetadataService>`.
pub trait MetadataService: Send + Sync {
    /// Applies operations, all in one hand-over, in order, each atomic by itself.
    fn write(&self, ops: Vec<Op>, options: WriteOptions) -> Fut<'_, Result<Written, ServiceError>>;

    /// hashIds of all listed records, sorted by bytes.
    fn ids(&self, options: ReadOptions) -> Fut<'_, Result<Read<Vec<Bytes>>, ServiceError>>;

    /// One record; `None` when it is not there or has no live property.
    fn record(
        &self,
        id: Bytes,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Option<RecordView>>, ServiceError>>;

    /// Several records in the order asked for.
    fn records(
        &self,
        ids: Vec<Bytes>,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Vec<Option<RecordView>>>, ServiceError>>;

    /// One property's bytes.
    fn property(
        &self,
        id: Bytes,
        name: Bytes,
        options: ReadOptions,
    ) -> Fut<'_, Result<Read<Option<Bytes>>, ServiceError>>;

    /// Records in store order after `cursor`, at most about `count`: for export, search and lists. Local and stale.
    /// The second part of the answer is the cursor to go on with, `None` at the end.
    fn scan(&self, cursor: Option<Bytes>, count: usize) -> Result<ScanPage, ServiceError>;

    /// Records as they are stored, for the filesystem: like [`MetadataService::scan`], tombstones left out.
    fn scan_stored(&self, cursor: Option<Bytes>, count: usize) -> Result<StoredPage, ServiceError>;

    /// Events after `after`, at most `count`. Local and stale: a prefix of history.
    fn events(&self, after: EventId, count: usize) -> Result<EventPage, ServiceError>;

    /// The rules in force, local and stale.
    fn rules(&self) -> Result<RulesView, ServiceError>;

    /// A reader of the change feed that starts after the applied index of now.
    fn watch(&self) -> FeedReader;

    /// The record as it is stored, for the filesystem: local and stale.
    fn stored(&self, id: &[u8]) -> Result<Option<Arc<Record>>, ServiceError>;

    /// Totals, from RAM.
    fn totals(&self) -> StateTotals;

    /// Applied index and state hash at one instant.
    fn digest(&self) -> (u64, [u8; 16]);

    /// The log's status.
    fn status(&self) -> Status;
}

/// A page of [`MetadataService::scan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanPage {
    /// Records with their hashIds.
    pub records: Vec<(Bytes, RecordView)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Bytes>,
    /// Applied index at the time of the page.
    pub index: u64,
}

/// A page of [`MetadataService::scan_stored`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPage {
    /// Records with their hashIds.
    pub records: Vec<(Bytes, Record)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Bytes>,
    /// Applied index at the time of the page.
    pub index: u64,
    /// The log's time at that index, in milliseconds.
    pub now_ms: u64,
}
