//! The accept loop on real sockets: slow heads, slow bodies, the cap, and the stop.
//!
//! Not here: routes. Must always hold: tests wait for the server's doing, never for a time of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fake::FakeService;
use super::harness::handles;
use crate::http::{Options, Server};

struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// A server whose every timeout is a few milliseconds.
async fn start(options: Options) -> Running {
    let mut handles = handles(&Arc::new(FakeService::default()));
    handles.options = options;
    let stop = handles.closing.clone();
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.address();
    let task = tokio::spawn(server.serve(crate::http::router(handles), options, stop.clone()));
    Running { address, stop, task }
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let options = Options { head_timeout: Duration::from_millis(20), ..Options::default() };
    let running = start(options).await;
    let stream = send(running.address, "GET /health HTTP/1.1\r\nHost: x\r\n").await;
    let answer = read_to_end(stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let options = Options { head_timeout: Duration::from_millis(20), ..Options::default() };
    let running = start(options).await;
    let stream = send(running.address, "GET /role HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = read_to_end(stream).await;
    assert!(answer.ends_with("{\"role\":\"leader\"}\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_refused_with_408() {
    let options = Options { body_idle_timeout: Duration::from_millis(20), ..Options::default() };
    let running = start(options).await;
    let stream =
        send(running.address, "PUT /meta/h HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{").await;
    let answer = read_to_end(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("body_timed_out"), "{answer}");
}

#[tokio::test]
async fn a_head_of_more_bytes_than_allowed_is_refused_with_431() {
    let running = start(Options::default()).await;
    let filler = "x".repeat(crate::limits::HTTP_HEAD_BYTES_MAX);
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let text = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Filler: {filler}\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 431");
}

#[tokio::test]
async fn connections_over_the_cap_wait_and_are_served_later() {
    let running = start(Options { connections_max: 1, ..Options::default() }).await;
    let close = "GET /role HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let first = send(running.address, "GET /role HTTP/1.1\r\nHost: x\r\n").await;
    let second = send(running.address, close).await;
    let waiting = tokio::spawn(read_to_end(second));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(first);
    assert!(waiting.await.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stop_ends_idle_connections_and_event_streams_and_frees_the_port() {
    let running = start(Options::default()).await;
    let mut idle = send(running.address, "GET /role HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut events = send(running.address, "GET /api/events/meta HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    events.read_exact(&mut first).await.unwrap();
    running.stop.cancel();
    running.task.await.unwrap();
    read_to_end(idle).await;
    assert!(read_to_end(events).await.ends_with("0\r\n\r\n"), "an event stream ends, it does not break off");
    Server::bind(&running.address.to_string()).await.unwrap();
}

#[tokio::test]
async fn a_taken_address_is_named_in_the_error() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let error = Server::bind(&server.address().to_string()).await.unwrap_err();
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
}

#[tokio::test]
async fn a_stop_leaves_no_client_at_work_without_an_answer() {
    let running = start(Options::default()).await;
    let clients: Vec<_> = (0..8).map(|_| tokio::spawn(ask_until_told(running.address))).collect();
    for client in &clients {
        assert!(!client.is_finished());
    }
    let mut reached = send(running.address, "GET /role HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(reached.read(&mut [0; 512]).await.unwrap() > 0);
    running.stop.cancel();
    for client in clients {
        client.await.unwrap();
    }
    drop(reached);
    running.task.await.unwrap();
}

/// Asks again as soon as there is an answer, until one says that it was the last or nobody listens any more.
async fn ask_until_told(address: SocketAddr) {
    let Ok(mut stream) = TcpStream::connect(address).await else { return };
    loop {
        stream.write_all(b"GET /role HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("}\n") {
            let mut piece = [0; 512];
            let length = stream.read(&mut piece).await.unwrap();
            assert!(length > 0, "closed without an answer: {answer:?}");
            answer.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        if answer.contains("connection: close") {
            return;
        }
    }
}
