//! How patient and how generous the peer port is.
//!
//! Not here: lengths of frames, which are part of the protocol (see `frame`).
//! Must always hold: whatever may wait has an end, and whatever may grow has a limit.

use std::time::Duration;

use crate::transport::Lane;

/// Bytes of requests that wait for one connection; more are refused at once.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Requests of one lane to one peer that wait or are under way; more are refused at once.
pub(crate) const CALLS_MAX: usize = 65_536;
/// Room of one connection for requests in hand and unsent answers, in units of 1 KiB. Beyond it nothing is read.
pub(crate) const ROOM_UNITS: u32 = 64 * 1024;
/// Requests in hand on one bulk connection: each may have an answer of megabytes.
pub(crate) const BULK_REQUESTS_MAX: u32 = 16;
/// Bytes of unsent answers of one connection; beyond it nothing is read.
pub(crate) const ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The settings of a peer port. The defaults suit a local network.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Longest time for a TCP connection to come about.
    pub connect_timeout: Duration,
    /// Longest time from there to the first request, on both sides.
    pub handshake_timeout: Duration,
    /// A peer that was not heard for this long is asked whether it is there.
    pub ping_interval: Duration,
    /// A peer that was not heard for this long is given up; the bulk lane waits four times as long, the listener's side too.
    pub silence_max: Duration,
    /// Pause after the first failure to connect; it doubles with each.
    pub backoff_min: Duration,
    /// Longest such pause.
    pub backoff_max: Duration,
    /// Connections that are accepted at one time.
    pub connections_max: usize,
    /// The same from one address.
    pub connections_per_address_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(3),
            ping_interval: Duration::from_secs(1),
            silence_max: Duration::from_secs(4),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_millis(500),
            connections_max: 512,
            connections_per_address_max: 128,
        }
    }
}

impl Options {
    pub(crate) fn silence(&self, lane: Lane) -> Duration {
        match lane {
            Lane::Control => self.silence_max,
            Lane::Bulk => self.silence_max * 4,
        }
    }

    /// The listener waits longer than the caller, who is the one that asks.
    pub(crate) fn listener_silence(&self, lane: Lane) -> Duration {
        self.silence(lane) * 4
    }

    /// The pause after `failures` in a row.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        self.backoff_min.saturating_mul(1 << failures.clamp(1, 10).saturating_sub(1)).min(self.backoff_max)
    }
}
