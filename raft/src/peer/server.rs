//! `PeerServer`: the listener of the peer port.
//!
//! Not here: what happens on a stream (see `connection`).
//! Must always hold: connections are bounded in all and for each address; a connection that does not become a stream in
//! time is cut; a stop answers what was read.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{self, Services, Shared};
use super::handshake::{self, HandshakeError};
use super::identity::PeerIdentity;
use super::options::Options;
use super::upgrade;
use super::wire::{BoxStream, Wire};
use crate::transport::{Channel, PeerService};

/// Pause after the system refused a connection for want of something: there will be more of it later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the peer port was not opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address does not resolve or is taken.
    #[error("cannot listen for peers on {address}: {source}")]
    Io {
        /// The address as it was given.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Anybody could speak to this port.
    #[error("{address} is no loopback address: peers there need a shared secret, or --insecure")]
    Insecure {
        /// The address as it was given.
        address: String,
    },
}

/// A peer port that is open. Dropping it cuts every connection.
pub struct PeerServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    accepting: tokio::sync::Mutex<JoinSet<()>>,
}

impl PeerServer {
    /// Listens on `address` (`host:port`; port 0 takes a free one). Channels are registered when their owners are there;
    /// until then they are `NotServed`.
    ///
    /// # Errors
    /// When the address is taken, or open to others while there is no secret.
    pub async fn bind(
        address: &str,
        identity: Arc<PeerIdentity>,
        options: Options,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { address: address.to_string(), source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        if !identity.trusts(bound.ip()) {
            return Err(BindError::Insecure { address: address.to_string() });
        }
        let shared = Arc::new(Shared { identity, services: Services::default(), options });
        let stop = watch::Sender::new(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, shared.clone(), stop.subscribe()));
        Ok(Self { address: bound, shared, stop, accepting: tokio::sync::Mutex::new(accepting) })
    }

    /// The address that was really bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a channel to its owner, in place of an earlier one.
    pub fn register(&self, channel: Channel, service: Arc<dyn PeerService>) {
        self.shared.services.register(channel, service);
    }

    /// Takes no further connection and no further request, and waits up to `grace` until all that was taken is answered.
    pub async fn stop(&self, grace: Duration) {
        self.stop.send_replace(true);
        let mut accepting = self.accepting.lock().await;
        let done = async { while accepting.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, done).await.is_err() {
            tracing::info!("requests of peers still running after {grace:?} were cut off");
            accepting.shutdown().await;
        }
    }
}

/// Connections of each address right now.
#[derive(Default)]
struct Census(Mutex<HashMap<IpAddr, usize>>);

/// One connection, counted.
struct Counted {
    census: Arc<Census>,
    address: IpAddr,
}

impl Census {
    fn admit(self: &Arc<Self>, address: IpAddr, options: &Options) -> Option<Counted> {
        let mut counts = self.0.lock();
        let own = counts.get(&address).copied().unwrap_or(0);
        if own >= options.connections_per_address_max
            || counts.values().sum::<usize>() >= options.connections_max
        {
            return None;
        }
        counts.insert(address, own + 1);
        Some(Counted { census: self.clone(), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.census.0.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let (mut connections, census) = (JoinSet::new(), Arc::<Census>::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connection::stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, from)) => match census.admit(from.ip(), &shared.options) {
                Some(counted) => {
                    let stop = stop.clone();
                    connections.spawn(connection(stream, from.ip(), shared.clone(), stop, counted));
                }
                None => tracing::warn!("a connection from {from} was dropped: there are too many"),
            },
            Err(e) if is_of_one_peer(&e) => {}
            Err(e) => {
                tracing::warn!("cannot accept connections of peers: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while let Some(ended) = connections.try_join_next() {
            report(ended);
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(e) = ended {
        tracing::error!("a peer's connection failed: {e}");
    }
}

/// Errors that concern the connection that was about to be accepted, not the listener.
fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset)
}

async fn connection(
    stream: TcpStream,
    from: IpAddr,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
    counted: Counted,
) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("no TCP_NODELAY: {e}");
    }
    let patience = shared.options.handshake_timeout;
    let opened = tokio::select! {
        opened = tokio::time::timeout(patience, open(Box::new(stream), from, &shared)) => opened,
        () = connection::stopped(&mut stop) => return,
    };
    match opened {
        Ok(Ok(Some((wire, caller)))) => connection::serve(wire, caller, shared, stop).await,
        Ok(Ok(None)) => {}
        Ok(Err(HandshakeError::Refused(refusal))) => {
            tracing::warn!("a stream from {from} was refused, and told: {refusal}");
        }
        Ok(Err(e)) => tracing::debug!("no stream from {from}: {e}"),
        Err(_) => tracing::debug!("no stream from {from} within {patience:?}"),
    }
    drop(counted);
}

async fn open(
    stream: BoxStream,
    from: IpAddr,
    shared: &Shared,
) -> Result<Option<(Wire, handshake::Caller)>, HandshakeError> {
    let upgraded = upgrade::answer(stream, shared.options.handshake_timeout).await;
    let Some(stream) = upgraded.map_err(io::Error::other)? else { return Ok(None) };
    let mut wire = Wire::new(stream);
    let caller = handshake::receive(&mut wire, &shared.identity, from).await?;
    Ok(Some((wire, caller)))
}
