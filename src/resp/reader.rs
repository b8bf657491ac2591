//! Reading keys for a command: the state at one applied index, and the time.
//!
//! Not here: making the state fresh (`executor`). Must always hold: whether a key is there is decided by the log's time;
//! one whose time has passed by the clock only is noticed, so that the log's time can move on before the answer.

use std::cell::Cell;

use bytes::Bytes;
use metad_raft::Fatal;

use super::codec::{Reply, Request};
use super::error::{Refusal, Stop, WRONG_TYPE};
use crate::meta::layout;
use crate::meta::lookers::Moment;
use crate::meta::object::{self, Content, Key, KeyCounters};
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

    /// The key `name`; expired ones are absent.
    pub fn key(&self, name: &[u8]) -> Result<Option<Key>, Fatal> {
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
