//! The state: the newest values in RAM, over the store.
//!
//! ```text
//! apply ─► publish ─► overlay (readers look here first) ─► queue of batches ─► write-behind thread ─► store
//!                                                                                     └─► recent values (`recent`)
//! ```
//!
//! Not here: what changes (`apply`), the thread that moves batches (`write_behind`).
//! Must always hold: a key that is not in the overlay has its newest value in the store; the overlay is changed by one
//! writer, and published whole chunks at a time, so a reader under the lock sees one applied index; a batch ends where
//! a chunk ended and carries that chunk's mark, so the store is always a whole prefix of the log.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use metad_raft::{Applied, Fatal};
use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};

use super::counters::Counters;
use super::hash::StateHash;
use super::recent::Recent;
use super::record::EventId;
use super::snapshot::Capture;
use super::store::StateStore;
use super::view::{View, scan_over, scan_over_back};
use crate::limits;

/// What is true at the applied index.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Last applied entry and its mark.
    pub applied: Applied,
    /// The counters.
    pub counters: Counters,
    /// Hash of the content that outlives clearing.
    pub system_hash: StateHash,
    /// Hash of the content of the present generation.
    pub user_hash: StateHash,
    /// First id of the raw tail of events, if there is one.
    pub tail_first: Option<EventId>,
    /// Index of the entry that set the rules, 0 when none did.
    pub rules_version: u64,
}

impl Head {
    /// Hash of the whole content.
    pub fn hash(&self) -> StateHash {
        self.system_hash.plus(self.user_hash)
    }
}

struct Slot {
    value: Option<Bytes>,
    /// Index of the chunk that wrote it.
    index: u64,
}

#[derive(Default)]
struct Overlay {
    map: BTreeMap<Bytes, Slot>,
    head: Head,
    /// As in [`Queue::life`].
    life: u64,
}

impl Overlay {
    /// Changes with everything that is published.
    fn stage(&self) -> (u64, u64) {
        (self.life, self.head.applied.index)
    }
}

/// Changes of whole chunks on their way into the store.
#[derive(Clone, Default)]
pub(super) struct Batch {
    pub(super) head: Head,
    pub(super) changes: HashMap<Bytes, Option<Bytes>>,
    /// What it costs in RAM, overwritten values included.
    pub(super) bytes: usize,
}

/// What the write-behind thread waits for.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) closed: VecDeque<Batch>,
    pub(super) open: Batch,
    /// The log is on disk up to here: the store may follow.
    pub(super) flushed: u64,
    /// Index up to which the store has been written.
    pub(super) written: u64,
    /// What all batches cost that are not in the store yet, the one being written included.
    pub(super) bytes: usize,
    /// Rises with each switch of stores: a batch of an earlier life is nobody's business any more.
    pub(super) life: u64,
    /// Everything that is queued is to be written without waiting for more.
    pub(super) hurry: bool,
    pub(super) stop: bool,
    /// A fault of the store: the thread has ended and the node must stop.
    pub(super) failure: Option<String>,
}

/// How far the store on disk is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unstored {
    /// Keys whose newest value it does not have.
    pub keys: usize,
    /// What the changes on their way to it cost in RAM, in bytes.
    pub bytes: usize,
    /// Index up to which it has been written.
    pub after: u64,
}

/// The state of this node.
pub struct State {
    overlay: RwLock<Overlay>,
    recent: Recent,
    store: RwLock<Arc<dyn StateStore>>,
    pub(super) queue: Mutex<Queue>,
    pub(super) moved: Condvar,
    pub(super) capture: Mutex<Option<Capture>>,
    /// Number of the next capture, so that only its own reader takes it back.
    pub(super) captures: AtomicU64,
}

impl State {
    /// A state over a store whose content belongs to `head`.
    pub fn new(store: Arc<dyn StateStore>, head: Head) -> Self {
        let state = Self {
            overlay: RwLock::default(),
            recent: Recent::default(),
            store: RwLock::new(store),
            queue: Mutex::default(),
            moved: Condvar::new(),
            capture: Mutex::default(),
            captures: AtomicU64::new(1),
        };
        state.overlay.write().head = head.clone();
        let mut queue = state.queue.lock();
        queue.written = head.applied.index;
        queue.open.head = head;
        drop(queue);
        state
    }

    /// Replaces everything by another store, as after the installation of a snapshot.
    pub fn switch(&self, store: Arc<dyn StateStore>, head: Head) {
        // A snapshot of the old content cannot be finished: its reader is told.
        *self.capture.lock() = None;
        let mut overlay = self.overlay.write();
        let mut queue = self.queue.lock();
        *self.store.write() = store;
        self.recent.clear();
        let life = queue.life + 1;
        *overlay = Overlay { head: head.clone(), life, ..Overlay::default() };
        let (flushed, stop) = (queue.flushed, queue.stop);
        *queue = Queue { written: head.applied.index, flushed, stop, life, ..Queue::default() };
        queue.open.head = head;
        self.moved.notify_all();
    }

    /// Publishes what a chunk changed. Waits while the store is too far behind.
    pub fn publish(&self, changes: BTreeMap<Bytes, Option<Bytes>>, head: Head) -> Result<(), Fatal> {
        self.wait_for_room()?;
        let mut overlay = self.overlay.write();
        let index = head.applied.index;
        let mut queue = self.queue.lock();
        if let Some(failure) = &queue.failure {
            return Err(Fatal::new(failure.clone()));
        }
        // The write-behind thread sleeps while nothing waits, and until a batch is full otherwise.
        let mut wake = queue.open.changes.is_empty() && queue.closed.is_empty();
        let bytes: usize = changes.iter().map(|(k, v)| cost(k, v.as_ref())).sum();
        queue.bytes += bytes;
        queue.open.bytes += bytes;
        queue.open.changes.extend(changes.iter().map(|(k, v)| (k.clone(), v.clone())));
        queue.open.head = head.clone();
        if queue.open.changes.len() >= limits::STORE_BATCH_KEYS {
            let next = Batch { head: head.clone(), ..Batch::default() };
            let full = std::mem::replace(&mut queue.open, next);
            queue.closed.push_back(full);
            wake = true;
        }
        drop(queue);
        for (key, value) in changes {
            overlay.map.insert(key, Slot { value, index });
        }
        overlay.head = head;
        drop(overlay);
        if wake {
            self.moved.notify_all();
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), Fatal> {
        let mut queue = self.queue.lock();
        if queue.bytes < limits::OVERLAY_BYTES_MAX {
            return Ok(());
        }
        queue.hurry = true;
        self.moved.notify_all();
        while queue.failure.is_none() && !queue.stop && queue.bytes >= limits::OVERLAY_BYTES_MAX {
            self.moved.wait(&mut queue);
        }
        match &queue.failure {
            Some(failure) => Err(Fatal::new(failure.clone())),
            None => Ok(()),
        }
    }

    /// Forgets the overlay's copies of what a batch has brought into the store.
    pub(super) fn settle(&self, batch: &Batch, life: u64) {
        let index = batch.head.applied.index;
        let mut overlay = self.overlay.write();
        if overlay.life != life {
            return;
        }
        for (key, value) in &batch.changes {
            if overlay.map.get(key).is_some_and(|slot| slot.index <= index) {
                overlay.map.remove(key);
                self.recent.keep(key, value.as_ref());
            }
        }
    }

    /// The store behind the overlay.
    pub(super) fn store(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.store.read())
    }

    /// What is true now.
    pub fn head(&self) -> Head {
        self.overlay.read().head.clone()
    }

    /// How far the store is behind, for figures.
    pub fn unstored(&self) -> Unstored {
        let keys = self.overlay.read().map.len();
        let queue = self.queue.lock();
        Unstored { keys, bytes: queue.bytes, after: queue.written }
    }

    /// One applied index for several reads: publishing waits while it lives, so keep it short.
    pub fn pinned(&self) -> Pinned<'_> {
        Pinned { overlay: self.overlay.read(), recent: &self.recent, store: self.store() }
    }

    /// The newest value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        // Looked up before the overlay's lock goes: a switch of stores in between would answer from the wrong one.
        let (store, seen) = {
            let overlay = self.overlay.read();
            if let Some(slot) = overlay.map.get(key) {
                return Ok(slot.value.clone());
            }
            if let Some(value) = self.recent.get(key) {
                return Ok(value);
            }
            (self.store(), overlay.stage())
        };
        let value = store.get(key)?;
        let overlay = self.overlay.read();
        // Nothing was published meanwhile, so this is what the store has.
        if overlay.stage() == seen {
            self.recent.keep(key, value.as_ref());
        }
        Ok(value)
    }
}

impl View for State {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        State::get(self, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.pinned().scan(from, to, limit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.pinned().scan_back(from, to, limit)
    }
}

/// The state at one applied index.
pub struct Pinned<'a> {
    overlay: RwLockReadGuard<'a, Overlay>,
    recent: &'a Recent,
    store: Arc<dyn StateStore>,
}

impl Pinned<'_> {
    /// What is true at this index.
    pub fn head(&self) -> &Head {
        &self.overlay.head
    }
}

impl View for Pinned<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        if let Some(slot) = self.overlay.map.get(key) {
            return Ok(slot.value.clone());
        }
        if let Some(value) = self.recent.get(key) {
            return Ok(value);
        }
        let value = self.store.get(key)?;
        // Neither publishing nor settling goes on while this one lives.
        self.recent.keep(key, value.as_ref());
        Ok(value)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let older = |from: &[u8], limit| self.store.scan(from, to, limit);
        scan_over(&self.overlay.map, |slot| slot.value.clone(), older, (from, to), limit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let older = |to: &[u8], limit| self.store.scan_back(from, to, limit);
        scan_over_back(&self.overlay.map, |slot| slot.value.clone(), older, (from, to), limit)
    }
}

/// What an overlay entry costs in RAM, roughly.
fn cost(key: &Bytes, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len) + limits::OVERLAY_ENTRY_BYTES
}
