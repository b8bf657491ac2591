//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: their rows.
//!
//! Not here: running them (`transaction`). Must always hold: a transaction is one log entry.

use super::super::command::{ALLOW_BUSY, Control, FAST, Group, Keys, LOADING, NOSCRIPT, Row, Run, STALE};

const USUAL: u32 = NOSCRIPT | LOADING | STALE | ALLOW_BUSY;

/// The rows.
pub const ROWS: &[Row] = &[
    Row::new(
        "discard",
        1,
        USUAL | FAST,
        Keys::None,
        Group::Transactions,
        Run::Control(Control::Discard),
        "OK",
        "Forgets the queued commands.",
    ),
    Row::new(
        "exec",
        1,
        USUAL,
        Keys::None,
        Group::Transactions,
        Run::Control(Control::Exec),
        "array or null",
        "Runs the queued commands as one step.",
    ),
    Row::new(
        "multi",
        1,
        USUAL | FAST,
        Keys::None,
        Group::Transactions,
        Run::Control(Control::Multi),
        "OK",
        "Queues the commands that follow.",
    ),
    Row::new(
        "unwatch",
        1,
        USUAL | FAST,
        Keys::None,
        Group::Transactions,
        Run::Control(Control::Unwatch),
        "OK",
        "Forgets the watched keys.",
    ),
    Row::new(
        "watch",
        -2,
        NOSCRIPT | FAST | ALLOW_BUSY,
        Keys::ALL,
        Group::Transactions,
        Run::Control(Control::Watch),
        "OK",
        "Lets EXEC run only if these keys stay as they are.",
    ),
];
