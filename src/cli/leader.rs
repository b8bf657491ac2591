//! `metad leader`: who leads, and handing it over.
//!
//! Not here: elections. Must always hold: a transfer is never sent twice.

use reqwest::Method;
use serde_json::json;

use super::args::Leader;
use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::node::{change, text};
use super::output::Output;

/// Runs a command of `leader`.
pub async fn run(command: Leader, client: &Client, out: &mut Output) -> Result<(), CliError> {
    match command {
        Leader::Show => show(client, out).await,
        Leader::Transfer { to } => {
            let wish = to.map_or_else(|| json!({}), |to| json!({"to": to}));
            change(client, out, Method::POST, "/v1/leader/transfer", wish).await
        }
    }
}

async fn show(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let status = client.json(&Call::new(Method::GET, "/v1/status")).await?;
    let leader = &status["leader"];
    if out.json {
        out.value(leader)?;
    }
    if leader.is_null() {
        return Err(CliError::new(Exit::Unreachable, "no leader is known")
            .fix("a majority of the voters must be up: metad node list"));
    }
    if out.json {
        return Ok(());
    }
    let (name, id, http) = (text(&leader["name"]), text(&leader["id"]), text(&leader["http"]));
    out.line(format!("{name} (id {id}) at {http}, term {}", text(&status["term"])))
}
