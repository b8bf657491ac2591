//! `/api/metadata`: what the old metadata editor calls.
//!
//! Lists and searches walk the local state page by page in store order; they are for people and wait for nobody.
//!
//! Not here: the contract's own routes (`record`). Must always hold: `processingStatus` is never stored; memory is bounded
//! by a page and the answer.
//!
//! Source: research/upstream.md §2.2.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::{self, Properties, Whole};
use super::error::ApiError;
use super::guard;
use super::handles::{App, Door};
use super::once::{self, Once};
use super::query::{Freshness, Query, RecordId, check_id, check_property};
use super::record::counted;
use super::reply::{self, lossy};
use super::routes::Group;
use crate::codec::Blob;
use crate::limits::{EDITOR_LIST_DEFAULT, EXPORT_PAGE_RECORDS, LIST_RECORDS_MAX};
use crate::meta::op::{Op, RecordOp};
use crate::meta::response::Response as Outcome;
use crate::meta::service::{RecordView, ServiceError};

/// Properties that a search without a property looks at, besides the hashId.
const SEARCHED: [&str; 5] = ["title", "fileName", "originaltitle", "showtitle", "filePath"];
/// Written by the old editor about itself; it is no metadata.
const NOT_STORED: &str = "processingStatus";

pub(super) fn routes() -> Group {
    Group::new("editor")
        .get("/api/metadata/hash-ids", "All hashIds.", ids)
        .get("/api/metadata/list", "A page of records with their main properties.", list)
        .post("/api/metadata/search", "Records that contain a text.", search)
        .post("/api/metadata/batch", "Writes several records.", batch)
        .post("/api/metadata/clear", "Deletes all records.", clear)
        .get("/api/metadata/{hash}", "A record's properties.", get)
        .put("/api/metadata/{hash}", "Merges properties into a record.", put)
        .delete("/api/metadata/{hash}", "Deletes a record.", delete)
        .get("/api/metadata/{hash}/property", "One property.", get_property)
        .put("/api/metadata/{hash}/property", "Writes one property.", put_property)
}

async fn ids(State(app): State<App>, Freshness(options): Freshness) -> Result<Response, ApiError> {
    let (ids, index) = reply::split(app.service.ids(options).await?);
    let ids: Vec<_> = ids.iter().map(|id| lossy(id)).collect();
    Ok(reply::ok_at(index, &json!({"hashIds": ids, "count": ids.len()})))
}

fn text<'r>(record: &'r RecordView, name: &str) -> Option<std::borrow::Cow<'r, str>> {
    let found = record.properties.binary_search_by(|(n, _)| n.as_ref().cmp(name.as_bytes()));
    found.ok().map(|at| lossy(&record.properties[at].1))
}

/// A record in a list: the properties that the editor shows, when they are there.
fn item(id: &[u8], record: &RecordView) -> Value {
    let mut out = Map::from_iter([("hashId".to_owned(), json!(lossy(id)))]);
    for (shown, names) in [
        ("title", &["title", "titles/eng"][..]),
        ("fileName", &["fileName"]),
        ("filePath", &["filePath"]),
        ("type", &["videoType", "fileType"]),
        ("year", &["year", "movieYear"]),
    ] {
        if let Some(value) = names.iter().find_map(|name| text(record, name)) {
            out.insert(shown.to_owned(), json!(value));
        }
    }
    Value::Object(out)
}

/// Visits all records until `visit` answers `false`. Blocks.
pub(super) fn walk(
    app: &Door,
    mut visit: impl FnMut(&[u8], &RecordView) -> bool,
) -> Result<u64, ServiceError> {
    let mut cursor = None;
    loop {
        let page = app.service.scan(cursor, EXPORT_PAGE_RECORDS)?;
        if !page.records.iter().all(|(id, record)| visit(id, record)) || page.next.is_none() {
            return Ok(page.index);
        }
        cursor = page.next;
    }
}

/// Runs a walk on a thread that may block.
pub(super) async fn walking<T: Send + 'static>(
    app: &App,
    walk: impl FnOnce(&Door) -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ApiError> {
    let app = Arc::clone(app);
    let walked = tokio::task::spawn_blocking(move || walk(&app)).await;
    Ok(walked.unwrap_or(Err(ServiceError::Busy))?)
}

async fn list(State(app): State<App>, query: Query) -> Result<Response, ApiError> {
    let offset = query.number("offset", 0)?;
    let limit = query.number("limit", EDITOR_LIST_DEFAULT)?.min(LIST_RECORDS_MAX as u64);
    let (items, index) = walking(&app, move |app| {
        let (mut seen, mut items) = (0, Vec::new());
        let index = walk(app, |id, record| {
            if seen >= offset && seen - offset < limit {
                items.push(item(id, record));
            }
            seen += 1;
            seen < offset.saturating_add(limit)
        })?;
        Ok((items, index))
    })
    .await?;
    let total = app.service.totals().records;
    Ok(reply::ok_at(index, &json!({"items": items, "count": items.len(), "total": total})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Search {
    query: Option<String>,
    hash_id: Option<String>,
    property: Option<String>,
    property_value: Option<String>,
    limit: Option<usize>,
}

impl Search {
    fn matches(&self, id: &[u8], record: &RecordView) -> bool {
        let contains = |text: &str, part: &str| text.to_lowercase().contains(part);
        let holds = |part: &Option<String>, test: &dyn Fn(&str) -> bool| {
            part.as_ref().is_none_or(|part| test(&part.to_lowercase()))
        };
        holds(&self.hash_id, &|part| contains(&lossy(id), part))
            && holds(&self.query, &|part| {
                let in_properties = || SEARCHED.iter().filter_map(|name| text(record, name));
                contains(&lossy(id), part) || in_properties().any(|value| contains(&value, part))
            })
            && self.property.as_ref().is_none_or(|name| {
                let value = text(record, name);
                value.is_some_and(|value| holds(&self.property_value, &|part| contains(&value, part)))
            })
    }
}

async fn search(State(app): State<App>, Whole(body): Whole) -> Result<Response, ApiError> {
    let search: Search = body::parse(&body)?;
    let limit = search.limit.unwrap_or(EDITOR_LIST_DEFAULT as usize).min(LIST_RECORDS_MAX);
    let (items, index) = walking(&app, move |app| {
        let mut items = Vec::new();
        let index = walk(app, |id, record| {
            if items.len() < limit && search.matches(id, record) {
                items.push(item(id, record));
            }
            items.len() < limit
        })?;
        Ok((items, index))
    })
    .await?;
    Ok(reply::ok_at(index, &json!({"items": items, "results": items, "count": items.len()})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update<'a> {
    hash_id: String,
    #[serde(borrow, default)]
    metadata: Properties<'a>,
    #[serde(borrow, default)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    updates: Vec<Update<'a>>,
}

/// Properties that are stored.
fn stored(properties: Properties<'_>, body: &Bytes) -> Result<Vec<(Blob, Blob)>, ApiError> {
    let mut blobs = properties.into_blobs(body)?;
    blobs.retain(|(name, _)| **name != *NOT_STORED.as_bytes());
    Ok(blobs)
}

fn update_op(update: Update<'_>, body: &Bytes) -> Result<Op, ApiError> {
    check_id(&update.hash_id)?;
    let mut properties = stored(update.metadata, body)?;
    properties.extend(stored(update.properties, body)?);
    Ok(Op::Record(RecordOp::Put { id: Blob::from(update.hash_id), properties }))
}

async fn batch(State(app): State<App>, once: Once, Whole(body): Whole) -> Result<Response, ApiError> {
    let batch: Batch<'_> = serde_json::from_slice(&body)
        .map_err(|e| ApiError::bad("invalid_json", format!("invalid JSON body: {e}")))?;
    let mut results = Vec::new();
    let (mut ops, mut places) = (Vec::new(), Vec::new());
    for update in batch.updates {
        let hash = update.hash_id.clone();
        match update_op(update, &body) {
            Ok(op) => {
                places.push(results.len());
                ops.push(op);
                results.push(json!({"hashId": hash, "status": "ok"}));
            }
            Err(e) => results.push(json!({"hashId": hash, "status": "error", "error": e.message()})),
        }
    }
    let (outcomes, at) = once::write(&app, &once, ops).await?;
    for (place, outcome) in places.into_iter().zip(outcomes) {
        if let Outcome::Rejected(reject) = outcome {
            results[place]["status"] = json!("error");
            results[place]["error"] = json!(reject.to_string());
        }
    }
    let errors = results.iter().filter(|r| r["status"] == "error").count();
    let body = json!({
        "status": "completed",
        "total": results.len(),
        "success": results.len() - errors,
        "errors": errors,
        "results": results,
    });
    Ok(reply::ok_at(at, &body))
}

async fn clear(State(app): State<App>, once: Once) -> Result<Response, ApiError> {
    let (outcome, at) = guard::write(&app, &once, Op::Record(RecordOp::Clear)).await?;
    let body = json!({"status": "ok", "message": "all metadata cleared", "deletedCount": counted(&outcome)});
    Ok(reply::ok_at(at, &body))
}

async fn get(
    State(app): State<App>,
    id: RecordId,
    Freshness(options): Freshness,
) -> Result<Response, ApiError> {
    let (record, index) = reply::split(app.service.record(id.bytes(), options).await?);
    let record = record.ok_or_else(|| ApiError::not_found("metadata not found"))?;
    let metadata: Map<String, Value> =
        record.properties.iter().map(|(n, v)| (lossy(n).into_owned(), json!(lossy(v)))).collect();
    Ok(reply::ok_at(index, &json!({"hashId": id.0, "metadata": metadata})))
}

async fn put(
    State(app): State<App>,
    id: RecordId,
    once: Once,
    Whole(body): Whole,
) -> Result<Response, ApiError> {
    let properties = stored(Properties::parse(&body)?, &body)?;
    let op = Op::Record(RecordOp::Put { id: id.bytes().into(), properties });
    let (_, at) = guard::write(&app, &once, op).await?;
    Ok(reply::ok_at(at, &json!({"status": "ok", "hashId": id.0, "message": "metadata updated"})))
}

async fn delete(State(app): State<App>, id: RecordId, once: Once) -> Result<Response, ApiError> {
    let op = Op::Record(RecordOp::Delete { id: id.bytes().into() });
    let (outcome, at) = guard::write(&app, &once, op).await?;
    let body = json!({"status": "ok", "hashId": id.0, "deletedKeys": counted(&outcome)});
    Ok(reply::ok_at(at, &body))
}

/// The property named in the query.
fn property_name(query: &Query) -> Result<String, ApiError> {
    let name = query.get("property").unwrap_or_default();
    check_property(name)?;
    Ok(name.to_owned())
}

async fn get_property(
    State(app): State<App>,
    id: RecordId,
    query: Query,
    Freshness(options): Freshness,
) -> Result<Response, ApiError> {
    let name = property_name(&query)?;
    let read = app.service.property(id.bytes(), name.clone().into(), options).await?;
    let (value, index) = reply::split(read);
    let value = value.ok_or_else(|| ApiError::not_found("property not found"))?;
    Ok(reply::ok_at(index, &json!({"hashId": id.0, "property": name, "value": lossy(&value)})))
}

async fn put_property(
    State(app): State<App>,
    id: RecordId,
    query: Query,
    once: Once,
    body::SingleValue(value): body::SingleValue,
) -> Result<Response, ApiError> {
    let name = property_name(&query)?;
    let at = if name == NOT_STORED {
        once::write(&app, &once, Vec::new()).await?.1
    } else {
        let properties = vec![(Blob::from(name.clone()), value.into())];
        let op = Op::Record(RecordOp::Put { id: id.bytes().into(), properties });
        guard::write(&app, &once, op).await?.1
    };
    Ok(reply::ok_at(at, &json!({"status": "ok", "hashId": id.0, "property": name})))
}
