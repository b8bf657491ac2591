//! The one error of the door and its two shapes.
//!
//! ```json
//! {"error":"Not Found","message":"metadata not found","code":"not_found","applied":"no","retryable":false}
//! ```
//! Under `/api/fuse` the old service put its text into `error`, so there `error` is the message.
//!
//! Not here: when an error happens. Must always hold: `applied` is never wrong; a retryable refusal says when to retry.
//!
//! Source: contract "Errors"; research/upstream.md §2.1, §2.3 and §3.1.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::reply::{self, At, META_INDEX, REPLAYED};
use crate::meta::cluster::ClusterReject;
use crate::meta::response::Reject;
use crate::meta::service::{AppliedState, ServiceError};
use crate::vfs::FsError;

/// Code of a key that belongs to another request.
const KEY_REUSED: &str = "idempotency_key_reused";

/// A refusal on its way out.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    applied: AppliedState,
    retryable: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// A refusal that was not applied and will not succeed as it is.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            applied: AppliedState::No,
            retryable: false,
            headers: Vec::new(),
        }
    }

    /// 400.
    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 413.
    pub fn too_large(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code, message)
    }

    /// 503 that is worth another try in a second.
    pub fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message).retry_after(1)
    }

    /// The same request may succeed after so many seconds.
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retryable = true;
        self.header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The refusal stands in the log.
    pub fn at(self, place: At) -> Self {
        let refusal = self.header(META_INDEX, HeaderValue::from(place.index));
        if place.replayed { refusal.header(REPLAYED, HeaderValue::from_static("true")) } else { refusal }
    }

    /// Whether it was done is unknown.
    pub fn in_doubt(mut self) -> Self {
        self.applied = AppliedState::Unknown;
        self
    }

    fn applied_word(&self) -> &'static str {
        match self.applied {
            AppliedState::No => "no",
            AppliedState::Unknown => "unknown",
        }
    }

    /// The request ended early, and parts of it were written before.
    pub fn after_writes(mut self, records: u64) -> Self {
        if records > 0 {
            self.applied = AppliedState::Unknown;
            self.message = format!("{}; {records} records were written before", self.message);
        }
        self
    }

    /// Its key belongs to another request.
    pub fn is_of_another_request(&self) -> bool {
        self.code == KEY_REUSED
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn into_shape(self, error: String) -> Response {
        let body = json!({
            "error": error,
            "message": self.message,
            "code": self.code,
            "applied": self.applied_word(),
            "retryable": self.retryable,
        });
        let mut response = reply::json(self.status, &body);
        response.headers_mut().extend(self.headers);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let reason = self.status.canonical_reason().unwrap_or("Error").to_owned();
        self.into_shape(reason)
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let text = error.to_string();
        let (applied, retryable) = (error.applied(), error.is_retryable());
        let refusal = match error {
            ServiceError::NoLeader => {
                Self::unavailable("no_leader", "storage not connected: no leader available")
            }
            ServiceError::TimedOut { .. } => Self::new(StatusCode::GATEWAY_TIMEOUT, "timed_out", text),
            ServiceError::Busy => Self::unavailable("busy", text),
            ServiceError::TooLarge { .. } => Self::too_large("too_large", text),
            ServiceError::NoSpace => Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", text),
            ServiceError::Stopped { .. } => Self::unavailable("stopped", text),
        };
        Self { applied, retryable, ..refusal }
    }
}

impl From<Reject> for ApiError {
    fn from(reject: Reject) -> Self {
        let text = reject.to_string();
        match reject {
            Reject::Precondition => Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", text),
            Reject::TooManyProperties { .. } => Self::bad("too_many_properties", text),
            Reject::FeatureLevel { .. } | Reject::FeatureUnknown { .. } => {
                Self::new(StatusCode::CONFLICT, "feature_level", text)
            }
            // Of generic keys, which have no HTTP interface of their own.
            Reject::WrongType => Self::new(StatusCode::CONFLICT, "wrong_type", text),
            Reject::NotInteger => Self::bad("not_integer", text),
            Reject::ReadOnlySpelling => Self::bad("read_only", text),
            Reject::NotFloat => Self::bad("not_float", text),
            Reject::Overflow => Self::bad("overflow", text),
            Reject::NoSuchKey => Self::not_found(text),
            Reject::Cluster(ClusterReject::NoSuchMember { .. }) => Self::not_found(text),
            Reject::Cluster(_) => Self::new(StatusCode::CONFLICT, "members", text),
            Reject::IdTooSmall | Reject::IdZero | Reject::IdsExhausted | Reject::IdBelowDeleted => {
                Self::bad("stream_id", text)
            }
            Reject::AddedBelowLength => Self::bad("stream_length", text),
            Reject::BusyGroup => Self::new(StatusCode::CONFLICT, "busy_group", text),
            Reject::NoGroup { .. } => Self::not_found(text),
            Reject::KeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, KEY_REUSED, text),
            Reject::TooLong { .. } | Reject::TooManyElements { .. } => Self::too_large("too_large", text),
        }
    }
}

impl From<FsError> for ApiError {
    fn from(error: FsError) -> Self {
        let text = error.to_string();
        match error {
            FsError::NotFound => Self::not_found(text),
            FsError::NotDirectory => Self::bad("not_a_directory", text),
            FsError::IsDirectory => Self::bad("is_a_directory", text),
            FsError::ReadOnly => Self::new(StatusCode::FORBIDDEN, "read_only", text),
            FsError::Io(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "disk_fault", text),
            FsError::TimedOut => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "disk_timed_out", text).retry_after(1)
            }
        }
    }
}
/// The same refusals in the shape of `/api/fuse`: the text is in `error`.
#[derive(Clone, Debug)]
pub(super) struct FuseError(pub ApiError);

impl<E: Into<ApiError>> From<E> for FuseError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for FuseError {
    fn into_response(self) -> Response {
        let text = self.0.message().to_owned();
        self.0.into_shape(text)
    }
}
