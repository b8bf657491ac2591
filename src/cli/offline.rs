//! `metad snapshot restore` and `metad recover`: work on the data directory of a node that does not run.
//!
//! Not here: the work (`node::offline`). Must always hold: whoever is about to give something up sees first what that is; off
//! a terminal nothing is given up without `--yes`.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use metad_raft::StartError;
use serde_json::json;

use super::args;
use super::config::refused;
use super::error::{CliError, Exit};
use super::output::Output;
use super::serve_flags::ServeFlags;
use super::snapshot::{moment, report};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Mode, Sources};
use crate::node::NodeError;
use crate::node::offline::{Begun, OfflineError, Recovery, restore as restore_into};

/// Where the node's directory is, and its mode, when the command line does not say.
fn place(data_dir: Option<&PathBuf>) -> Result<(PathBuf, Mode), CliError> {
    let mut flags = ServeFlags::default();
    flags.0.extend(data_dir.map(|dir| ("data_dir", dir.display().to_string())));
    let config = Config::load(&Sources::current(flags.0)).map_err(refused)?;
    Ok((config.node.data_dir, config.node.mode))
}

fn failed(error: OfflineError) -> CliError {
    let exit = match &error {
        OfflineError::File { .. } => Exit::Identity,
        OfflineError::NotEmpty(_) => Exit::Conflict,
        OfflineError::Node(
            NodeError::Log(StartError::Locked { .. } | StartError::Refused { .. })
            | NodeError::Identity { .. },
        ) => Exit::Identity,
        OfflineError::Node(_) => Exit::Other,
    };
    let fix = match &error {
        OfflineError::File { .. } => "take another file; nothing was changed",
        OfflineError::Node(NodeError::Log(StartError::Locked { .. })) => {
            "stop the node first; nothing was changed"
        }
        OfflineError::NotEmpty(_) | OfflineError::Node(_) => "nothing was changed",
    };
    CliError::new(exit, error).fix(fix)
}

/// Begins a new cluster with the state of a file.
pub fn restore(command: &args::Restore, out: &mut Output) -> Result<(), CliError> {
    let (data_dir, configured) = place(command.data_dir.as_ref())?;
    let mode = match command.mode.as_deref() {
        Some("noop") => Mode::Noop,
        Some(_) => Mode::Raft,
        None if configured == Mode::Noop => Mode::Noop,
        None => Mode::Raft,
    };
    let begun = restore_into(&command.file, &data_dir, mode, SystemClock.now_ms()).map_err(failed)?;
    tell(&begun, &data_dir, None, out)
}

fn tell(begun: &Begun, data_dir: &Path, kept: Option<&Path>, out: &mut Output) -> Result<(), CliError> {
    if out.json {
        return out.value(&json!({
            "schema": "restore/v1",
            "cluster_id": begun.cluster_id,
            "data_dir": data_dir,
            "index": begun.index,
            "records": begun.contents.counters.records,
            "kept": kept,
        }));
    }
    out.line(format!("cluster {}, node 1, in {}", begun.cluster_id, data_dir.display()))?;
    out.line(format!(
        "{} records, as of {}; the log goes on at {}",
        begun.contents.counters.records,
        moment(begun.contents.counters.now_ms),
        begun.index
    ))?;
    if let Some(kept) = kept {
        out.note(format!("the old log is in {}: delete it once all is well", kept.display()));
    }
    out.note(format!(
        "next: metad serve --data-dir {}, then `metad node add` for each further node, with an empty directory",
        data_dir.display()
    ));
    Ok(())
}

/// Begins a new cluster with what the last survivor has.
pub fn recover(command: &args::Recover, out: &mut Output) -> Result<(), CliError> {
    let (data_dir, _) = place(command.data_dir.as_ref())?;
    let recovery = Recovery::prepare(&data_dir, SystemClock.now_ms()).map_err(failed)?;
    plan(&recovery, out)?;
    if !command.yes && !agreed(out)? {
        recovery.give_up().map_err(failed)?;
        return Err(CliError::new(Exit::Usage, "nothing was changed").fix("say --yes to do it"));
    }
    let (begun, kept) = recovery.run().map_err(failed)?;
    tell(&begun, &data_dir, Some(&kept), out)
}

/// What is there, and what may be lost.
fn plan(recovery: &Recovery, out: &Output) -> Result<(), CliError> {
    let found = &recovery.survivor;
    let ids = |ids: &std::collections::BTreeSet<u64>| {
        let words: Vec<String> = ids.iter().map(u64::to_string).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    };
    out.note(
        "This node's copy becomes a new cluster with this node as its only voter. The old cluster ends here.",
    );
    for (name, value) in report(&recovery.contents) {
        out.note(format!("  {name:<12} {value}"));
    }
    out.note(format!("  voters       {} (learners: {})", ids(&found.voters), ids(&found.learners)));
    out.note(format!(
        "  log          ends at {} of term {}; known to be committed up to {}",
        found.last_index, found.last_term, found.committed_index
    ));
    let unsure = found.last_index.saturating_sub(found.committed_index);
    if unsure > 0 {
        out.note(format!(
            "  kept         the last {unsure} entries too, though nobody can say whether they were acknowledged"
        ));
    }
    out.note(format!(
        "  lost         whatever the others acknowledged after entry {}; they must never be started again as they are",
        found.last_index
    ));
    Ok(())
}

/// Asks on a terminal; off a terminal the answer is no.
fn agreed(out: &Output) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        out.note("This needs --yes when nobody can be asked.");
        return Ok(false);
    }
    let mut line = String::new();
    let mut stderr = std::io::stderr();
    write!(stderr, "Go on? Type yes: ").and_then(|()| stderr.flush())?;
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}
