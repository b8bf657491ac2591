//! `metad events tail`: print changes as they happen.
//!
//! Not here: parsing the stream (`sse`). Must always hold: after a break the tail goes on behind the last event it printed,
//! at any endpoint, because event ids are the same on every node.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::args::Events;
use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::output::{Output, printable};
use super::sse::{SseEvent, SseReader};

/// Runs a command of `events`.
pub async fn run(command: Events, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let Events::Tail { from, count } = command;
    tail(from, count.unwrap_or(u64::MAX), client, out).await
}

async fn tail(
    mut last: Option<String>,
    mut left: u64,
    client: &Client,
    out: &mut Output,
) -> Result<(), CliError> {
    let mut pause = Duration::from_millis(200);
    let mut connected = false;
    loop {
        let headers = last.iter().map(|id| ("last-event-id", id.clone())).collect();
        let call = Call { stream: true, headers, ..Call::new(Method::GET, "/api/events/meta") };
        let broke_off = match client.try_send(&call).await {
            Ok(response) => {
                connected = true;
                pause = Duration::from_millis(200);
                match follow(response, &mut last, &mut left, out).await? {
                    Ended::Enough => return Ok(()),
                    Ended::Broken(why) => why,
                }
            }
            // The first connection must work; later ones may find the node restarting.
            Err(error) if !connected || !error.retryable => return Err(error.error),
            Err(error) => error.error.to_string(),
        };
        out.note(format!("the stream broke off ({broke_off}); connecting again"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

/// Why following a stream ended.
enum Ended {
    Enough,
    Broken(String),
}

async fn follow(
    mut response: reqwest::Response,
    last: &mut Option<String>,
    left: &mut u64,
    out: &mut Output,
) -> Result<Ended, CliError> {
    let mut reader = SseReader::default();
    while *left > 0 {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return Ok(Ended::Broken("the node closed it".to_owned())),
            Err(error) => return Ok(Ended::Broken(error.to_string())),
        };
        let events = reader.push(&chunk).map_err(|e| CliError::new(Exit::Other, e))?;
        for event in events {
            show(&event, out)?;
            if !event.id.is_empty() {
                *last = Some(event.id);
            }
            *left -= 1;
            if *left == 0 {
                break;
            }
        }
        out.flush()?;
    }
    Ok(Ended::Enough)
}

fn show(event: &SseEvent, out: &mut Output) -> Result<(), CliError> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_else(|_| json!({ "data": event.data }));
    if out.json {
        let mut whole = json!({ "id": event.id, "type": event.kind });
        if let (Some(whole), Value::Object(data)) = (whole.as_object_mut(), data) {
            whole.extend(data);
        }
        return out.value(&whole);
    }
    let what = data["key"].as_str().map_or_else(|| data.to_string(), str::to_owned);
    out.line(format!("{}  {:<4}  {}", printable(&event.id), printable(&event.kind), printable(&what)))
}
