//! The peer port's promises, over real sockets on loopback.
//!
//! Not here: the handshake's reasons one by one and the bytes of frames (tested beside their code).
//! Must always hold: nothing waits for a fixed time; ports are free ones.

mod calls;
mod failures;
mod strangers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{AddressBook, Options, PeerIdentity, PeerServer, PeerTransport};
use crate::replicator::Fut;
use crate::transport::{Channel, Lane, PeerService, Refusal, Transport, TransportError};

/// Longer than any machine needs.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// Gives back what it gets, in the order in which it got it; holds requests that begin with `hold`.
struct Echo {
    seen: Mutex<Vec<(u64, Bytes)>>,
    release: Semaphore,
    arrived: Semaphore,
}

impl Echo {
    fn new() -> Arc<Self> {
        Arc::new(Self { seen: Mutex::default(), release: Semaphore::new(0), arrived: Semaphore::new(0) })
    }

    /// Waits until so many more requests have arrived.
    async fn arrived(&self, requests: u32) {
        self.arrived.acquire_many(requests).await.unwrap().forget();
    }
}

impl PeerService for Echo {
    fn handle(&self, from: u64, request: Bytes) -> Fut<'_, Result<Bytes, Refusal>> {
        Box::pin(async move {
            self.seen.lock().push((from, request.clone()));
            self.arrived.add_permits(1);
            if request.starts_with(b"hold") {
                self.release.acquire().await.unwrap().forget();
            }
            Ok(request)
        })
    }
}

/// One node of a cluster in this process.
struct Node {
    identity: Arc<PeerIdentity>,
    server: PeerServer,
    transport: Arc<PeerTransport>,
    book: Arc<AddressBook>,
    echo: Arc<Echo>,
}

impl Node {
    async fn start(id: u64) -> Self {
        Self::with(id, "127.0.0.1:0", Options::default()).await
    }

    async fn with(id: u64, address: &str, options: Options) -> Self {
        let identity = PeerIdentity::new(&format!("n{id}"), None, false).unwrap();
        if id != 0 {
            identity.set(id, "cluster").unwrap();
        }
        let server = PeerServer::bind(address, identity.clone(), options).await.unwrap();
        let (book, echo) = (AddressBook::new([]), Echo::new());
        server.register(Channel::RAFT, echo.clone());
        server.register(Channel::FORMATION, echo.clone());
        let transport = Arc::new(PeerTransport::new(identity.clone(), book.clone(), options));
        Self { identity, server, transport, book, echo }
    }

    fn address(&self) -> String {
        self.server.address().to_string()
    }

    async fn call(&self, to: u64, request: &'static [u8]) -> Result<Bytes, TransportError> {
        self.begin(to, Lane::Control, Bytes::from_static(request)).await
    }

    fn begin(&self, to: u64, lane: Lane, request: Bytes) -> Fut<'_, Result<Bytes, TransportError>> {
        self.transport.call(to, Channel::RAFT, lane, request, soon())
    }

    /// Calls until the peer answers.
    async fn call_until_answered(&self, to: u64, request: &'static [u8]) {
        let deadline = soon();
        while self.call(to, request).await.is_err() {
            assert!(Instant::now() < deadline, "node {to} never answered");
            tokio::task::yield_now().await;
        }
    }
}

/// Two nodes that know each other.
async fn pair() -> (Node, Node) {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    a.book.set(2, &b.address());
    b.book.set(1, &a.address());
    (a, b)
}
