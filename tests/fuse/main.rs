//! The FUSE door on real mounts, over a small filesystem in memory whose bytes are real files.
//!
//! Without /dev/fuse or the right to mount, each test says so and passes; with METAD_TEST_REQUIRE_FUSE=1 it fails.
//!
//! Not here: the real tree (`vfs`). Must always hold: no test waits for time, each waits for a condition with a
//! deadline; every mount is gone at the end.

#![expect(clippy::unwrap_used, reason = "a test helper that cannot do its part must fail the test")]

mod differential;
mod fake;
mod faults;
mod lifecycle;
mod listing;
mod open_race;
mod read_only;
mod stacked;
mod stale;
mod support;
mod unprivileged;
