//! `/v1/status`, the probes and `/metrics`.
//!
//! Not here: the old core's pages (`health`). Must always hold: nothing here waits for anybody; `state_hash` is the hash
//! at exactly `applied_index`.
//!
//! Source: contract "HTTP additions".

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use data_encoding::HEXLOWER;
use metad_raft::Role;
use serde_json::{Value, json};

use super::error::ApiError;
use super::handles::{App, Check, Handles};
use super::reply;
use super::routes::Group;
use crate::vfs::Filesystem;

pub(super) fn routes() -> Group {
    Group::new("operations")
        .get("/v1/status", "The node, its log, its members and its tree.", status)
        .get("/livez", "Whether the process works.", livez)
        .get("/readyz", "Whether the node can serve, with every check.", readyz)
        .get("/readyz/{check}", "One readiness check.", readyz_one)
        .get("/metrics", "Metrics in Prometheus' text form.", metrics)
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
    }
}

fn leader(app: &Handles, role: Role) -> Value {
    let identity = &app.identity;
    if role != Role::Leader {
        return Value::Null;
    }
    json!({"id": identity.id, "name": identity.name, "http": identity.http, "resp": identity.resp})
}

fn members(app: &Handles, role: Role, matched_index: u64) -> Value {
    let identity = &app.identity;
    json!([{
        "id": identity.id,
        "name": identity.name,
        "role": if role == Role::Learner { "learner" } else { "voter" },
        "http": identity.http,
        "resp": identity.resp,
        "peer": identity.peer,
        "matched_index": matched_index,
    }])
}

async fn status(State(app): State<App>) -> Response {
    let log = app.service.status();
    let (applied, hash) = app.service.digest();
    let tree = app.tree.totals();
    let mount = app.node.mount();
    reply::ok_at(
        applied,
        &json!({
            "schema": "status/v1",
            "cluster_id": app.identity.cluster_id,
            "node": {"id": app.identity.id, "name": app.identity.name, "role": role_word(log.role)},
            "leader": leader(&app, log.role),
            "term": log.term,
            "last_log_index": log.last_log_index,
            "committed_index": log.committed_index,
            "applied_index": applied,
            "state_hash": HEXLOWER.encode(&hash),
            "snapshot_index": log.snapshot_index,
            "members": members(&app, log.role, log.last_log_index),
            "vfs": {
                "files": tree.files,
                "directories": tree.directories,
                "applied_index": tree.applied_index,
            },
            "mount": mount.map(|m| json!({
                "path": m.path,
                "state": m.state,
                "passthrough": m.passthrough,
            })),
        }),
    )
}

async fn livez(State(app): State<App>) -> Result<Response, ApiError> {
    match app.service.status().failure {
        None => Ok(reply::ok(&json!({"status": "ok"}))),
        Some(failure) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopped", failure)),
    }
}

fn check_body(check: &Check) -> Value {
    json!({"name": check.name, "ok": check.problem.is_none(), "message": check.problem})
}

/// 200 when all checks pass, else 503; the same body either way.
fn verdict(checks: &[Check], body: impl FnOnce(&'static str) -> Value) -> Response {
    let passed = checks.iter().all(|c| c.problem.is_none());
    let (status, word) =
        if passed { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    reply::json(status, &body(word))
}

async fn readyz(State(app): State<App>) -> Response {
    let checks = app.node.checks();
    let listed: Vec<Value> = checks.iter().map(check_body).collect();
    verdict(&checks, |word| json!({"status": word, "checks": listed}))
}

async fn readyz_one(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ApiError> {
    let checks = app.node.checks();
    let Some(check) = checks.into_iter().find(|c| c.name == name) else {
        return Err(ApiError::not_found(format!("no check {name:.80?}")));
    };
    let body = check_body(&check);
    Ok(verdict(std::slice::from_ref(&check), |_| body))
}

async fn metrics(State(app): State<App>) -> Response {
    let text = app.metrics.render();
    reply::raw(StatusCode::OK, HeaderValue::from_static("text/plain; version=0.0.4"), text.into())
}
