//! The event stream: history, then the present, nothing lost and nothing twice.
//!
//! Not here: derived history. Must always hold: no test waits for time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::fake::FakeService;
use super::harness::handles;
use crate::limits::SSE_PAGE_EVENTS;

async fn open(router: &Router, path: &str, last: Option<&str>) -> axum::http::Response<Body> {
    let mut request = Request::builder().uri(path);
    if let Some(id) = last {
        request = request.header("Last-Event-ID", id);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// Reads until `count` lines begin with `prefix`; the rest of each line.
async fn lines(body: &mut BodyDataStream, prefix: &str, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let piece = body.next().await.expect("the stream goes on").unwrap();
        let text = String::from_utf8(piece.to_vec()).unwrap();
        found.extend(text.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned));
    }
    found
}

#[tokio::test]
async fn a_stream_from_the_beginning_shows_history_then_the_present_without_loss_or_doubles() {
    let service = Arc::new(FakeService::default());
    let router = crate::http::router(handles(&service));
    let history = SSE_PAGE_EVENTS + 10;
    for i in 0..history {
        service.set("h", "p", &i.to_string());
    }
    let response = open(&router, "/api/events/meta", Some("0-0")).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    // Written after the first page was read and before the second: exactly the seam.
    service.set("h", "seam", "x");
    let mut body = response.into_body().into_data_stream();
    let mut ids = lines(&mut body, "id: ", history + 1).await;
    service.set("h", "live", "x");
    ids.extend(lines(&mut body, "id: ", 1).await);
    let mut unique = ids.clone();
    unique.dedup();
    assert_eq!(ids.len(), history + 2);
    assert_eq!(unique, ids);
}

#[tokio::test]
async fn a_writer_that_races_the_reader_loses_no_event() {
    let service = Arc::new(FakeService::default());
    let router = crate::http::router(handles(&service));
    let response = open(&router, "/api/events/meta?from=0-0", None).await;
    let writer = {
        let service = Arc::clone(&service);
        tokio::task::spawn_blocking(move || {
            for i in 0..2000 {
                service.set("h", "p", &i.to_string());
            }
        })
    };
    let mut body = response.into_body().into_data_stream();
    let ids = lines(&mut body, "id: ", 2000).await;
    writer.await.unwrap();
    let expected: Vec<String> = (1..=2000).map(|i| format!("{}-0", super::fake::EPOCH_MS + i)).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn without_an_id_only_what_is_new_comes() {
    let service = Arc::new(FakeService::default());
    let router = crate::http::router(handles(&service));
    service.set("h", "old", "x");
    let mut body = open(&router, "/api/events/meta", None).await.into_body().into_data_stream();
    service.set("h", "new", "x");
    let data = lines(&mut body, "data: ", 1).await;
    assert_eq!(data, [r#"{"key":"file:h/new","ts":"1700000000002"}"#]);
}

#[tokio::test]
async fn a_resume_below_the_tail_is_told_of_the_gap_and_a_start_is_not() {
    let service = Arc::new(FakeService::default());
    let router = crate::http::router(handles(&service));
    for _ in 0..4 {
        service.set("h", "p", "x");
    }
    service.trim(2);
    let path = "/api/events/meta";
    let mut resumed = open(&router, path, Some("1700000000001-0")).await.into_body().into_data_stream();
    let gap = r#"{"requested":"1700000000001-0","resumeFrom":"1700000000003-0","reason":"retention"}"#;
    assert_eq!(lines(&mut resumed, "data: ", 1).await, [gap]);
    assert_eq!(lines(&mut resumed, "id: ", 2).await, ["1700000000003-0", "1700000000004-0"]);
    let mut started = open(&router, path, Some("0-0")).await.into_body().into_data_stream();
    assert_eq!(lines(&mut started, "event: ", 2).await, ["set", "set"]);
}

#[tokio::test]
async fn silence_is_broken_by_a_comment_and_a_stop_ends_the_stream() {
    let service = Arc::new(FakeService::default());
    let mut handles = handles(&service);
    handles.options.keep_alive = Duration::from_millis(1);
    let (closing, metrics) = (handles.closing.clone(), Arc::clone(&handles.metrics));
    let watchers = || metrics.watchers.with(&["sse"]).get();
    let router = crate::http::router(handles);
    let mut body = open(&router, "/api/events/meta", None).await.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), ":keep-alive\n\n");
    assert_eq!(watchers(), 1.0);
    closing.cancel();
    while let Some(piece) = body.next().await {
        assert_eq!(piece.unwrap(), ":keep-alive\n\n");
    }
    drop(body);
    assert_eq!(watchers(), 0.0);
    let closed = open(&router, "/api/events/meta", None).await;
    assert!(closed.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn a_malformed_id_is_refused() {
    let router = crate::http::router(handles(&Arc::default()));
    let response = open(&router, "/api/events/meta", Some("yesterday")).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_end_of_the_feed_ends_the_stream() {
    let service = Arc::new(FakeService::default());
    let router = crate::http::router(handles(&service));
    let body = open(&router, "/api/events/meta", None).await.into_body();
    service.close();
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
}
