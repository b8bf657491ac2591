//! `GET /v1/doctor`: what this node finds wrong with itself.
//!
//! Not here: the checks (`node`), what only a look at all nodes tells (`metad doctor`). Must always hold: it waits for this
//! node's own disk, a moment for the other members' answers, and for nobody else.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::error::ApiError;
use super::handles::{App, Finding, Level};
use super::reply;
use super::routes::Group;

pub(super) fn routes() -> Group {
    Group::new("operations").get("/v1/doctor", "What this node finds wrong with itself.", doctor)
}

async fn doctor(State(app): State<App>) -> Result<Response, ApiError> {
    let node = Arc::clone(&app.node);
    let examined = tokio::task::spawn_blocking(move || node.examine()).await;
    let mut findings =
        examined.map_err(|_| ApiError::unavailable("stopped", "the examination ended badly"))?;
    findings.extend(app.node.examine_peers().await);
    findings.extend(app.node.checks().into_iter().map(|check| match check.problem {
        None => Finding::ok(check.name, "ready"),
        Some(problem) => Finding::fail(check.name, problem, "look at the node's log"),
    }));
    if let Some(alarm) = app.node.alarm() {
        let advice = "save a snapshot of each node, then replace the odd one: metad node replace";
        findings.push(Finding::fail("alarm", alarm, advice));
    }
    findings.push(match app.service.rules()?.text {
        Some(_) => Finding::ok("rules", "naming rules are set"),
        None => Finding::warn(
            "rules",
            "no naming rules are stored yet",
            "wait for a leader, or `metad rules apply`",
        ),
    });
    let shown: Vec<Value> = findings.iter().map(shown).collect();
    Ok(reply::ok(&json!({
        "schema": "node-doctor/v1",
        "node": {"id": app.identity.id, "name": app.identity.name},
        "version": env!("CARGO_PKG_VERSION"),
        "now_ms": app.clock.now_ms(),
        "checks": shown,
    })))
}

fn shown(finding: &Finding) -> Value {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "fail",
    };
    json!({"name": finding.name, "level": level, "text": finding.text, "advice": finding.advice})
}
