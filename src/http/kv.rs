//! `/api/kv`: the old key browser, over the canonical keys `file:{hashId}/{property}`.
//!
//! Not here: the Redis protocol. Must always hold: a walk to cursor `"0"` shows every key that was there throughout.
//!
//! Source: research/upstream.md §2.2, §6.2.

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::editor::{walk, walking};
use super::error::ApiError;
use super::handles::App;
use super::query::{Freshness, Query, check_id};
use super::reply::{self, lossy};
use super::routes::Group;
use crate::limits::{KV_KEYS_DEFAULT, LIST_RECORDS_MAX};
use crate::meta::service::RecordView;

pub(super) fn routes() -> Group {
    Group::new("editor")
        .get("/api/kv/info", "Figures of the store.", info)
        .get("/api/kv/keys", "A page of keys.", keys)
        .get("/api/kv/key/{*key}", "The value of a key.", key)
}

async fn info(State(app): State<App>) -> Result<Response, ApiError> {
    let totals = app.service.totals();
    let (size, index) = walking(&app, |app| {
        let mut size: u64 = 0;
        let index = walk(app, |_, record| {
            size = size.saturating_add(size_of(record));
            true
        })?;
        Ok((size, index))
    })
    .await?;
    let body = json!({
        "prefix": "file:",
        "fileCount": totals.records,
        "keyCount": totals.properties,
        "totalSize": size,
        "memoryUsage": human(totals.content_bytes),
    });
    Ok(reply::ok_at(index, &body))
}

/// A record's `sizeByte`; 0 when it is no number.
fn size_of(record: &RecordView) -> u64 {
    let size = record.properties.iter().find(|(name, _)| name.as_ref() == b"sizeByte");
    size.and_then(|(_, value)| lossy(value).parse().ok()).unwrap_or(0)
}

/// Bytes as Redis writes `used_memory_human`.
fn human(bytes: u64) -> String {
    let units = [("G", 1u64 << 30), ("M", 1 << 20), ("K", 1 << 10)];
    let unit = units.iter().find(|(_, size)| bytes >= *size);
    unit.map_or_else(
        || format!("{bytes}B"),
        |(name, size)| format!("{:.2}{name}", bytes as f64 / *size as f64),
    )
}

async fn keys(State(app): State<App>, query: Query) -> Result<Response, ApiError> {
    let offset = query.number("cursor", 0)?;
    let count = query.number("count", KV_KEYS_DEFAULT)?.clamp(1, LIST_RECORDS_MAX as u64);
    let end = offset.saturating_add(count);
    let (keys, more, index) = walking(&app, move |app| {
        let (mut seen, mut keys) = (0, Vec::new());
        let index = walk(app, |id, record| {
            for (name, _) in &record.properties {
                if (offset..end).contains(&seen) {
                    keys.push(format!("file:{}/{}", lossy(id), lossy(name)));
                }
                seen += 1;
            }
            seen <= end
        })?;
        Ok((keys, seen > end, index))
    })
    .await?;
    let cursor = if more { end.to_string() } else { "0".to_owned() };
    Ok(reply::ok_at(index, &json!({"keys": keys, "cursor": cursor, "count": keys.len()})))
}

async fn key(
    State(app): State<App>,
    Path(key): Path<String>,
    Freshness(options): Freshness,
) -> Result<Response, ApiError> {
    let canonical = key.trim_start_matches('/').trim_start_matches("file:").trim_start_matches("file/");
    let (id, name) = canonical.split_once('/').unwrap_or((canonical, ""));
    check_id(id)?;
    let (id, name) = (Bytes::copy_from_slice(id.as_bytes()), Bytes::copy_from_slice(name.as_bytes()));
    let (value, index) = reply::split(app.service.property(id, name, options).await?);
    let value = value.ok_or_else(|| ApiError::not_found("key not found"))?;
    Ok(reply::ok_at(index, &json!({"key": key, "type": "string", "value": lossy(&value)})))
}
