//! The command line: one file per group of commands.
//!
//! ```text
//! args (grammar) ─► dispatch ─┬─ serve                      the only command that runs a node
//!                             ├─ config docs snapshot       need nothing, or a file
//!                             ├─ offline                    works on the data directory of a node that does not run
//!                             └─ client: meta events vfs rules status doctor node leader scan demo bench
//! ```
//!
//! Not here: what the commands do on the server.
//! Must always hold: data goes to stdout, everything else to stderr; every exit code is decided in `error`.

mod args;
pub mod bench;
mod client;
mod config;
mod demo;
mod demo_node;
mod docs;
mod doctor;
mod error;
mod events;
mod import;
mod leader;
mod meta;
mod node;
mod offline;
mod output;
mod rules;
mod sample;
mod scan;
mod serve;
mod serve_flags;
mod snapshot;
mod sse;
mod status;
mod vfs;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use args::{Cli, Command, Globals};
use clap::Parser;
use client::Client;
pub use docs::markdown_table;
pub use error::{CliError, Exit};
use output::Output;
use serve_flags::ServeFlags;

/// Runs the command line and returns the process's exit code.
pub fn main() -> ExitCode {
    let Cli { command, globals } = Cli::parse();
    let mut out = Output::new(globals.json, globals.quiet, globals.verbose);
    let command = command.unwrap_or_else(|| Command::Serve(ServeFlags::default()));
    let result = dispatch(command, &globals, &mut out);
    match result.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let CliError::Failed { .. } = &error {
                // The true data that was printed before belongs to the reader even though the command failed.
                out.flush().unwrap_or_default();
                Output::new(false, false, false).note(format!("metad: {error}"));
            }
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(command: Command, globals: &Globals, out: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Serve(flags) => serve::run(flags),
        Command::Config(command) => config::run(command, out),
        Command::Completions { shell } => docs::completions(shell, out),
        Command::Man { dir } => docs::man(dir.as_deref(), out),
        Command::Version => docs::version(out),
        Command::Demo(command) => block_on(demo::run(command, globals.timeout, out)),
        Command::Scan(command) => block_on(scan::run(command, &client(globals)?, out)),
        Command::Status { watch } => block_on(status::run(watch, &client(globals)?, out)),
        Command::Healthcheck => block_on(status::healthcheck(&client(globals)?, out)),
        Command::Meta(command) => block_on(meta::run(command, &client(globals)?, out)),
        Command::Events(command) => block_on(events::run(command, &client(globals)?, out)),
        Command::Vfs(command) => block_on(vfs::run(command, &client(globals)?, out)),
        Command::Rules(command) => block_on(rules::run(command, &client(globals)?, out)),
        Command::Node(command) => block_on(node::run(command, &client(globals)?, out)),
        Command::Leader(command) => block_on(leader::run(command, &client(globals)?, out)),
        Command::Doctor => block_on(doctor::run(&client(globals)?, out)),
        Command::Snapshot(args::Snapshot::Save { file }) => {
            block_on(snapshot::save(&file, &client(globals)?, out))
        }
        Command::Snapshot(args::Snapshot::Inspect { file }) => snapshot::inspect(&file, out),
        Command::Snapshot(args::Snapshot::Restore(command)) => offline::restore(&command, out),
        Command::Recover(command) => offline::recover(&command, out),
        Command::Import { .. } => Err(CliError::not_yet("import")),
        Command::Bench(command) => block_on(bench::run(command, &client(globals)?, out)),
        Command::Mesh(_) => Err(CliError::not_yet("mesh")),
        Command::Tls(_) => Err(CliError::not_yet("tls")),
        Command::Debug(_) => Err(CliError::not_yet("debug")),
    }
}

fn client(globals: &Globals) -> Result<Client, CliError> {
    // Compose files write `METAD_ENDPOINTS=` for "not set".
    if globals.endpoints.iter().all(|e| e.trim().is_empty()) {
        return Client::new(&[args::DEFAULT_ENDPOINT.to_owned()], globals.timeout);
    }
    Client::new(&globals.endpoints, globals.timeout)
}

/// Runs a command that waits for the network. One thread is enough for one user.
fn block_on(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::new(Exit::Other, format!("cannot start the runtime: {e}")))?;
    let result = runtime.block_on(command);
    // A reader of stdin may hang for ever; the process must not wait for it.
    runtime.shutdown_background();
    result
}
