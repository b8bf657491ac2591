//! `/api/fuse`: the old filesystem service's questions about the virtual tree.
//!
//! Shapes where the documents contradict each other: `stats` is the union of all fields; `getattr` has the seed's shape
//! with the driver's fields beside it, and `?attrs=posix` gives the driver's numbers alone.
//!
//! Not here: rules (`fuse_rules`). Must always hold: everything but `refresh` is answered from RAM; listings are sorted.
//!
//! Source: seed 001 "API Endpoints", seed 004 "Stats API"; research/upstream.md §3.1, §6.4 C7 and C8.

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::{self, Whole};
use super::error::{ApiError, FuseError};
use super::handles::{App, Door};
use super::health::rfc3339;
use super::query::Query;
use super::reply::{self, lossy};
use super::routes::Group;
use crate::meta::service::{Consistency, ReadOptions};
use crate::vfs::{Attr, Filesystem, FsError, NodeKind};

type Answer = Result<Response, FuseError>;

/// File type bits of `mode`. Source: inode(7).
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
/// Size that the old driver gave every directory.
const DIRECTORY_BYTES: u64 = 4096;

pub(super) fn routes() -> Group {
    Group::new("filesystem")
        .get("/api/health", "Whether the filesystem service works.", health)
        .get("/api/fuse/health", "Whether the filesystem service works.", health)
        .get("/api/fuse/stats", "Figures of the tree and its builder.", stats)
        .post("/api/fuse/readdir", "Names in a directory.", readdir)
        .post("/api/fuse/getattr", "Attributes of a path.", getattr)
        .post("/api/fuse/exists", "Whether a path exists.", exists)
        .post("/api/fuse/read", "Where a file's bytes are.", read)
        .post("/api/fuse/metadata", "The metadata behind a path.", metadata)
        .get("/api/fuse/files", "All files of the tree.", files)
        .get("/api/fuse/directories", "All directories of the tree.", directories)
        .post("/api/fuse/refresh", "Reads all records again.", refresh)
}

async fn health(State(app): State<App>) -> Response {
    let body = json!({"status": "ok", "timestamp": rfc3339(app.clock.now_ms()), "service": "meta-fuse"});
    reply::ok(&body)
}

async fn stats(State(app): State<App>) -> Response {
    let (tree, builder) = (app.tree.stats(), app.keeper.stats());
    let connected = app.service.status().failure.is_none();
    let mount = app.node.mount().map_or_else(|| "unmounted".to_owned(), |mount| mount.state);
    let body = json!({
        "fileCount": tree.file_count,
        "directoryCount": tree.directory_count,
        "totalFiles": tree.file_count,
        "totalDirectories": tree.directory_count,
        "totalSize": tree.total_size,
        "categories": tree.categories,
        "lastRefresh": app.keeper.last_refresh_ms().map(rfc3339),
        "redisConnected": connected,
        "kvConnection": if connected { "connected" } else { "disconnected" },
        "fuseMount": mount,
        "stateBuilder": {
            "eventsProcessed": builder.events_processed,
            "propertiesFetched": builder.properties_fetched,
            "propertiesSkipped": builder.properties_skipped,
            "filesComplete": builder.files_complete,
            "lastEventId": builder.last_event_id.to_string(),
        },
    });
    reply::ok_at(tree.applied_index, &body)
}

/// The `path` of a body; anything else is refused as the old service did.
fn path_of(body: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct PathBody {
        path: String,
    }
    let refusal = |_| ApiError::bad("bad_path", "Missing or invalid \"path\" parameter");
    let PathBody { path } = body::parse(body).map_err(refusal)?;
    if path.is_empty() {
        return Err(ApiError::bad("bad_path", "Missing or invalid \"path\" parameter"));
    }
    Ok(path)
}

/// Attributes of a path, or the old service's 404.
fn resolve(app: &Door, path: &str, missing: &'static str) -> Result<Attr, ApiError> {
    match app.tree.resolve(path) {
        Err(FsError::NotFound | FsError::NotDirectory) => Err(ApiError::not_found(missing)),
        found => Ok(found?),
    }
}

/// An answer that reflects the tree.
fn of_tree(app: &Door, body: &Value) -> Response {
    reply::ok_at(app.tree.totals().applied_index, body)
}

async fn readdir(State(app): State<App>, Whole(body): Whole) -> Answer {
    let missing = "Directory not found";
    let attr = resolve(&app, &path_of(&body)?, missing)?;
    if attr.kind != NodeKind::Directory {
        return Err(ApiError::not_found(missing).into());
    }
    let mut entries = Vec::new();
    app.tree.read_dir(attr.inode, 0, &mut |entry| {
        entries.push(entry.name.to_string());
        true
    })?;
    entries.sort_unstable();
    Ok(of_tree(&app, &json!({"entries": entries})))
}

/// The driver's fields: numeric mode with its type bits, times in seconds.
fn posix(app: &Door, attr: &Attr) -> Map<String, Value> {
    let is_dir = attr.kind == NodeKind::Directory;
    let owner = &app.identity.owner;
    let mode = if is_dir { S_IFDIR | owner.dir_mode } else { S_IFREG | owner.file_mode };
    let seconds = attr.mtime_ms as f64 / 1000.0;
    let fields = [
        ("size", json!(if is_dir { DIRECTORY_BYTES } else { attr.size })),
        ("mode", json!(mode)),
        ("mtime", json!(seconds)),
        ("atime", json!(seconds)),
        ("ctime", json!(seconds)),
        ("nlink", json!(if is_dir { 2 } else { attr.links })),
        ("uid", json!(owner.uid)),
        ("gid", json!(owner.gid)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The seed's shape, with what it lacks from the driver's.
fn seed_shape(app: &Door, attr: &Attr) -> Map<String, Value> {
    let mut fields = posix(app, attr);
    let is_dir = attr.kind == NodeKind::Directory;
    let owner = &app.identity.owner;
    let permissions = if is_dir { owner.dir_mode } else { owner.file_mode };
    fields.insert("mode".into(), json!(if is_dir { "directory" } else { "file" }));
    // Decimal digits that read like octal: 644 for rw-r--r--.
    fields.insert("permissions".into(), json!(format!("{permissions:o}").parse::<u32>().unwrap_or(0)));
    for time in ["atime", "mtime", "ctime"] {
        fields.insert(time.into(), json!(rfc3339(attr.mtime_ms)));
    }
    if let Some(path) = source_path(app, attr.inode) {
        fields.insert("sourcePath".into(), json!(path));
    }
    fields.insert("inode".into(), json!(attr.inode));
    fields
}

/// Where the file of an inode is on this machine.
fn source_path(app: &Door, inode: u64) -> Option<String> {
    let stored = app.tree.read().source_of(inode)?.to_vec();
    let source = app.tree.source();
    let below = source.relative(&stored)?;
    Some(format!("{}/{}", source.root().display().to_string().trim_end_matches('/'), lossy(&below)))
}

async fn getattr(State(app): State<App>, query: Query, Whole(body): Whole) -> Answer {
    let attr = resolve(&app, &path_of(&body)?, "Path not found")?;
    let fields = match query.get("attrs") {
        None | Some("seed") => seed_shape(&app, &attr),
        Some("posix") => posix(&app, &attr),
        Some(other) => {
            let text = format!("attrs must be seed or posix, not {other:.40?}");
            return Err(ApiError::bad("bad_parameter", text).into());
        }
    };
    Ok(of_tree(&app, &Value::Object(fields)))
}

async fn exists(State(app): State<App>, Whole(body): Whole) -> Answer {
    let found = app.tree.resolve(&path_of(&body)?).is_ok();
    Ok(of_tree(&app, &json!({"exists": found})))
}

/// Attributes and hashId of a file.
fn file(app: &Door, path: &str, missing: &'static str) -> Result<(Attr, Bytes), ApiError> {
    let attr = resolve(app, path, missing)?;
    let id = app.tree.read().id_of(attr.inode).map(Bytes::copy_from_slice);
    Ok((attr, id.ok_or_else(|| ApiError::not_found(missing))?))
}

/// A locator, as in the old service: bytes come from `/data/{hash}` or WebDAV.
async fn read(State(app): State<App>, Whole(body): Whole) -> Answer {
    let path = path_of(&body)?;
    let (attr, id) = file(&app, &path, "File not found")?;
    let body = json!({
        "sourcePath": source_path(&app, attr.inode),
        "size": attr.size,
        "hashId": lossy(&id),
    });
    Ok(of_tree(&app, &body))
}

async fn metadata(State(app): State<App>, Whole(body): Whole) -> Answer {
    let missing = "Metadata not found";
    let (_, id) = file(&app, &path_of(&body)?, missing)?;
    let options = ReadOptions { consistency: Consistency::Stale, min_index: 0, deadline: app.deadline() };
    let (record, index) = reply::split(app.service.record(id.clone(), options).await?);
    let record = record.ok_or_else(|| ApiError::not_found(missing))?;
    let mut fields = Map::from_iter([("hashId".to_owned(), json!(lossy(&id)))]);
    for (name, value) in &record.properties {
        fields.insert(lossy(name).into_owned(), json!(lossy(value)));
    }
    Ok(reply::ok_at(index, &Value::Object(fields)))
}

async fn files(State(app): State<App>) -> Response {
    of_tree(&app, &json!({"files": app.tree.files()}))
}

async fn directories(State(app): State<App>) -> Response {
    of_tree(&app, &json!({"directories": app.tree.directories()}))
}

async fn refresh(State(app): State<App>) -> Answer {
    app.keeper.refresh().await?;
    Ok(of_tree(&app, &json!({"status": "ok"})))
}
