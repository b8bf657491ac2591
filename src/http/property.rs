//! `/meta/{hash}/{key…}`: single properties, and `_add` to set-valued ones.
//!
//! Not here: whole records (`record`). Must always hold: a property comes out as the bytes that went in; only POST gives
//! `_add/` a meaning, for every other method it is a part of the name.
//!
//! Source: research/upstream.md §2.1 (seed 000 leaves these routes out; every metadata plugin uses them).

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::body::SingleValue;
use super::error::ApiError;
use super::guard::{self, Precondition};
use super::handles::App;
use super::once::Once;
use super::query::{Freshness, PropertyName, RecordId, check_property};
use super::record::counted;
use super::reply;
use super::routes::Group;
use crate::meta::op::{Op, RecordOp};

pub(super) fn routes() -> Group {
    let mut group = Group::new("metadata");
    for path in ["/meta/{hash}/{*key}", "/meta/{hash}/_add/{*key}"] {
        group = group
            .get(path, "A property's value as plain text.", get)
            .put(path, "Writes a property: plain text or {\"value\":\"…\"}.", put)
            .delete(path, "Deletes a property.", delete);
    }
    group.post("/meta/{hash}/_add/{*key}", "Adds a member to a |-separated property.", add)
}

async fn get(
    State(app): State<App>,
    id: RecordId,
    PropertyName(name): PropertyName,
    Freshness(options): Freshness,
) -> Result<Response, ApiError> {
    let (value, index) = reply::split(app.service.property(id.bytes(), name.into(), options).await?);
    // The old core could not tell an empty value from none, and its clients rely on 404.
    let Some(value) = value.filter(|v| !v.is_empty()) else {
        return Err(ApiError::not_found("property not found"));
    };
    let mut response = reply::text(value);
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(reply::at(index, response))
}

async fn put(
    State(app): State<App>,
    id: RecordId,
    PropertyName(name): PropertyName,
    precondition: Precondition,
    once: Once,
    SingleValue(value): SingleValue,
) -> Result<Response, ApiError> {
    let properties = vec![(Bytes::copy_from_slice(name.as_bytes()).into(), value.into())];
    let op = Op::Record(RecordOp::Put { id: id.bytes().into(), properties });
    let (_, index) = guard::write_if(&app, &once, id.bytes(), precondition, op).await?;
    Ok(reply::ok_at(index, &json!({"success": true, "hashId": id.0, "property": name})))
}

async fn delete(
    State(app): State<App>,
    id: RecordId,
    PropertyName(name): PropertyName,
    precondition: Precondition,
    once: Once,
) -> Result<Response, ApiError> {
    let properties = vec![Bytes::copy_from_slice(name.as_bytes()).into()];
    let op = Op::Record(RecordOp::Remove { id: id.bytes().into(), properties });
    let (_, index) = guard::write_if(&app, &once, id.bytes(), precondition, op).await?;
    Ok(reply::ok_at(index, &json!({"success": true, "hashId": id.0, "property": name})))
}

async fn add(
    State(app): State<App>,
    id: RecordId,
    PropertyName(name): PropertyName,
    precondition: Precondition,
    once: Once,
    SingleValue(value): SingleValue,
) -> Result<Response, ApiError> {
    let name = name.strip_prefix("_add/").unwrap_or_default();
    check_property(name)?;
    if value.is_empty() {
        return Err(ApiError::bad("value_required", "value is required"));
    }
    if value.contains(&b'|') {
        return Err(ApiError::bad(
            "bad_member",
            "a member of a set cannot contain |, which separates members",
        ));
    }
    let property = Bytes::copy_from_slice(name.as_bytes()).into();
    let op = Op::Record(RecordOp::AddMember { id: id.bytes().into(), property, member: value.into() });
    let (outcome, index) = guard::write_if(&app, &once, id.bytes(), precondition, op).await?;
    let added = counted(&outcome) > 0;
    Ok(reply::ok_at(index, &json!({"success": true, "hashId": id.0, "property": name, "added": added})))
}
