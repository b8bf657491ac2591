//! Who this node is to its peers, what it trusts, and where the others live.
//!
//! Not here: where these facts are kept (the layer above has them from `node.json` and the replicated state).
//! Must always hold: a node has one id and one cluster for as long as it lives; the secret is never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use super::frame::TEXT_BYTES_MAX;
use crate::random;

/// Shortest secret in bytes. Who listens in can try secrets at leisure, so a short one is none.
const SECRET_BYTES_MIN: usize = 16;

/// What all nodes of a cluster know and nobody else does.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Takes a secret of at least 16 bytes.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, IdentityError> {
        let bytes = bytes.as_ref();
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(IdentityError::ShortSecret { bytes: bytes.len(), least: SECRET_BYTES_MIN });
        }
        Ok(Self(bytes.into()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What cannot be a node's identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A secret that can be guessed.
    #[error("the secret has {bytes} bytes; at least {least} are needed")]
    ShortSecret {
        /// Its length.
        bytes: usize,
        /// The shortest allowed.
        least: usize,
    },
    /// A name or cluster id that no frame has room for.
    #[error("\"{text}\" is longer than 255 bytes")]
    LongText {
        /// The text.
        text: String,
    },
    /// Id 0 means "nobody yet".
    #[error("0 is no node id")]
    NoId,
    /// The node has another id or cluster already.
    #[error("this node is {id} of cluster {cluster} already")]
    Taken {
        /// Its id.
        id: u64,
        /// Its cluster.
        cluster: String,
    },
    /// The kernel gave no random bytes.
    #[error("cannot read /dev/urandom: {0}")]
    Random(#[from] io::Error),
}

/// This node's id and cluster, once it has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub id: u64,
    pub cluster: String,
}

/// Who this node is. One for its [`PeerServer`](super::PeerServer) and its [`PeerTransport`](super::PeerTransport).
pub struct PeerIdentity {
    name: String,
    secret: Option<Secret>,
    insecure: bool,
    boot: [u8; 16],
    named: RwLock<Option<Named>>,
    removed: RwLock<BTreeSet<u64>>,
}

impl PeerIdentity {
    /// A node that has no id yet. `insecure` allows peers beyond loopback without a secret.
    ///
    /// # Errors
    /// When the name is longer than 255 bytes.
    pub fn new(name: &str, secret: Option<Secret>, insecure: bool) -> Result<Arc<Self>, IdentityError> {
        Ok(Arc::new(Self {
            name: checked(name)?,
            secret,
            insecure,
            boot: random::draw()?,
            named: RwLock::default(),
            removed: RwLock::default(),
        }))
    }

    /// Gives the node its id and cluster: once.
    ///
    /// # Errors
    /// When it has others already.
    pub fn set(&self, id: u64, cluster: &str) -> Result<(), IdentityError> {
        if id == 0 {
            return Err(IdentityError::NoId);
        }
        let wanted = Named { id, cluster: checked(cluster)? };
        let mut named = self.named.write();
        match named.as_ref() {
            Some(now) if *now != wanted => {
                Err(IdentityError::Taken { id: now.id, cluster: now.cluster.clone() })
            }
            _ => {
                *named = Some(wanted);
                Ok(())
            }
        }
    }

    /// The ids that were removed from the cluster: refused from now on, on open connections too.
    pub fn set_removed(&self, ids: BTreeSet<u64>) {
        *self.removed.write() = ids;
    }

    /// The node's id; 0 before it has one.
    pub fn id(&self) -> u64 {
        self.named.read().as_ref().map_or(0, |n| n.id)
    }

    pub(crate) fn named(&self) -> Option<Named> {
        self.named.read().clone()
    }

    pub(crate) fn is_removed(&self, id: u64) -> bool {
        self.removed.read().contains(&id)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    pub(crate) fn boot(&self) -> [u8; 16] {
        self.boot
    }

    /// Whether to talk to a peer there at all.
    pub(crate) fn trusts(&self, address: std::net::IpAddr) -> bool {
        self.secret.is_some() || self.insecure || address.to_canonical().is_loopback()
    }
}

fn checked(text: &str) -> Result<String, IdentityError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(IdentityError::LongText { text: text.to_string() });
    }
    Ok(text.to_string())
}

/// Where the nodes are: id to `host:port`. What changes here is used at once.
#[derive(Debug)]
pub struct AddressBook(watch::Sender<BTreeMap<u64, String>>);

impl AddressBook {
    /// A book with these entries.
    pub fn new(entries: impl IntoIterator<Item = (u64, String)>) -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(entries.into_iter().collect())))
    }

    /// Writes one entry. A connection to another address of that node is given up.
    pub fn set(&self, id: u64, address: &str) {
        self.change(|book| book.insert(id, address.to_string()).as_deref() != Some(address));
    }

    /// Strikes an entry out.
    pub fn remove(&self, id: u64) {
        self.change(|book| book.remove(&id).is_some());
    }

    /// Replaces the whole book.
    pub fn replace(&self, entries: BTreeMap<u64, String>) {
        self.change(|book| {
            let differs = *book != entries;
            *book = entries;
            differs
        });
    }

    /// A node's address.
    pub fn get(&self, id: u64) -> Option<String> {
        self.0.borrow().get(&id).cloned()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeMap<u64, String>> {
        self.0.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u64, String>) -> bool) {
        self.0.send_if_modified(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_named_once() {
        let identity = PeerIdentity::new("a", None, false).unwrap();
        assert_eq!(identity.id(), 0);
        assert!(identity.set(0, "c").is_err());
        identity.set(3, "c").unwrap();
        identity.set(3, "c").unwrap();
        assert!(matches!(identity.set(4, "c"), Err(IdentityError::Taken { id: 3, .. })));
        assert!(identity.set(3, "d").is_err());
        assert!(PeerIdentity::new(&"x".repeat(256), None, false).is_err());
    }

    #[test]
    fn without_a_secret_only_loopback_is_trusted_unless_told_otherwise() {
        let far = "192.0.2.1".parse().unwrap();
        let near = ["127.0.0.1", "::1", "::ffff:127.0.0.9"].map(|a| a.parse().unwrap());
        let open = PeerIdentity::new("a", None, false).unwrap();
        assert!(near.iter().all(|a| open.trusts(*a)) && !open.trusts(far));
        assert!(PeerIdentity::new("a", None, true).unwrap().trusts(far));
        let secret = Secret::new("0123456789abcdef").unwrap();
        assert!(PeerIdentity::new("a", Some(secret), false).unwrap().trusts(far));
    }

    #[test]
    fn a_short_secret_is_refused_and_no_secret_is_shown() {
        assert!(Secret::new("0123456789abcde").is_err());
        let shown = format!("{:?}", Secret::new("0123456789abcdef").unwrap());
        assert!(!shown.contains("0123"));
    }
}
