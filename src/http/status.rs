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
use super::handles::{App, Check, Handles, MemberView};
use super::measure::measure;
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

fn leader(members: &[MemberView]) -> Value {
    let leading = members.iter().find(|member| member.leads);
    leading.map_or(Value::Null, |m| json!({"id": m.id, "name": m.name, "http": m.http, "resp": m.resp}))
}

/// The members as the node knows them; a node without a cluster is its own only member.
pub(super) fn members(app: &Handles) -> Vec<MemberView> {
    let members = app.node.members();
    if !members.is_empty() {
        return members;
    }
    let (identity, log) = (&app.identity, app.service.status());
    vec![MemberView {
        id: identity.id,
        name: identity.name.clone(),
        voter: log.role != Role::Learner,
        leads: log.role == Role::Leader,
        http: Some(identity.http.clone()),
        resp: identity.resp.clone(),
        peer: identity.peer.clone(),
        matched_index: Some(log.last_log_index),
        ..MemberView::default()
    }]
}

fn shown(member: &MemberView) -> Value {
    json!({
        "id": member.id,
        "name": member.name,
        "role": if member.voter { "voter" } else { "learner" },
        "http": member.http,
        "resp": member.resp,
        "peer": member.peer,
        "matched_index": member.matched_index,
    })
}

async fn status(State(app): State<App>) -> Response {
    let log = app.service.status();
    let (applied, hash) = app.service.digest();
    let tree = app.tree.totals();
    let (mount, members) = (app.node.mount(), members(&app));
    reply::ok_at(
        applied,
        &json!({
            "schema": "status/v1",
            "cluster_id": app.identity.cluster_id,
            "node": {"id": app.identity.id, "name": app.identity.name, "role": role_word(log.role)},
            "leader": leader(&members),
            "term": log.term,
            "last_log_index": log.last_log_index,
            "committed_index": log.committed_index,
            "applied_index": applied,
            "state_hash": HEXLOWER.encode(&hash),
            "snapshot_index": log.snapshot_index,
            "members": members.iter().map(shown).collect::<Vec<_>>(),
            "vfs": {
                "files": tree.files,
                "directories": tree.directories,
                "applied_index": tree.applied_index,
                "settled": tree.settled,
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
    measure(&app);
    let text = app.metrics.render();
    reply::raw(StatusCode::OK, HeaderValue::from_static("text/plain; version=0.0.4"), text.into())
}
