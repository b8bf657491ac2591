//! The same scripts over the real service: what the fake promises, the log keeps.
//!
//! Not here: scripts that need faults or roles, or that show the order of the store. Must always hold: fake and real service cannot be told apart by a client.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use metad_raft::noop::Options;
use metad_raft::{NoOpReplicator, PosixMetadataReplicator};
use tower::ServiceExt;

use super::fake::EPOCH_MS;
use super::harness;
use crate::clock::ManualClock;
use crate::limits::EXPORT_PAGE_RECORDS;
use crate::meta::log_service::LogService;
use crate::meta::machine::MetaMachine;
use crate::meta::store::shelf::MemoryShelf;

/// A service over a local journal in `dir`.
async fn service(dir: &Path) -> LogService {
    let machine = Arc::new(MetaMachine::open(Box::new(MemoryShelf::default())).unwrap());
    let replicator = Arc::new(NoOpReplicator::new(Options::new(dir)));
    replicator.start(machine.clone()).await.unwrap();
    LogService::start(machine, replicator, None, Arc::new(ManualClock::at(EPOCH_MS)), 1).unwrap()
}

/// Runs a script over a local journal.
fn run(script: &str) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = runtime.block_on(service(dir.path()));
    let script = Path::new("src/http/testscripts").join(script);
    harness::run_over(&script, Arc::new(service), runtime);
}

#[test]
fn records_over_the_log() {
    run("records");
}

#[test]
fn properties_over_the_log() {
    run("properties");
}

#[test]
fn preconditions_over_the_log() {
    run("preconditions");
}

#[test]
fn idempotency_over_the_log() {
    run("idempotency");
}

#[tokio::test]
async fn what_is_imported_comes_out_of_the_export_and_of_the_events() {
    let dir = tempfile::tempdir().unwrap();
    let mut handles = harness::handles(&Arc::default());
    handles.service = Arc::new(service(dir.path()).await);
    let closing = handles.closing.clone();
    let router = crate::http::router(handles);
    let mut lines: Vec<String> = (0..2 * EXPORT_PAGE_RECORDS)
        .map(|i| format!(r#"{{"hashId":"h{i:04}","metadata":{{"n":"{i}","title":"T"}}}}"#))
        .collect();
    let request = |path: &str| Request::builder().uri(path).body(Body::empty()).unwrap();
    let import = Request::post("/v1/import").body(Body::from(lines.join("\n"))).unwrap();
    assert_eq!(router.clone().oneshot(import).await.unwrap().status(), StatusCode::OK);

    let export = router.clone().oneshot(request("/v1/export")).await.unwrap();
    let export = export.into_body().collect().await.unwrap().to_bytes();
    let mut exported: Vec<&str> = std::str::from_utf8(&export).unwrap().lines().collect();
    exported.sort_unstable();
    lines.sort_unstable();
    assert_eq!(exported, lines);

    let events = router.oneshot(request("/api/events/meta?from=0-0")).await.unwrap();
    let mut events = events.into_body().into_data_stream();
    let mut keys = BTreeSet::new();
    while keys.len() < 2 * lines.len() {
        let piece = events.next().await.unwrap().unwrap();
        let text = std::str::from_utf8(&piece).unwrap();
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            assert!(keys.insert(data.to_owned()), "{data} came twice");
        }
    }
    closing.cancel();
    assert!(events.next().await.is_none());
}
