//! A toy state machine: a map of strings, with a "disk" that outlives it.
//!
//! Not here: efficiency. Must always hold: its state is a function of the entries it was given, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use metad_raft::{Applied, Entry, Fatal, SnapshotSink, SnapshotSource, StateMachine};
use parking_lot::Mutex;

pub type State = BTreeMap<String, String>;

/// What survives a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub checkpoint: Option<(Applied, State)>,
}

#[derive(Default)]
struct Live {
    applied: Applied,
    state: State,
    flushed: u64,
    stored: Stored,
    history: Vec<u64>,
    entries: Vec<Entry>,
    discards: usize,
    installs: usize,
}

/// The machine; clones share one state.
#[derive(Clone, Default)]
pub struct Toy {
    live: Arc<Mutex<Live>>,
    refuse_apply: Arc<AtomicBool>,
}

impl Toy {
    /// A machine that starts from what another one stored.
    pub fn after_crash(stored: Stored) -> Self {
        let toy = Self::default();
        let mut live = toy.live.lock();
        if let Some((applied, state)) = &stored.checkpoint {
            (live.applied, live.state) = (applied.clone(), state.clone());
        }
        live.stored = stored;
        drop(live);
        toy
    }

    /// Moves the applied state to the "disk", as far as the journal allows.
    pub fn store(&self) -> u64 {
        let mut live = self.live.lock();
        if live.applied.index <= live.flushed {
            live.stored.checkpoint = Some((live.applied.clone(), live.state.clone()));
        }
        live.stored.checkpoint.as_ref().map_or(0, |(a, _)| a.index)
    }

    pub fn stored(&self) -> Stored {
        self.live.lock().stored.clone()
    }

    pub fn state(&self) -> State {
        self.live.lock().state.clone()
    }

    pub fn applied(&self) -> u64 {
        self.live.lock().applied.index
    }

    /// Indexes of the entries that were applied in this life.
    pub fn history(&self) -> Vec<u64> {
        self.live.lock().history.clone()
    }

    /// The entries that were applied in this life, from the `n`th on.
    pub fn entries(&self, n: usize) -> Vec<Entry> {
        self.live.lock().entries[n..].to_vec()
    }

    /// How often the state was discarded, and replaced by a snapshot.
    pub fn rebuilds(&self) -> (usize, usize) {
        let live = self.live.lock();
        (live.discards, live.installs)
    }

    /// From now on `apply` fails.
    pub fn break_down(&self) {
        self.refuse_apply.store(true, Ordering::Relaxed);
    }
}

/// FNV-1a over the state, enough to tell states apart in a test.
pub fn hash(state: &State) -> [u8; 16] {
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    for (k, v) in state {
        for b in k.bytes().chain([0]).chain(v.bytes()).chain([0]) {
            h = (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let mut out = [0; 16];
    out[..8].copy_from_slice(&h.to_le_bytes());
    out
}

impl StateMachine for Toy {
    fn recovered(&self) -> Result<Option<Applied>, Fatal> {
        Ok(self.live.lock().stored.checkpoint.as_ref().map(|(a, _)| a.clone()))
    }

    fn discard(&self) -> Result<(), Fatal> {
        let mut live = self.live.lock();
        live.discards += 1;
        (live.applied, live.state, live.stored) = Default::default();
        Ok(())
    }

    fn apply(&self, chunk: &[Entry], upto: &Applied) -> Result<(), Fatal> {
        if self.refuse_apply.load(Ordering::Relaxed) {
            return Err(Fatal::new("the toy broke down"));
        }
        let mut live = self.live.lock();
        for entry in chunk {
            // A cluster's first entry has index 0; before it, nothing was applied.
            let first = live.applied.mark.is_empty() && live.history.is_empty();
            assert!(
                first || entry.index() > live.applied.index,
                "applied twice or out of order: {}",
                entry.index()
            );
            live.applied.index = entry.index();
            live.history.push(entry.index());
            live.entries.push(entry.clone());
            if let Entry::Ops { ops, .. } = entry {
                let text = std::str::from_utf8(ops).unwrap();
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                live.state.insert(key.to_string(), value.to_string());
            }
        }
        assert_eq!(live.applied.index, upto.index);
        live.applied = upto.clone();
        Ok(())
    }

    fn log_flushed(&self, index: u64) {
        let mut live = self.live.lock();
        live.flushed = live.flushed.max(index);
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotSource>, Fatal> {
        let live = self.live.lock();
        Ok(Box::new(View {
            applied: live.applied.clone(),
            hash: hash(&live.state),
            left: live.state.clone(),
        }))
    }

    fn install(&self) -> Result<Box<dyn SnapshotSink>, Fatal> {
        Ok(Box::new(Sink { toy: self.clone(), state: State::new() }))
    }

    fn digest(&self) -> (u64, [u8; 16]) {
        let live = self.live.lock();
        (live.applied.index, hash(&live.state))
    }
}

struct View {
    applied: Applied,
    hash: [u8; 16],
    left: State,
}

impl SnapshotSource for View {
    fn applied(&self) -> Applied {
        self.applied.clone()
    }

    fn state_hash(&self) -> [u8; 16] {
        self.hash
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
        Ok(self.left.pop_first().map(|(k, v)| Bytes::from(format!("{k}={v}"))))
    }
}

struct Sink {
    toy: Toy,
    state: State,
}

impl SnapshotSink for Sink {
    fn put_block(&mut self, block: Bytes) -> Result<(), Fatal> {
        let text = std::str::from_utf8(&block).map_err(|e| Fatal::with("a bad block", e))?;
        let (key, value) = text.split_once('=').ok_or_else(|| Fatal::new("a bad block"))?;
        self.state.insert(key.to_string(), value.to_string());
        Ok(())
    }

    fn commit(self: Box<Self>, applied: &Applied, state_hash: [u8; 16]) -> Result<(), Fatal> {
        if hash(&self.state) != state_hash {
            return Err(Fatal::new("the snapshot's hash does not fit"));
        }
        let mut live = self.toy.live.lock();
        live.installs += 1;
        live.stored.checkpoint = Some((applied.clone(), self.state.clone()));
        (live.applied, live.state) = (applied.clone(), self.state);
        Ok(())
    }
}
