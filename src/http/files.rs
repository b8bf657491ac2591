//! `/data/{hash}` and `/file/{cid}`: the bytes behind a record, and the CID of a file.
//!
//! Not here: how bytes are sent (`content`), how `filePath` is resolved (`vfs::source`). Must always hold: nothing outside
//! FILES_PATH exists; bytes are served from local state and wait for no quorum.
//!
//! Source: seed 000 "Data Operations", "File Operations (by CID)"; research/upstream.md §2.1, §6.4 C6.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::body::{self, Whole};
use super::cids::is_cid_property;
use super::content::{Content, content_type, serve};
use super::error::ApiError;
use super::handles::{App, Door};
use super::query::{Freshness, RecordId, check_id};
use super::reply::{self, lossy};
use super::routes::Group;
use crate::limits::CID_CHUNK_BYTES;
use crate::meta::service::{Consistency, ReadOptions, RecordView, ServiceError};
use crate::vfs::attr::Facts;
use crate::vfs::tree_fs::etag;
use crate::vfs::{FsError, Source, SourceError};

pub(super) fn routes() -> Group {
    Group::new("files")
        .get("/data/{hash}/path", "Where a record's file is, and whether it is there.", path)
        .get("/data/{hash}", "The bytes of a record's file.", data)
        .get("/file/{cid}", "The bytes of the file that a CID names.", file)
        .post("/file/cid", "The CID of a file beneath FILES_PATH.", cid)
}

fn path_not_found() -> ApiError {
    ApiError::not_found("file path not found")
}

/// The absolute path that a stored `filePath` means; a path that no file can have is shown as it is.
fn absolute(source: &Source, stored: &[u8]) -> String {
    source.relative(stored).map_or_else(
        || lossy(stored).into_owned(),
        |below| format!("{}/{}", source.root().display().to_string().trim_end_matches('/'), lossy(&below)),
    )
}

async fn path(
    State(app): State<App>,
    id: RecordId,
    Freshness(options): Freshness,
) -> Result<Response, ApiError> {
    let name = Bytes::from_static(b"filePath");
    let (stored, index) = reply::split(app.service.property(id.bytes(), name, options).await?);
    let stored = stored.filter(|path| !path.is_empty()).ok_or_else(path_not_found)?;
    let path = absolute(app.tree.source(), &stored);
    let exists = match open(&app, stored).await {
        Ok(_) => true,
        Err(FsError::NotFound) => false,
        Err(fault) => return Err(fault.into()),
    };
    Ok(reply::ok_at(index, &json!({"hashId": id.0, "path": path, "exists": exists})))
}

/// Opens the file of a stored path. What is not there, not a file, or outside FILES_PATH is not found.
async fn open(app: &Door, stored: Bytes) -> Result<(File, u64), FsError> {
    let tree = Arc::clone(&app.tree);
    app.disk
        .run(move || {
            tree.source().open(&stored).map_err(|e| match e {
                SourceError::NotThere | SourceError::Outside | SourceError::NotAFile => FsError::NotFound,
                SourceError::NoRoot { .. } | SourceError::Io(_) => FsError::Io(e.to_string()),
            })
        })
        .await
}

/// Looks at a record as this node has it.
async fn local(app: &Door, id: Bytes) -> Result<Option<RecordView>, ApiError> {
    let options = ReadOptions { consistency: Consistency::Stale, min_index: 0, deadline: app.deadline() };
    Ok(app.service.record(id, options).await?.value)
}

fn property<'r>(record: &'r RecordView, name: &[u8]) -> Option<&'r Bytes> {
    let at = record.properties.binary_search_by(|(n, _)| n.as_ref().cmp(name)).ok()?;
    Some(&record.properties[at].1).filter(|value| !value.is_empty())
}

/// A file that is to be sent: whose it is, where it is, and what makes its tag.
struct Found {
    owner: Bytes,
    stored: Bytes,
    tag: Bytes,
}

async fn send(app: &App, method: &Method, headers: &HeaderMap, found: Found) -> Result<Response, ApiError> {
    let opened = open(app, found.stored.clone()).await;
    let (file, size) = opened.map_err(|e| match e {
        FsError::NotFound => ApiError::not_found("file does not exist on disk"),
        fault => fault.into(),
    })?;
    let now_ms = app.clock.now_ms();
    let facts = app.service.stored(&found.owner)?.map(|record| Facts::of(&record, now_ms));
    let content = Content {
        file,
        size,
        etag: etag(&found.tag, size),
        mtime_ms: facts.map_or(0, |facts| u64::from(facts.mtime_s) * 1000),
        content_type: content_type(&lossy(&found.stored)),
    };
    Ok(serve(app, method, headers, content))
}

async fn data(
    State(app): State<App>,
    method: Method,
    id: RecordId,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let record = local(&app, id.bytes()).await?.ok_or_else(path_not_found)?;
    let stored = property(&record, b"filePath").ok_or_else(path_not_found)?.clone();
    send(&app, &method, &headers, Found { owner: id.bytes(), stored, tag: id.bytes() }).await
}

async fn file(
    State(app): State<App>,
    method: Method,
    Path(cid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    check_id(&cid)?;
    let found = find(&app, &cid).await?;
    let found = found.ok_or_else(|| ApiError::not_found("file not found for CID"))?;
    send(&app, &method, &headers, found).await
}

/// The file of a CID: the record with that hashId, else a record that names the CID as its own or as its picture.
async fn find(app: &App, cid: &str) -> Result<Option<Found>, ApiError> {
    let tag = Bytes::copy_from_slice(cid.as_bytes());
    let own = local(app, tag.clone()).await?;
    if let Some(stored) = own.as_ref().and_then(|record| property(record, b"filePath")) {
        return Ok(Some(Found { owner: tag.clone(), stored: stored.clone(), tag }));
    }
    app.cids.keep_up(app.service.as_ref(), &app.closing);
    let candidates = {
        let (app, cid) = (Arc::clone(app), cid.to_owned());
        let search = move || app.cids.candidates(app.service.as_ref(), &cid);
        tokio::task::spawn_blocking(search).await.unwrap_or(Err(ServiceError::Busy))?
    };
    for owner in candidates {
        let Some(record) = local(app, owner.clone()).await? else { continue };
        if let Some(stored) = path_of(&record, &tag) {
            return Ok(Some(Found { owner, stored: stored.clone(), tag }));
        }
    }
    Ok(None)
}

/// Where a record says that the file of a CID is: beside a picture's CID stands its path; the record's own CIDs, and
/// pictures without a path, mean the record's own file.
fn path_of<'r>(record: &'r RecordView, cid: &Bytes) -> Option<&'r Bytes> {
    let named = record.properties.iter().filter(|(name, value)| is_cid_property(name) && value == cid);
    let mut paths = named.filter_map(|(name, _)| match name.as_ref() {
        b"poster" => property(record, b"posterPath"),
        b"backdrop" => property(record, b"backdropPath"),
        _ => property(record, b"filePath"),
    });
    paths.next().or_else(|| {
        let is_named = record.properties.iter().any(|(name, value)| is_cid_property(name) && value == cid);
        property(record, b"filePath").filter(|_| is_named)
    })
}

#[derive(Deserialize)]
struct CidRequest {
    #[serde(default)]
    path: String,
}

async fn cid(State(app): State<App>, Whole(body): Whole) -> Result<Response, ApiError> {
    let CidRequest { path } = body::parse(&body)?;
    if path.is_empty() {
        return Err(ApiError::bad("path_required", "path is required"));
    }
    let source = app.tree.source();
    if source.relative(path.as_bytes()).is_none() {
        return Err(ApiError::bad("outside_files", "path is outside FILES_PATH"));
    }
    let shown = absolute(source, path.as_bytes());
    let (file, size) = open_for_cid(&app, path).await?;
    let digest = digest(&app, file, size).await?;
    Ok(reply::ok(&json!({"cid": cid_of(&digest), "path": shown, "size": size})))
}

async fn open_for_cid(app: &Door, path: String) -> Result<(File, u64), ApiError> {
    let tree = Arc::clone(&app.tree);
    let opened = app.disk.run(move || Ok(tree.source().open(path.as_bytes()))).await?;
    opened.map_err(|e| match e {
        SourceError::NotThere => ApiError::not_found("file does not exist on disk"),
        SourceError::Outside => ApiError::bad("outside_files", "path is outside FILES_PATH"),
        SourceError::NotAFile => ApiError::bad("not_a_file", "path is a directory or no regular file"),
        SourceError::NoRoot { .. } | SourceError::Io(_) => FsError::Io(e.to_string()).into(),
    })
}

/// SHA-256 of a file, a chunk at a time: a client that hangs up ends it, and each chunk has a deadline.
async fn digest(app: &Door, file: File, size: u64) -> Result<[u8; 32], FsError> {
    let (mut hasher, file) = (Sha256::new(), Arc::new(file));
    for at in (0..size).step_by(CID_CHUNK_BYTES) {
        let (part, len) = (Arc::clone(&file), (size - at).min(CID_CHUNK_BYTES as u64) as usize);
        hasher = app
            .disk
            .run(move || {
                let mut chunk = vec![0; len];
                part.read_exact_at(&mut chunk, at).map_err(|e| FsError::Io(e.to_string()))?;
                hasher.update(&chunk);
                Ok(hasher)
            })
            .await?;
    }
    Ok(hasher.finalize().into())
}

/// CIDv1, raw bytes, SHA-256, base32. Source: <https://github.com/multiformats/cid>.
fn cid_of(digest: &[u8; 32]) -> String {
    const VERSION_RAW_SHA256_LEN: [u8; 4] = [0x01, 0x55, 0x12, 0x20];
    let bytes = [&VERSION_RAW_SHA256_LEN[..], digest].concat();
    format!("b{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
}
