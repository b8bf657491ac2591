//! `metad status` and `metad healthcheck`.
//!
//! Not here: what health means (the node's `/readyz`).
//! Must always hold: `status` asks one node and shows what it says, also when it has no leader.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::output::{Output, printable, table};

/// Shows how a node and its cluster are.
pub async fn status(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let status = client.json(&Call::new(Method::GET, "/v1/status")).await?;
    if out.json {
        return out.value(&status);
    }
    out.line(table(&summary(&status)))?;
    let members = status["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    if members.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<Vec<String>> =
        vec![["NODE", "ID", "ROLE", "HTTP", "RESP", "PEER", "MATCHED"].map(str::to_owned).into()];
    for member in members {
        let leads = status["leader"]["id"] == member["id"] && !member["id"].is_null();
        let name = format!("{}{}", text(&member["name"]), if leads { " *" } else { "" });
        let rest = ["id", "role", "http", "resp", "peer", "matched_index"].map(|field| text(&member[field]));
        rows.push(std::iter::once(name).chain(rest).collect());
    }
    out.line(format!("\n{}", table(&rows)))
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

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        Value::Null => "–".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
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
