//! The follower: brings the tree to where the log is, and keeps it there.
//!
//! ```text
//! start                          ─► first scan (first_scan) + what the log added ─► the first tree
//! rules changed, lagged, refresh ─► scan of all records + changes meanwhile      ─► one new tree
//! otherwise                      ─► change feed ─► builder ─► one batch
//! ```
//!
//! Why this is hard, and what answers it:
//! 1. A scan takes time and the log goes on. The feed is read from before the scan, and everything up to the scan's
//!    end is put into the new tree before anybody sees it: the tree is exactly the state at that index.
//! 2. A refresh runs while the live thread follows. Whoever holds the lock moves the tree; sets up to the index of the
//!    last adopted scan are skipped.
//!
//! Not here: what a change means for the tree (`builder`, `tree_projection`), the kernel's caches (fuse).
//! Must always hold: no reader ever sees a half-built tree; the tree never goes back to an older index.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use metad_raft::Fut;
use parking_lot::Mutex;

use super::builder::{BuilderStats, Change, ChangeKind, Placer};
use super::filesystem::FsError;
use super::first_scan::{Finished, FirstScan};
use super::keeper::TreeKeeper;
use super::rule::RuleSet;
use super::tree_fs::VirtualTree;
use super::tree_projection::{self, Follow, Scan};
use crate::clock::Clock;
use crate::limits;
use crate::meta::event::EventKind;
use crate::meta::feed::{ChangeSet, FeedReader, Followed};
use crate::meta::record::Record;
use crate::meta::service::{MetadataService, RulesView, ServiceError};

/// Why a tree could not be built.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The state could not be read.
    #[error("reading the metadata failed: {0}")]
    Service(#[from] ServiceError),
    /// The replicated rules cannot be read by this build.
    #[error("the rules in force cannot be read: {0}")]
    Rules(String),
    /// The thread could not be started.
    #[error("starting the follower's thread failed: {0}")]
    Thread(#[from] std::io::Error),
    /// The node stops.
    #[error("the node stops")]
    Stopping,
}

/// Keeps the tree. Cheap to clone; the thread ends when the feed is closed.
pub struct Follower {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    service: Arc<dyn MetadataService>,
    clock: Arc<dyn Clock>,
    moving: Mutex<Moving>,
    /// What doors may ask while the tree is being moved.
    shown: Mutex<Shown>,
    /// When the tree was last read as a whole; 0 before the first time.
    refreshed_ms: AtomicU64,
}

/// Copies for the doors: a rebuild holds [`Moving`] for seconds, and nobody waits for it.
struct Shown {
    stats: BuilderStats,
    rules: Arc<RuleSet>,
}

/// What only the one who moves the tree may touch.
struct Moving {
    follow: Follow,
    rules: Arc<RuleSet>,
    /// Log index that the tree reflects.
    index: u64,
    /// Changes are missing from the tree: nothing but a rebuild brings it forward.
    stale: bool,
}

impl Follower {
    /// Builds the first tree and follows from there. Returns once the tree is complete. `since` must be a reader of the
    /// feed from before the log was started: it tells what came after the first scan.
    pub fn start(
        service: Arc<dyn MetadataService>,
        tree: Arc<VirtualTree>,
        clock: Arc<dyn Clock>,
        first: FirstScan,
        since: FeedReader,
    ) -> Result<Self, FollowError> {
        let rules = Arc::new(RuleSet::default());
        let follow = tree_projection::follow(Arc::clone(&rules) as Arc<dyn Placer>, tree);
        let shown = Mutex::new(Shown { stats: BuilderStats::default(), rules: Arc::clone(&rules) });
        let moving = Mutex::new(Moving { follow, rules, index: 0, stale: true });
        let refreshed_ms = AtomicU64::new(0);
        let inner = Arc::new(Inner { service, clock, moving, shown, refreshed_ms });
        let reader = inner.service.watch();
        inner.begin(&mut inner.moving.lock(), first, since)?;
        let thread = {
            let inner = Arc::clone(&inner);
            std::thread::Builder::new().name("vfs-follower".into()).spawn(move || inner.run(reader))?
        };
        Ok(Self { inner, thread: Mutex::new(Some(thread)) })
    }

    /// Waits for the thread, which ends when the feed is closed.
    pub fn join(&self) {
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the follower's thread panicked");
        }
    }
}

impl Inner {
    fn run(&self, mut reader: FeedReader) {
        loop {
            let outcome = match reader.wait() {
                Followed::Closed => return,
                Followed::Lagged => self.rebuild(&mut self.moving.lock()),
                Followed::Sets(sets) => self.advance(&mut self.moving.lock(), &sets),
            };
            match outcome {
                Ok(()) => {}
                Err(FollowError::Stopping) => return,
                // The last good tree is served on; the next change tries again.
                Err(error) => tracing::error!(%error, "the tree could not follow the log"),
            }
        }
    }

    /// Applies sets that the tree does not have yet, as one batch.
    fn advance(&self, moving: &mut Moving, sets: &[Arc<ChangeSet>]) -> Result<(), FollowError> {
        let new = || sets.iter().filter(|set| set.index > moving.index);
        if moving.stale || new().any(|set| set.reset) {
            return self.rebuild(moving);
        }
        let Some(index) = new().map(|set| set.index).max() else { return Ok(()) };
        for set in sets.iter().filter(|set| set.index > moving.index) {
            process(&mut moving.follow, set);
        }
        moving.follow.update().commit(index);
        moving.index = index;
        self.shown.lock().stats = moving.follow.stats();
        Ok(())
    }

    /// The first tree: from the scan that verified the state, or from one of our own when there is none.
    fn begin(&self, moving: &mut Moving, first: FirstScan, mut since: FeedReader) -> Result<(), FollowError> {
        let Some(finished) = first.take() else { return self.rebuild(moving) };
        let mut meanwhile = Meanwhile::default();
        if !meanwhile.take(since.poll())? {
            return self.rebuild(moving);
        }
        self.adopt(moving, finished, &meanwhile);
        Ok(())
    }

    /// Reads everything and publishes the new tree in one step.
    fn rebuild(&self, moving: &mut Moving) -> Result<(), FollowError> {
        moving.stale = true;
        loop {
            let mut reader = self.service.watch();
            let (rules, version) = self.rules_in_force()?;
            let mut scan = tree_projection::scan(Arc::clone(&rules) as Arc<dyn Placer>, version);
            let mut meanwhile = Meanwhile::default();
            let Some(index) = self.scan_all(&mut scan, &mut reader, &mut meanwhile)? else { continue };
            if !meanwhile.take(reader.wait_until(index))? {
                continue;
            }
            self.adopt(moving, Finished { scan, rules, index }, &meanwhile);
            return Ok(());
        }
    }

    /// Publishes a scan with what changed since, in one step.
    fn adopt(&self, moving: &mut Moving, finished: Finished, meanwhile: &Meanwhile) {
        let Finished { mut scan, rules, index } = finished;
        for (id, (record, now_ms)) in &meanwhile.records {
            scan.sync(id, record.as_ref(), *now_ms);
        }
        let index = index.max(meanwhile.index);
        match self.last_refresh() {
            None => tree_projection::begin(&mut moving.follow, scan, index),
            Some(_) => {
                tree_projection::adopt(&mut moving.follow, scan, index);
            }
        }
        *self.shown.lock() = Shown { stats: moving.follow.stats(), rules: Arc::clone(&rules) };
        (moving.rules, moving.index, moving.stale) = (rules, index, false);
        self.refreshed_ms.store(self.clock.now_ms(), Ordering::Relaxed);
    }

    fn last_refresh(&self) -> Option<u64> {
        Some(self.refreshed_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    /// The rules and their version.
    fn rules_in_force(&self) -> Result<(Arc<RuleSet>, u64), FollowError> {
        let RulesView { text: Some(text), version } = self.service.rules()? else {
            return Ok((Arc::default(), 0));
        };
        let text = std::str::from_utf8(&text).map_err(|e| FollowError::Rules(e.to_string()))?;
        let rules = RuleSet::parse(text).map_err(|e| FollowError::Rules(e.to_string()))?;
        Ok((Arc::new(rules), version))
    }

    /// Feeds all records to the scan; the index at its end, or `None` when it must be done again.
    ///
    /// The feed is read along: a long scan under a running import would lag behind its ring for ever otherwise.
    fn scan_all(
        &self,
        scan: &mut Scan,
        reader: &mut FeedReader,
        meanwhile: &mut Meanwhile,
    ) -> Result<Option<u64>, FollowError> {
        let mut cursor = None;
        loop {
            let page = self.service.scan_stored(cursor, limits::SCAN_PAGE_KEYS)?;
            for (id, record) in &page.records {
                scan.scan(id, record, page.now_ms);
            }
            if !meanwhile.take(reader.poll())? {
                return Ok(None);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Some(page.index));
            }
        }
    }
}

/// What changed while a scan ran: each record's newest image and the log's time of it.
#[derive(Default)]
struct Meanwhile {
    records: BTreeMap<Bytes, (Option<Arc<Record>>, u64)>,
    index: u64,
}

impl Meanwhile {
    /// Takes what the feed has; `false` when the scan is worth nothing any more.
    fn take(&mut self, found: Followed) -> Result<bool, FollowError> {
        let sets = match found {
            Followed::Sets(sets) => sets,
            Followed::Lagged => return Ok(false),
            Followed::Closed => return Err(FollowError::Stopping),
        };
        for set in &sets {
            self.index = self.index.max(set.index);
            for (id, record) in &set.records {
                self.records.insert(id.clone(), (record.clone(), set.now_ms));
            }
        }
        Ok(!sets.iter().any(|set| set.reset))
    }
}

/// A record's id and its image; `None` for gone.
type Changed = (Bytes, Option<Arc<Record>>);

/// Hands the events of a set to the builder, each with its record as it is after the set; then the pinned records that
/// no event has placed: a pin has none, and may share its entry with a write that no rule asks for.
fn process(follow: &mut Follow, set: &ChangeSet) {
    let mut records: Vec<(&Changed, bool)> = set.records.iter().map(|r| (r, false)).collect();
    records.sort_unstable_by(|(a, _), (b, _)| a.0.cmp(&b.0));
    for event in &set.events {
        let found = records.binary_search_by(|((id, _), _)| id.cmp(&event.record)).ok();
        let record = found.and_then(|at| records[at].0.1.as_ref());
        let kind = match event.kind {
            EventKind::Set => ChangeKind::Set,
            EventKind::Del => ChangeKind::Del,
        };
        let (id, property) = (event.record.as_ref(), event.property.as_ref());
        let change = Change { event: event.id, kind, id, property, record };
        let placed = follow.process(&change, set.now_ms);
        if let Some(at) = found {
            records[at].1 |= placed;
        }
    }
    for ((id, record), _) in records.into_iter().filter(|(_, placed)| !placed) {
        if record.as_ref().is_some_and(|record| record.pin.is_some()) {
            follow.sync(id, record.as_ref(), set.now_ms);
        }
    }
}

impl TreeKeeper for Follower {
    fn refresh(&self) -> Fut<'_, Result<(), FsError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let built = tokio::task::spawn_blocking(move || inner.rebuild(&mut inner.moving.lock())).await;
            match built {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(FsError::Io(error.to_string())),
                Err(error) => Err(FsError::Io(error.to_string())),
            }
        })
    }

    fn stats(&self) -> BuilderStats {
        self.inner.shown.lock().stats
    }

    fn last_refresh_ms(&self) -> Option<u64> {
        self.inner.last_refresh()
    }

    fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.inner.shown.lock().rules)
    }
}
