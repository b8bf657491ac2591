//! `metad snapshot save` and `inspect`.
//!
//! Not here: `restore` (`offline`), the file's format. Must always hold: a file under its final name was read back to its end
//! and is on the disk; whatever goes wrong before leaves no such file.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use metad_raft::offline::SnapshotFileError;
use reqwest::{Method, Response};
use serde_json::json;

use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::output::{Output, table};
use crate::meta::snapshot_file::{self, Contents};

/// Writes a snapshot of a running node to a file.
pub async fn save(file: &Path, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let part = part_of(file)?;
    let call = Call { stream: true, ..Call::new(Method::GET, "/v1/snapshot") };
    let response = client.send(&call).await?;
    let saved = download(response, &part, client).await.and_then(|()| {
        let contents = snapshot_file::inspect(&part).map_err(|e| unusable(&part, &e))?;
        publish(&part, file).map_err(|e| cannot("write", file, &e))?;
        Ok(contents)
    });
    if saved.is_err() {
        // The error that counts is the first one; the next attempt begins the part anew.
        std::fs::remove_file(&part).unwrap_or_default();
    }
    let contents = saved?;
    if out.json {
        return out.value(&as_json(file, &contents));
    }
    out.line(format!(
        "{}: {} records at index {}, {} bytes, verified",
        file.display(),
        contents.counters.records,
        contents.index,
        contents.file_bytes
    ))
}

fn part_of(file: &Path) -> Result<PathBuf, CliError> {
    let usage = |why: &str| CliError::new(Exit::Usage, format!("{}: {why}", file.display()));
    let Some(name) = file.file_name() else { return Err(usage("names no file")) };
    if file.is_dir() {
        return Err(usage("is a directory"));
    }
    let mut name = name.to_owned();
    name.push(".part");
    Ok(file.with_file_name(name))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(Exit::Other, format!("cannot {what} {}: {error}", path.display()))
}

async fn download(mut response: Response, part: &Path, client: &Client) -> Result<(), CliError> {
    let promised = response.content_length();
    let mut sink = File::create(part).map_err(|e| cannot("write", part, &e))?;
    let mut bytes = 0;
    loop {
        let next = tokio::time::timeout(client.timeout(), response.chunk()).await;
        let next = next.map_err(|_| CliError::new(Exit::Timeout, "the node stopped sending"))?;
        let chunk =
            next.map_err(|e| CliError::new(Exit::Unreachable, format!("the download broke off: {e}")))?;
        let Some(chunk) = chunk else { break };
        bytes += chunk.len() as u64;
        sink.write_all(&chunk).map_err(|e| cannot("write", part, &e))?;
    }
    if promised.is_some_and(|promised| promised != bytes) {
        return Err(CliError::new(Exit::Unreachable, "the download broke off"));
    }
    sink.sync_all().map_err(|e| cannot("write", part, &e))
}

/// Gives the file its name, durably.
fn publish(part: &Path, file: &Path) -> std::io::Result<()> {
    std::fs::rename(part, file)?;
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn unusable(path: &Path, error: &SnapshotFileError) -> CliError {
    let exit = match error {
        SnapshotFileError::Io(e) if e.kind() == std::io::ErrorKind::NotFound => Exit::NotFound,
        SnapshotFileError::Io(_) => Exit::Other,
        SnapshotFileError::Damaged(_) | SnapshotFileError::Newer(_) => Exit::Identity,
    };
    CliError::new(exit, format!("{} {error}", path.display()))
}

/// Says what a file holds, after checking all of it.
pub fn inspect(file: &Path, out: &mut Output) -> Result<(), CliError> {
    let contents = snapshot_file::inspect(file).map_err(|e| unusable(file, &e))?;
    if out.json {
        return out.value(&as_json(file, &contents));
    }
    let rows = report(&contents).into_iter().map(|(name, value)| vec![name.to_owned(), value]);
    out.line(table(&rows.collect::<Vec<_>>()))
}

/// A moment of the log as people read it.
pub fn moment(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
}

fn event(contents: &Contents) -> String {
    let id = contents.counters.last_event;
    format!("{}-{}", id.ms, id.seq)
}

/// What a snapshot holds, in rows.
pub fn report(contents: &Contents) -> Vec<(&'static str, String)> {
    let (counters, book) = (&contents.counters, &contents.book);
    let members: Vec<String> =
        book.members.iter().map(|m| format!("{} (id {})", m.card.name, m.id)).collect();
    let cluster = if book.is_founded() { book.cluster_id.clone() } else { "–".to_owned() };
    vec![
        ("index", contents.index.to_string()),
        ("time", moment(counters.now_ms)),
        ("cluster", super::output::printable(&cluster)),
        ("members", super::output::printable(&members.join(", "))),
        ("records", counters.records.to_string()),
        ("properties", counters.properties.to_string()),
        ("last event", event(contents)),
        ("state hash", HEXLOWER.encode(&contents.state_hash)),
        ("content", format!("{} keys, {} bytes", contents.keys, contents.content_bytes)),
        ("file", format!("{} bytes, format 1, every block verified", contents.file_bytes)),
    ]
}

fn as_json(file: &Path, contents: &Contents) -> serde_json::Value {
    let (counters, book) = (&contents.counters, &contents.book);
    json!({
        "schema": "snapshot/v1",
        "file": file,
        "format": 1,
        "index": contents.index,
        "time": moment(counters.now_ms),
        "cluster_id": book.is_founded().then_some(&book.cluster_id),
        "members": book.members.iter().map(|m| json!({"id": m.id, "name": m.card.name})).collect::<Vec<_>>(),
        "records": counters.records,
        "properties": counters.properties,
        "last_event": event(contents),
        "state_hash": HEXLOWER.encode(&contents.state_hash),
        "keys": contents.keys,
        "content_bytes": contents.content_bytes,
        "file_bytes": contents.file_bytes,
    })
}
