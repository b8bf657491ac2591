//! `metad rules`: see and check the rules that name files.
//!
//! Not here: the rule language. Must always hold: `check` changes nothing on the node.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use super::args::Rules;
use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::output::{Output, printable};

/// Runs a command of `rules`.
pub async fn run(command: Rules, client: &Client, out: &mut Output) -> Result<(), CliError> {
    match command {
        Rules::Show => show(client, out).await,
        Rules::Check { file } => check(&file, client, out).await,
        Rules::Diff { .. } => Err(CliError::not_yet("rules diff")),
        Rules::Apply { .. } => Err(CliError::not_yet("rules apply")),
        Rules::Revert => Err(CliError::not_yet("rules revert")),
    }
}

async fn show(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let response = client.send(&Call::new(Method::GET, "/v1/rules")).await?;
    let text = response
        .bytes()
        .await
        .map_err(|e| CliError::new(Exit::Unreachable, format!("the rules broke off: {e}")))?;
    if out.json {
        return out.value(&serde_json::json!({ "rules": String::from_utf8_lossy(&text) }));
    }
    out.bytes(&text)
}

async fn check(file: &Path, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let text = read(file)?;
    let call = Call {
        body: Some(("application/toml", Bytes::from(text))),
        ..Call::new(Method::POST, "/v1/rules/check")
    };
    let answer = client.json(&call).await?;
    if out.json {
        out.value(&answer)?;
    }
    report(&answer, out);
    let valid = answer["valid"].as_bool().unwrap_or_else(|| messages(&answer["errors"]).is_empty());
    if valid {
        out.note("the rules are sound");
        return Ok(());
    }
    out.flush()?;
    Err(CliError::new(Exit::Other, format!("{} is not sound", file.display())).fix("the reasons stand above"))
}

fn report(answer: &Value, out: &Output) {
    for (kind, list) in [("error", &answer["errors"]), ("warning", &answer["warnings"])] {
        for message in messages(list) {
            out.note(format!("{kind}: {}", printable(&message)));
        }
    }
}

/// Messages as plain strings or as objects with a `message`.
fn messages(list: &Value) -> Vec<String> {
    let text = |item: &Value| {
        item.as_str().or_else(|| item["message"].as_str()).map_or_else(|| item.to_string(), str::to_owned)
    };
    list.as_array().into_iter().flatten().map(text).collect()
}

fn read(file: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let result = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(drop)
    } else {
        std::fs::read_to_string(file).map(|t| text = t)
    };
    match result {
        Ok(()) => Ok(text),
        Err(error) => {
            let exit =
                if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Other };
            Err(CliError::new(exit, format!("cannot read {}: {error}", file.display())))
        }
    }
}
