//! What a command ends with: exit codes, and errors that say what happened and how to fix it.
//!
//! Not here: what went wrong inside a node. Must always hold: every exit code of the contract stands here once.

use std::fmt;
use std::io;

/// Exit codes. Scripts rely on them; a number is never given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Anything that has no code of its own.
    Other = 1,
    /// A command line or a setting that cannot be understood. `clap` uses it too.
    Usage = 2,
    /// The record, property or path is not there.
    NotFound = 3,
    /// A condition did not hold, or somebody else was faster.
    Conflict = 4,
    /// No leader, no quorum or no node reachable; trying again may help.
    Unreachable = 5,
    /// No answer in time.
    Timeout = 6,
    /// The node answers and is not healthy.
    Unhealthy = 7,
    /// Not allowed.
    Auth = 8,
    /// The node belongs to another cluster, or is of a version that does not fit.
    Identity = 9,
    /// A part was done, a part was not.
    Partial = 10,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
}

/// Why a command did not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CliError {
    /// A failure with words for people.
    Failed {
        /// The exit code.
        exit: Exit,
        /// What happened.
        what: String,
        /// How to fix it; may be empty.
        fix: String,
    },
    /// The reader of stdout went away (`metad meta list | head`): end without a word.
    BrokenPipe,
}

impl CliError {
    /// A failure without advice.
    pub fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self::Failed { exit, what: what.to_string(), fix: String::new() }
    }

    /// Adds how to fix it.
    #[must_use]
    pub fn fix(self, advice: impl fmt::Display) -> Self {
        match self {
            Self::Failed { exit, what, .. } => Self::Failed { exit, what, fix: advice.to_string() },
            Self::BrokenPipe => Self::BrokenPipe,
        }
    }

    /// A command whose part of the system is not built yet.
    pub fn not_yet(command: &str) -> Self {
        Self::new(Exit::Other, format!("`metad {command}` is not in this version"))
    }

    /// The process's exit code. A broken pipe is a success: the reader has what it wanted.
    pub fn code(&self) -> u8 {
        match self {
            Self::Failed { exit, .. } => *exit as u8,
            Self::BrokenPipe => 0,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { what, fix, .. } if fix.is_empty() => f.write_str(what),
            Self::Failed { what, fix, .. } => write!(f, "{what}\n  → {fix}"),
            Self::BrokenPipe => f.write_str("the reader of the output went away"),
        }
    }
}

impl std::error::Error for CliError {}

/// Writing to stdout failed.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::new(Exit::Other, format!("cannot write the output: {error}"))
    }
}
