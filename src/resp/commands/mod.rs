//! The commands, one file per group, each with its rows.
//!
//! Not here: dispatch. Must always hold: a group is listed here, and its rows are nowhere else.

mod client;
mod command;
mod connection;
mod elements;
mod expiry;
mod hashes;
mod info;
mod keys;
mod numbers;
mod parse;
pub mod pattern;
mod scan;
mod server;
mod sets;
mod shapes;
mod strings;
mod transactions;
mod walk;

use super::command::Row;

pub use command::BARE as COMMAND;

/// The rows of all groups.
pub const GROUPS: &[&[Row]] = &[
    connection::ROWS,
    server::ROWS,
    keys::ROWS,
    expiry::ROWS,
    strings::ROWS,
    numbers::ROWS,
    hashes::ROWS,
    sets::ROWS,
    scan::ROWS,
    transactions::ROWS,
];
