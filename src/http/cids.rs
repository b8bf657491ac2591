//! Which record a CID belongs to: `poster`, `backdrop` and every `cid_…` property, backwards.
//!
//! The index is made by one scan at the first question and follows the change feed from then on. It holds hashes of the
//! CIDs; whoever asks looks at the record itself, so that a clash of hashes or a late change cannot serve a wrong file.
//!
//! Not here: serving (`files`). Must always hold: after a question, the index knows every change that was applied before
//! it; memory is about a hundred bytes for each CID, and nothing before the first question.
//!
//! Source: seed 000, "File Operations (by CID)".

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::limits::EXPORT_PAGE_RECORDS;
use crate::meta::feed::{FeedReader, Followed};
use crate::meta::record::{Record, Value};
use crate::meta::service::{MetadataService, ServiceError};

/// Whether a property holds a CID.
pub(super) fn is_cid_property(name: &[u8]) -> bool {
    name == b"poster" || name == b"backdrop" || name.starts_with(b"cid_")
}

/// The index.
#[derive(Default)]
pub(super) struct CidIndex {
    live: Mutex<Option<Live>>,
    /// A task keeps it up to date.
    followed: AtomicBool,
}

struct Live {
    reader: FeedReader,
    /// (hash of a CID, hashId of the record).
    by_cid: BTreeSet<(u64, Bytes)>,
    /// The hashes of each record, to take them out again.
    by_record: HashMap<Bytes, Box<[u64]>>,
}

impl CidIndex {
    /// hashIds of the records that may hold the CID, sorted. Blocks on the first call while all records are read.
    pub fn candidates(&self, service: &dyn MetadataService, cid: &str) -> Result<Vec<Bytes>, ServiceError> {
        let mut live = self.live.lock();
        let known = live.take().and_then(Live::caught_up);
        let current = known.map_or_else(|| Live::scan(service), Ok)?;
        let hash = xxh3_64(cid.as_bytes());
        let from = (hash, Bytes::new());
        let found = current.by_cid.range(from..).take_while(|(h, _)| *h == hash).map(|(_, id)| id.clone());
        let found = found.collect();
        *live = Some(current);
        Ok(found)
    }

    /// Follows the feed from the first question on, until the node stops: a quiet index would fall behind the feed's
    /// memory and have to be made anew.
    pub fn keep_up(self: &Arc<Self>, service: &dyn MetadataService, closing: &CancellationToken) {
        if self.followed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (index, closing, mut wake) = (Arc::clone(self), closing.clone(), service.watch());
        tokio::spawn(closing.run_until_cancelled_owned(async move {
            while !matches!(wake.next().await, Followed::Closed) {
                // Whoever holds the lock is catching up himself.
                if let Some(mut live) = index.live.try_lock() {
                    *live = live.take().and_then(Live::caught_up);
                }
            }
        }));
    }
}

impl Live {
    /// Reads all records. The reader comes first, so that no change falls between.
    fn scan(service: &dyn MetadataService) -> Result<Self, ServiceError> {
        let reader = service.watch();
        let mut live = Self { reader, by_cid: BTreeSet::new(), by_record: HashMap::new() };
        let mut cursor = None;
        loop {
            let page = service.scan(cursor, EXPORT_PAGE_RECORDS)?;
            for (id, record) in &page.records {
                let cids = record.properties.iter().filter(|(name, _)| is_cid_property(name));
                live.put(id, cids.map(|(_, value)| xxh3_64(value)).collect());
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(live);
            }
        }
    }

    /// The index with what was applied since; `None` when it must be made anew.
    fn caught_up(mut self) -> Option<Self> {
        self.catch_up().then_some(self)
    }

    fn catch_up(&mut self) -> bool {
        let Followed::Sets(sets) = self.reader.poll() else { return false };
        for set in sets {
            if set.reset {
                return false;
            }
            for (id, record) in &set.records {
                self.put(id, record.as_deref().map(cids_of).unwrap_or_default());
            }
        }
        true
    }

    fn put(&mut self, id: &Bytes, hashes: Vec<u64>) {
        if let Some(old) = self.by_record.remove(id) {
            for hash in old {
                self.by_cid.remove(&(hash, id.clone()));
            }
        }
        if hashes.is_empty() {
            return;
        }
        // An own copy: a slice would keep the whole log entry that it came in.
        let id = Bytes::copy_from_slice(id);
        self.by_cid.extend(hashes.iter().map(|hash| (*hash, id.clone())));
        self.by_record.insert(id, hashes.into());
    }
}

fn cids_of(record: &Record) -> Vec<u64> {
    let held = record.properties.iter().filter(|p| is_cid_property(&p.name));
    held.filter_map(|p| match &p.value {
        Value::Inline(bytes) => Some(xxh3_64(bytes)),
        Value::Chunked { .. } | Value::Deleted => None,
    })
    .collect()
}
