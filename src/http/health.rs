//! The old core's health, leader and service pages.
//!
//! Not here: `/v1/status` and probes (`status`), the registry of other services (discovery, later). Must always hold: no
//! route here waits for anybody; a node without consensus leads itself.
//!
//! Source: seed 000 "Health & Status", "Service Discovery"; research/upstream.md §2.1, §2.3, §2.4; contract.

use axum::extract::{Path, State};
use axum::response::Response;
use metad_raft::Role;
use serde_json::{Value, json};

use super::error::ApiError;
use super::handles::{App, Handles, Identity};
use super::reply;
use super::routes::Group;

pub(super) fn routes() -> Group {
    Group::new("node")
        .get("/health", "Whether the node works; always 200.", health)
        .get("/status", "Health, uptime and number of files.", status)
        .get("/leader", "Where the leader is.", leader)
        .get("/role", "This node's role: leader, follower or unknown.", role)
        .get("/urls", "The leader's URLs.", urls)
        .get("/services", "All known services.", services)
        .get("/services/{name}", "One service.", service)
        .get("/api/services", "All known services (alias).", services)
}

/// Milliseconds since the epoch as RFC 3339.
pub(super) fn rfc3339(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Leader => "leader",
        Role::Follower | Role::Learner => "follower",
        Role::Candidate => "unknown",
    }
}

/// Base URL of the service that others should use.
fn base_url(identity: &Identity) -> String {
    identity.base_url.clone().unwrap_or_else(|| format!("http://{}:{}", identity.ip, identity.api_port))
}

/// The Redis URL of this node; empty without a Redis door.
fn redis_url(identity: &Identity) -> String {
    let port = identity.resp.as_deref().and_then(|a| a.rsplit_once(':')).map(|(_, port)| port);
    port.map_or_else(String::new, |port| format!("redis://{}:{port}", identity.ip))
}

/// The main HTTP door as others reach it.
fn http_url(identity: &Identity) -> String {
    let port = identity.http.rsplit_once(':').map_or("9000", |(_, port)| port);
    format!("http://{}:{port}", identity.ip)
}

/// LeaderInfo, when this node leads.
fn leader_info(app: &Handles) -> Option<Value> {
    let identity = &app.identity;
    if app.node.leaderless().is_some() {
        return None;
    }
    if app.service.status().role != Role::Leader {
        return other_leader(app);
    }
    let mut info = json!({
        "host": identity.host,
        "api": redis_url(identity),
        "http": format!("http://{}:{}", identity.ip, identity.api_port),
    });
    let fields = info.as_object_mut().expect("an object was just made");
    if let Some(url) = &identity.base_url {
        fields.insert("baseUrl".into(), json!(url));
    }
    fields.insert("timestamp".into(), json!(app.clock.now_ms()));
    fields.insert("pid".into(), json!(identity.pid));
    Some(info)
}

/// What is known of another node that leads. Its process id and host name are not: the fields stay, as the old core's
/// clients read them.
fn other_leader(app: &Handles) -> Option<Value> {
    let leader = app.node.members().into_iter().find(|member| member.leads)?;
    let http = leader.http?;
    let redis = leader.resp.map_or_else(String::new, |resp| format!("redis://{resp}"));
    let host = http.rsplit_once(':').map_or(http.as_str(), |(host, _)| host);
    Some(json!({
        "host": host,
        "api": redis,
        "http": format!("http://{http}"),
        "timestamp": app.clock.now_ms(),
        "pid": 0,
    }))
}

/// The URLs of another node that leads.
fn other_urls(app: &Handles) -> Option<Value> {
    let leader = app.node.members().into_iter().find(|member| member.leads)?;
    let http = leader.http?;
    let base = format!("http://{http}");
    Some(json!({
        "hostname": leader.name,
        "baseUrl": base,
        "apiUrl": base,
        "redisUrl": leader.resp.map_or_else(String::new, |resp| format!("redis://{resp}")),
        "webdavUrl": format!("{base}/webdav"),
        "webdavUrlInternal": format!("{base}/webdav"),
        "isLeader": false,
    }))
}

/// Whether the store works: the old core pinged its Redis.
fn store_works(app: &Handles) -> bool {
    let status = app.service.status();
    status.failure.is_none() && status.leader.is_some() && app.node.leaderless().is_none()
}

fn health_word(app: &Handles) -> &'static str {
    if store_works(app) { "ok" } else { "degraded" }
}

fn with_leader(app: &Handles, mut body: Value) -> Response {
    if let Some(leader) = leader_info(app) {
        body.as_object_mut().expect("the body is an object").insert("leader".into(), leader);
    }
    reply::ok(&body)
}

async fn health(State(app): State<App>) -> Response {
    let body = json!({
        "status": health_word(&app),
        "role": role_word(app.service.status().role),
        "redis": store_works(&app),
        "timestamp": rfc3339(app.clock.now_ms()),
    });
    with_leader(&app, body)
}

async fn status(State(app): State<App>) -> Response {
    let body = json!({
        "status": health_word(&app),
        "role": role_word(app.service.status().role),
        "redis": store_works(&app),
        "serviceName": app.identity.service_name,
        "version": app.identity.service_version,
        "uptimeSeconds": app.clock.now_ms().saturating_sub(app.identity.started_ms) / 1000,
        "fileCount": app.service.totals().records,
    });
    with_leader(&app, body)
}

fn no_leader() -> ApiError {
    ApiError::unavailable("no_leader", "no leader available")
}

async fn leader(State(app): State<App>) -> Result<Response, ApiError> {
    leader_info(&app).map(|info| reply::ok(&info)).ok_or_else(no_leader)
}

async fn role(State(app): State<App>) -> Response {
    reply::ok(&json!({"role": role_word(app.service.status().role)}))
}

async fn urls(State(app): State<App>) -> Result<Response, ApiError> {
    let identity = &app.identity;
    if app.node.leaderless().is_some() {
        return Err(no_leader());
    }
    if app.service.status().role != Role::Leader {
        return other_urls(&app).map(|urls| reply::ok(&urls)).ok_or_else(no_leader);
    }
    let (base, http) = (base_url(identity), http_url(identity));
    let port = http.rsplit_once(':').map_or("9000", |(_, port)| port);
    Ok(reply::ok(&json!({
        "hostname": identity.host,
        "baseUrl": base,
        "apiUrl": http,
        "redisUrl": redis_url(identity),
        "webdavUrl": format!("{base}/webdav"),
        "webdavUrlInternal": format!("http://{}:{port}/webdav", identity.host),
        "isLeader": true,
    })))
}

/// ServiceInfo of this node.
fn own_service(app: &Handles) -> Value {
    let identity = &app.identity;
    let (base, http) = (base_url(identity), http_url(identity));
    json!({
        "name": identity.service_name,
        "version": identity.service_version,
        "api": base,
        "status": "running",
        "pid": identity.pid,
        "hostname": identity.host,
        "startedAt": rfc3339(identity.started_ms),
        "lastHeartbeat": rfc3339(app.clock.now_ms()),
        "capabilities": ["meta-core", "meta-fuse"],
        "endpoints": {
            "health": format!("{http}/health"),
            "meta": format!("{http}/meta"),
            "leader": format!("{http}/leader"),
            "services": format!("{http}/services"),
            "api": format!("{http}/api/fuse"),
            "webdav": format!("{http}/webdav"),
        },
    })
}

async fn services(State(app): State<App>) -> Response {
    let services = [own_service(&app)];
    let body = json!({"services": services, "count": services.len(), "current": app.identity.service_name});
    reply::ok(&body)
}

async fn service(State(app): State<App>, Path(name): Path<String>) -> Result<Response, ApiError> {
    if name == app.identity.service_name {
        return Ok(reply::ok(&own_service(&app)));
    }
    Err(ApiError::not_found("service not found"))
}
