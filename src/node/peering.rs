//! The node's peer port: who it is to the others, where they are, and how it reaches them.
//!
//! Not here: what the channels carry. Must always hold: the port answers only who knows the secret; addresses and removed
//! ids follow the replicated book.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use metad_raft::peer::{AddressBook, Options, PeerIdentity, PeerServer, PeerTransport, Secret};
use metad_raft::{Channel, Transport};
use parking_lot::Mutex;

use super::NodeError;
use super::formation::Greeter;
use super::identity::as_others_see;
use crate::config::{Address, Config};
use crate::meta::cluster::{Book, Member};

/// An open peer port.
pub struct Peering {
    /// Who this node is to the others.
    pub identity: Arc<PeerIdentity>,
    /// Where the others are.
    pub addresses: Arc<AddressBook>,
    /// The way to them.
    pub transport: Arc<PeerTransport>,
    /// The listener.
    pub server: PeerServer,
    /// Answers nodes that ask by address.
    pub greeter: Arc<Greeter>,
    /// Members that were found elsewhere than the book says: what it says, and where they are.
    elsewhere: Mutex<BTreeMap<u64, (String, String)>>,
}

impl Peering {
    /// Opens the port. Nobody is answered but on the channel of formation, and there only once the greeter knows what.
    pub async fn open(config: &Config) -> Result<Self, NodeError> {
        let secret = config.cluster.secret_file.as_deref().map(read_secret).transpose()?;
        let identity =
            PeerIdentity::new(&config.node.name, secret, config.insecure).map_err(NodeError::Peer)?;
        let addresses = AddressBook::new([]);
        let options = Options::default();
        let transport = Arc::new(PeerTransport::new(Arc::clone(&identity), Arc::clone(&addresses), options));
        let address = config.cluster.peer.to_string();
        let server = PeerServer::bind(&address, Arc::clone(&identity), options).await?;
        let greeter = Greeter::new();
        server.register(Channel::FORMATION, Arc::clone(&greeter) as _);
        let elsewhere = Mutex::default();
        Ok(Self { identity, addresses, transport, server, greeter, elsewhere })
    }

    /// The transport for those who only call.
    pub fn way(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport) as Arc<dyn Transport>
    }

    /// The peer address that others should use; empty when only they can know it.
    pub fn own_address(&self, config: &Config) -> String {
        let (wanted, peers) = (&config.cluster.peer, &config.cluster.peers);
        if wanted.is_unspecified() {
            return if peers.is_empty() { self.bound() } else { String::new() };
        }
        if wanted.port == 0 { self.bound() } else { wanted.to_string() }
    }

    /// The bound address as others see it.
    pub fn bound(&self) -> String {
        as_others_see(self.server.address()).to_string()
    }

    /// A member was found elsewhere than the book says: it is reached there until the book says something new of it.
    pub fn found(&self, member: &Member, address: &str) {
        if member.card.peer == address && self.addresses.get(member.id).as_deref() == Some(address) {
            return;
        }
        tracing::info!(id = member.id, name = %member.card.name, address, "a member was found by --peers");
        let known = member.card.peer.clone();
        self.elsewhere.lock().insert(member.id, (known, address.to_owned()));
        self.addresses.set(member.id, address);
    }

    /// Follows the book: addresses of members, and who is refused.
    pub fn follow(&self, book: &Book, first: &[Member]) {
        let members = if book.is_founded() { &book.members } else { first };
        let own = self.identity.id();
        let mut elsewhere = self.elsewhere.lock();
        elsewhere.retain(|id, (known, _)| members.iter().any(|m| m.id == *id && m.card.peer == *known));
        let place = |m: &Member| elsewhere.get(&m.id).map_or(&m.card.peer, |(_, found)| found).clone();
        let others = members.iter().filter(|m| m.id != own).map(|m| (m.id, place(m)));
        let entries: BTreeMap<u64, String> = others.filter(|(_, address)| !address.is_empty()).collect();
        self.addresses.replace(entries);
        self.identity.set_removed(book.removed.iter().map(|r| r.id).collect::<BTreeSet<u64>>());
    }
}

fn read_secret(path: &Path) -> Result<Secret, NodeError> {
    let refused = |why: String| NodeError::Secret { path: path.display().to_string(), why };
    let text = std::fs::read(path).map_err(|e| refused(e.to_string()))?;
    Secret::new(text.trim_ascii()).map_err(|e| refused(e.to_string()))
}

/// The list of first voters as nodes compare it.
pub fn sorted(peers: &[Address]) -> Vec<String> {
    let mut sorted: Vec<String> = peers.iter().map(Address::to_string).collect();
    sorted.sort_unstable();
    sorted
}
