//! Options of the HTTP door that are not the user's business.
//!
//! Not here: addresses (config), sizes (limits). Must always hold: every wait has an end.

use std::time::Duration;

/// How long the door waits, and how much it lets in at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// From the first byte to the last of a request head; also how long an idle connection is kept.
    pub head_timeout: Duration,
    /// Between two pieces of a request body; a slower sender is cut off with 408.
    pub body_idle_timeout: Duration,
    /// A read or write of metadata gives up after this; the answer says whether it was applied.
    pub request_timeout: Duration,
    /// Opening a file, or reading one chunk of it, gives up after this.
    pub disk_timeout: Duration,
    /// Silence after which an event stream says that it is alive.
    pub keep_alive: Duration,
    /// Open connections; more wait in the kernel's queue.
    pub connections_max: usize,
    /// How long running requests may finish after a stop was asked for.
    pub stop_grace: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(60),
            body_idle_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            disk_timeout: Duration::from_secs(20),
            keep_alive: Duration::from_secs(30),
            connections_max: 4096,
            stop_grace: Duration::from_secs(5),
        }
    }
}
