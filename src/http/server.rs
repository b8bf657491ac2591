//! The accept loop: connections with timeouts, a cap, and a clean end.
//!
//! axum's own `serve` has no timeouts: one byte a minute would hold a connection for ever.
//!
//! Not here: routes. Must always hold: an idle or slow head is cut off; there are never more connections than the cap;
//! a stop lets running requests finish, but not for ever, and closes no connection of a client at work without an answer.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::options::Options;
use super::waiting::Routes;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};

/// Pause after the system refused a connection for want of something: there will be more of it later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a server that stops still takes requests of connections that it has: each is told that it is the last one.
const FAREWELL: Duration = Duration::from_secs(1);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct BindError {
    /// The address as it was given.
    pub address: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A bound listener; nothing is accepted before [`Server::serve`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens on `address` (`host:port`; port 0 takes a free one).
    ///
    /// # Errors
    /// When the address does not resolve or is taken.
    pub async fn bind(address: &str) -> Result<Self, BindError> {
        let failed = |source| BindError { address: address.to_owned(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address that was really bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is cancelled, then tells each client with its answer that it was the last, and lets running requests finish within the grace of the options.
    pub async fn serve(self, routes: impl Into<Routes>, options: Options, stop: CancellationToken) {
        let routes = routes.into();
        let graceful = GracefulShutdown::new();
        let permits = Arc::new(Semaphore::new(options.connections_max));
        let mut connections = JoinSet::new();
        while let Some(Some((stream, permit))) = stop.run_until_cancelled(self.next(&permits)).await {
            let served = Served { router: routes.current(), options, stop: stop.clone() };
            connections.spawn(served.connection(stream, graceful.watcher(), permit));
            while connections.try_join_next().is_some() {}
        }
        for (stream, permit) in last_ones(self.listener, &permits) {
            let served = Served { router: routes.current(), options, stop: stop.clone() };
            connections.spawn(served.connection(stream, graceful.watcher(), permit));
        }
        // Clients at work hear with an answer that it was the last one, and nothing of theirs is on its way then.
        let farewell = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_ok() {
            return;
        }
        if tokio::time::timeout(options.stop_grace, graceful.shutdown()).await.is_err() {
            tracing::info!("requests still running after {:?} were cut off", options.stop_grace);
        }
        connections.shutdown().await;
    }

    /// The next connection, once there is room for it; more wait in the kernel's queue.
    async fn next(&self, permits: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                Err(e) if is_of_one_client(&e) => {}
                Err(e) => {
                    tracing::warn!("cannot accept connections on {}: {e}", self.address);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Closes the listener, and gives the connections that the kernel has let in by then: a closed socket would leave them in doubt.
///
/// The kernel itself is asked, because what tokio knows of a listener is from before.
fn last_ones(listener: TcpListener, permits: &Arc<Semaphore>) -> Vec<(TcpStream, OwnedSemaphorePermit)> {
    let found = listener.into_std().map(|listener| {
        let waiting = std::iter::from_fn(|| listener.accept().ok());
        let taken = waiting.map_while(|(stream, _)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, Arc::clone(permits).try_acquire_owned().ok()?))
        });
        taken.collect()
    });
    found.unwrap_or_else(|e| {
        tracing::warn!("connections that waited at the stop were cut off: {e}");
        Vec::new()
    })
}

/// Errors that concern the connection that was about to be accepted, not the listener.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// What every connection gets.
struct Served {
    router: Router,
    options: Options,
    stop: CancellationToken,
}

impl Served {
    async fn connection(self, stream: TcpStream, watcher: Watcher, _permit: OwnedSemaphorePermit) {
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!("no TCP_NODELAY: {e}");
        }
        let (routes, stop) = (TowerToHyperService::new(self.router), self.stop);
        let service = service_fn(move |request| {
            let (answer, stop) = (routes.call(request), stop.clone());
            async move {
                let mut answer = answer.await?;
                if stop.is_cancelled() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.options.head_timeout)
            .max_headers(HTTP_HEADERS_MAX)
            .max_header_size(HTTP_HEAD_BYTES_MAX)
            .max_buf_size(2 * HTTP_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(e) = watcher.watch(connection).await {
            tracing::debug!("connection ended: {e}");
        }
    }
}
