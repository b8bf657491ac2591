//! Every limit of the door: the last length that passes, and the first that does not.
//!
//! Not here: heads (`server`), lines (`import`). Must always hold: a refusal has the contract's shape.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::harness::handles;
use crate::limits::{
    HTTP_BODY_BYTES_MAX, HTTP_TARGET_BYTES_MAX, HTTP_VALUE_BYTES_MAX, ID_BYTES_MAX, PROPERTY_BYTES_MAX,
    RECORD_PROPERTIES_MAX,
};
use crate::vfs::Filesystem;

async fn ask(router: &Router, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Status and code of a PUT.
async fn put(router: &Router, path: &str, body: String) -> (u16, String) {
    let (status, answer) = ask(router, "PUT", path, body).await;
    (status, answer["code"].as_str().unwrap_or("").to_owned())
}

#[tokio::test]
async fn ids_names_values_and_counts_pass_at_the_limit_and_not_beyond() {
    let router = crate::http::router(handles(&Arc::default()));
    let passed = (200, String::new());
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let id = |bytes: usize| format!("/meta/{}", "i".repeat(bytes));
    assert_eq!(put(&router, &id(ID_BYTES_MAX), "{}".into()).await, passed);
    assert_eq!(put(&router, &id(ID_BYTES_MAX + 1), "{}".into()).await, refused(400, "hash_too_long"));

    let name = |bytes: usize| format!("/meta/h/{}", "p".repeat(bytes));
    assert_eq!(put(&router, &name(PROPERTY_BYTES_MAX), "x".into()).await, passed);
    assert_eq!(
        put(&router, &name(PROPERTY_BYTES_MAX + 1), "x".into()).await,
        refused(400, "property_too_long")
    );

    let value = |bytes: usize| "v".repeat(bytes);
    assert_eq!(put(&router, "/meta/h/p", value(HTTP_VALUE_BYTES_MAX)).await, passed);
    assert_eq!(
        put(&router, "/meta/h/p", value(HTTP_VALUE_BYTES_MAX + 1)).await,
        refused(413, "value_too_large")
    );
    let wrapped = |bytes: usize| json!({"value": "\u{1}".repeat(bytes)}).to_string();
    assert_eq!(put(&router, "/meta/h/p", wrapped(HTTP_VALUE_BYTES_MAX)).await, passed);
    let in_record = json!({"p": value(HTTP_VALUE_BYTES_MAX + 1)}).to_string();
    assert_eq!(put(&router, "/meta/h", in_record).await, refused(413, "value_too_large"));

    let many = |count: usize| {
        let names = (0..count).map(|i| (i.to_string(), json!("x")));
        Value::Object(names.collect()).to_string()
    };
    assert_eq!(put(&router, "/meta/many", many(RECORD_PROPERTIES_MAX)).await, passed);
    let too_many = put(&router, "/meta/many", many(RECORD_PROPERTIES_MAX + 1)).await;
    assert_eq!(too_many, refused(400, "too_many_properties"));
}

#[tokio::test]
async fn bodies_and_urls_pass_at_the_limit_and_not_beyond() {
    let router = crate::http::router(handles(&Arc::default()));
    let body = |bytes: usize| format!("{{}}{}", " ".repeat(bytes - 2));
    assert_eq!(put(&router, "/meta/h", body(HTTP_BODY_BYTES_MAX)).await.0, 200);
    let refused = (413, "body_too_large".to_owned());
    assert_eq!(put(&router, "/meta/h", body(HTTP_BODY_BYTES_MAX + 1)).await, refused);

    let url = |bytes: usize| format!("/role?{}", "q".repeat(bytes - "/role?".len()));
    assert_eq!(ask(&router, "GET", &url(HTTP_TARGET_BYTES_MAX), "").await.0, 200);
    let (status, answer) = ask(&router, "GET", &url(HTTP_TARGET_BYTES_MAX + 1), "").await;
    assert_eq!((status, answer["code"].as_str()), (414, Some("url_too_long")));
}

#[tokio::test]
async fn the_page_of_metrics_shows_what_the_node_is_now() {
    let handles = handles(&Arc::default());
    let router = crate::http::router(handles.clone());
    assert_eq!(ask(&router, "GET", "/metrics", "").await.0, 200);
    let (metrics, tree) = (&handles.metrics, handles.tree.totals());
    assert!(metrics.resident_memory_bytes.get().get() > 100_000.0);
    assert!(metrics.open_files.get().get() > 0.0 && metrics.start_time_seconds.get().get() > 0.0);
    assert!(tree.directories > 0 && metrics.vfs_directories.get().get() == tree.directories as f64);
    assert_eq!(metrics.vfs_files.get().get(), tree.files as f64);
    assert!(metrics.vfs_memory_bytes.get().get() > 0.0);
    assert_eq!(metrics.store_records.get().get(), handles.service.totals().records as f64);
    let text = metrics.render();
    let version = concat!("metad_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1\n");
    assert!(text.contains(version) && text.contains("metad_node_info{"), "{text}");
}

#[tokio::test]
async fn requests_are_counted_by_route_template_and_never_by_path() {
    let handles = handles(&Arc::default());
    let router = crate::http::router(handles.clone());
    ask(&router, "GET", "/meta/secret", "").await;
    ask(&router, "BREW", "/no/such/path", "").await;
    let text = handles.metrics.render();
    for line in [
        "metad_http_requests_total{method=\"GET\",route=\"/meta/{hash}\",status=\"404\"} 1",
        "metad_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 1",
        "metad_http_in_flight 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("secret"));
    let (status, document) = ask(&router, "GET", "/openapi.json", "").await;
    assert_eq!((status, document), (200, crate::http::openapi_document()));
}
