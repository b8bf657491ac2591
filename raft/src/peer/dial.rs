//! From an address to a stream whose other end is known.
//!
//! Not here: when to try again (see `link`). Must always hold: it ends within the two timeouts of the options; every
//! error is from before a request, so nothing was asked.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake;
use super::hello::Welcome;
use super::identity::PeerIdentity;
use super::options::Options;
use super::upgrade;
use super::wire::{BoxStream, Wire};
use crate::transport::{Lane, TransportError};

/// Opens a stream to node `to` (0: whoever is there) at `address`.
pub(crate) async fn dial(
    address: &str,
    to: u64,
    lane: Lane,
    identity: &PeerIdentity,
    options: &Options,
) -> Result<(Wire, Welcome), TransportError> {
    let unreachable =
        |what: &dyn std::fmt::Display| TransportError::Unreachable(format!("{address}: {what}"));
    let connected = timeout(options.connect_timeout, connect(address, identity)).await;
    let stream = connected.map_err(|_| unreachable(&"no connection in time"))??;
    let agreed = timeout(options.handshake_timeout, async {
        let mut wire = Wire::new(upgrade::ask(stream, address).await?);
        let welcome = handshake::greet(&mut wire, identity, to, lane).await?;
        Ok((wire, welcome))
    });
    match agreed.await {
        Ok(Err(TransportError::Unreachable(why))) => Err(unreachable(&why)),
        Ok(agreed) => agreed,
        Err(_) => Err(unreachable(&"no handshake in time")),
    }
}

async fn connect(address: &str, identity: &PeerIdentity) -> Result<BoxStream, TransportError> {
    let unreachable =
        |what: &dyn std::fmt::Display| TransportError::Unreachable(format!("{address}: {what}"));
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host(address).await.map_err(|e| unreachable(&e))?.collect();
    let mut last = unreachable(&"the name has no address");
    for one in found {
        if !identity.trusts(one.ip()) {
            last = unreachable(&"no loopback address: peers there need a shared secret, or --insecure");
            continue;
        }
        match TcpStream::connect(one).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
                return Ok(Box::new(stream));
            }
            Err(e) => last = unreachable(&e),
        }
    }
    Err(last)
}
