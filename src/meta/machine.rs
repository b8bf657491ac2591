//! The state machine: runs apply over the state, publishes, wakes whoever waits.
//!
//! Not here: what operations mean (`apply`), the log (`metad-raft` calls this).
//! Must always hold: called by one thread at a time; effects are visible before anyone is told of them; the store never
//! runs ahead of the log.

use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use metad_raft::{Applied, Entry, Fatal, SnapshotSink, SnapshotSource, StateMachine};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::apply::{self, Effects, Stop, tx::Core, tx::Tx};
use super::cluster::Book;
use super::digests::{self, Digest, Digests};
use super::entry::{FEATURE_LEVEL, NewerEntry};
use super::feed::{ChangeSet, Feed};
use super::hash::StateHash;
use super::layout;
use super::lookers::Lookers;
use super::snapshot::{self, Source};
use super::state::{Head, State};
use super::store::shelf::{Fresh, Shelf};
use super::store::{Change, StateStore};
use super::verify::{self, Nobody, Witness};
use super::waiters::Waiters;
use super::write_behind::{self, Checkpoint};

/// The metadata state machine.
pub struct MetaMachine {
    inner: Arc<Inner>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Inner {
    shelf: Box<dyn Shelf>,
    state: Arc<State>,
    core: Mutex<Core>,
    feed: Arc<Feed>,
    waiters: Waiters,
    applied: watch::Sender<u64>,
    book: watch::Sender<Arc<Book>>,
    digests: Digests,
    /// The highest feature level that can be applied here.
    known: u32,
    /// The entry that could not be, because it is of a newer version.
    newer: OnceLock<NewerEntry>,
    /// Doors that wait for marks.
    lookers: Lookers,
}

impl MetaMachine {
    /// Opens the state on a shelf. A store that is damaged or does not match its hash is thrown away: the log brings
    /// its content back.
    pub fn open(shelf: Box<dyn Shelf>) -> Result<Self, Fatal> {
        Self::open_before(shelf, &mut Nobody)
    }

    /// The same before a witness, who sees the records of a store that is kept.
    pub fn open_before(shelf: Box<dyn Shelf>, witness: &mut dyn Witness) -> Result<Self, Fatal> {
        Self::open_knowing(FEATURE_LEVEL, shelf, witness)
    }

    /// The same of a build that can apply entries up to feature level `known`.
    pub(super) fn open_knowing(
        known: u32,
        shelf: Box<dyn Shelf>,
        witness: &mut dyn Witness,
    ) -> Result<Self, Fatal> {
        let store = shelf.open()?;
        let (store, head) = match verify::verified(store.as_ref(), witness) {
            Ok(head) => (store, head),
            Err(fault) => {
                tracing::warn!(%fault, "the state store is not what it says: it is rebuilt from the log");
                drop(store);
                (shelf.switch(shelf.fresh()?)?, Head::default())
            }
        };
        let core = Core::load(&StoreView(store.as_ref()), head.system_hash, head.user_hash)?;
        let head = head_of(&core, head.applied);
        let applied = watch::Sender::new(head.applied.index);
        let state = Arc::new(State::new(store, head));
        let writer = spawn_writer(&state)?;
        let feed = Arc::new(Feed::default());
        // A follower that starts now finds everything up to here in the state.
        feed.publish([], *applied.borrow());
        let book = watch::Sender::new(Arc::clone(&core.book));
        let (core, waiters) = (Mutex::new(core), Waiters::default());
        let digests = Digests::default();
        let newer = OnceLock::new();
        let lookers = Lookers::default();
        let inner =
            Inner { shelf, state, core, feed, waiters, applied, book, digests, known, newer, lookers };
        Ok(Self { inner: Arc::new(inner), writer: Mutex::new(Some(writer)) })
    }

    /// The state, for readers.
    pub fn state(&self) -> &Arc<State> {
        &self.inner.state
    }

    /// The change feed.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.inner.feed
    }

    /// Who reads at marks in entries.
    pub fn lookers(&self) -> &Lookers {
        &self.inner.lookers
    }

    /// Who waits for hand-overs.
    pub fn waiters(&self) -> &Waiters {
        &self.inner.waiters
    }

    /// The applied index, as it moves.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.inner.applied.subscribe()
    }

    /// The cluster's book of members, as it changes. Local and stale.
    pub fn book(&self) -> watch::Receiver<Arc<Book>> {
        self.inner.book.subscribe()
    }

    /// Digests of recent indexes and of now, to be compared with those of other nodes.
    pub fn recent_digests(&self) -> Vec<Digest> {
        self.inner.digests.recent(self.digest())
    }

    /// The feature level that entries may use now.
    pub fn feature_level(&self) -> u32 {
        self.inner.state.pinned().head().counters.feature_level
    }

    /// The entry of a newer version that this node stopped at.
    pub fn newer(&self) -> Option<NewerEntry> {
        self.inner.newer.get().copied()
    }

    /// Brings everything into the store and ends the write-behind thread. Call after the replicator has stopped.
    pub fn close(&self) -> Result<(), Fatal> {
        let Some(writer) = self.writer.lock().take() else { return Ok(()) };
        let state = &self.inner.state;
        state.queue.lock().stop = true;
        state.moved.notify_all();
        writer.join().map_err(|_| Fatal::new("the write-behind thread panicked"))?;
        self.inner.feed.close();
        self.inner.waiters.close();
        state.store().flush()?;
        self.inner.shelf.close()
    }
}

impl Drop for MetaMachine {
    fn drop(&mut self) {
        if let Err(fault) = self.close() {
            tracing::error!(%fault, "closing the state failed");
        }
    }
}

fn spawn_writer(state: &Arc<State>) -> Result<JoinHandle<()>, Fatal> {
    let state = Arc::clone(state);
    std::thread::Builder::new()
        .name("write-behind".into())
        .spawn(move || write_behind::run(&state))
        .map_err(|e| Fatal::with("start the write-behind thread", e))
}

/// A bare store as a view, for start-up.
struct StoreView<'a>(&'a dyn StateStore);

impl super::view::View for StoreView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal> {
        self.0.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.0.scan(from, to, limit)
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.0.scan_back(from, to, limit)
    }
}

fn head_of(core: &Core, applied: Applied) -> Head {
    Head {
        applied,
        counters: core.counters,
        system_hash: core.system_hash,
        user_hash: core.user_hash,
        tail_first: core.tail_first(),
        rules_version: core.rules.version,
    }
}

impl Inner {
    /// Remembers why this node stops, when it is too old for the log.
    fn stopped(&self, stop: Stop) -> Fatal {
        match stop {
            Stop::Newer(newer) => Fatal::new(self.newer.get_or_init(|| newer).to_string()),
            Stop::Fatal(fatal) => fatal,
        }
    }

    /// Tells of a book that changed.
    fn publish_book(&self, book: Arc<Book>) {
        self.book.send_if_modified(|known| {
            let changed = !Arc::ptr_eq(known, &book);
            *known = book;
            changed
        });
    }

    /// Takes another store into use and tells followers to start over.
    fn replace(
        &self,
        fresh: Fresh,
        applied: Applied,
        system: StateHash,
        user: StateHash,
    ) -> Result<(), Fatal> {
        let store = self.shelf.switch(fresh)?;
        let mut core = self.core.lock();
        *core = Core::load(&StoreView(store.as_ref()), system, user)?;
        let head = head_of(&core, applied);
        let index = head.applied.index;
        let book = Arc::clone(&core.book);
        self.state.switch(store, head);
        drop(core);
        self.book.send_replace(book);
        self.digests.clear();
        self.feed.publish([Arc::new(ChangeSet { index, reset: true, ..ChangeSet::default() })], index);
        self.applied.send_replace(index);
        self.waiters.replaced();
        Ok(())
    }
}

impl StateMachine for MetaMachine {
    fn recovered(&self) -> Result<Option<Applied>, Fatal> {
        let head = self.inner.state.head();
        let empty = head.applied == Applied::default();
        Ok((!empty).then_some(head.applied))
    }

    fn discard(&self) -> Result<(), Fatal> {
        let fresh = self.inner.shelf.fresh()?;
        self.inner.replace(fresh, Applied::default(), StateHash::default(), StateHash::default())
    }

    fn apply(&self, chunk: &[Entry], upto: &Applied) -> Result<(), Fatal> {
        let inner = &self.inner;
        let mut core = inner.core.lock();
        let mut tx = Tx::new(inner.state.as_ref(), &mut core).shown_to(&inner.lookers);
        let mut effects: Vec<Effects> = Vec::with_capacity(chunk.len());
        let mut passed: Vec<Digest> = Vec::new();
        for entry in chunk {
            if let Entry::Ops { index, ops } = entry {
                let applied = apply::apply(&mut tx, *index, ops, inner.known);
                effects.push(applied.map_err(|stop| inner.stopped(stop))?);
                passed.extend(digests::is_kept(*index).then(|| (*index, tx.core.hash().to_bytes())));
            }
        }
        let changes = tx.into_changes();
        let head = head_of(&core, upto.clone());
        let (book, now_ms) = (Arc::clone(&core.book), core.counters.now_ms);
        drop(core);
        inner.state.publish(changes, head)?;
        inner.publish_book(book);
        inner.digests.extend(passed);
        let (sets, replies): (Vec<_>, Vec<_>) =
            effects.into_iter().map(|e| (Arc::new(e.changes), e.replies)).unzip();
        let indexes: Vec<u64> = sets.iter().map(|set: &Arc<ChangeSet>| set.index).collect();
        // Followers reflect the index of now, also when the last entry was the log's own and changed nothing.
        let blank = (indexes.last() != Some(&upto.index))
            .then(|| Arc::new(ChangeSet { index: upto.index, now_ms, ..ChangeSet::default() }));
        inner.feed.publish(sets.into_iter().chain(blank), upto.index);
        inner.applied.send_replace(upto.index);
        for (index, replies) in indexes.into_iter().zip(replies) {
            for (id, fate) in replies {
                inner.waiters.tell(id, index, fate);
            }
        }
        Ok(())
    }

    fn log_flushed(&self, index: u64) {
        let state = &self.inner.state;
        let mut queue = state.queue.lock();
        if index <= queue.flushed {
            return;
        }
        queue.flushed = index;
        // Only a full batch waits for the flush itself; an open one is looked at again when it has lingered.
        let awaited = queue.closed.front().is_some_and(|batch| batch.head.applied.index <= index);
        let awaited = awaited || queue.hurry || queue.stop;
        drop(queue);
        if awaited {
            state.moved.notify_all();
        }
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        Ok(Box::new(Source::begin(&self.inner.state)?))
    }

    fn install(&self) -> Result<Box<dyn SnapshotSink>, Fatal> {
        let fresh = self.inner.shelf.fresh()?;
        let inner = Arc::clone(&self.inner);
        Ok(Box::new(Sink { inner, fresh, system: StateHash::default(), user: StateHash::default() }))
    }

    fn digest(&self) -> (u64, [u8; 16]) {
        let pinned = self.inner.state.pinned();
        (pinned.head().applied.index, pinned.head().hash().to_bytes())
    }
}

/// A snapshot being installed into a store of its own.
struct Sink {
    inner: Arc<Inner>,
    fresh: Fresh,
    system: StateHash,
    user: StateHash,
}

impl SnapshotSink for Sink {
    fn put_block(&mut self, block: Bytes) -> Result<(), Fatal> {
        let pairs = snapshot::decode_block(&block).map_err(|e| Fatal::with("decode a snapshot block", e))?;
        snapshot::hash_of(&pairs, &mut self.system, &mut self.user);
        let batch: Vec<Change> = pairs.into_iter().map(|(key, value)| (key, Some(value))).collect();
        self.fresh.store.write(&batch)
    }

    fn commit(self: Box<Self>, applied: &Applied, state_hash: [u8; 16]) -> Result<(), Fatal> {
        let Self { inner, fresh, system, user } = *self;
        if system.plus(user).to_bytes() != state_hash {
            return Err(Fatal::new("the snapshot's content does not have its state hash"));
        }
        let head = Head { applied: applied.clone(), system_hash: system, user_hash: user, ..Head::default() };
        let checkpoint = Checkpoint::of(&head).encode();
        fresh.store.write(&[(Bytes::from_static(layout::CHECKPOINT), Some(checkpoint))])?;
        inner.replace(fresh, applied.clone(), system, user)
    }
}
