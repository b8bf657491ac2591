//! What all connections share: the service, the clients, the counters.
//!
//! Not here: one connection's state (`session`). Must always hold: before the service is there, commands that need it
//! are answered `LOADING`, and all others as ever.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::RwLock;

use super::clients::Clients;
use super::options::Options;
use super::settings;
use crate::clock::Clock;
use crate::meta::key_service::KeyService;

/// Counters of the door, for INFO.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections ever.
    pub connections: AtomicU64,
    /// Commands ever.
    pub commands: AtomicU64,
    /// Error replies ever.
    pub errors: AtomicU64,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
}

impl Counts {
    /// Sets all of them to zero (CONFIG RESETSTAT).
    pub fn reset(&self) {
        for count in [&self.connections, &self.commands, &self.errors, &self.received, &self.sent] {
            count.store(0, Ordering::Relaxed);
        }
    }
}

/// What all connections share.
pub struct Door {
    service: OnceLock<Arc<dyn KeyService>>,
    /// The time of day, for the time that keys have left.
    pub clock: Arc<dyn Clock>,
    /// Timeouts and users.
    pub options: Options,
    /// Who is connected.
    pub clients: Arc<Clients>,
    /// Counters.
    pub counts: Counts,
    /// What CONFIG SET changed on this node.
    pub settings: RwLock<BTreeMap<&'static str, String>>,
    /// A name for this run of the node: 40 hexadecimal digits.
    pub run_id: String,
    /// Whether the node stops.
    stopping: AtomicBool,
    /// When the door was made.
    pub since: Instant,
}

impl Door {
    /// A door that answers `LOADING` until it is opened.
    pub fn new(clock: Arc<dyn Clock>, options: Options) -> Arc<Self> {
        let run_id = format!("{:016x}{:016x}{:08x}", clock.now_ms(), seed(), std::process::id());
        Arc::new(Self {
            service: OnceLock::new(),
            clock,
            options,
            clients: Arc::default(),
            counts: Counts::default(),
            settings: RwLock::new(settings::defaults()),
            run_id,
            stopping: AtomicBool::new(false),
            since: Instant::now(),
        })
    }

    /// From now on commands reach the service.
    pub fn open(&self, service: Arc<dyn KeyService>) {
        if self.service.set(service).is_err() {
            tracing::error!("the Redis door was opened twice; it keeps its first service");
        }
    }

    /// From now on commands for the service are refused: each client at work hears before its connection ends that what
    /// it sent last did not happen.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the node stops.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// The service, once the door is open.
    pub fn service(&self) -> Option<&Arc<dyn KeyService>> {
        self.service.get()
    }
}

/// A number by chance: for picks that need no secrecy.
pub fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}
