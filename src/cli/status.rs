//! `metad status` and `metad healthcheck`.
//!
//! Not here: what health means (the node's `/readyz`).
//! Must always hold: `status` asks one node and shows what it says, also when it has no leader.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::node::{members, text};
use super::output::{Output, printable, table};

/// Shows how a node and its cluster are: once, or again and again until Ctrl-C (exit code 130) or until nobody reads.
pub async fn run(watch: Option<Duration>, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let Some(pause) = watch else { return status(client, out).await };
    tokio::select! {
        result = again_and_again(pause, client, out) => result,
        _ = tokio::signal::ctrl_c() => Err(CliError::new(Exit::Interrupted, "interrupted")),
    }
}

async fn again_and_again(pause: Duration, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let mut ticks = tokio::time::interval(pause);
    loop {
        ticks.tick().await;
        // A node that is away for a while is what somebody watches for.
        match status(client, out).await {
            Err(CliError::BrokenPipe) => return Ok(()),
            Err(error) => out.note(format!("{error}")),
            Ok(()) if !out.json => out.line("")?,
            Ok(()) => {}
        }
        out.flush()?;
    }
}

async fn status(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let status = client.json(&Call::new(Method::GET, "/v1/status")).await?;
    if out.json {
        return out.value(&status);
    }
    out.line(table(&summary(&status)))?;
    let nodes = match client.json(&Call::new(Method::GET, "/v1/nodes")).await {
        Ok(nodes) => nodes,
        // An older node: the status has the members, without their progress.
        Err(_) => json!({"members": status["members"]}),
    };
    if nodes["members"].as_array().is_some_and(|members| !members.is_empty()) {
        out.line(format!("\n{}", members(&nodes)))?;
    }
    if let Some(alarm) = nodes["alarm"].as_str() {
        out.line(format!("\n! {}", printable(alarm)))?;
    }
    Ok(())
}

fn summary(status: &Value) -> Vec<Vec<String>> {
    let node = &status["node"];
    let leader = &status["leader"];
    let mut rows = vec![
        row("cluster", text(&status["cluster_id"])),
        row("node", format!("{} (id {}), {}", text(&node["name"]), text(&node["id"]), text(&node["role"]))),
        row(
            "leader",
            if leader.is_null() {
                "none".to_owned()
            } else {
                format!("{} at {}", text(&leader["name"]), text(&leader["http"]))
            },
        ),
        row(
            "log",
            format!(
                "term {}, last {}, committed {}, applied {}, snapshot {}",
                text(&status["term"]),
                text(&status["last_log_index"]),
                text(&status["committed_index"]),
                text(&status["applied_index"]),
                text(&status["snapshot_index"]),
            ),
        ),
        row("state hash", text(&status["state_hash"])),
    ];
    let vfs = &status["vfs"];
    rows.push(row(
        "tree",
        format!(
            "{} files, {} directories, at {}",
            text(&vfs["files"]),
            text(&vfs["directories"]),
            text(&vfs["applied_index"])
        ),
    ));
    let mount = &status["mount"];
    rows.push(row(
        "mount",
        if mount.is_null() {
            "none".to_owned()
        } else {
            format!(
                "{}, {}, passthrough {}",
                text(&mount["path"]),
                text(&mount["state"]),
                text(&mount["passthrough"])
            )
        },
    ));
    rows
}

fn row(name: &str, value: String) -> Vec<String> {
    vec![name.to_owned(), value]
}

/// Succeeds when the node is ready; 7 when it answers and is not.
pub async fn healthcheck(client: &Client, out: &mut Output) -> Result<(), CliError> {
    match client.send(&Call::new(Method::GET, "/readyz")).await {
        Ok(_) if out.json => out.value(&json!({ "ready": true })),
        Ok(_) => out.line("ready"),
        // A refusal is an answer: the node lives and says that it is not ready.
        Err(CliError::Failed { exit, what, .. }) if what.starts_with("/readyz") => {
            if out.json {
                out.value(&json!({ "ready": false }))?;
            }
            let verdict = if exit == Exit::Auth { exit } else { Exit::Unhealthy };
            Err(CliError::new(verdict, format!("not ready: {what}")).fix("metad status"))
        }
        Err(error) => Err(error),
    }
}
