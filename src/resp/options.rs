//! Options of the Redis door that are not a matter of settings files.
//!
//! Not here: addresses (config), sizes (limits). Must always hold: every wait has an end.

use std::time::Duration;

use bytes::Bytes;

/// How long the door waits, whom it lets in, and how many at once.
#[derive(Clone, Debug)]
pub struct Options {
    /// A read or a hand-over gives up after this. Source: go-redis gives up after 3 s, redis-py after 5.
    pub request_timeout: Duration,
    /// A client that takes none of its replies for so long is cut off.
    pub send_timeout: Duration,
    /// Open connections; a client above hears so and is closed.
    pub connections_max: usize,
    /// Names and passwords; nobody has to log in when there are none.
    pub users: Vec<(Bytes, Bytes)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_millis(4_500),
            send_timeout: Duration::from_secs(60),
            connections_max: 10_000,
            users: Vec::new(),
        }
    }
}

impl Options {
    /// Whether a new connection has to log in.
    pub fn needs_login(&self) -> bool {
        !self.users.is_empty()
    }

    /// Whether the password is the user's. Takes as long for a wrong one.
    pub fn admits(&self, user: &[u8], password: &[u8]) -> bool {
        let equal = |a: &[u8], b: &[u8]| {
            a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
        };
        self.users
            .iter()
            .fold(false, |found, (name, secret)| found | (equal(name, user) & equal(secret, password)))
    }
}
