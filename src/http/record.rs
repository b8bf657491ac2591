//! `/meta` and `/meta/{hash}`: whole records.
//!
//! Not here: single properties (`property`). Must always hold: PUT and PATCH merge, as the old core did; a value is a
//! string in and out.
//!
//! Source: seed 000 "Metadata Operations"; research/upstream.md §2.1, §6.4 C13.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;

use super::body::{Properties, Whole};
use super::error::ApiError;
use super::guard::{self, Precondition};
use super::handles::{App, Handles};
use super::once::{self, Once};
use super::query::{Freshness, RecordId};
use super::reply::{self, At, lossy};
use super::routes::Group;
use crate::meta::op::{Op, RecordOp};
use crate::meta::response::Response as Outcome;

pub(super) fn routes() -> Group {
    Group::new("metadata")
        .get("/meta", "All hashIds.", list)
        .get("/meta/{hash}", "A record's properties.", get)
        .put("/meta/{hash}", "Merges properties into a record.", put)
        .patch("/meta/{hash}", "Merges properties into a record and counts them.", patch)
        .delete("/meta/{hash}", "Deletes a record.", delete)
}

/// Properties as a JSON object.
pub(super) struct AsObject<'a>(pub &'a [(Bytes, Bytes)]);

impl Serialize for AsObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(&lossy(name), &lossy(value))?;
        }
        map.end()
    }
}

/// Byte strings as a JSON list.
pub(super) struct AsList<'a>(pub &'a [Bytes]);

impl Serialize for AsList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|b| lossy(b)))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IdsBody<'a> {
    hash_ids: AsList<'a>,
    count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordBody<'a> {
    hash_id: &'a str,
    metadata: AsObject<'a>,
}

async fn list(State(app): State<App>, Freshness(options): Freshness) -> Result<Response, ApiError> {
    let (ids, index) = reply::split(app.service.ids(options).await?);
    Ok(reply::ok_at(index, &IdsBody { hash_ids: AsList(&ids), count: ids.len() }))
}

async fn get(
    State(app): State<App>,
    id: RecordId,
    Freshness(options): Freshness,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (record, index) = reply::split(app.service.record(id.bytes(), options).await?);
    let Some(record) = record else { return Err(ApiError::not_found("metadata not found")) };
    let response = if guard::is_known(&headers, record.version) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        reply::ok(&RecordBody { hash_id: &id.0, metadata: AsObject(&record.properties) })
    };
    Ok(reply::at(index, reply::tagged(record.version, response)))
}

/// Merges a body into a record: how many properties it had, and the index that holds them.
async fn merge(
    app: &Handles,
    id: &RecordId,
    precondition: Precondition,
    once: &Once,
    body: Bytes,
) -> Result<(usize, At), ApiError> {
    let properties = Properties::parse(&body)?.into_blobs(&body)?;
    let count = properties.len();
    if count == 0 && precondition == Precondition::None {
        // Nothing to write is a success without an entry in the index.
        let (_, at) = once::write(app, once, Vec::new()).await?;
        return Ok((0, at));
    }
    let put = Op::Record(RecordOp::Put { id: id.bytes().into(), properties });
    let (_, index) = guard::write_if(app, once, id.bytes(), precondition, put).await?;
    Ok((count, index))
}

async fn put(
    State(app): State<App>,
    id: RecordId,
    precondition: Precondition,
    once: Once,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    let (_, index) = merge(&app, &id, precondition, &once, body).await?;
    Ok(reply::ok_at(index, &json!({"success": true, "hashId": id.0})))
}

async fn patch(
    State(app): State<App>,
    id: RecordId,
    precondition: Precondition,
    once: Once,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    let (updated, index) = merge(&app, &id, precondition, &once, body).await?;
    Ok(reply::ok_at(index, &json!({"success": true, "hashId": id.0, "updated": updated})))
}

async fn delete(
    State(app): State<App>,
    id: RecordId,
    precondition: Precondition,
    once: Once,
) -> Result<Response, ApiError> {
    let op = Op::Record(RecordOp::Delete { id: id.bytes().into() });
    let (outcome, index) = guard::write_if(&app, &once, id.bytes(), precondition, op).await?;
    let deleted = counted(&outcome);
    Ok(reply::ok_at(index, &json!({"success": true, "hashId": id.0, "deleted": deleted})))
}

/// The number in an operation's response.
pub(super) fn counted(outcome: &Outcome) -> i64 {
    match outcome {
        Outcome::Count(n) => *n,
        Outcome::Flag(flag) => i64::from(*flag),
        Outcome::Done | Outcome::Value(_) | Outcome::Nil | Outcome::List(_) | Outcome::Rejected(_) => 0,
        Outcome::Id(_) | Outcome::Ids(_) | Outcome::Entries(_) | Outcome::Once { .. } => 0,
    }
}
