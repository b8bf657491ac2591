//! The write-behind thread: moves whole applied prefixes from the overlay into the store.
//!
//! Not here: durability; the store follows the log and never runs ahead of what the log has on disk (design D3).
//! Must always hold: a batch is written with its checkpoint in one atomic write; old values that a running snapshot
//! still needs are captured before they are overwritten; a fault ends the thread and is told to the machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bincode::{Decode, Encode};
use bytes::Bytes;
use metad_raft::{Applied, Fatal};

use super::hash::StateHash;
use super::layout::{self, Kind};
use super::state::{Batch, Head, Queue, State};
use super::store::{Change, StateStore};
use crate::codec::{self, CodecError};
use crate::limits;

/// Format version of the checkpoint.
const VERSION: u8 = 1;

/// The store's own word on how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Checkpoint {
    index: u64,
    mark: Vec<u8>,
    system_hash: ([u8; 16], u64),
    user_hash: ([u8; 16], u64),
}

impl Checkpoint {
    /// The checkpoint of a head.
    pub fn of(head: &Head) -> Self {
        let parts = |hash: StateHash| (hash.to_bytes(), hash.bytes);
        Self {
            index: head.applied.index,
            mark: head.applied.mark.to_vec(),
            system_hash: parts(head.system_hash),
            user_hash: parts(head.user_hash),
        }
    }

    /// The stored form.
    pub fn encode(&self) -> Bytes {
        codec::seal(codec::Kind::Checkpoint, VERSION, &codec::encode(self))
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        let (_, body) = codec::open(codec::Kind::Checkpoint, VERSION, stored)?;
        codec::decode(&body)
    }

    /// How far the store is.
    pub fn applied(&self) -> Applied {
        Applied { index: self.index, mark: Bytes::from(self.mark.clone()) }
    }

    /// Hash of the content that outlives clearing.
    pub fn system_hash(&self) -> StateHash {
        StateHash::from_parts(self.system_hash.0, self.system_hash.1)
    }

    /// Hash of the content of the present generation.
    pub fn user_hash(&self) -> StateHash {
        StateHash::from_parts(self.user_hash.0, self.user_hash.1)
    }
}

/// Runs until the state is stopped or the store fails. Everything that may be written is written before it ends.
pub fn run(state: &Arc<State>) {
    let _last_words = LastWords(state);
    loop {
        match step(state) {
            Ok(true) => {}
            Ok(false) => return,
            Err(fault) => {
                tracing::error!(%fault, "the state store failed");
                state.queue.lock().failure = Some(fault.to_string());
                state.moved.notify_all();
                return;
            }
        }
    }
}

/// Tells the machine when the thread ends by a panic, which the store's own code can raise: nobody may wait for it then.
struct LastWords<'a>(&'a State);

impl Drop for LastWords<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.lock().failure = Some("the write-behind thread panicked".into());
            self.0.moved.notify_all();
        }
    }
}

/// Writes one batch. `false` when there is nothing left and the state is stopped.
fn step(state: &State) -> Result<bool, Fatal> {
    let (batch, store, life) = {
        let mut queue = state.queue.lock();
        let Some(batch) = next_batch(state, &mut queue) else { return Ok(false) };
        (batch, state.store(), queue.life)
    };
    write(state, store.as_ref(), &batch)?;
    state.settle(&batch, life);
    let mut queue = state.queue.lock();
    if queue.life == life {
        queue.written = queue.written.max(batch.head.applied.index);
        queue.bytes -= batch.bytes;
    }
    drop(queue);
    state.moved.notify_all();
    if let Some(garbage) = garbage(store.as_ref(), batch.head.counters.generation)? {
        write(state, store.as_ref(), &Batch { changes: garbage.into_iter().collect(), ..batch })?;
    }
    Ok(true)
}

/// Waits for a batch that the log has on disk.
fn next_batch(state: &State, queue: &mut parking_lot::MutexGuard<'_, Queue>) -> Option<Batch> {
    let mut since = Instant::now();
    loop {
        if let Some(front) = queue.closed.front() {
            if front.head.applied.index <= queue.flushed {
                return queue.closed.pop_front();
            }
        } else if queue.open.changes.is_empty() {
            queue.hurry = false;
            since = Instant::now();
        } else if queue.open.head.applied.index <= queue.flushed
            && (queue.hurry || queue.stop || since.elapsed() >= LINGER)
        {
            let next = Batch { head: queue.open.head.clone(), ..Batch::default() };
            return Some(std::mem::replace(&mut queue.open, next));
        }
        if queue.stop {
            // What the log does not have on disk is not the store's to keep.
            return None;
        }
        if queue.closed.is_empty() && !queue.open.changes.is_empty() {
            state.moved.wait_for(queue, LINGER);
        } else {
            state.moved.wait(queue);
        }
    }
}

/// How long a small batch waits for company: overwrites meanwhile cost nothing.
const LINGER: Duration = Duration::from_millis(limits::STORE_LINGER_MS);

fn write(state: &State, store: &dyn StateStore, batch: &Batch) -> Result<(), Fatal> {
    let mut changes: Vec<Change> = batch.changes.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    changes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let checkpoint = Checkpoint::of(&batch.head).encode();
    let mut capture = state.capture.lock();
    if let Some(capture) = capture.as_mut() {
        capture.before_write(store, batch.head.applied.index, &changes)?;
    }
    changes.push((Bytes::from_static(layout::CHECKPOINT), Some(checkpoint)));
    store.write(&changes)
}

/// Some keys of generations that were cleared, to be deleted.
fn garbage(store: &dyn StateStore, generation: u32) -> Result<Option<Vec<Change>>, Fatal> {
    if generation == 0 {
        return Ok(None);
    }
    for kind in Kind::OF_GENERATIONS {
        let (from, to) = (layout::first_of(kind, 0), layout::first_of(kind, generation));
        let old = store.scan(&from, &to, limits::STORE_BATCH_KEYS)?;
        if !old.is_empty() {
            return Ok(Some(old.into_iter().map(|(key, _)| (key, None)).collect()));
        }
    }
    Ok(None)
}
