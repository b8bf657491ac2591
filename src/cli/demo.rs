//! `metad demo`: a cluster with a library on loopback, in one command that needs nothing prepared.
//!
//! ```text
//! temporary folder ─► sample library ─► `metad serve` as children, free ports ─► scan ─► what to try ─► Ctrl-C
//! ```
//!
//! Nodes are meant to be killed, so whoever ends is started again, as systemd would: the one with the mount at once, the others
//! after a while, in which two of three can be seen at work.
//!
//! Not here: the sample library (`sample`), the children and their folder (`demo_node`).
//! Must always hold: whatever happens, the children are stopped before their folder goes; a folder given with `--files` is
//! only read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::args::Demo;
use super::client::{Call, Client};
use super::demo_node::{DemoNode, Plan, Workplace};
use super::error::{CliError, Exit};
use super::import::Summary;
use super::output::{Output, printable};
use super::scan::{Tally, default_threads};
use super::{sample, scan};
use crate::scan::Options;

/// How long a node without a mount stays away after it was killed.
const AWAY_SECONDS: u64 = 10;

/// Runs the demo until Ctrl-C.
pub async fn run(command: Demo, timeout: Duration, out: &mut Output) -> Result<(), CliError> {
    let listen = |kind| signal(kind).map_err(|e| CliError::new(Exit::Other, e));
    let mut terminate = listen(SignalKind::terminate())?;
    // The terminal was closed, or Ctrl-\: nothing may stay behind then either.
    let (mut hangup, mut quit) = (listen(SignalKind::hangup())?, listen(SignalKind::quit())?);
    let place = Workplace::new(command.keep)?;
    let mut nodes = Vec::new();
    let result = tokio::select! {
        result = work(&command, &place, &mut nodes, timeout, out) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
        _ = quit.recv() => Ok(()),
    };
    out.note("\nstopping the nodes and cleaning up");
    futures_util::future::join_all(nodes.iter_mut().map(DemoNode::stop)).await;
    if let Some(kept) = place.remove() {
        out.note(format!("kept: {}", kept.display()));
    }
    result
}

async fn work(
    command: &Demo,
    place: &Workplace,
    nodes: &mut Vec<DemoNode>,
    timeout: Duration,
    out: &mut Output,
) -> Result<(), CliError> {
    let files = library(command, place, out)?;
    let plan = Plan::new(place, &files, command.nodes)?;
    start(&plan, place, nodes, out).await?;
    let endpoints: Vec<String> = nodes.iter().map(|node| node.http().to_owned()).collect();
    let client = Client::new(&endpoints, timeout)?;
    let options = Options { root: files.clone(), files: files.clone(), threads: default_threads() };
    let (summary, tally) = scan::send(options, &client, out).await?;
    for line in guide(nodes, &files, summary, &tally) {
        out.line(line)?;
    }
    out.flush()?;
    let out = &*out;
    let kept = nodes.iter_mut().map(|node| Box::pin(keep(&plan, node, out)));
    futures_util::future::select_all(kept).await.0
}

/// Starts a node again each time that it has ended, and again until it comes up.
async fn keep(plan: &Plan, node: &mut DemoNode, out: &Output) -> Result<(), CliError> {
    loop {
        let (name, how) = (node.name(), node.ended().await);
        if node.mount().is_some() || plan.nodes() == 1 {
            out.note(format!("{name} ended ({how}) and is started again at once"));
        } else {
            out.note(format!("{name} ended ({how}) and is started again in {AWAY_SECONDS} s"));
            tokio::time::sleep(Duration::from_secs(AWAY_SECONDS)).await;
        }
        while let Err(error) = again(plan, node).await {
            out.note(format!("{name} did not come up and is started again in {AWAY_SECONDS} s: {error}"));
            // One that is only slow still has the data folder.
            node.stop().await;
            tokio::time::sleep(Duration::from_secs(AWAY_SECONDS)).await;
        }
        out.note(format!("{name} is back: pid {}", pid(node)));
    }
}

async fn again(plan: &Plan, node: &mut DemoNode) -> Result<(), CliError> {
    node.respawn(plan)?;
    node.ready().await
}

fn pid(node: &DemoNode) -> String {
    node.pid().map_or_else(|| "?".to_owned(), |pid| pid.to_string())
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

/// Starts the nodes, the first with a mount when that works. A mount that fails is told and done without.
async fn start(
    plan: &Plan,
    place: &Workplace,
    nodes: &mut Vec<DemoNode>,
    out: &Output,
) -> Result<(), CliError> {
    let mountable = can_mount();
    if let Err(why) = &mountable {
        out.note(format!("no mount: {why}"));
    }
    for number in 0..plan.nodes() {
        let mount = (number == 0 && mountable.is_ok()).then(|| place.mount());
        nodes.push(DemoNode::spawn(plan, number, mount)?);
    }
    let ready = futures_util::future::join_all(nodes.iter_mut().map(DemoNode::ready)).await;
    for (number, ready) in ready.into_iter().enumerate() {
        match ready {
            Err(error) if nodes[number].mount().is_some() => {
                out.note(format!("no mount: {error}"));
                // It may only be slow: two processes must not share a data folder.
                nodes[number].stop().await;
                nodes[number] = DemoNode::spawn(plan, number, None)?;
                nodes[number].ready().await?;
            }
            other => other?,
        }
    }
    let first = &nodes[0];
    if first.mount().is_some() && !is_mounted(first).await? {
        out.note(format!("the mount is not there yet:\n{}", indented(&first.last_words())));
    }
    Ok(())
}

/// Whether the node says that its mount is served.
async fn is_mounted(node: &DemoNode) -> Result<bool, CliError> {
    let client = Client::new(&[node.http().to_owned()], Duration::from_secs(5))?;
    let status = client.json(&Call::new(reqwest::Method::GET, "/v1/status")).await?;
    Ok(!status["mount"].is_null())
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
fn guide(nodes: &[DemoNode], files: &Path, summary: Summary, tally: &Tally) -> Vec<String> {
    let (first, last) = (&nodes[0], nodes.last().expect("there is at least one node"));
    let (here, there) = (first.http(), last.http());
    let mount = first.mount().map(|mount| mount.display().to_string());
    let mut lines = vec![
        String::new(),
        format!(
            "metad serves {} records ({} properties) of {}",
            summary.imported,
            summary.properties,
            files.display()
        ),
    ];
    lines.extend(nodes.iter().map(|n| format!("  {}    http://{}/    pid {}", n.name(), n.http(), pid(n))));
    lines.extend(mount.iter().map(|mount| format!("  mount     {mount}    ({})", first.name())));
    lines.extend([String::new(), "Try:".to_owned()]);
    lines.extend(mount.iter().map(|mount| format!("  ls -R '{mount}' | head -40")));
    lines.extend([
        format!("  metad -e http://{here} vfs tree"),
        format!("  metad -e http://{here} status --watch"),
        format!("  metad -e http://{here} events tail --from 0-0"),
        format!("  curl -s http://{here}/meta | head -c 300"),
    ]);
    if let Some((id, title)) = &tally.example {
        lines.extend([
            format!("  curl -s http://{here}/meta/{id}          # {}", printable(title)),
            format!("  metad -e http://{here} vfs explain {id}"),
            format!(
                "  metad -e http://{there} meta set {id} title='Face/Off'   # and look at the tree again"
            ),
        ]);
    }
    lines.extend(killing(nodes));
    lines.extend([String::new(), "Ctrl-C stops the nodes and removes what the demo made.".to_owned()]);
    lines
}

/// What happens to whom when a node is killed.
fn killing(nodes: &[DemoNode]) -> Vec<String> {
    let [first, .., last] = nodes else { return Vec::new() };
    let mut lines = vec![String::new(), "Kill a node:".to_owned()];
    lines.push(format!("  kill -9 {}          # {}", pid(last), last.name()));
    if nodes.len() > 2 {
        let mount = first.mount().map_or("", |_| " and the mount");
        lines.push(format!(
            "    The others go on: reads, writes{mount}. If it led, writes wait for about two seconds."
        ));
    } else {
        lines.push(
            "    The other one still serves trees and stale reads; writes need both of two.".to_owned(),
        );
    }
    lines.push(format!(
        "    The demo starts it again after {AWAY_SECONDS} s, as systemd would; it catches up by itself."
    ));
    if first.mount().is_some() {
        lines.push(format!("  kill -9 {}          # {}, whose mount it is", pid(first), first.name()));
        lines.push("    A mount ends with its own node. The demo starts that one at once, and the mount is back in seconds.".to_owned());
    }
    lines
}
