//! `metad demo`: a node with a library on loopback, in one command that needs nothing prepared.
//!
//! ```text
//! temporary folder ─► sample library ─► `metad serve --mode noop` as a child, free ports ─► scan ─► what to try ─► Ctrl-C
//! ```
//!
//! Not here: the sample library (`sample`), the child and its folder (`demo_node`).
//! Must always hold: whatever happens, the child is stopped before its folder goes; a folder given with `--files` is
//! only read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::args::Demo;
use super::client::Client;
use super::demo_node::{DemoNode, Workplace};
use super::error::{CliError, Exit};
use super::import::Summary;
use super::output::{Output, printable};
use super::scan::{Tally, default_threads};
use super::{sample, scan};
use crate::scan::Options;

/// Runs the demo until Ctrl-C.
pub async fn run(command: Demo, timeout: Duration, out: &mut Output) -> Result<(), CliError> {
    if command.nodes > 1 {
        return Err(CliError::not_yet("demo --nodes N")
            .fix("leave --nodes out: one node shows everything but replication"));
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| CliError::new(Exit::Other, e))?;
    let place = Workplace::new(command.keep)?;
    let mut node = None;
    let result = tokio::select! {
        result = work(&command, &place, &mut node, timeout, out) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    out.note("\nstopping the node and cleaning up");
    if let Some(node) = node {
        node.stop().await;
    }
    if let Some(kept) = place.remove() {
        out.note(format!("kept: {}", kept.display()));
    }
    result
}

async fn work(
    command: &Demo,
    place: &Workplace,
    node: &mut Option<DemoNode>,
    timeout: Duration,
    out: &mut Output,
) -> Result<(), CliError> {
    let files = library(command, place, out)?;
    let runtime = start(place, &files, node, out).await?;
    let http = runtime["http"].as_str().unwrap_or_default().to_owned();
    let client = Client::new(std::slice::from_ref(&http), timeout)?;
    let options = Options { root: files.clone(), files: files.clone(), threads: default_threads() };
    let (summary, tally) = scan::send(options, &client, out).await?;
    for line in guide(&runtime, &files, summary, &tally) {
        out.line(line)?;
    }
    out.flush()?;
    node.as_mut().expect("start puts the node there").wait().await
}

/// The user's folder, or a fresh sample library.
fn library(command: &Demo, place: &Workplace, out: &Output) -> Result<PathBuf, CliError> {
    if let Some(files) = &command.files {
        return files.canonicalize().map_err(|e| {
            CliError::new(Exit::NotFound, format!("--files {}: {e}", files.display()))
                .fix("name a folder that exists")
        });
    }
    let root = place.path().join("files");
    let count = sample::make(&root).map_err(|e| {
        CliError::new(Exit::Other, format!("cannot make the sample library in {}: {e}", root.display()))
    })?;
    out.note(format!("made a sample library of {count} files"));
    Ok(root)
}

/// Starts the node, with a mount when that works. A mount that fails is told and done without.
async fn start(
    place: &Workplace,
    files: &Path,
    node: &mut Option<DemoNode>,
    out: &Output,
) -> Result<Value, CliError> {
    match can_mount() {
        Ok(()) => {
            let child = node.insert(DemoNode::spawn(place, files, true)?);
            match child.ready().await {
                Ok(runtime) if !runtime["mount"].is_null() => return Ok(runtime),
                Ok(runtime) => {
                    out.note(format!(
                        "no mount: the node could not make it\n{}",
                        indented(&child.last_words())
                    ));
                    return Ok(runtime);
                }
                Err(error) => {
                    out.note(format!("no mount: {error}"));
                    if let Some(failed) = node.take() {
                        failed.stop().await;
                    }
                }
            }
        }
        Err(why) => out.note(format!("no mount: {why}")),
    }
    node.insert(DemoNode::spawn(place, files, false)?).ready().await
}

fn indented(text: &str) -> String {
    text.lines().map(|l| format!("    {l}")).collect::<Vec<_>>().join("\n")
}

/// Whether this machine lets us mount, as far as can be seen without trying.
fn can_mount() -> Result<(), String> {
    std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse").map_err(|e| {
        format!("/dev/fuse: {e}; load the module fuse, or in a container add --device /dev/fuse --cap-add SYS_ADMIN")
    })?;
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join("fusermount3").is_file());
    if found { Ok(()) } else { Err("fusermount3 is not installed; the package is called fuse3".to_owned()) }
}

/// What is running and what to try.
fn guide(runtime: &Value, files: &Path, summary: Summary, tally: &Tally) -> Vec<String> {
    let http = runtime["http"].as_str().unwrap_or("?");
    let mut lines = vec![
        String::new(),
        format!(
            "metad serves {} records ({} properties) of {}",
            summary.imported,
            summary.properties,
            files.display()
        ),
        format!("  HTTP      http://{http}/"),
    ];
    if let Some(resp) = runtime["resp"].as_str() {
        lines.push(format!("  Redis     {resp}"));
    }
    if let Some(mount) = runtime["mount"].as_str() {
        lines.push(format!("  mount     {mount}"));
    }
    lines.extend([String::new(), "Try:".to_owned()]);
    if let Some(mount) = runtime["mount"].as_str() {
        lines.push(format!("  ls -R '{mount}' | head -40"));
    }
    lines.extend([
        format!("  metad -e http://{http} vfs tree"),
        format!("  metad -e http://{http} status"),
        format!("  metad -e http://{http} events tail --from 0-0"),
        format!("  curl -s http://{http}/meta | head -c 300"),
    ]);
    if let Some((id, title)) = &tally.example {
        lines.extend([
            format!("  curl -s http://{http}/meta/{id}          # {}", printable(title)),
            format!("  metad -e http://{http} vfs explain {id}"),
            format!("  metad -e http://{http} meta set {id} title='Face/Off'   # and look at the tree again"),
        ]);
    }
    lines.extend([String::new(), "Ctrl-C stops the node and removes what the demo made.".to_owned()]);
    lines
}
