//! The client commands against a server that answers what a test says.
//!
//! Not here: the real server's answers. Must always hold: every server listens on a free port of loopback and goes with its
//! test.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::args::{Cli, Command};
use super::*;

/// What the server was asked: `METHOD path body`.
type Asked = Arc<Mutex<Vec<String>>>;
type Answers = Arc<Mutex<Vec<(u16, String)>>>;

/// A server that gives its answers in order, and the last one again and again.
struct Server {
    url: String,
    asked: Asked,
}

impl Server {
    async fn answering(answers: &[(u16, Value)]) -> Self {
        Self::answering_text(answers.iter().map(|(status, body)| (*status, body.to_string())).collect()).await
    }

    async fn answering_text(mut answers: Vec<(u16, String)>) -> Self {
        answers.reverse();
        let (asked, answers): (Asked, Answers) = (Asked::default(), Arc::new(Mutex::new(answers)));
        let router = Router::new().fallback(answer).with_state((Arc::clone(&asked), answers));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

async fn answer(State((asked, answers)): State<(Asked, Answers)>, request: Request) -> Response {
    let what = format!("{} {}", request.method(), request.uri());
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    asked.lock().push(format!("{what} {}", String::from_utf8_lossy(&body)).trim_end().to_owned());
    let mut answers = answers.lock();
    let (status, body) = if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() };
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a client command against `urls`: its exit code, its data, its error.
async fn metad(urls: &[&str], words: &[&str]) -> (u8, String, String) {
    let mut line = vec!["metad", "--timeout", "2"];
    for url in urls {
        line.extend(["-e", url]);
    }
    line.extend(words);
    let Cli { command, globals } = Cli::try_parse_from(line).unwrap();
    let sink = Sink::default();
    let mut out = Output::to(Box::new(sink.clone()), globals.json, true, false);
    let client = client(&globals).unwrap();
    let result = match command.unwrap() {
        Command::Meta(command) => meta::run(command, &client, &mut out).await,
        Command::Events(command) => events::run(command, &client, &mut out).await,
        Command::Vfs(command) => vfs::run(command, &client, &mut out).await,
        Command::Rules(command) => rules::run(command, &client, &mut out).await,
        Command::Scan(command) => scan::run(command, &client, &mut out).await,
        Command::Status { watch } => status::run(watch, &client, &mut out).await,
        Command::Healthcheck => status::healthcheck(&client, &mut out).await,
        other => panic!("{other:?} is no client command"),
    };
    out.flush().unwrap();
    let data = String::from_utf8(sink.0.lock().clone()).unwrap();
    match result {
        Ok(()) => (0, data, String::new()),
        Err(error) => (error.code(), data, error.to_string()),
    }
}

/// An address where nobody listens: bound once, then let go.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn refusal(applied: &str, retryable: bool) -> Value {
    json!({ "error": "Service Unavailable", "message": "no leader", "code": "no_leader", "applied": applied, "retryable": retryable })
}

#[tokio::test]
async fn statuses_become_the_exit_codes_of_the_contract() {
    for (status, code) in
        [(404, 3), (409, 4), (412, 4), (503, 5), (504, 6), (401, 8), (403, 8), (421, 9), (400, 1), (500, 1)]
    {
        let server =
            Server::answering(&[(status, json!({ "error": "e", "message": "words of the node" }))]).await;
        let (got, data, error) = metad(&[&server.url], &["meta", "get", "h"]).await;
        assert_eq!((got, data.as_str()), (code, ""), "{status}");
        assert!(error.contains("words of the node"), "{error}");
    }
}

#[tokio::test]
async fn a_write_goes_on_to_the_next_node_only_when_it_was_not_applied() {
    let good = Server::answering(&[(200, json!({ "success": true }))]).await;
    let not_applied = Server::answering(&[(503, refusal("no", true))]).await;
    let set = ["meta", "set", "h", "a=b"];
    assert_eq!(metad(&[&nobody().await, &not_applied.url, &good.url], &set).await.0, 0);
    assert_eq!(good.asked(), [r#"PATCH /meta/h {"a":"b"}"#]);

    let good = Server::answering(&[(200, json!({ "success": true }))]).await;
    let in_doubt = Server::answering(&[(503, refusal("unknown", true))]).await;
    let (code, _, error) = metad(&[&in_doubt.url, &good.url], &set).await;
    assert_eq!((code, good.asked().len()), (5, 0));
    assert!(error.contains("whether the write was applied is unknown"), "{error}");
}

#[tokio::test]
async fn a_read_goes_on_to_the_next_node_whatever_happened() {
    let in_doubt = Server::answering(&[(503, refusal("unknown", true))]).await;
    let good =
        Server::answering(&[(200, json!({ "hashId": "h", "metadata": { "b": "2", "a": "1\u{1b}[2J" } }))])
            .await;
    let (code, data, _) = metad(&[&in_doubt.url, &good.url], &["meta", "get", "h"]).await;
    assert_eq!((code, data.as_str()), (0, "a = 1\\u{1b}[2J\nb = 2\n"), "control characters are spelled out");
}

#[tokio::test]
async fn a_property_is_printed_as_it_is() {
    let server = Server::answering_text(vec![(200, "raw \u{1b} value".to_owned())]).await;
    let (_, data, _) = metad(&[&server.url], &["meta", "get", "h/x", "titles/eng"]).await;
    assert_eq!(data, "raw \u{1b} value");
    assert_eq!(server.asked(), ["GET /meta/h%2Fx/titles/eng"]);
}

#[tokio::test]
async fn deleting_what_is_not_there_is_exit_3() {
    let server = Server::answering(&[(200, json!({ "success": true, "hashId": "h", "deleted": 0 }))]).await;
    assert_eq!(metad(&[&server.url], &["meta", "del", "h"]).await.0, 3);
}

#[tokio::test]
async fn an_import_tries_again_what_was_not_applied_and_names_refused_lines() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("in.jsonl");
    std::fs::write(&file, "\n{\"hashId\":\"a\",\"metadata\":{}}\n\nbad\n").unwrap();
    let done = json!({ "imported": 1, "properties": 2, "failed": 1, "errors": [{ "line": 2, "message": "bad" }], "index": 7 });
    let server = Server::answering(&[(503, refusal("no", true)), (200, done)]).await;
    let words = ["--json", "meta", "import", file.to_str().unwrap()];
    let (code, data, error) = metad(&[&server.url], &words).await;
    assert_eq!(code, 10, "{error}");
    assert_eq!(data, "{\"imported\":1,\"properties\":2,\"failed\":1,\"index\":7}\n");
    let body = "POST /v1/import {\"hashId\":\"a\",\"metadata\":{}}\nbad";
    assert_eq!(server.asked(), [body, body], "the same batch twice, without empty lines");

    let in_doubt = Server::answering(&[(503, refusal("unknown", true))]).await;
    assert_eq!(metad(&[&in_doubt.url], &words).await.0, 5);
    assert_eq!(in_doubt.asked().len(), 1, "a batch in doubt is not sent again");
}

#[tokio::test]
async fn a_scan_sends_every_file_and_an_unreadable_one_is_exit_10() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Heat.1995.mkv"), "x").unwrap();
    let done = json!({ "imported": 1, "properties": 9, "failed": 0, "errors": [], "index": 3 });
    let server = Server::answering(&[(200, done)]).await;
    let (code, _, error) = metad(&[&server.url], &["scan", dir.path().to_str().unwrap()]).await;
    assert_eq!(code, 0, "{error}");
    let asked = server.asked();
    assert!(asked.len() == 1 && asked[0].contains(r#""title":"Heat""#), "{asked:?}");
}

#[tokio::test]
async fn a_tail_goes_on_behind_the_last_event_at_another_connection() {
    let first = "id: 1-0\nevent: set\ndata: {\"key\":\"file:a/t\"}\n\nid: 2-0\nevent: del\ndata: {\"key\":\"file:b/t\"}\n\n";
    let second = "id: 3-0\nevent: set\ndata: {\"key\":\"file:c/t\"}\n\n";
    let server = Server::answering_text(vec![(200, first.to_owned()), (200, second.to_owned())]).await;
    let words = ["events", "tail", "--from", "0-0", "--count", "3"];
    let urls = [server.url.as_str()];
    let (code, data, _) = tokio::time::timeout(Duration::from_secs(20), metad(&urls, &words)).await.unwrap();
    assert_eq!(code, 0);
    assert_eq!(data, "1-0  set   file:a/t\n2-0  del   file:b/t\n3-0  set   file:c/t\n");
}

#[tokio::test]
async fn a_tail_that_never_connected_ends() {
    assert_eq!(metad(&[&nobody().await], &["events", "tail", "--from", "0-0"]).await.0, 5);
    let unknown = Server::answering(&[(404, json!({ "message": "no such route" }))]).await;
    assert_eq!(metad(&[&unknown.url], &["events", "tail"]).await.0, 3);
}

#[tokio::test]
async fn a_tree_is_drawn_from_paths_and_a_missing_folder_is_exit_3() {
    let files = json!({ "files": ["/Movies/B/b.mkv", "/Movies/A.mkv", "/Moviesque.txt"] });
    let server = Server::answering(&[(200, files)]).await;
    let (_, data, _) = metad(&[&server.url], &["vfs", "tree", "Movies/"]).await;
    assert_eq!(data, "/Movies\n├── A.mkv\n└── B\n    └── b.mkv\n");
    assert_eq!(metad(&[&server.url], &["vfs", "tree", "/None"]).await.0, 3);
}

#[tokio::test]
async fn health_is_told_from_silence() {
    let ready = Server::answering_text(vec![(200, "ok".to_owned())]).await;
    assert_eq!(metad(&[&ready.url], &["healthcheck"]).await, (0, "ready\n".to_owned(), String::new()));
    let not_ready = Server::answering(&[(503, json!({ "message": "no leader" }))]).await;
    assert_eq!(metad(&[&not_ready.url], &["healthcheck"]).await.0, 7);
    assert_eq!(metad(&[&nobody().await], &["healthcheck"]).await.0, 5);
}

#[tokio::test]
async fn status_is_shown_without_a_leader_too() {
    let body = json!({
        "schema": "status/v1", "cluster_id": "c1", "node": { "id": 1, "name": "a", "role": "follower" }, "leader": null, "term": 3,
        "last_log_index": 9, "committed_index": 8, "applied_index": 8, "state_hash": "ab", "snapshot_index": 0,
        "members": [{ "id": 1, "name": "a", "role": "voter", "http": "127.0.0.1:1", "resp": null, "peer": null, "matched_index": 9 }],
        "vfs": { "files": 5, "directories": 2, "applied_index": 8 }, "mount": null
    });
    let server = Server::answering(&[(200, body.clone())]).await;
    let (code, data, _) = metad(&[&server.url], &["status"]).await;
    assert_eq!(code, 0);
    for expected in [
        "leader      none",
        "term 3, last 9, committed 8, applied 8",
        "5 files, 2 directories",
        "voter  127.0.0.1:1",
    ] {
        assert!(data.contains(expected), "{expected} is missing in\n{data}");
    }
    let (_, data, _) = metad(&[&server.url], &["--json", "status"]).await;
    assert_eq!(serde_json::from_str::<Value>(&data).unwrap(), body);
}

#[tokio::test]
async fn rules_that_are_not_sound_are_exit_1() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r.toml");
    std::fs::write(&file, "version = 1\n").unwrap();
    let file = file.to_str().unwrap();
    let unsound = Server::answering(&[(200, json!({ "valid": false, "errors": ["no view"] }))]).await;
    assert_eq!(metad(&[&unsound.url], &["rules", "check", file]).await.0, 1);
    assert_eq!(unsound.asked(), ["POST /v1/rules/check version = 1"]);
    let sound = Server::answering(&[(200, json!({ "valid": true, "errors": [], "warnings": ["w"] }))]).await;
    assert_eq!(metad(&[&sound.url], &["rules", "check", file]).await.0, 0);
    assert_eq!(metad(&[&sound.url], &["rules", "check", "/nonexistent"]).await.0, 3);
}
