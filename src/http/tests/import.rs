//! An import in many pieces and many hand-overs.
//!
//! Not here: single lines (`line`). Must always hold: nothing depends on how the body is cut.

use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::fake::FakeService;
use super::harness::handles;
use crate::limits::{IMPORT_BATCH_PROPERTIES, IMPORT_ERRORS_MAX};

async fn import(service: &Arc<FakeService>, body: Body) -> (u16, Value) {
    let request = Request::post("/v1/import").body(body).unwrap();
    let response = crate::http::router(handles(service)).oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

/// A body in pieces of `size` bytes.
fn in_pieces(text: &str, size: usize) -> Body {
    let pieces: Vec<Result<Bytes, std::io::Error>> =
        text.as_bytes().chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Body::from_stream(stream::iter(pieces))
}

#[tokio::test]
async fn of_two_lines_with_one_property_the_later_wins_over_many_hand_overs() {
    let mut text = String::new();
    let lines = 3 * IMPORT_BATCH_PROPERTIES;
    for i in 0..lines {
        writeln!(text, r#"{{"hashId":"h{}","metadata":{{"n":"{i}"}}}}"#, i % 7).unwrap();
    }
    let service = Arc::new(FakeService::default());
    let (status, answer) = import(&service, in_pieces(&text, 1000)).await;
    assert_eq!((status, answer["imported"].as_u64()), (200, Some(lines as u64)));
    assert_eq!(answer["index"], 3);
    for (id, record) in service.stored_records() {
        let n: usize = record.text("n").unwrap().parse().unwrap();
        let last = (0..lines).rev().find(|i| id == format!("h{}", i % 7)).unwrap();
        assert_eq!(n, last, "{id:?}");
    }
}

#[tokio::test]
async fn of_many_bad_lines_the_first_hundred_are_described() {
    let service = Arc::new(FakeService::default());
    let text = "x\n".repeat(IMPORT_ERRORS_MAX + 50);
    let (_, answer) = import(&service, in_pieces(&text, 7)).await;
    assert_eq!(answer["failed"], IMPORT_ERRORS_MAX + 50);
    let errors = answer["errors"].as_array().unwrap();
    let numbers: Vec<u64> = errors.iter().map(|e| e["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=IMPORT_ERRORS_MAX as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_what_came_and_says_so() {
    let service = Arc::new(FakeService::default());
    let line = "{\"hashId\":\"a\",\"metadata\":{\"t\":\"1\"}}\n{\"hashId\":\"b\",";
    let pieces = [Ok(Bytes::from_static(line.as_bytes())), Err(std::io::Error::other("cut"))];
    let (status, answer) = import(&service, Body::from_stream(stream::iter(pieces))).await;
    assert_eq!(
        (status, answer["code"].as_str(), answer["applied"].as_str()),
        (400, Some("body_broken"), Some("unknown"))
    );
    assert_eq!(service.stored_records().len(), 1);
}

async fn keyed(service: &Arc<FakeService>, body: Body) -> (u16, bool, Value) {
    let request = Request::post("/v1/import").header("Idempotency-Key", "k").body(body).unwrap();
    let response = crate::http::router(handles(service)).oneshot(request).await.unwrap();
    let (status, replayed) =
        (response.status().as_u16(), response.headers().contains_key("idempotency-replayed"));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, replayed, serde_json::from_slice(&body).unwrap())
}

fn numbered(lines: usize) -> String {
    (0..lines).map(|i| format!("{{\"hashId\":\"h{i}\",\"metadata\":{{\"n\":\"{i}\"}}}}\n")).collect()
}

#[tokio::test]
async fn an_import_of_many_hand_overs_with_a_key_is_written_once_and_answered_again() {
    let service = Arc::new(FakeService::default());
    // Exactly two full hand-overs: where the last part ends must not matter.
    let text = numbered(2 * IMPORT_BATCH_PROPERTIES);
    let (status, replayed, first) = keyed(&service, in_pieces(&text, 1000)).await;
    assert_eq!((status, replayed), (200, false));
    service.set("h1", "n", "changed");
    let (status, replayed, again) = keyed(&service, in_pieces(&text, 777)).await;
    assert_eq!((status, replayed, again), (200, true, first));
    let record = service.stored_records().into_iter().find(|(id, _)| id == "h1").unwrap().1;
    assert_eq!(record.text("n"), Some("changed"));
}

#[tokio::test]
async fn an_import_with_the_key_of_a_shorter_or_longer_one_is_refused_before_it_writes_anything_new() {
    for (first, second) in [(1, 2), (2, 1), (1, 3)] {
        let service = Arc::new(FakeService::default());
        let (status, ..) = keyed(&service, Body::from(numbered(first * IMPORT_BATCH_PROPERTIES))).await;
        assert_eq!(status, 200);
        let before = service.stored_records();
        let (status, _, refused) =
            keyed(&service, Body::from(numbered(second * IMPORT_BATCH_PROPERTIES))).await;
        assert_eq!((status, refused["code"].as_str()), (422, Some("idempotency_key_reused")));
        assert_eq!(service.stored_records(), before, "{first} then {second}");
    }
}

#[tokio::test]
async fn an_import_that_broke_off_can_come_again_whole_with_its_key() {
    let service = Arc::new(FakeService::default());
    let text = numbered(IMPORT_BATCH_PROPERTIES + 100);
    let cut = text.len() - 100;
    let broken = [Ok(Bytes::copy_from_slice(&text.as_bytes()[..cut])), Err(std::io::Error::other("cut"))];
    let (status, ..) = keyed(&service, Body::from_stream(stream::iter(broken))).await;
    assert_eq!(status, 400);
    let (status, replayed, answer) = keyed(&service, Body::from(text)).await;
    assert_eq!((status, replayed), (200, false));
    assert_eq!(answer["imported"], IMPORT_BATCH_PROPERTIES + 100);
}
