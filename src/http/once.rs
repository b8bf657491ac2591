//! `Idempotency-Key`: the same request again gets the first answer, whichever node it reaches.
//!
//! ```text
//! Idempotency-Key ─► Once ─► Op::Once { key, hash of method, target and operations } ─► log
//! first answer, or the same again with Idempotency-Replayed: true ◄─ responses, index ◄───┘
//! ```
//!
//! Not here: what is kept, and for how long (`meta::apply::once`). Must always hold: a write that carries a key and cannot
//! honour it is refused, never applied without it; a body is made of the request and the kept responses alone, so it is the
//! same every time.
//!
//! Source: draft-ietf-httpapi-idempotency-key-header-07.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::error::ApiError;
use super::handles::{App, Handles};
use super::reply::At;
use crate::codec;
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;
use crate::meta::op::Op;
use crate::meta::response::Response;
use crate::meta::service::{ServiceError, WriteOptions, Written};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Prefix of the key of a whole request, or of the first part of one that comes in parts.
const WHOLE: u8 = 0;
/// Prefix of the keys of later parts; the part's number follows.
const PART: u8 = 1;

/// The key of a request, if it has one.
#[derive(Clone, Debug)]
pub(super) struct Once(Option<Asked>);

#[derive(Clone, Debug)]
struct Asked {
    key: Bytes,
    /// Method and target of the request.
    request: Bytes,
}

/// A part of a request's operations that goes to the log by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// Its number, from 0.
    pub number: u32,
    /// Nothing comes after it.
    pub last: bool,
}

impl Part {
    /// All of a request.
    pub const WHOLE: Self = Self { number: 0, last: true };
}

impl FromRequestParts<App> for Once {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let request = || format!("{} {target}", parts.method).into();
        Ok(Self(key_of(&parts.headers)?.map(|key| Asked { key, request: request() })))
    }
}

/// The key in the headers, checked.
fn key_of(headers: &HeaderMap) -> Result<Option<Bytes>, ApiError> {
    let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = lines.next() else { return Ok(None) };
    let is_legal = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) && key.to_str().is_ok();
    if !is_legal || lines.next().is_some() {
        let text =
            format!("one Idempotency-Key of 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible characters is allowed");
        return Err(ApiError::bad("bad_idempotency_key", text));
    }
    Ok(Some(Bytes::copy_from_slice(key.as_bytes())))
}

/// Refuses a key where it cannot be honoured.
pub(super) fn refuse(headers: &HeaderMap) -> Result<(), ApiError> {
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        return Ok(());
    }
    let text = "changes of the cluster take no Idempotency-Key; ask /v1/nodes what became of one";
    Err(ApiError::bad("idempotency_not_supported", text))
}

impl Once {
    /// Whether the request has a key.
    pub fn is_asked(&self) -> bool {
        self.0.is_some()
    }

    /// A part's operations as they go to the log.
    pub fn wrap(&self, part: Part, ops: Vec<Op>) -> Vec<Op> {
        let Some(asked) = &self.0 else { return ops };
        let mut key = vec![WHOLE];
        if part.number > 0 {
            key[0] = PART;
            key.extend(part.number.to_be_bytes());
        }
        key.extend_from_slice(&asked.key);
        vec![Op::Once { key: key.into(), request: asked.hash(part, &ops), ops }]
    }

    /// What the log answered to [`Once::wrap`] of `count` operations.
    pub fn unwrap(&self, count: usize, written: Written) -> Result<(Vec<Response>, At), ApiError> {
        let now = At::from(written.index);
        if self.0.is_none() {
            return Ok((written.responses, now));
        }
        match written.responses.into_iter().next() {
            Some(Response::Once { index, replayed, responses }) => {
                let responses = responses.unwrap_or_else(|| vec![Response::Done; count]);
                Ok((responses, At { index, replayed }))
            }
            Some(Response::Rejected(reject)) => Err(ApiError::from(reject).at(now)),
            _ => Err(ServiceError::TimedOut { applied: crate::meta::service::AppliedState::Unknown }.into()),
        }
    }
}

impl Asked {
    /// Equal for equal requests only: method, target, and what a part asks for.
    fn hash(&self, part: Part, ops: &[Op]) -> [u8; 16] {
        let mut bytes = codec::encode(&(part.last, ops.len() as u64));
        ops.iter().for_each(|op| codec::encode_into(op, &mut bytes));
        let mut hash = Xxh3::new();
        hash.update(&(self.request.len() as u64).to_be_bytes());
        hash.update(&self.request);
        hash.update(&bytes);
        hash.digest128().to_be_bytes()
    }
}

/// Writes a request's operations in one entry: a response for each, and where they are. Nothing to write leaves nothing in
/// the log, unless the request has a key.
pub(super) async fn write(app: &Handles, once: &Once, ops: Vec<Op>) -> Result<(Vec<Response>, At), ApiError> {
    let count = ops.len();
    if count == 0 && once.0.is_none() {
        return Ok((Vec::new(), app.applied().into()));
    }
    let options: WriteOptions = app.write_options();
    let written = app.service.write(once.wrap(Part::WHOLE, ops), options).await?;
    once.unwrap(count, written)
}
