//! File bytes: random ranges against a plain slice, hanging up, and a file that shrinks.
//!
//! Not here: headers in full (golden scripts). Must always hold: the model is the slice of the file's bytes.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use proptest::prelude::*;
use tempfile::TempDir;
use tower::ServiceExt;

use super::fake::FakeService;
use super::harness::handles_over;
use crate::http::Handles;
use crate::limits::HTTP_CHUNK_BYTES;

/// A file of several chunks in which no two places look alike, served as `/data/h`.
struct Served {
    dir: TempDir,
    bytes: Vec<u8>,
    handles: Handles,
    router: Router,
}

fn served() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let words = 3 * HTTP_CHUNK_BYTES as u32 / 4 + 5;
    let bytes: Vec<u8> = (0..words).flat_map(u32::to_be_bytes).collect();
    std::fs::write(dir.path().join("f.mkv"), &bytes).unwrap();
    let service = Arc::new(FakeService::default());
    service.set("h", "filePath", "f.mkv");
    let handles = handles_over(&service, dir.path());
    let router = crate::http::router(handles.clone());
    Served { dir, bytes, handles, router }
}

impl Served {
    async fn get(&self, range: &str) -> Response<Body> {
        let request = Request::builder().uri("/data/h").header("Range", range).body(Body::empty());
        self.router.clone().oneshot(request.unwrap()).await.unwrap()
    }
}

/// The parts of a multipart body, by its frame alone.
fn parts(body: &[u8], boundary: &str) -> Vec<(u64, Bytes)> {
    let frame = format!("--{boundary}");
    let find = |from: usize, what: &[u8]| {
        body[from..].windows(what.len()).position(|w| w == what).map(|at| from + at)
    };
    let (mut at, mut found) = (frame.len(), Vec::new());
    while body[at..].starts_with(b"\r\n") {
        let head_end = find(at, b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&body[at..head_end]).unwrap();
        let range = head.split("bytes ").nth(1).unwrap().split('-').next().unwrap();
        let end = find(head_end, format!("\r\n{frame}").as_bytes()).unwrap();
        found.push((range.parse().unwrap(), Bytes::copy_from_slice(&body[head_end..end])));
        at = end + 2 + frame.len();
    }
    assert_eq!(&body[at..], b"--\r\n");
    found
}

/// Start and bytes of everything that an answer holds.
async fn received(response: Response<Body>) -> Vec<(u64, Bytes)> {
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    let header = |name: &str| response.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
    let (kind, range) = (header("content-type").unwrap(), header("content-range"));
    let length: usize = header("content-length").unwrap().parse().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), length);
    match (kind.split_once("boundary="), range) {
        (Some((_, boundary)), None) => parts(&body, boundary),
        (None, Some(range)) => {
            let start = range.trim_start_matches("bytes ").split('-').next().unwrap().parse().unwrap();
            vec![(start, body)]
        }
        other => panic!("neither one range nor several: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn ranges_give_the_bytes_of_a_plain_slice(
        ranges in proptest::collection::vec((0usize..3 * HTTP_CHUNK_BYTES, 0usize..HTTP_CHUNK_BYTES + 9), 1..5),
    ) {
        let served = served();
        let words: Vec<String> =
            ranges.iter().map(|(start, len)| format!("{start}-{}", start + len)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(async {
            received(served.get(&format!("bytes={}", words.join(","))).await).await
        });
        for (start, bytes) in &found {
            let start = *start as usize;
            prop_assert_eq!(&bytes[..], &served.bytes[start..start + bytes.len()]);
        }
        for (start, len) in ranges {
            let end = (start + len + 1).min(served.bytes.len());
            let holds = |(at, bytes): &(u64, Bytes)| *at as usize <= start && *at as usize + bytes.len() >= end;
            prop_assert!(found.iter().any(holds), "{start}+{len} is missing");
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_stops_the_reading() {
    let served = served();
    let mut body = served.get("bytes=0-").await.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap().len(), HTTP_CHUNK_BYTES);
    drop(body);
    let sent = served.handles.metrics.http_content_bytes_total.get().get();
    assert_eq!(sent, HTTP_CHUNK_BYTES as u64);
}

#[tokio::test]
async fn a_file_that_becomes_shorter_breaks_the_answer_off() {
    let served = served();
    let mut body = served.get("bytes=0-").await.into_body().into_data_stream();
    body.next().await.unwrap().unwrap();
    std::fs::write(served.dir.path().join("f.mkv"), b"short").unwrap();
    assert!(body.next().await.unwrap().is_err());
}
