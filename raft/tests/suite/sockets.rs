//! Members that reach each other over real sockets on loopback.
//!
//! Not here: what a cluster promises on any network (see `members`). Must always hold: ports are free ones; nothing waits for
//! a fixed time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::select_all;
use metad_raft::consensus::{Formation, Options, Timing};
use metad_raft::peer::{self, AddressBook, PeerIdentity, PeerServer, PeerTransport, Secret};
use metad_raft::{Channel, PosixMetadataReplicator, Proposal, RaftReplicator, ReplicateError, Role};

use crate::cluster::{PATIENCE, deadline};
use crate::machine::Toy;

/// A member with a peer port of its own.
pub struct Seat {
    pub id: u64,
    pub server: PeerServer,
    pub book: Arc<AddressBook>,
    pub log: RaftReplicator,
    pub toy: Toy,
}

impl Seat {
    /// A member of a cluster of nodes 1 to 3, with its port open; [`Seat::sit`] starts it.
    pub async fn new(id: u64, dir: &Path, timing: Timing) -> Self {
        let secret = Secret::new("the secret of the test").unwrap();
        let identity = PeerIdentity::new(&format!("n{id}"), Some(secret), false).unwrap();
        identity.set(id, "sockets").unwrap();
        let settings = peer::Options::default();
        let server = PeerServer::bind("127.0.0.1:0", identity.clone(), settings).await.unwrap();
        let book = AddressBook::new([]);
        let mut options = Options::new(dir);
        (options.id, options.formation) = (id, Formation::Voters(BTreeSet::from([1, 2, 3])));
        options.timing = timing;
        options.transport = Some(Arc::new(PeerTransport::new(identity, book.clone(), settings)));
        let log = RaftReplicator::new(options);
        server.register(Channel::RAFT, log.peer_service());
        Self { id, server, book, log, toy: Toy::default() }
    }

    pub async fn sit(&self) {
        self.log.start(Arc::new(self.toy.clone())).await.unwrap();
    }

    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    async fn stop(self) {
        self.log.stop().await;
        self.server.stop(PATIENCE).await;
    }
}

/// Writes everybody's address into everybody's book.
fn introduce(seats: &[&Seat]) {
    for seat in seats {
        for other in seats.iter().filter(|o| o.id != seat.id) {
            seat.book.set(other.id, &other.address());
        }
    }
}

/// Waits until one of the seats leads and answers a barrier.
pub async fn leader<'a>(seats: &[&'a Seat]) -> &'a Seat {
    let mut seen: Vec<_> = seats.iter().map(|s| s.log.status()).collect();
    loop {
        for (seat, status) in seats.iter().zip(&mut seen) {
            let leads = status.borrow_and_update().role == Role::Leader;
            if leads && seat.log.read_barrier(deadline()).await.is_ok() {
                return seat;
            }
        }
        let changes = select_all(seen.iter_mut().map(|s| Box::pin(s.changed())));
        assert!(tokio::time::timeout(PATIENCE, changes).await.is_ok(), "nobody leads");
    }
}

/// Writes an entry through whoever leads until it is answered; its index.
pub async fn put(seats: &[&Seat], entry: &str) -> u64 {
    let end = deadline();
    loop {
        let proposal = Proposal { ops: entry.to_string().into() };
        match leader(seats).await.log.replicate(vec![proposal]).await.remove(0) {
            Ok(index) => return index,
            Err(ReplicateError::NotLeader { .. } | ReplicateError::Unknown) => {
                assert!(Instant::now() < end, "{entry} is never answered");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

async fn agree(seats: &[&Seat], index: u64, entries: usize) {
    for seat in seats {
        let mut status = seat.log.status();
        let reached = tokio::time::timeout(PATIENCE, status.wait_for(|s| s.applied_index >= index)).await;
        assert!(reached.is_ok_and(|r| r.is_ok()), "node {} does not catch up", seat.id);
        assert_eq!(seat.toy.state().len(), entries, "node {}", seat.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_on_sockets_keep_every_write_when_the_leader_goes_and_comes_back_elsewhere() {
    let dirs = [1, 2, 3].map(|_| tempfile::tempdir().unwrap());
    let mut seats = Vec::new();
    for id in [1, 2, 3] {
        seats.push(Seat::new(id, dirs[id as usize - 1].path(), Timing::LAN).await);
    }
    introduce(&seats.iter().collect::<Vec<_>>());
    for seat in &seats {
        seat.sit().await;
    }
    for i in 0..30 {
        put(&seats.iter().collect::<Vec<_>>(), &format!("k{i}=v")).await;
    }
    let gone = leader(&seats.iter().collect::<Vec<_>>()).await.id;
    let at = seats.iter().position(|s| s.id == gone).unwrap();
    seats.remove(at).stop().await;
    let index = put(&seats.iter().collect::<Vec<_>>(), "without=v").await;
    agree(&seats.iter().collect::<Vec<_>>(), index, 31).await;

    // Back on another port, with an empty machine: the log and the others bring everything back.
    seats.push(Seat::new(gone, dirs[gone as usize - 1].path(), Timing::LAN).await);
    let all: Vec<_> = seats.iter().collect();
    introduce(&all);
    seats[2].sit().await;
    let index = put(&all, "last=v").await;
    agree(&all, index, 32).await;
    for seat in seats {
        seat.stop().await;
    }
}
