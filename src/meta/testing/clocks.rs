//! Wrong wall clocks: what they do to what expires, and to time itself.
//!
//! Not here: the discipline alone (`leader_clock`). Must always hold: only wall clocks are played; the monotonic one is real.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::StateMachine;

use super::fake_cluster::{Cluster, Faults};
use crate::clock::ManualClock;
use crate::codec::Blob;
use crate::limits::CLOCK_SKEW_MS_MAX;
use crate::meta::key_op::{Expiry, SetExpiry, SetIf, StrOp};
use crate::meta::log_clock::LogClock;
use crate::meta::log_service::LogService;
use crate::meta::object;
use crate::meta::op::{Op, SystemOp};
use crate::meta::service::{MetadataService, WriteOptions};

const NOW: u64 = 1_800_000_000_000;
const YEARS: u64 = 10 * 365 * 86_400_000;
const MINUTE: u64 = 60_000;

/// Three nodes whose wall clocks the test sets.
struct Three {
    cluster: Arc<Cluster>,
    walls: Vec<Arc<ManualClock>>,
    clocks: Vec<Arc<LogClock>>,
    services: Vec<LogService>,
}

impl Three {
    fn new() -> Self {
        let cluster = Cluster::new(3, 7, Faults::default());
        let walls: Vec<_> = (0..3).map(|_| Arc::new(ManualClock::at(NOW))).collect();
        let clock = |(wall, id): (&Arc<ManualClock>, u64)| {
            let machine = Arc::clone(cluster.machine(id));
            Arc::new(LogClock::new(Arc::clone(wall) as _, machine, id, [1, 2, 3].into()))
        };
        let clocks: Vec<_> = walls.iter().zip(1..).map(clock).collect();
        let services = clocks.iter().zip(1..).map(|(c, id)| cluster.service_at(id, Arc::clone(c) as _));
        let services = services.collect();
        Self { cluster, walls, clocks, services }
    }

    /// Everybody tells everybody the time, as pulses do.
    fn exchange(&self) {
        for (clock, own) in self.clocks.iter().zip(1..) {
            clock.tick([1, 2, 3].into());
            let others = self.clocks.iter().zip(1..).filter(|(_, id)| *id != own);
            others.for_each(|(other, id)| clock.heard(id, other.wall_ms(), Instant::now()));
        }
    }

    async fn write(&self, node: usize, op: Op) {
        let options = WriteOptions { deadline: Instant::now() + Duration::from_secs(60) };
        self.services[node - 1].write(vec![op], options).await.unwrap();
    }

    async fn tick(&self, node: usize) {
        self.write(node, Op::System(SystemOp::Tick)).await;
    }

    fn log_ms(&self, node: u64) -> u64 {
        self.cluster.catch_up(node);
        self.cluster.machine(node).state().head().counters.now_ms
    }

    fn is_there(&self, key: &str) -> bool {
        self.cluster.catch_up(2);
        let pinned = self.cluster.machine(2).state().pinned();
        let counters = pinned.head().counters;
        object::read(&pinned, counters.generation, counters.now_ms, key.as_bytes()).unwrap().is_some()
    }
}

fn expiring(key: &str, ms: u64) -> Op {
    let expiry = SetExpiry::To(Expiry::In(ms.cast_signed()));
    let (key, value) = (Blob::from(key.to_owned()), Blob::from("x"));
    Op::Str(StrOp::Set { key, value, only: SetIf::Always, expiry, get: false })
}

#[tokio::test]
async fn a_leader_whose_clock_is_ten_years_off_expires_nothing_early_and_time_goes_on() {
    for wrong in [NOW + YEARS, NOW - YEARS, 0] {
        let three = Three::new();
        three.exchange();
        three.cluster.elect(Some(2));
        three.write(2, expiring("hour", 60 * MINUTE)).await;
        // The clock of node 1 is wrong before it leads, or goes wrong while it leads.
        three.walls[0].set(wrong);
        three.exchange();
        three.cluster.elect(Some(1));
        three.write(1, expiring("short", 20)).await;
        assert!(three.log_ms(1).abs_diff(NOW) < MINUTE, "{wrong}: the log's time is {}", three.log_ms(1));
        let end = Instant::now() + Duration::from_secs(60);
        while three.is_there("short") {
            assert!(Instant::now() < end, "{wrong}: time stands still");
            three.tick(1).await;
        }
        assert!(three.is_there("hour"), "{wrong}: it expired early");
        assert_eq!(three.cluster.machine(1).digest(), three.cluster.machine(2).digest());
    }
}

#[tokio::test]
async fn a_clock_that_jumps_and_comes_back_leaves_no_trace() {
    let three = Three::new();
    three.exchange();
    three.cluster.elect(Some(1));
    three.write(1, expiring("hour", 60 * MINUTE)).await;
    for wall in [NOW + YEARS, 5, NOW + 10 * MINUTE] {
        three.walls[0].set(wall);
        // The last answers of the others are enough: it is this node's clock that jumped.
        three.tick(1).await;
        assert!(three.log_ms(1).abs_diff(NOW) < MINUTE, "at {wall}: {}", three.log_ms(1));
    }
    let later = NOW + 30 * MINUTE;
    three.walls.iter().for_each(|wall| wall.set(later));
    three.exchange();
    three.tick(1).await;
    assert_eq!(three.log_ms(1), later, "all clocks agree again: they are followed");
    assert!(three.is_there("hour"));
}

#[tokio::test]
async fn clocks_that_are_a_little_apart_are_followed() {
    let three = Three::new();
    three.walls[0].set(NOW + CLOCK_SKEW_MS_MAX / 2);
    three.exchange();
    three.cluster.elect(Some(1));
    three.tick(1).await;
    assert_eq!(three.log_ms(1), NOW + CLOCK_SKEW_MS_MAX / 2);
}

#[tokio::test]
async fn a_new_log_whose_first_leader_is_in_2036_begins_now() {
    let three = Three::new();
    three.walls[0].set(NOW + YEARS);
    three.exchange();
    three.cluster.elect(Some(1));
    three.tick(1).await;
    assert!(three.log_ms(1).abs_diff(NOW) < MINUTE, "{}", three.log_ms(1));
}
