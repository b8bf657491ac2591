//! Campaigns: real processes, real faults, writers that keep a ledger, and a report with figures.
//!
//! ```text
//! load     the writers and what they know        audit    the ledger against the cluster
//! kills    kill -9 of the leader, and of all      pause    SIGSTOP of the leader
//! changes  members, hand-overs, rolling restarts  away     a member that needs a snapshot
//! ```
//!
//! Short in CI. By hand: `METAD_TEST_ROUNDS=20 METAD_TEST_STRICT=1 METAD_TEST_BINARY=… cargo test --test suite campaign --
//! --nocapture --test-threads 1`. `METAD_TEST_STRICT=1` makes the promised figures a condition: for a machine that does
//! nothing else.
//!
//! Not here: cuts, clocks and disks (the fault harness). Must always hold: a failure names its seed.

mod audit;
mod away;
mod changes;
mod kills;
mod load;
mod pause;

use std::time::Duration;

use crate::support::random::number;

/// The election timeout of a node as it comes: `Timing::LAN` of the log.
const ELECTION_TIMEOUT: Duration = Duration::from_millis(1000);
/// Longest promised time from the loss of a leader to the next acknowledged write: three election timeouts.
const FAILOVER_MAX: Duration = ELECTION_TIMEOUT.saturating_mul(3);
/// Longest promised time without an acknowledged write around a planned hand-over.
const HAND_OVER_MAX: Duration = Duration::from_millis(200);

/// How many rounds a campaign has.
fn rounds(in_ci: u64) -> u64 {
    number("METAD_TEST_ROUNDS", in_ci)
}

/// Whether the promised figures are a condition.
fn strict() -> bool {
    number("METAD_TEST_STRICT", 0) == 1
}

/// The 99th of a hundred: the longest of fewer.
fn p99(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}
