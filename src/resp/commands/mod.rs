//! The commands, one file per group, each with its rows.
//!
//! Not here: dispatch. Must always hold: a group is listed here, and its rows are nowhere else.

mod client;
mod command;
mod connection;
mod expiry;
mod info;
mod keys;
mod numbers;
mod parse;
pub mod pattern;
mod server;
mod shapes;
mod strings;

use super::command::Row;

pub use command::BARE as COMMAND;

/// The rows of all groups.
pub const GROUPS: &[&[Row]] =
    &[connection::ROWS, server::ROWS, keys::ROWS, expiry::ROWS, strings::ROWS, numbers::ROWS];
