//! `PeerTransport`: the way to all peers over sockets.
//!
//! Not here: streams (see `link`), addresses (see `identity`).
//! Must always hold: a node never calls itself; a node without an id calls nobody but by address.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::dial::dial;
use super::frame::{CONTROL_BODY_BYTES_MAX, Frame, FrameError, Kind, decode_refusal};
use super::identity::{AddressBook, PeerIdentity};
use super::link::{Context, Link};
use super::options::Options;
use super::wire::{Wire, WireError};
use crate::replicator::Fut;
use crate::transport::{Channel, Lane, Transport, TransportError};

/// The answer of a node that was called by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduced {
    /// Its id; 0 when it has none yet.
    pub id: u64,
    /// Its cluster; `None` when it belongs to none yet.
    pub cluster: Option<String>,
    /// Its name.
    pub name: String,
    /// What it answers.
    pub answer: Bytes,
}

/// The transport of a node. Dropping it closes every stream.
pub struct PeerTransport {
    context: Arc<Context>,
    links: Mutex<HashMap<(u64, Lane), Arc<Link>>>,
}

impl PeerTransport {
    /// A transport without a connection; they come with the first call of each lane to each peer.
    ///
    /// Must be called within a tokio runtime, which then carries the connections.
    pub fn new(identity: Arc<PeerIdentity>, book: Arc<AddressBook>, options: Options) -> Self {
        let context = Context { identity, book, options, runtime: Handle::current() };
        Self { context: Arc::new(context), links: Mutex::default() }
    }

    /// Asks whoever is at `address` (`host:port`), on [`Channel::FORMATION`], over a connection of its own.
    ///
    /// # Errors
    /// As [`Transport::call`]; `Refused(Itself)` when the address is our own.
    pub async fn call_address(
        &self,
        address: &str,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Introduced, TransportError> {
        let (identity, options) = (&self.context.identity, &self.context.options);
        let dialled =
            tokio::time::timeout_at(deadline.into(), dial(address, 0, Lane::Control, identity, options));
        let Ok(dialled) = dialled.await else {
            return Err(TransportError::Unreachable(format!("{address}: no connection in time")));
        };
        let (mut wire, who) = dialled?;
        let answer = tokio::time::timeout_at(deadline.into(), exchange(&mut wire, request)).await;
        let answer = answer.map_err(|_| TransportError::Lost(format!("{address}: no answer in time")))??;
        let cluster = Some(who.cluster).filter(|c| !c.is_empty());
        Ok(Introduced { id: who.id, cluster, name: who.name, answer })
    }

    fn link(&self, to: u64, lane: Lane) -> Result<Arc<Link>, TransportError> {
        let own = self.context.identity.id();
        if own == 0 {
            return Err(TransportError::Unreachable("this node has no id yet".into()));
        }
        if own == to {
            return Err(TransportError::Unreachable("a node does not call itself".into()));
        }
        let mut links = self.links.lock();
        let link = links.entry((to, lane)).or_insert_with(|| Link::new(to, lane, self.context.clone()));
        Ok(link.clone())
    }
}

/// One request and its answer.
async fn exchange(wire: &mut Wire, body: Bytes) -> Result<Bytes, TransportError> {
    let lost = |e: WireError| TransportError::Lost(e.to_string());
    let request = Frame { kind: Kind::Request, channel: Channel::FORMATION, id: 1, body };
    wire.send(&request).await.map_err(lost)?;
    let frame = wire.next(CONTROL_BODY_BYTES_MAX).await.map_err(lost)?;
    match frame.kind {
        Kind::Answer => Ok(frame.body),
        Kind::Refused => Err(decode_refusal(&frame.body).map_err(|e| lost(e.into()))?.into()),
        kind => Err(lost(FrameError::OutOfTurn(kind).into())),
    }
}

impl Drop for PeerTransport {
    fn drop(&mut self) {
        for link in self.links.lock().values() {
            link.close();
        }
    }
}

impl Transport for PeerTransport {
    fn call(
        &self,
        to: u64,
        channel: Channel,
        lane: Lane,
        request: Bytes,
        deadline: Instant,
    ) -> Fut<'_, Result<Bytes, TransportError>> {
        // Queued here and not when polled: the order of the calls is the order on the wire.
        match self.link(to, lane) {
            Ok(link) => Box::pin(link.call(channel, request, deadline)),
            Err(e) => Box::pin(std::future::ready(Err(e))),
        }
    }
}
