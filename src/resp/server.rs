//! The accept loop of the Redis door.
//!
//! Not here: what a connection does. Must always hold: there are never more connections than the cap, and one above it
//! hears why; a stop ends every connection, and none without the answers to what its client had sent.
//!
//! ```text
//! stop ─► commands are refused ─► FAREWELL ─► quiet connections end ─► GRACE ─► the rest is cut off
//! ```

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
/// How long clients at work are told that the node stops, before it ends their connections.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long connections may take to end after that; longer than a hand-over waits for its answer.
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

    /// Serves until `stop` is cancelled, then refuses commands, answers what is under way, and ends the connections.
    pub async fn serve(self, door: Arc<Door>, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        let end = CancellationToken::new();
        while let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await {
            match accepted {
                Ok((stream, peer)) => admit(stream, peer, &door, &end, &mut connections),
                Err(error) if is_of_one_client(&error) => {}
                Err(error) => {
                    tracing::warn!("cannot accept connections on {}: {error}", self.address);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while connections.try_join_next().is_some() {}
        }
        door.stop();
        for (stream, peer) in last_ones(self.listener) {
            admit(stream, peer, &door, &end, &mut connections);
        }
        if !all_ended(&mut connections, FAREWELL).await {
            end.cancel();
            if !all_ended(&mut connections, GRACE).await {
                tracing::info!("{} Redis connections were cut off after {GRACE:?}", connections.len());
                connections.shutdown().await;
            }
        }
    }
}

async fn all_ended(connections: &mut JoinSet<()>, within: Duration) -> bool {
    let all = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(within, all).await.is_ok()
}

/// Closes the listener, and gives the connections that the kernel has let in by then: commands may be on them.
fn last_ones(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let found = listener.into_std().map(|listener| {
        let waiting = std::iter::from_fn(|| listener.accept().ok());
        let taken = waiting.map_while(|(stream, peer)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, peer))
        });
        taken.collect()
    });
    found.unwrap_or_else(|error| {
        tracing::warn!("connections that waited at the stop were cut off: {error}");
        Vec::new()
    })
}

fn admit(
    stream: TcpStream,
    peer: SocketAddr,
    door: &Arc<Door>,
    end: &CancellationToken,
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
    let local = stream.local_addr().unwrap_or(peer);
    let entry = door.clients.enter(peer, local, CancellationToken::new());
    connections.spawn(Connection::new(stream, Arc::clone(door), entry, end.clone()).run());
}

/// Errors that concern the connection that was about to be accepted, not the listener.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
