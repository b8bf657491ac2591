//! The peer port: [`Transport`](crate::Transport) over sockets.
//!
//! ```text
//! PeerTransport                                            PeerServer
//!   link to node 2, control ── frames over one TCP stream ──► connection ──► PeerService of the channel
//!   link to node 2, bulk    ── another ─────────────────────► connection ──► …
//! ```
//!
//! One listener speaks HTTP/1.1; `GET /peer/v1/stream` with `Upgrade: metad-peer/1` turns a connection into a stream of
//! frames for as long as it lives. One HTTP exchange for each request would cost about 9 µs of CPU on each write, a frame
//! costs about 3 (decision 008).
//!
//! Why this is hard, and who answers it:
//! 1. A snapshot must not delay a heartbeat: each lane has a stream of its own (`link`).
//! 2. A lost answer is not a lost request: the queue knows what no socket has seen (`link`, `wire`).
//! 3. An address may lead to a wrong node, to another cluster or back to ourselves: `handshake`.
//! 4. A peer may be slow, dead, malicious or a browser: `options` bounds time and room, `frame` bounds lengths.
//!
//! Not here: what requests mean, who is a member, TLS (it would wrap the [`wire::Stream`] below HTTP).
//! Must always hold: see [`crate::transport`].

mod client;
mod connection;
mod dial;
mod frame;
mod handshake;
mod hello;
mod identity;
mod link;
mod options;
mod server;
#[cfg(test)]
mod tests;
mod upgrade;
mod wire;

pub use client::{Introduced, PeerTransport};
pub use identity::{AddressBook, IdentityError, PeerIdentity, Secret};
pub use options::Options;
pub use server::{BindError, PeerServer};
