//! `/v1/nodes` and `/v1/leader`: the members of the cluster, and who leads.
//!
//! Not here: how members change (`node`). Must always hold: any node takes any of these requests; a change is done by the
//! leader, in one hop; what was begun and did not end in time is told as unknown.
//!
//! Source: contract "Client commands"; research "Operations", section 5.5.

use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{Whole, parse};
use super::error::ApiError;
use super::handles::{App, MemberView};
use super::reply;
use super::routes::Group;
use super::status::members;
use crate::limits::NODE_NAME_BYTES_MAX;
use crate::meta::control::{ClusterChange, ControlError};

/// Longest wait for a change of the cluster that a caller may ask for.
const PATIENCE_MAX: Duration = Duration::from_secs(600);
/// The wait of a caller that does not say.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn routes() -> Group {
    Group::new("cluster")
        .get("/v1/nodes", "The members of the cluster with their progress.", list)
        .post("/v1/nodes", "Admits a waiting node.", add)
        .delete("/v1/nodes/{node}", "Removes a member for good.", remove)
        .post("/v1/nodes/{node}/promote", "Gives a learner a vote, once it has caught up.", promote)
        .post("/v1/nodes/{node}/demote", "Takes a voter's vote; it stays a learner.", demote)
        .post("/v1/nodes/{node}/replace", "Removes a member and admits a waiting node in its place.", replace)
        .post("/v1/leader/transfer", "Hands the lead over.", transfer)
}

/// The body of every change; all of it may be left out where it says nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// Peer address of the node to admit.
    address: Option<String>,
    /// Its name, to be sure that it is the right one.
    name: Option<String>,
    /// Whether it stays a learner.
    #[serde(default)]
    learner: bool,
    /// Who is to lead.
    to: Option<String>,
    /// How long to wait.
    timeout_ms: Option<u64>,
}

impl Wish {
    fn read(body: &[u8]) -> Result<Self, ApiError> {
        if body.iter().all(u8::is_ascii_whitespace) { Ok(Self::default()) } else { parse(body) }
    }

    fn deadline(&self) -> Instant {
        let patience = self.timeout_ms.map_or(PATIENCE, Duration::from_millis);
        Instant::now() + patience.min(PATIENCE_MAX)
    }

    fn address(&self) -> Result<String, ApiError> {
        let address = self.address.clone().filter(|a| a.contains(':') && a.len() <= NODE_NAME_BYTES_MAX);
        address
            .ok_or_else(|| ApiError::bad("bad_address", "\"address\" is the node's peer address, HOST:PORT"))
    }
}

async fn change(app: &App, change: ClusterChange, deadline: Instant) -> Result<Response, ApiError> {
    let Some(control) = app.node.control() else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "no_cluster",
            "this node stands alone (--mode noop): it has no members to change",
        ));
    };
    let done = control.change(change, deadline).await?;
    Ok(reply::ok_at(
        done.index,
        &json!({"done": true, "index": done.index, "id": done.id, "told": done.told}),
    ))
}

impl From<ControlError> for ApiError {
    fn from(error: ControlError) -> Self {
        let text = error.to_string();
        match error {
            ControlError::NoLeader => Self::unavailable("no_leader", text),
            ControlError::NotFound(_) => Self::not_found(text),
            ControlError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", text),
            ControlError::Identity(_) => Self::new(StatusCode::MISDIRECTED_REQUEST, "identity", text),
            ControlError::Unreachable(_) => Self::unavailable("unreachable", text),
            ControlError::TimedOut(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", text).in_doubt(),
        }
    }
}

fn shown(member: &MemberView) -> Value {
    json!({
        "id": member.id,
        "name": member.name,
        "role": if member.voter { "voter" } else { "learner" },
        "leader": member.leads,
        "http": member.http,
        "resp": member.resp,
        "peer": member.peer,
        "matched_index": member.matched_index,
        "lag": member.lag,
        "rtt_us": member.rtt.map(|rtt| rtt.as_micros() as u64),
        "seen_ms": member.seen.map(|seen| seen.as_millis() as u64),
    })
}

async fn list(State(app): State<App>) -> Response {
    let members: Vec<Value> = members(&app).iter().map(shown).collect();
    let (alarm, index) = (app.node.alarm(), app.applied());
    reply::ok_at(index, &json!({"schema": "nodes/v1", "members": members, "alarm": alarm}))
}

async fn add(State(app): State<App>, Whole(body): Whole) -> Result<Response, ApiError> {
    let wish = Wish::read(&body)?;
    let add = ClusterChange::Add { address: wish.address()?, name: wish.name.clone(), learner: wish.learner };
    change(&app, add, wish.deadline()).await
}

async fn remove(
    State(app): State<App>,
    Path(node): Path<String>,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    change(&app, ClusterChange::Remove { node }, Wish::read(&body)?.deadline()).await
}

async fn promote(
    State(app): State<App>,
    Path(node): Path<String>,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    change(&app, ClusterChange::Promote { node }, Wish::read(&body)?.deadline()).await
}

async fn demote(
    State(app): State<App>,
    Path(node): Path<String>,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    change(&app, ClusterChange::Demote { node }, Wish::read(&body)?.deadline()).await
}

async fn replace(
    State(app): State<App>,
    Path(node): Path<String>,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    let wish = Wish::read(&body)?;
    let replace = ClusterChange::Replace { node, address: wish.address()?, learner: wish.learner };
    change(&app, replace, wish.deadline()).await
}

async fn transfer(State(app): State<App>, Whole(body): Whole) -> Result<Response, ApiError> {
    let wish = Wish::read(&body)?;
    change(&app, ClusterChange::Transfer { to: wish.to.clone() }, wish.deadline()).await
}
