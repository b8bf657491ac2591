//! The network of a member: openraft's messages on the transport of this crate.
//!
//! ```text
//! client   openraft → frame → Transport::call          append, votes, hand-over: control lane
//! send     a snapshot: offer, pieces, install          bulk lane
//! service  frame → openraft → frame                    what the peers of this member get
//! receive  pieces → a file → openraft
//! ```
//!
//! Not here: sockets (see `peer`). Must always hold: a request without an answer is an error, never an answer on the peer's
//! behalf; a member never calls itself.

mod answer;
mod client;
mod frame;
#[cfg(test)]
mod golden;
mod receive;
mod send;
mod service;

pub(crate) use client::Peers;
pub(crate) use frame::ReadIndex;
pub(crate) use receive::Receiver;
pub(crate) use service::Service;
