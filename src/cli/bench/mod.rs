//! `metad bench`: how fast a running cluster is, from here, over HTTP.
//!
//! Not here: comparisons with other systems (`scripts/bench.sh` uses the same loop for all of them).
//! Must always hold: what was written is deleted again, also after an error; nothing of the user's is touched.

pub mod closed_loop;
pub mod http;
pub mod workload;

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::json;

use self::closed_loop::{Figures, Span};
use self::workload::{HttpSession, RECORDS_A_CLIENT, Workload, record_id};
use super::args::Bench;
use super::client::{Call, Client, segment};
use super::error::{CliError, Exit};
use super::output::{Output, table};

/// Connections warm up for this long before anything counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Deletions on their way at once.
const DELETIONS_IN_FLIGHT: usize = 64;

/// Measures the first endpoint, and cleans up.
pub async fn run(command: Bench, client: &Client, out: &mut Output) -> Result<(), CliError> {
    // Also checks that somebody answers there before anything is written.
    let status = client.json(&Call::new(Method::GET, "/v1/status")).await?;
    let address = client.first_authority()?;
    let mut seen = Vec::new();
    let mut measured = Ok(());
    for workload in Workload::ALL {
        out.note(format!("{}: {} clients, {} s", workload.name(), command.clients, command.seconds));
        match measure(&command, &address, workload).await {
            Ok(figures) => seen.push((workload, figures)),
            Err(e) => {
                measured = Err(CliError::new(Exit::Other, format!("{}: {e}", workload.name())));
                break;
            }
        }
    }
    out.note("deleting what was written");
    let cleaned = clean(&command, client).await;
    report(&command, &status, &seen, out)?;
    measured.and(cleaned)
}

async fn measure(command: &Bench, address: &str, workload: Workload) -> std::io::Result<Figures> {
    let mut sessions = Vec::with_capacity(command.clients);
    for client in 0..command.clients {
        sessions.push(HttpSession::open(address, workload, client, command.value_bytes).await?);
    }
    let span = Span { warm_up: WARM_UP, measured: Duration::from_secs(command.seconds) };
    closed_loop::run(sessions, span).await
}

/// Deletes every record that the clients can have written; one that is not there is none.
async fn clean(command: &Bench, client: &Client) -> Result<(), CliError> {
    let ids = (0..command.clients).flat_map(|c| (0..RECORDS_A_CLIENT).map(move |n| record_id(c, n)));
    let mut deletions = stream::iter(ids.map(|id| delete(client, id))).buffer_unordered(DELETIONS_IN_FLIGHT);
    while let Some(deleted) = deletions.next().await {
        deleted?;
    }
    Ok(())
}

async fn delete(client: &Client, id: String) -> Result<(), CliError> {
    match client.json(&Call::new(Method::DELETE, format!("/meta/{}", segment(&id)))).await {
        Err(CliError::Failed { exit: Exit::NotFound, .. }) | Ok(_) => Ok(()),
        Err(e) => Err(e),
    }
}

fn report(
    command: &Bench,
    status: &serde_json::Value,
    seen: &[(Workload, Figures)],
    out: &mut Output,
) -> Result<(), CliError> {
    if out.json {
        let results: Vec<_> = seen.iter().map(|(workload, f)| line_of(workload.name(), f)).collect();
        return out.value(&json!({
            "schema": "bench/v1",
            "node": status["node"],
            "clients": command.clients,
            "value_bytes": command.value_bytes,
            "results": results,
        }));
    }
    let head = ["WORKLOAD", "OPS/S", "P50 MS", "P99 MS", "MAX MS"].map(str::to_owned).into();
    let rows = seen.iter().map(|(workload, f)| {
        let figure = |x: f64| format!("{x:.2}");
        let times = [0.5, 0.99, 1.0].map(|q| figure(f.quantile_ms(q)));
        [vec![workload.name().to_owned(), format!("{:.0}", f.rate())], times.into()].concat()
    });
    out.line(table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()))
}

/// One measurement as scripts read it.
pub fn line_of(name: &str, figures: &Figures) -> serde_json::Value {
    json!({
        "workload": name,
        "operations": figures.operations,
        "seconds": figures.seconds,
        "per_second": figures.rate(),
        "p50_ms": figures.quantile_ms(0.5),
        "p99_ms": figures.quantile_ms(0.99),
        "max_ms": figures.quantile_ms(1.0),
    })
}
