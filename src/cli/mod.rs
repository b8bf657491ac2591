//! The command line: one file per group of commands.
//!
//! Not here: what the commands do on the server. Must always hold: data goes to stdout, everything else to stderr.

use std::process::ExitCode;

/// Runs the command line and returns the process's exit code.
pub fn main() -> ExitCode {
    eprintln!("metad {}", env!("CARGO_PKG_VERSION"));
    ExitCode::from(2)
}
