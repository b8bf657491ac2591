//! The one way in which file bytes leave over HTTP: `/file`, `/data` and WebDAV.
//!
//! ```text
//! conditional (RFC 9110 §13) ─► range (§14) ─► stream: 256 KiB at a time, read where it may block
//! ```
//! Decided here, where the RFC leaves it open: a malformed `bytes=` range is refused with 416 like one that lies outside;
//! other units are ignored; ranges are sorted, those that touch are joined, and more than 16 that remain are refused.
//!
//! Not here: which file (`data`, `files`). Must always hold: a file is never in memory as a whole; a file that becomes
//! shorter while it is sent breaks the connection off instead of ending it.

mod conditional;
mod range;
mod stream;
mod types;

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::handles::App;
use conditional::Verdict;
use range::{Part, Ranged};
pub(super) use types::content_type;

/// A file that is ready to be sent.
pub(super) struct Content {
    /// The opened file.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// Strong validator, with its quotes.
    pub etag: String,
    /// When it last changed, in milliseconds since the epoch; 0 when nobody knows.
    pub mtime_ms: u64,
    /// Content type.
    pub content_type: &'static str,
}

impl Content {
    /// The time of `Last-Modified`: whole seconds.
    fn modified(&self) -> Option<SystemTime> {
        (self.mtime_ms > 0).then(|| UNIX_EPOCH + Duration::from_secs(self.mtime_ms / 1000))
    }

    fn describe(&self, headers: &mut HeaderMap) {
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Ok(etag) = HeaderValue::try_from(&self.etag) {
            headers.insert(ETAG, etag);
        }
        if let Some(modified) = self.modified() {
            let date = httpdate::fmt_http_date(modified);
            headers.insert(LAST_MODIFIED, HeaderValue::try_from(date).expect("a date is legal in a header"));
        }
    }
}

/// Answers a GET or HEAD with a file.
pub(super) fn serve(app: &App, method: &Method, headers: &HeaderMap, content: Content) -> Response {
    let mut response = match conditional::evaluate(headers, &content.etag, content.modified()) {
        Verdict::Failed => {
            let text = "the file is not the one that the request expects";
            ApiError::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", text).into_response()
        }
        Verdict::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Verdict::Proceed { use_range } => {
            let ranged = match headers.get("range").filter(|_| use_range && method == Method::GET) {
                Some(range) => range::select(range.to_str().unwrap_or("bytes=?"), content.size),
                None => Ranged::Whole,
            };
            answer(app, method, &content, ranged)
        }
    };
    content.describe(response.headers_mut());
    response
}

fn answer(app: &App, method: &Method, content: &Content, ranged: Ranged) -> Response {
    let plain = |status, part: Part| {
        let mut response = body(app, method, content, vec![stream::Piece::File(part)], part.len);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content.content_type));
        response
    };
    match ranged {
        Ranged::Whole => plain(StatusCode::OK, Part { start: 0, len: content.size }),
        Ranged::Refused(why) => {
            let header = HeaderValue::try_from(format!("bytes */{}", content.size));
            ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "bad_range", why)
                .header(CONTENT_RANGE, header.expect("digits are legal in a header"))
                .into_response()
        }
        Ranged::One(part) => {
            let mut response = plain(StatusCode::PARTIAL_CONTENT, part);
            let range = HeaderValue::try_from(part.content_range(content.size));
            response.headers_mut().insert(CONTENT_RANGE, range.expect("digits are legal in a header"));
            response
        }
        Ranged::Many(parts) => multipart(app, method, content, &parts),
    }
}

fn multipart(app: &App, method: &Method, content: &Content, parts: &[Part]) -> Response {
    let boundary = boundary(app, content, parts);
    let (pieces, len) = stream::multipart(parts, content.size, content.content_type, &boundary);
    let mut response = body(app, method, content, pieces, len);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let kind = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
    response.headers_mut().insert(CONTENT_TYPE, kind.expect("a boundary is legal in a header"));
    response
}

/// A boundary that the file cannot hold but by a chance of one in 2^128: a hash over what is asked and over this process,
/// which nobody who wrote the file could know.
fn boundary(app: &App, content: &Content, parts: &[Part]) -> String {
    let seed = format!("{}|{parts:?}|{}|{}", content.etag, app.identity.started_ms, app.identity.pid);
    format!("metad-{:032x}", xxhash_rust::xxh3::xxh3_128(seed.as_bytes()))
}

/// The body with its exact length; nothing is read for HEAD.
fn body(app: &App, method: &Method, content: &Content, pieces: Vec<stream::Piece>, len: u64) -> Response {
    let body = match content.file.try_clone() {
        _ if method == Method::HEAD || len == 0 => Body::empty(),
        Ok(file) => stream::body(Arc::clone(app), file, pieces),
        Err(e) => return ApiError::from(crate::vfs::FsError::Io(e.to_string())).into_response(),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
