//! The HTTP exchange that opens a stream, and what the port says to everybody else.
//!
//! ```text
//! GET /peer/v1/stream HTTP/1.1          HTTP/1.1 101 Switching Protocols
//! Connection: upgrade              ──►  Connection: upgrade
//! Upgrade: metad-peer/1                 Upgrade: metad-peer/1           then frames, see `frame`
//! ```
//!
//! Not here: who may speak (see `handshake`). Must always hold: nothing but frames of this version follows a 101.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::hello::VERSION;
use super::wire::BoxStream;
use crate::transport::{Refusal, TransportError};

const PATH: &str = "/peer/v1/stream";
const PROTOCOL: &str = "metad-peer";
const OURS: HeaderValue = HeaderValue::from_static("metad-peer/1");
/// Longest head of a request in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// What a human reads here.
const STORY: &str = "This is the peer port of a metad node: nodes of one cluster talk to each other here (metad-peer/1).\n\
                     People and programs use the node's HTTP port.\n";

/// Asks the listener at `host` for a stream of frames.
pub(crate) async fn ask(stream: BoxStream, host: &str) -> Result<BoxStream, TransportError> {
    let failed =
        |e: &dyn std::fmt::Display| TransportError::Unreachable(format!("in the HTTP exchange, {e}"));
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| failed(&e))?;
    // Ends with the exchange; dropped with it when that is given up.
    let mut driver = JoinSet::new();
    driver.spawn(connection.with_upgrades());
    let request = Request::get(PATH)
        .header(HOST, host)
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, OURS)
        .body(Empty::<Bytes>::new())
        .map_err(|e| failed(&e))?;
    let response = sender.send_request(request).await.map_err(|e| failed(&e))?;
    match (response.status(), version(response.headers())) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(VERSION)) => {
            let upgraded = hyper::upgrade::on(response).await.map_err(|e| failed(&e))?;
            Ok(Box::new(TokioIo::new(upgraded)))
        }
        (StatusCode::UPGRADE_REQUIRED, Some(theirs)) => Err(Refusal::WrongVersion { theirs }.into()),
        (status, _) => {
            Err(TransportError::Unreachable(format!("{host} answers {status}: no peer port of metad")))
        }
    }
}

/// Serves HTTP until a stream is asked for; `None` when the connection ended without.
pub(crate) async fn answer(stream: BoxStream, patience: Duration) -> Result<Option<BoxStream>, hyper::Error> {
    let slot = Arc::new(Mutex::new(None::<OnUpgrade>));
    let for_service = slot.clone();
    let service = service_fn(move |request| {
        let response = respond(request, &for_service);
        async move { Ok::<_, Infallible>(response) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await?;
    let asked = slot.lock().take();
    match asked {
        Some(upgrade) => Ok(Some(Box::new(TokioIo::new(upgrade.await?)))),
        None => Ok(None),
    }
}

fn respond(mut request: Request<Incoming>, slot: &Mutex<Option<OnUpgrade>>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    let wanted = version(request.headers());
    match request.uri().path() {
        PATH if request.method() == Method::GET && wanted == Some(VERSION) => {
            *slot.lock() = Some(hyper::upgrade::on(&mut request));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        PATH => *response.status_mut() = StatusCode::UPGRADE_REQUIRED,
        "/" => {}
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    if [StatusCode::SWITCHING_PROTOCOLS, StatusCode::UPGRADE_REQUIRED].contains(&response.status()) {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, OURS);
    }
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        *response.body_mut() = Full::from(STORY);
    }
    response
}

/// The version of our protocol that an `Upgrade` header names.
fn version(headers: &HeaderMap) -> Option<u16> {
    let (protocol, version) = headers.get(UPGRADE)?.to_str().ok()?.split_once('/')?;
    if protocol == PROTOCOL { version.parse().ok() } else { None }
}
