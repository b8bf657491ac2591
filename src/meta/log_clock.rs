//! The log's clock: the node's clocks behind the discipline of [`LeaderClock`], for whoever stamps entries.
//!
//! Not here: the discipline (`leader_clock`), asking the voters (`node::pulse`). Must always hold: nothing but this reads
//! a wall clock for an entry of a node that has peers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::leader_clock::{Judgement, LeaderClock};
use super::machine::MetaMachine;
use crate::clock::Clock;

/// The clock that stamps entries.
pub struct LogClock {
    wall: Arc<dyn Clock>,
    machine: Arc<MetaMachine>,
    discipline: Mutex<LeaderClock>,
    origin: Instant,
}

impl LogClock {
    /// The clock of node `own` among `voters`, over its wall clock.
    pub fn new(wall: Arc<dyn Clock>, machine: Arc<MetaMachine>, own: u64, voters: BTreeSet<u64>) -> Self {
        let discipline = Mutex::new(LeaderClock::new(own, voters));
        Self { wall, machine, discipline, origin: Instant::now() }
    }

    /// This node's wall clock, in milliseconds since the epoch: what it tells others.
    pub fn wall_ms(&self) -> u64 {
        self.wall.now_ms()
    }

    /// Another member told its wall clock, in answer to a question of that moment.
    pub fn heard(&self, id: u64, wall_ms: u64, asked: Instant) {
        let (asked, answered) = (asked.saturating_duration_since(self.origin), self.origin.elapsed());
        self.discipline.lock().heard(id, wall_ms, asked, answered);
    }

    /// To be told now and then: who votes.
    pub fn tick(&self, voters: BTreeSet<u64>) {
        let log_ms = self.log_ms();
        let mut discipline = self.discipline.lock();
        discipline.set_voters(voters);
        discipline.observe(log_ms, self.origin.elapsed());
    }

    /// What this node's wall clock is worth.
    pub fn judge(&self) -> Judgement {
        let discipline = self.discipline.lock();
        discipline.judge(self.wall.now_ms(), self.origin.elapsed())
    }

    fn log_ms(&self) -> u64 {
        self.machine.state().pinned().head().counters.now_ms
    }
}

impl Clock for LogClock {
    /// The time of the next entry, should this node lead.
    fn now_ms(&self) -> u64 {
        let log_ms = self.log_ms();
        let mut discipline = self.discipline.lock();
        discipline.stamp(self.wall.now_ms(), self.origin.elapsed(), log_ms)
    }
}
