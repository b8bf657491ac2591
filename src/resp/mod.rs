//! The Redis door: stock clients, unmodified, on any node.
//!
//! ```text
//! server ─► connection ─► codec (all complete commands) ─► executor ─┬─► local: answered here
//!               ▲                                                     ├─► read: one barrier for the batch, then the state
//!               └──── one write per wake ◄── replies in order ◄───────┴─► writes in a row: one hand-over
//! ```
//!
//! One file per group of commands in `commands/`, its rows beside it; `command_table` puts them together. A new command is
//! a row and a function.
//!
//! Not here: what a write does (meta). Must always hold: replies come in the order of requests; doubt is told as
//! `INDOUBT` and never by closing the connection; no command holds another connection up.

pub mod clients;
pub mod codec;
pub mod command;
mod command_table;
pub mod commands;
mod connection;
pub mod door;
pub mod error;
mod executor;
mod files;
mod options;
pub mod reader;
mod server;
pub mod session;
mod settings;
pub mod transaction;

pub use command_table::markdown_table;
pub use door::Door;
pub use options::Options;
pub use server::{BindError, Server};
