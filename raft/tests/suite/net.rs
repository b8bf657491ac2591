//! A network between members of one process, with faults: cut, late, overtaking and lost.
//!
//! Not here: time; a late message waits on tokio's clock. Must always hold: the faults that a seed draws are the same each time
//! that the same requests come in the same order; a cut link answers nothing, and nothing is answered twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::{Channel, Fut, Lane, PeerService, Transport, TransportError};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// What happens to the requests of one direction, or to all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    /// Each request and each answer waits a random time up to this, so later ones overtake it.
    pub delay_max: Duration,
    /// Of a hundred requests this many are lost before they arrive.
    pub lost_requests: u8,
    /// Of a hundred answers this many are lost: the request has been carried out.
    pub lost_answers: u8,
}

/// Numbers that look random and depend on the seed only (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`, which is at least 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    pub fn percent(&mut self, p: u8) -> bool {
        self.below(100) < u64::from(p)
    }
}

struct State {
    services: BTreeMap<u64, Arc<dyn PeerService>>,
    /// How often each node has left: what an earlier life of it sends or answers is not carried.
    lives: BTreeMap<u64, u64>,
    paused: BTreeSet<u64>,
    cut: BTreeSet<(u64, u64, Lane)>,
    trouble: BTreeMap<Lane, Trouble>,
    dice: Dice,
}

/// The network; clones share it.
#[derive(Clone)]
pub struct Net {
    state: Arc<Mutex<State>>,
    bulk_bytes: Arc<AtomicU64>,
    /// Bulk bytes after which that lane carries nothing more.
    bulk_bytes_max: Arc<AtomicU64>,
    full: Arc<Notify>,
    resumed: Arc<Notify>,
}

/// What the dice said about one request.
struct Fate {
    before: Duration,
    after: Duration,
    request_lost: bool,
    answer_lost: bool,
}

impl Net {
    pub fn new(seed: u64) -> Self {
        let state = State {
            services: BTreeMap::new(),
            lives: BTreeMap::new(),
            paused: BTreeSet::new(),
            cut: BTreeSet::new(),
            trouble: BTreeMap::new(),
            dice: Dice::new(seed),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            bulk_bytes: Arc::default(),
            bulk_bytes_max: Arc::new(AtomicU64::new(u64::MAX)),
            full: Arc::default(),
            resumed: Arc::default(),
        }
    }

    /// The way of node `from` to the others.
    pub fn transport(&self, from: u64) -> Arc<dyn Transport> {
        Arc::new(Way { net: self.clone(), from, life: self.life(from) })
    }

    /// From now on `service` answers for node `id`.
    pub fn serve(&self, id: u64, service: Arc<dyn PeerService>) {
        self.state.lock().services.insert(id, service);
    }

    /// Node `id` is gone, with all that it has said and not been heard.
    pub fn leave(&self, id: u64) {
        let mut state = self.state.lock();
        state.services.remove(&id);
        *state.lives.entry(id).or_default() += 1;
    }

    /// Which life of node `id` this is.
    pub fn life(&self, id: u64) -> u64 {
        self.state.lock().lives.get(&id).copied().unwrap_or(0)
    }

    /// What node `id` sends and is sent waits, in both directions, until it is resumed; then all of it arrives.
    pub fn pause(&self, id: u64) {
        self.state.lock().paused.insert(id);
    }

    pub fn resume(&self) {
        self.state.lock().paused.clear();
        self.resumed.notify_waiters();
    }

    async fn until_resumed(&self, ids: [u64; 2]) {
        loop {
            let resumed = self.resumed.notified();
            if !ids.iter().any(|id| self.state.lock().paused.contains(id)) {
                return;
            }
            resumed.await;
        }
    }

    /// Nothing passes from `from` to `to` on `lane`, nor are its answers.
    pub fn cut(&self, from: u64, to: u64, lane: Lane) {
        self.state.lock().cut.insert((from, to, lane));
    }

    /// Nothing passes between `id` and any of `others`.
    pub fn isolate(&self, id: u64, others: impl IntoIterator<Item = u64>) {
        for other in others.into_iter().filter(|o| *o != id) {
            for lane in [Lane::Control, Lane::Bulk] {
                self.cut(id, other, lane);
                self.cut(other, id, lane);
            }
        }
    }

    /// Everything passes, at once.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.cut.clear();
        state.trouble.clear();
        drop(state);
        self.resume();
    }

    pub fn trouble(&self, lane: Lane, trouble: Trouble) {
        self.state.lock().trouble.insert(lane, trouble);
    }

    /// Bytes of requests that somebody sent over the bulk lane.
    pub fn bulk_bytes(&self) -> u64 {
        self.bulk_bytes.load(Ordering::Relaxed)
    }

    /// The bulk lane carries so many more bytes and then nothing, until it is given more.
    pub fn bulk_breaks_after(&self, bytes: u64) {
        self.bulk_bytes_max.store(self.bulk_bytes().saturating_add(bytes), Ordering::Relaxed);
    }

    /// Waits until the bulk lane has broken.
    pub async fn until_bulk_breaks(&self) {
        self.full.notified().await;
    }

    fn fate(&self, lane: Lane) -> Fate {
        let mut state = self.state.lock();
        let trouble = state.trouble.get(&lane).copied().unwrap_or_default();
        let micros = u64::try_from(trouble.delay_max.as_micros()).unwrap() + 1;
        let mut delay = || Duration::from_micros(state.dice.below(micros));
        let (before, after) = (delay(), delay());
        let request_lost = state.dice.percent(trouble.lost_requests);
        Fate { before, after, request_lost, answer_lost: state.dice.percent(trouble.lost_answers) }
    }

    fn is_cut(&self, from: u64, to: u64, lane: Lane) -> bool {
        self.state.lock().cut.contains(&(from, to, lane))
    }

    async fn carry(
        &self,
        (from, life): (u64, u64),
        to: u64,
        lane: Lane,
        request: Bytes,
    ) -> Result<Bytes, TransportError> {
        assert_ne!(from, to, "a node calls itself");
        if lane == Lane::Bulk {
            let sent = self.bulk_bytes.fetch_add(request.len() as u64, Ordering::Relaxed);
            if sent >= self.bulk_bytes_max.load(Ordering::Relaxed) {
                self.full.notify_one();
                return std::future::pending().await;
            }
        }
        let fate = self.fate(lane);
        pass(fate.before).await;
        self.until_resumed([from, to]).await;
        if fate.request_lost || self.is_cut(from, to, lane) || self.life(from) != life {
            return std::future::pending().await;
        }
        let their_life = self.life(to);
        let service = self.state.lock().services.get(&to).cloned();
        let Some(service) = service else {
            return Err(TransportError::Unreachable(format!("node {to} is not there")));
        };
        // The receiver goes on even when the sender gives up.
        let handled = tokio::spawn(async move { service.handle(from, request).await });
        let answer = handled.await.map_err(|e| TransportError::Lost(e.to_string()))?;
        if self.life(to) != their_life {
            return std::future::pending().await;
        }
        pass(fate.after).await;
        self.until_resumed([from, to]).await;
        if fate.answer_lost || self.is_cut(to, from, lane) || self.life(from) != life {
            return std::future::pending().await;
        }
        Ok(answer?)
    }
}

/// Lets simulated time pass.
pub async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
    }
}

struct Way {
    net: Net,
    from: u64,
    life: u64,
}

impl Transport for Way {
    fn call(
        &self,
        to: u64,
        channel: Channel,
        lane: Lane,
        request: Bytes,
        deadline: Instant,
    ) -> Fut<'_, Result<Bytes, TransportError>> {
        assert_eq!(channel, Channel::RAFT);
        Box::pin(async move {
            let carried = self.net.carry((self.from, self.life), to, lane, request);
            tokio::time::timeout_at(deadline.into(), carried)
                .await
                .unwrap_or_else(|_| Err(TransportError::Lost("no answer in time".to_string())))
        })
    }
}
