//! `GET /v1/snapshot`: the whole state as one file, from any node.
//!
//! The log writes a snapshot as it would by itself, and its file is sent. So applies go on, memory is one chunk, and a client
//! that hangs up costs nothing.
//!
//! Not here: the file's format (`metad-raft`), records as text (`export`). Must always hold: nothing is appended to the log;
//! what was acknowledged here before the request is in the file; an answer that is cut short is shorter than its length says.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use metad_raft::{ReplicateError, SnapshotExport};

use super::error::ApiError;
use super::handles::App;
use super::reply;
use super::routes::Group;
use crate::limits::{HTTP_CHUNK_BYTES, SNAPSHOT_EXPORT_SECONDS};

pub(super) fn routes() -> Group {
    Group::new("transfer").get("/v1/snapshot", "The whole state as a snapshot file.", snapshot)
}

async fn snapshot(State(app): State<App>) -> Result<Response, ApiError> {
    let deadline = Instant::now() + Duration::from_secs(SNAPSHOT_EXPORT_SECONDS);
    let written = app.closing.run_until_cancelled(app.node.snapshot(deadline)).await;
    let SnapshotExport { index, bytes, file } =
        written.unwrap_or(Err(ReplicateError::Stopped)).map_err(refused)?;
    let mut response = Response::new(body(file, bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    let name = format!("attachment; filename=\"metad-{index}.snapshot\"");
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_str(&name).expect("digits and letters"));
    Ok(reply::at(index, response))
}

fn refused(error: ReplicateError) -> ApiError {
    match error {
        ReplicateError::NoSpace => ApiError::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "no_space",
            "the node's disk has no room for a snapshot beside those it keeps",
        ),
        ReplicateError::Unknown => {
            ApiError::unavailable("snapshot_late", "the snapshot was not written in time; ask again")
        }
        ReplicateError::Stopped
        | ReplicateError::Busy
        | ReplicateError::NotLeader { .. }
        | ReplicateError::TooLarge { .. } => {
            ApiError::unavailable("stopped", "the node is stopping and writes no snapshot")
        }
    }
}

/// The file, chunk by chunk, each read where it may block.
fn body(file: File, bytes: u64) -> Body {
    let from = (Arc::new(file), 0);
    Body::from_stream(stream::try_unfold(from, move |(file, at)| async move {
        if at >= bytes {
            return Ok(None);
        }
        let len = (bytes - at).min(HTTP_CHUNK_BYTES as u64) as usize;
        let source = Arc::clone(&file);
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; len];
            source.read_exact_at(&mut chunk, at).map(|()| Bytes::from(chunk))
        });
        let chunk = read.await.map_err(std::io::Error::other)??;
        Ok::<_, std::io::Error>(Some((chunk, (file, at + len as u64))))
    }))
}
