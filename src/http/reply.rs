//! Answers: JSON with a newline at the end, raw text, and the index header.
//!
//! Not here: errors. Must always hold: every JSON body ends with a newline, as the old core's did.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;

use crate::meta::service::Read;

/// Applied index that an answer reflects; of a write, the index of its entry.
pub(super) const META_INDEX: HeaderName = HeaderName::from_static("x-meta-index");
/// Name of the node that answered.
pub(super) const META_NODE: HeaderName = HeaderName::from_static("x-meta-node");
/// There, and `true`, when a write is answered again.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Where in the log an answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// Applied index that it reflects; of a write, the index of its entry.
    pub index: u64,
    /// The write had been applied before, by an equal request with the same key.
    pub replayed: bool,
}

impl From<u64> for At {
    fn from(index: u64) -> Self {
        Self { index, replayed: false }
    }
}

/// A JSON answer.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Response {
    let mut bytes = serde_json::to_vec(body).expect("answers are made of strings, numbers and lists");
    bytes.push(b'\n');
    raw(status, HeaderValue::from_static("application/json"), bytes.into())
}

/// A JSON answer with 200.
pub(super) fn ok<T: Serialize + ?Sized>(body: &T) -> Response {
    json(StatusCode::OK, body)
}

/// A JSON answer with 200 that reflects an index.
pub(super) fn ok_at<T: Serialize + ?Sized>(place: impl Into<At>, body: &T) -> Response {
    at(place, ok(body))
}

/// An answer of any type.
pub(super) fn raw(status: StatusCode, content_type: HeaderValue, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// Plain text with 200.
pub(super) fn text(bytes: impl Into<Bytes>) -> Response {
    raw(StatusCode::OK, HeaderValue::from_static("text/plain; charset=utf-8"), bytes.into())
}

/// Marks an answer with the index that it reflects.
pub(super) fn at(place: impl Into<At>, mut response: Response) -> Response {
    let At { index, replayed } = place.into();
    response.headers_mut().insert(META_INDEX, HeaderValue::from(index));
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Marks an answer with a record's version.
pub(super) fn tagged(version: u64, mut response: Response) -> Response {
    response.headers_mut().insert(ETAG, etag(version));
    response
}

/// The strong entity tag of a record's version.
pub(super) fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes are legal in a header")
}

/// The value of a read, and its index apart.
pub(super) fn split<T>(read: Read<T>) -> (T, u64) {
    (read.value, read.index)
}

/// Bytes as text: metadata is UTF-8 with rare exceptions, which JSON cannot carry as they are.
pub(super) fn lossy(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
