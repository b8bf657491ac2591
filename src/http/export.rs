//! `GET /v1/export`: all records as JSON Lines, page by page.
//!
//! A line is `{"hashId":"…","metadata":{…}}`, all values strings. Values that are not UTF-8 stand in a third object,
//! `metadataBase64`, because JSON cannot carry them. An export that cannot go on breaks the connection off instead of
//! ending it, so that a cut file cannot pass for a whole one.
//!
//! Not here: snapshots. Must always hold: memory is bounded by a page; what is exported can be imported.
//!
//! Source: contract "Client commands"; design D20.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use data_encoding::BASE64;
use futures_util::stream;
use serde::Serialize;

use super::error::ApiError;
use super::handles::App;
use super::reply::{self, lossy};
use super::routes::Group;
use crate::limits::EXPORT_PAGE_RECORDS;
use crate::meta::service::{RecordView, ScanPage, ServiceError};

pub(super) fn routes() -> Group {
    Group::new("transfer").get("/v1/export", "All records as JSON Lines.", export)
}

/// One line. Also what `import` reads.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    hash_id: &'a str,
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata_base64: BTreeMap<String, String>,
}

async fn export(State(app): State<App>) -> Result<Response, ApiError> {
    let first = read_page(&app, None).await?;
    let index = first.index;
    let body = Body::from_stream(stream::unfold((app, Some(first)), |(app, page)| async move {
        let page = page?;
        let lines = lines(&page);
        match page.next {
            None => Some((Ok(lines), (app, None))),
            Some(cursor) => match read_page(&app, Some(cursor)).await {
                Ok(next) => Some((Ok(lines), (app, Some(next)))),
                Err(e) => Some((Err(e), (app, None))),
            },
        }
    }));
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(reply::at(index, response))
}

/// Scans away from the runtime's threads: records come from disk.
pub(super) async fn read_page(app: &App, cursor: Option<Bytes>) -> Result<ScanPage, ServiceError> {
    let service = Arc::clone(&app.service);
    let read = tokio::task::spawn_blocking(move || service.scan(cursor, EXPORT_PAGE_RECORDS));
    read.await.unwrap_or_else(|_| Err(ServiceError::Busy))
}

fn lines(page: &ScanPage) -> Bytes {
    let mut out = Vec::with_capacity(page.records.len() * 512);
    for (id, record) in &page.records {
        write_line(id, record, &mut out);
    }
    out.into()
}

fn write_line(id: &[u8], record: &RecordView, out: &mut Vec<u8>) {
    let (mut metadata, mut metadata_base64) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in &record.properties {
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) => {
                metadata.insert(name, value);
            }
            (Ok(_) | Err(_), _) => {
                metadata_base64.insert(lossy(name).into_owned(), BASE64.encode(value));
            }
        }
    }
    let id = lossy(id);
    serde_json::to_writer(&mut *out, &Line { hash_id: &id, metadata, metadata_base64 })
        .expect("writing strings to memory cannot fail");
    out.push(b'\n');
}
