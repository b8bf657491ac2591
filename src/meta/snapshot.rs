//! Snapshots: a fixed view of the content, read while applies go on.
//!
//! Why this is not simple, and what answers it:
//! 1. The store has no point-in-time view. It only changes through the write-behind thread, so a snapshot of index S
//!    closes the open batch at S and waits until the store holds it.
//! 2. The store must not stand still meanwhile. Before it writes a batch beyond S, the write-behind thread saves the
//!    old value of every key that the reader has not passed yet ([`Capture::before_write`]); saved values win.
//! 3. Clearing begins a new generation and collects the old one: those deletions are writes like any other.
//!
//! Not here: files and transfer (`metad-raft`). Must always hold: the blocks contain exactly the content that the state
//! hash covers, in key order; a block that was changed on the way is refused.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;
use metad_raft::{Applied, Fatal, SnapshotSource};

use super::hash::StateHash;
use super::layout;
use super::state::{Head, State};
use super::store::{Change, StateStore};
use crate::codec::{self, Blob, CodecError};
use crate::limits;

/// Format version of a block.
const VERSION: u8 = 1;

/// A block's pairs, in key order.
#[derive(Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
struct Block {
    pairs: Vec<(Blob, Blob)>,
}

/// Encodes pairs as a block: LZ4 inside an envelope.
pub fn encode_block(pairs: Vec<(Bytes, Bytes)>) -> Bytes {
    let pairs = pairs.into_iter().map(|(k, v)| (Blob(k), Blob(v))).collect();
    let plain = codec::encode(&Block { pairs });
    codec::seal(codec::Kind::SnapshotBlock, VERSION, &lz4_flex::compress_prepend_size(&plain))
}

/// Reads a block.
pub fn decode_block(block: &Bytes) -> Result<Vec<(Bytes, Bytes)>, CodecError> {
    let (_, body) = codec::open(codec::Kind::SnapshotBlock, VERSION, block)?;
    let malformed = |e: String| CodecError::Malformed(e);
    let size = body.get(..4).ok_or(CodecError::Truncated(body.len()))?;
    let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
    if size > limits::SNAPSHOT_BLOCK_BYTES_MAX {
        return Err(malformed(format!("a block of {size} bytes")));
    }
    let plain = lz4_flex::decompress_size_prepended(&body).map_err(|e| malformed(e.to_string()))?;
    let block: Block = codec::decode_shared(&Bytes::from(plain))?;
    Ok(block.pairs.into_iter().map(|(k, v)| (k.0, v.0)).collect())
}

/// What a running snapshot and the write-behind thread share.
pub struct Capture {
    number: u64,
    /// The snapshot's index: what is written for later entries must not be read.
    index: u64,
    /// Keys before this one were read.
    cursor: Bytes,
    /// Values at the snapshot's index of keys that changed since and were not read yet.
    saved: BTreeMap<Bytes, Option<Bytes>>,
}

impl Capture {
    /// Saves old values before a batch that ends at `index` overwrites them.
    pub(super) fn before_write(
        &mut self,
        store: &dyn StateStore,
        index: u64,
        changes: &[Change],
    ) -> Result<(), Fatal> {
        if index <= self.index {
            return Ok(());
        }
        for (key, _) in changes {
            if *key >= self.cursor && !self.saved.contains_key(key) {
                self.saved.insert(key.clone(), store.get(key)?);
            }
        }
        Ok(())
    }
}

/// A snapshot being read.
pub struct Source {
    state: Arc<State>,
    store: Arc<dyn StateStore>,
    head: Head,
    number: u64,
    /// Pairs that were read and are not in a block yet.
    pending: VecDeque<(Bytes, Bytes)>,
    done: bool,
}

impl Source {
    /// Fixes a snapshot of the state as of its last publication. Called by the applying thread; one at a time.
    pub fn begin(state: &Arc<State>) -> Result<Self, Fatal> {
        let mut capture = state.capture.lock();
        if capture.is_some() {
            return Err(Fatal::new("a snapshot was asked for while another one is being read"));
        }
        let mut queue = state.queue.lock();
        let head = state.head();
        // Everything up to here becomes a batch of its own, so that the store passes exactly this index; an empty
        // one too, because only a batch moves the store's index.
        let next = super::state::Batch { head: head.clone(), ..Default::default() };
        let open = std::mem::replace(&mut queue.open, next);
        queue.closed.push_back(open);
        let number = state.captures.fetch_add(1, Ordering::Relaxed);
        let (index, cursor, saved) = (head.applied.index, Bytes::new(), BTreeMap::new());
        *capture = Some(Capture { number, index, cursor, saved });
        drop(queue);
        drop(capture);
        state.moved.notify_all();
        Ok(Self {
            state: Arc::clone(state),
            store: state.store(),
            head,
            number,
            pending: VecDeque::new(),
            done: false,
        })
    }

    /// Waits until the store has reached the snapshot's index.
    fn wait_until_ready(&self) -> Result<(), Fatal> {
        let mut queue = self.state.queue.lock();
        loop {
            if let Some(failure) = &queue.failure {
                return Err(Fatal::new(failure.clone()));
            }
            if queue.written >= self.head.applied.index {
                return Ok(());
            }
            if queue.stop {
                return Err(Fatal::new("the node stopped while a snapshot was being made"));
            }
            self.state.moved.wait(&mut queue);
        }
    }

    /// The next pairs of content in key order; empty at the end.
    fn next_pairs(&mut self) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        let state = Arc::clone(&self.state);
        let mut guard = state.capture.lock();
        let capture = guard.as_mut().filter(|capture| capture.number == self.number);
        let capture =
            capture.ok_or_else(|| Fatal::new("the state was replaced while a snapshot was read"))?;
        while self.pending.is_empty() && !self.done {
            let from = capture.cursor.clone();
            let stored = self.store.scan(&from, END, limits::SNAPSHOT_SCAN_KEYS)?;
            let full = stored.len() == limits::SNAPSHOT_SCAN_KEYS;
            let last = stored.last().map(|(key, _)| key.clone());
            let upto = if full { last.map(|key| super::view::successor(&key)) } else { None };
            let page = overwrite(stored, capture, &from, upto.as_ref());
            self.done = upto.is_none();
            capture.cursor = upto.unwrap_or_else(|| Bytes::from_static(END));
            let generation = self.head.counters.generation;
            self.pending.extend(page.into_iter().filter(|(key, _)| layout::is_content(key, generation)));
        }
        drop(guard);
        Ok(self.take_block())
    }

    /// One block's worth of what was read: a page of large records becomes several blocks.
    fn take_block(&mut self) -> Vec<(Bytes, Bytes)> {
        let (mut pairs, mut bytes) = (Vec::new(), 0);
        while bytes < limits::SNAPSHOT_BLOCK_BYTES
            && let Some((key, value)) = self.pending.pop_front()
        {
            bytes += key.len() + value.len();
            pairs.push((key, value));
        }
        pairs
    }
}

/// After the last key of the layout.
const END: &[u8] = &[0xff];

/// Puts the saved values of a range over the pairs that were just read from the store, and forgets them.
fn overwrite(
    stored: Vec<(Bytes, Bytes)>,
    capture: &mut Capture,
    from: &Bytes,
    upto: Option<&Bytes>,
) -> Vec<(Bytes, Bytes)> {
    let mut saved = capture.saved.split_off(from);
    if let Some(upto) = upto {
        let rest = saved.split_off(upto);
        capture.saved = rest;
    }
    if saved.is_empty() {
        return stored;
    }
    let hidden: HashSet<&Bytes> = saved.keys().collect();
    let mut page: Vec<_> = stored.into_iter().filter(|(key, _)| !hidden.contains(key)).collect();
    page.extend(saved.into_iter().filter_map(|(key, value)| Some((key, value?))));
    page.sort_unstable();
    page
}

impl SnapshotSource for Source {
    fn applied(&self) -> Applied {
        self.head.applied.clone()
    }

    fn state_hash(&self) -> [u8; 16] {
        self.head.hash().to_bytes()
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
        self.wait_until_ready()?;
        let pairs = self.next_pairs()?;
        Ok((!pairs.is_empty()).then(|| encode_block(pairs)))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let mut capture = self.state.capture.lock();
        if capture.as_ref().is_some_and(|capture| capture.number == self.number) {
            *capture = None;
        }
    }
}

/// The hashes of a whole store's content: system and user part.
pub fn hash_of(pairs: &[(Bytes, Bytes)], system: &mut StateHash, user: &mut StateHash) {
    for (key, value) in pairs {
        let part = if key[0] < layout::Kind::Record as u8 { &mut *system } else { &mut *user };
        part.add(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_its_encoding_and_no_flipped_bit_passes() {
        let pairs = vec![(Bytes::from_static(b"a"), Bytes::from_static(b"1")); 3];
        let block = encode_block(pairs.clone());
        assert_eq!(decode_block(&block), Ok(pairs));
        for bit in 0..block.len() * 8 {
            let mut bytes = block.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // The version byte may say an older version; nothing else may pass.
            assert!(decode_block(&Bytes::from(bytes)).is_err() || bit / 8 == 3, "bit {bit} passed");
        }
    }
}
