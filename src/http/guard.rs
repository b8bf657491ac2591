//! Writing with preconditions: `If-Match` and `If-None-Match: *` become guards of the operation itself.
//!
//! Not here: conditional reads of files (`content`). Must always hold: a guard is decided by apply, in the same step as
//! the write, never by a read before it; a header that cannot be honoured is refused.
//!
//! Source: RFC 9110 §13.1.1 and §13.1.2; design D5.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use bytes::Bytes;

use super::error::ApiError;
use super::handles::{App, Handles};
use super::once::{self, Once};
use super::reply::At;
use super::tags::{Tag, Tags};
use crate::meta::op::{Guard, Op};
use crate::meta::response::Response;

/// What must be true of the record before the write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Nothing.
    None,
    /// It is not there: `If-None-Match: *`.
    Absent,
    /// It is there, whatever its version: `If-Match: *`.
    Present,
    /// It has one of these versions: `If-Match: "7", "9"`.
    Versions(Vec<u64>),
}

impl FromRequestParts<App> for Precondition {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        match (Tags::of(&parts.headers, &IF_MATCH), Tags::of(&parts.headers, &IF_NONE_MATCH)) {
            (None, None) => Ok(Self::None),
            (None, Some(Tags::Any)) => Ok(Self::Absent),
            (Some(Tags::Any), None) => Ok(Self::Present),
            (Some(Tags::List(tags)), None) => Ok(Self::Versions(tags.iter().filter_map(version).collect())),
            (_, Some(_)) => Err(ApiError::bad(
                "bad_precondition",
                "of a write, If-None-Match can only be * and cannot stand beside If-Match",
            )),
        }
    }
}

/// The version in a strong tag. Weak tags never match a write, and foreign ones match nothing.
fn version(tag: &Tag<'_>) -> Option<u64> {
    tag.opaque.parse().ok().filter(|_| !tag.weak)
}

/// Whether `If-None-Match` of a read names this version: the answer is then 304.
pub(super) fn is_known(headers: &HeaderMap, current: u64) -> bool {
    Tags::of(headers, &IF_NONE_MATCH).is_some_and(|tags| tags.match_weakly(&current.to_string()))
}

/// Writes one operation without a precondition: its response and where it stands.
pub(super) async fn write(app: &Handles, once: &Once, op: Op) -> Result<(Response, At), ApiError> {
    let (responses, at) = once::write(app, once, vec![op]).await?;
    match responses.into_iter().next().unwrap_or(Response::Nil) {
        Response::Rejected(reject) => Err(ApiError::from(reject).at(at)),
        response => Ok((response, at)),
    }
}

/// Writes one operation on a record under a precondition.
pub(super) async fn write_if(
    app: &Handles,
    once: &Once,
    id: Bytes,
    precondition: Precondition,
    op: Op,
) -> Result<(Response, At), ApiError> {
    let id = id.into();
    let guard = match precondition {
        Precondition::None => return write(app, once, op).await,
        Precondition::Absent => Guard::RecordAbsent { id },
        Precondition::Versions(versions) => Guard::RecordVersion { id, versions },
        Precondition::Present => Guard::RecordPresent { id },
    };
    match write(app, once, Op::Atomic { guards: vec![guard], ops: vec![op] }).await? {
        (Response::List(mut inner), at) => match inner.pop() {
            Some(Response::Rejected(reject)) => Err(ApiError::from(reject).at(at)),
            Some(response) => Ok((response, at)),
            None => Ok((Response::Done, at)),
        },
        other => Ok(other),
    }
}
