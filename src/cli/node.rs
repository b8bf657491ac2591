//! `metad node`: the members of the cluster.
//!
//! Not here: how members change (`node` of the server). Must always hold: what cannot be undone shows its plan first, and
//! needs `--yes` where nobody can be asked; a change is never sent twice.
//!
//! Source: research "Operations", section 5.5.

use std::io::{BufRead, IsTerminal};

use reqwest::Method;
use serde_json::{Value, json};

use super::args::Node;
use super::client::{Call, Client, segment};
use super::error::{CliError, Exit};
use super::output::{Output, printable, table};

/// Runs a command of `node`.
pub async fn run(command: Node, client: &Client, out: &mut Output) -> Result<(), CliError> {
    match command {
        Node::List => list(client, out).await,
        Node::Add { address, addr, name, learner } => {
            let address = addr.or(address).ok_or_else(|| {
                CliError::new(Exit::Usage, "the node's peer address is missing")
                    .fix("metad node add --addr HOST:PORT")
            })?;
            let mut wish = json!({"address": address, "learner": learner});
            if let Some(name) = name {
                wish["name"] = name.into();
            }
            change(client, out, Method::POST, "/v1/nodes", wish).await
        }
        Node::Promote { node } => {
            change(client, out, Method::POST, &path(&node, "/promote"), json!({})).await
        }
        Node::Demote { node, yes } => {
            confirm(out, yes, &format!("{node} will have no vote any more; it stays a learner"))?;
            change(client, out, Method::POST, &path(&node, "/demote"), json!({})).await
        }
        Node::Remove { node, yes } => {
            let plan = format!("{node} will be removed for good: it stops, and its id never comes back");
            confirm(out, yes, &plan)?;
            change(client, out, Method::DELETE, &path(&node, ""), json!({})).await
        }
        Node::Replace { old, new, learner, yes } => {
            let plan = format!(
                "{old} will be removed for good, and the node at {new}, started with an empty data directory, takes its place \
                 under a new id"
            );
            confirm(out, yes, &plan)?;
            let wish = json!({"address": new, "learner": learner});
            change(client, out, Method::POST, &path(&old, "/replace"), wish).await
        }
    }
}

fn path(node: &str, rest: &str) -> String {
    format!("/v1/nodes/{}{rest}", segment(node))
}

/// Shows a plan and asks for leave, where there is somebody to ask.
fn confirm(out: &Output, yes: bool, plan: &str) -> Result<(), CliError> {
    out.note(format!("plan: {}", printable(plan)));
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::new(Exit::Usage, "nothing was done: nobody can be asked here").fix("--yes"));
    }
    out.note("go on? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("y") {
        return Ok(());
    }
    Err(CliError::new(Exit::Interrupted, "nothing was done"))
}

/// Sends a change and tells what was done.
pub(super) async fn change(
    client: &Client,
    out: &mut Output,
    method: Method,
    path: &str,
    mut wish: Value,
) -> Result<(), CliError> {
    // The node gives up a little earlier than we do, so that its reason arrives.
    let patience = client.timeout().mul_f32(0.9).as_millis();
    wish["timeout_ms"] = u64::try_from(patience).unwrap_or(u64::MAX).into();
    let answer = client.json(&Call::json(method, path, &wish)).await?;
    if out.json {
        return out.value(&answer);
    }
    for line in answer["told"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        out.line(printable(line))?;
    }
    Ok(())
}

async fn list(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let nodes = client.json(&Call::new(Method::GET, "/v1/nodes")).await?;
    if out.json {
        return out.value(&nodes);
    }
    out.line(members(&nodes))
}

/// The members as a table: the leader has a star.
pub(super) fn members(nodes: &Value) -> String {
    let head = ["NODE", "ID", "ROLE", "HTTP", "PEER", "MATCHED", "LAG", "RTT", "SEEN"];
    let mut rows: Vec<Vec<String>> = vec![head.map(str::to_owned).into()];
    for member in nodes["members"].as_array().into_iter().flatten() {
        let star = if member["leader"] == true { " *" } else { "" };
        let rtt = member["rtt_us"].as_f64().map_or_else(|| "–".into(), |us| format!("{:.1} ms", us / 1000.0));
        let seen =
            member["seen_ms"].as_f64().map_or_else(|| "–".into(), |ms| format!("{:.1} s ago", ms / 1000.0));
        let mut row = vec![format!("{}{star}", text(&member["name"]))];
        row.extend(["id", "role", "http", "peer", "matched_index", "lag"].map(|field| text(&member[field])));
        row.extend([rtt, seen]);
        rows.push(row);
    }
    table(&rows)
}

/// A value for a cell of a table.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => "–".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
