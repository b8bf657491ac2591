//! The accept loop of the Redis door.
//!
//! Not here: what a connection does. Must always hold: there are never more connections than the cap, and one above it
//! hears why; a stop ends every connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::door::Door;

/// Pause after the system refused a connection for want of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long connections may take to end when the node stops.
const GRACE: Duration = Duration::from_secs(5);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for the Redis protocol: {source}")]
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

    /// Serves until `stop` is cancelled.
    pub async fn serve(self, door: Arc<Door>, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &door, &stop, &mut connections),
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!("cannot accept connections on {}: {error}", self.address);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all).await.is_err() {
            connections.shutdown().await;
        }
    }

    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        door: &Arc<Door>,
        stop: &CancellationToken,
        connections: &mut JoinSet<()>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("no TCP_NODELAY: {error}");
        }
        if connections.len() >= door.options.connections_max {
            // Best effort, as in Redis: the socket of a new connection takes one line.
            let _ = stream.try_write(b"-ERR max number of clients reached\r\n");
            return;
        }
        door.counts.connections.fetch_add(1, Ordering::Relaxed);
        let local = stream.local_addr().unwrap_or(self.address);
        let entry = door.clients.enter(peer, local, stop.child_token());
        connections.spawn(Connection::new(stream, Arc::clone(door), entry).run());
    }
}

/// Errors that concern the connection that was about to be accepted, not the listener.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
