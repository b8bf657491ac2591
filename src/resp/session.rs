//! A connection's session: who the client is, what it speaks, what it has queued.
//!
//! Not here: the socket (`connection`), other clients (`clients`). Must always hold: a session belongs to one task; what
//! others may see of it is in its [`Client`].

use std::sync::Arc;

use bytes::Bytes;

use super::clients::Client;
use super::door::Door;
use super::transaction::Queue;

/// The state of one connection.
pub struct Session {
    /// What others see of it.
    pub client: Arc<Client>,
    /// Whether it may run commands.
    pub authenticated: bool,
    /// The connection closes once its replies are sent.
    pub closing: bool,
    /// The commands since MULTI.
    pub queue: Option<Queue>,
    /// Keys of WATCH with their versions; 0 is an absent key.
    pub watched: Vec<(Bytes, u64)>,
}

impl Session {
    /// A new connection's session.
    pub fn new(client: Arc<Client>, authenticated: bool) -> Self {
        Self { client, authenticated, closing: false, queue: None, watched: Vec::new() }
    }

    /// Back to what it was at the beginning (RESET).
    pub fn reset(&mut self, authenticated: bool) {
        self.authenticated = authenticated;
        (self.queue, self.watched) = (None, Vec::new());
        self.client.change(|facts| {
            (facts.queued, facts.watching) = (None, 0);
            facts.name = Default::default();
            facts.resp3 = false;
            facts.no_evict = false;
            facts.no_touch = false;
        });
    }
}

/// What a command that this node answers alone may see and change.
pub struct Local<'a> {
    /// The connection.
    pub session: &'a mut Session,
    /// The door.
    pub door: &'a Door,
}
