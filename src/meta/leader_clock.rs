//! The leader's clock discipline: what time an entry gets, given a wall clock that may lie.
//!
//! ```text
//! own wall ─┬─ near the voters' median, and not behind the log's time ─► the wall's time
//!           └─ far from it, or too few voters heard ─► the log's time, moved on by the monotonic clock
//! voters' answers ─► their walls, moved on by the monotonic clock ─► lower median
//! ```
//!
//! So one clock in 2036 expires nothing, and one in 1970 does not stop time. The clock of a cluster with one voter is that
//! voter's; a majority of wrong clocks cannot be told from a right one.
//!
//! Not here: asking the voters (`node::pulse`), reading clocks (`log_clock`). Must always hold: pure; a stamp is never behind
//! the one before it by more than the voters' clocks are apart, and apply keeps even that from going back.
//!
//! Source: design D5.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::limits::CLOCK_SKEW_MS_MAX;

/// A voter's wall clock, as it was read.
#[derive(Clone, Copy, Debug)]
struct Answer {
    wall_ms: u64,
    /// When it had that, by the own monotonic clock.
    at: Duration,
    /// How wrong the reading can be: half the exchange.
    error_ms: u64,
}

/// What this node's clock is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Fewer than a majority of the voters are known.
    Unknown,
    /// How far it is ahead of the voters' median, in milliseconds; near enough to be followed.
    Near(i64),
    /// The same; too far.
    Far(i64),
}

/// The discipline of one node. Monotonic times count from any fixed moment.
#[derive(Debug)]
pub struct LeaderClock {
    own: u64,
    voters: BTreeSet<u64>,
    answers: BTreeMap<u64, Answer>,
    /// The highest time seen in the log or given to an entry, and when.
    last: Option<(u64, Duration)>,
}

impl LeaderClock {
    /// The clock of a node among these voters.
    pub fn new(own: u64, voters: BTreeSet<u64>) -> Self {
        Self { own, voters, answers: BTreeMap::new(), last: None }
    }

    /// Who votes now. What is known of others is forgotten.
    pub fn set_voters(&mut self, voters: BTreeSet<u64>) {
        self.answers.retain(|id, _| voters.contains(id));
        self.voters = voters;
    }

    /// A voter told its wall clock in an exchange of these two moments.
    pub fn heard(&mut self, voter: u64, wall_ms: u64, asked: Duration, answered: Duration) {
        let half = answered.saturating_sub(asked) / 2;
        let answer = Answer { wall_ms, at: asked + half, error_ms: millis(half) };
        if voter != self.own {
            self.answers.insert(voter, answer);
        }
    }

    /// What the wall clock is worth at a moment.
    pub fn judge(&self, wall_ms: u64, now: Duration) -> Judgement {
        let others = self.answers.iter().filter(|(id, _)| self.voters.contains(id));
        let mut walls: Vec<(u64, u64)> = others
            .map(|(_, a)| (a.wall_ms.saturating_add(millis(now.saturating_sub(a.at))), a.error_ms))
            .collect();
        if self.voters.contains(&self.own) {
            walls.push((wall_ms, 0));
        }
        if walls.len() * 2 <= self.voters.len() || walls.is_empty() {
            return Judgement::Unknown;
        }
        walls.sort_unstable();
        let (median, error_ms) = walls[(walls.len() - 1) / 2];
        let ahead = i64::try_from(i128::from(wall_ms) - i128::from(median)).unwrap_or(i64::MAX);
        if ahead.unsigned_abs() <= CLOCK_SKEW_MS_MAX + error_ms {
            Judgement::Near(ahead)
        } else {
            Judgement::Far(ahead)
        }
    }

    /// The log's time, now and then: so that it goes on from where it was when this node comes to lead.
    pub fn observe(&mut self, log_ms: u64, now: Duration) {
        let moved = self.moved_on(log_ms, now);
        self.last = Some((moved, now));
    }

    /// The time of an entry, in milliseconds since the epoch.
    pub fn stamp(&mut self, wall_ms: u64, now: Duration, log_ms: u64) -> u64 {
        let is_behind = wall_ms.saturating_add(CLOCK_SKEW_MS_MAX) < log_ms;
        let stamp = match self.judge(wall_ms, now) {
            Judgement::Near(_) if !is_behind => wall_ms,
            // A log without time has nothing that could expire, and must begin somewhere.
            Judgement::Unknown if log_ms == 0 => wall_ms,
            Judgement::Far(ahead) if log_ms == 0 => wall_ms.saturating_add_signed(ahead.saturating_neg()),
            Judgement::Near(_) | Judgement::Far(_) | Judgement::Unknown => self.moved_on(log_ms, now),
        };
        self.last = Some((stamp, now));
        stamp
    }

    /// The log's time, or where the monotonic clock has brought it.
    fn moved_on(&self, log_ms: u64, now: Duration) -> u64 {
        let moved = |(ms, at): (u64, Duration)| ms.saturating_add(millis(now.saturating_sub(at)));
        log_ms.max(self.last.map_or(0, moved))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const YEARS: u64 = 10 * 365 * 86_400_000;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Node 1 of these many voters; the others' clocks are as given, read at second 0.
    fn clock(voters: u64, others: &[u64]) -> LeaderClock {
        let mut clock = LeaderClock::new(1, (1..=voters).collect());
        for (id, wall) in (2..).zip(others) {
            clock.heard(id, *wall, s(0), s(0));
        }
        clock
    }

    #[test]
    fn a_clock_near_the_median_is_followed_also_when_another_voters_is_wrong() {
        for other in [0, NOW, NOW + YEARS] {
            let mut clock = clock(3, &[NOW - 100, other]);
            assert_eq!(clock.stamp(NOW, s(0), NOW - YEARS), NOW, "{other}");
            assert_eq!(clock.stamp(NOW + 7_000, s(7), NOW), NOW + 7_000);
        }
    }

    #[test]
    fn a_leader_in_2036_jumps_nowhere_and_time_goes_on() {
        let mut clock = clock(3, &[NOW, NOW]);
        let wrong = NOW + YEARS;
        assert_eq!(clock.stamp(wrong, s(0), NOW - 500), NOW - 500);
        assert_eq!(clock.stamp(wrong + 60_000, s(60), NOW - 500), NOW + 59_500);
    }

    #[test]
    fn a_leader_in_1970_does_not_stop_time() {
        for voters in [2, 3] {
            let mut clock = clock(voters, &[NOW, NOW][..voters as usize - 1]);
            assert_eq!(clock.stamp(5, s(0), NOW), NOW);
            assert_eq!(clock.stamp(60_005, s(60), NOW), NOW + 60_000, "of {voters} voters");
        }
    }

    #[test]
    fn a_clock_that_jumps_while_it_leads_is_followed_no_more_and_again_once_it_is_right() {
        let mut clock = clock(3, &[NOW, NOW]);
        assert_eq!(clock.stamp(NOW, s(0), NOW), NOW);
        assert_eq!(clock.stamp(NOW + YEARS, s(1), NOW), NOW + 1_000);
        assert_eq!(clock.stamp(3, s(2), NOW + 1_000), NOW + 2_000);
        assert_eq!(clock.stamp(NOW + 3_200, s(3), NOW + 2_000), NOW + 3_200);
    }

    #[test]
    fn an_hour_without_writes_is_not_lost_to_a_leader_with_a_wrong_clock() {
        let mut clock = clock(3, &[NOW, NOW]);
        clock.observe(NOW, s(0));
        clock.observe(NOW, s(1_800));
        assert_eq!(clock.stamp(7, s(3_600), NOW), NOW + 3_600_000);
    }

    #[test]
    fn time_goes_on_after_the_log_was_poisoned_before() {
        let mut clock = clock(3, &[NOW, NOW]);
        let poisoned = NOW + YEARS;
        assert_eq!(clock.stamp(NOW, s(0), poisoned), poisoned);
        assert_eq!(clock.stamp(NOW + 9_000, s(9), poisoned), poisoned + 9_000);
    }

    #[test]
    fn nobody_is_trusted_before_a_majority_was_heard() {
        let mut few = clock(5, &[NOW + YEARS]);
        assert_eq!(few.judge(NOW + YEARS, s(0)), Judgement::Unknown);
        assert_eq!(few.stamp(NOW + YEARS, s(0), NOW), NOW);
        few.heard(3, NOW, s(0), s(0));
        few.heard(4, NOW, s(0), s(0));
        assert_eq!(few.judge(NOW + YEARS, s(0)), Judgement::Far(YEARS.cast_signed()));
        let mut virgin = clock(3, &[]);
        assert_eq!(virgin.stamp(NOW, s(0), 0), NOW, "a new log begins with the wall's time");
        virgin = clock(3, &[NOW, NOW]);
        assert_eq!(virgin.stamp(NOW + YEARS, s(0), 0), NOW, "or with the median, when that is known");
    }

    #[test]
    fn a_slow_exchange_makes_no_clock_wrong_and_a_voter_that_left_does_not_count() {
        let mut clock = LeaderClock::new(1, [1, 2].into());
        // Asked at 0, answered at 4: somewhere in between its clock said this.
        clock.heard(2, NOW - CLOCK_SKEW_MS_MAX - 1_500, s(0), s(4));
        assert!(matches!(clock.judge(NOW, s(2)), Judgement::Near(_)));
        clock.heard(2, NOW - YEARS, s(2), s(2));
        assert!(matches!(clock.judge(NOW, s(2)), Judgement::Far(_)));
        clock.set_voters([1].into());
        assert_eq!(clock.judge(NOW, s(2)), Judgement::Near(0));
    }
}
