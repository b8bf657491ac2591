//! `metad completions`, `metad man` and `metad version`: what the command line says about itself.
//!
//! Not here: the grammar (`args`). Must always hold: everything is made from the grammar, nothing is written by hand.

use std::path::Path;

use clap::CommandFactory;
use serde_json::json;

use super::args::Cli;
use super::error::{CliError, Exit};
use super::output::Output;

/// Prints completions for a shell.
pub fn completions(shell: clap_complete::Shell, out: &mut Output) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "metad", &mut script);
    out.bytes(&script)
}

/// Prints the manual page, or writes one for every command into `dir`.
pub fn man(dir: Option<&Path>, out: &mut Output) -> Result<(), CliError> {
    let Some(dir) = dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return out.bytes(&page);
    };
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(|e| CliError::new(Exit::Other, format!("cannot write pages to {}: {e}", dir.display())))
}

/// The README's table of commands, as Markdown, ending with a newline.
pub fn markdown_table() -> String {
    let mut out = String::from("| command | what it does |\n|---|---|\n");
    for command in Cli::command().get_subcommands() {
        let kinds: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" {}", kinds.join("\\|")) };
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        out.push_str(&format!("| `metad {}{kinds}` | {about} |\n", command.get_name()));
    }
    out
}

/// Prints the version.
pub fn version(out: &mut Output) -> Result<(), CliError> {
    let version = env!("CARGO_PKG_VERSION");
    if out.json { out.value(&json!({ "version": version })) } else { out.line(format!("metad {version}")) }
}
