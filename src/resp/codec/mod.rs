//! The protocol's bytes: requests in (RESP arrays of bulk strings, inline commands), replies out (RESP2 and RESP3).
//!
//! Not here: what commands mean. Must always hold: nothing is allocated by a declared length; a request that is not
//! complete is never looked at twice from its beginning; a reply has the shape of its connection's protocol version.
//!
//! Source: <https://redis.io/docs/latest/develop/reference/protocol-spec/>; limits and texts as redis-server 7.0.

mod inline;
mod number;
mod reply;
mod request;

pub use number::{integer, unsigned};
pub use reply::Reply;
pub use request::{Parser, ProtocolError, Request, Span};
