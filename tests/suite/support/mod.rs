//! What the suite's tests share: the binary, run in isolation.
//!
//! Not here: anything that only one module needs. Must always hold: no variable of the caller's shell reaches the binary.

pub mod client;
pub mod cluster;
pub mod data;
pub mod names;
pub mod node;
pub mod random;
pub mod resp;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary under test, with an empty environment, in `dir`. `METAD_TEST_BINARY` names another build of it.
pub fn metad(dir: &Path) -> Command {
    let named = std::env::var_os("METAD_TEST_BINARY");
    let mut command = Command::new(named.unwrap_or_else(|| env!("CARGO_BIN_EXE_metad").into()));
    command.env_clear().env("HOME", dir).current_dir(dir).stdin(Stdio::null());
    command
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Run {
        code: status.code().expect("the binary ends by itself, not by a signal"),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    }
}

/// Runs the binary with `line` split at blanks.
pub fn metad_line(dir: &Path, line: &str) -> Run {
    run(metad(dir).args(line.split_whitespace()))
}
