//! The ground a node stands on: its directory, its listeners and its identity, before there is a state or a log.
//!
//! Not here: what is served. Must always hold: nothing is touched without the directory's lock; whoever asks the HTTP port
//! early is told what the node waits for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::formation::{Seeker, Standing};
use super::identity::{NodeFile, Stage, as_others_see};
use super::locate;
use super::lock::DataDirLock;
use super::peering::{Peering, sorted};
use super::{NodeError, runtime};
use crate::clock::SystemClock;
use crate::config::{Config, Mode};
use crate::http;
use crate::meta::cluster::{Book, Member, NodeCard};
use crate::meta::entry::FEATURE_LEVEL;
use crate::meta::machine::MetaMachine;
use crate::resp;

/// How long peers' requests may finish when the node stops.
const PEERS_GRACE: Duration = Duration::from_secs(2);

/// Addresses that were really bound.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The HTTP door.
    pub http: SocketAddr,
    /// `API_PORT`.
    pub api: Option<SocketAddr>,
    /// The Redis door.
    pub resp: SocketAddr,
    /// The peer port.
    pub peer: Option<SocketAddr>,
}

/// What is there before the state.
pub struct Ground {
    /// Who this node is.
    pub file: NodeFile,
    /// The peer port; `None` where there is no network.
    pub peering: Option<Arc<Peering>>,
    /// `--peers`, sorted.
    pub peers: Vec<String>,
    /// What HTTP answers.
    pub routes: http::Routes,
    /// The Redis door: answers `LOADING` until it is opened.
    pub resp: Arc<resp::Door>,
    /// Cancelled when the node stops.
    pub closing: CancellationToken,
    addresses: Addresses,
    config_data_dir: std::path::PathBuf,
    waiting: Arc<Mutex<String>>,
    servers: Mutex<Vec<JoinHandle<()>>>,
    /// Let go last, when nothing of this process touches the directory any more.
    _lock: DataDirLock,
}

impl Ground {
    /// Takes the directory, binds the listeners, and answers HTTP with what is waited for.
    pub async fn open(config: &Config) -> Result<Self, NodeError> {
        let data_dir = config.node.data_dir.clone();
        if config.node.mode == Mode::Flock {
            return Err(NodeError::NotYet("flock mode is not in this version of metad".into()));
        }
        let lock = DataDirLock::take(&data_dir)?;
        runtime::remove(&data_dir);
        let listeners = Listeners::bind(config).await?;
        let raft = config.node.mode == Mode::Raft;
        let file = NodeFile::load(&data_dir, raft)?;
        let peering = if raft { Some(Arc::new(Peering::open(config).await?)) } else { None };
        let addresses = Addresses {
            http: listeners.main.address(),
            api: listeners.api.as_ref().map(http::Server::address),
            resp: listeners.resp.address(),
            peer: peering.as_ref().map(|p| p.server.address()),
        };
        let waiting = Arc::new(Mutex::new(String::from("the node is starting")));
        let reason = Arc::clone(&waiting);
        let routes = http::Routes::from(http::waiting(Arc::new(move || reason.lock().clone())));
        let closing = CancellationToken::new();
        let door = resp::Door::new(Arc::new(SystemClock), resp::Options::default());
        let servers = Mutex::new(listeners.serve(&routes, &door, &closing));
        Ok(Self {
            file,
            peering,
            peers: sorted(&config.cluster.peers),
            routes,
            resp: door,
            closing,
            addresses,
            config_data_dir: data_dir,
            waiting,
            servers,
            _lock: lock,
        })
    }

    /// The addresses that were bound.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Gives the node its id and its cluster, with the others where there are others.
    pub async fn form(&mut self, config: &Config) -> Result<(), NodeError> {
        let Some(peering) = &self.peering else { return self.file.alone(&self.config_data_dir) };
        if matches!(self.file.stage, Stage::Starting | Stage::Started) {
            return Ok(());
        }
        let mut peers = sorted(&config.cluster.peers);
        if peers.is_empty() && self.file.stage == Stage::New {
            return self.file.alone(&self.config_data_dir);
        }
        if peers.is_empty() {
            peers = self.file.seeds.iter().map(|seed| seed.peer.clone()).collect();
            peers.sort_unstable();
        }
        self.announce(config).map_err(|e| super::data_dir_error(&self.config_data_dir, e))?;
        let card = self.card(config, peering.own_address(config));
        let waiting = Arc::clone(&self.waiting);
        let tell = move |why: String| {
            let mut now = waiting.lock();
            if *now != why {
                tracing::info!("{why}");
                *now = why;
            }
        };
        let seeker = Seeker {
            transport: &peering.transport,
            greeter: &peering.greeter,
            data_dir: &self.config_data_dir,
            waiting: &tell,
        };
        self.file = seeker.seek(self.file.clone(), card, peers).await?;
        *self.waiting.lock() = "the node is starting".into();
        Ok(())
    }

    fn card(&self, config: &Config, peer: String) -> NodeCard {
        NodeCard {
            name: config.node.name.clone(),
            incarnation: self.file.incarnation,
            peer,
            http: as_others_see(self.addresses.http).to_string(),
            resp: as_others_see(self.addresses.resp).to_string(),
            feature_min: 1,
            feature_max: FEATURE_LEVEL,
        }
    }

    /// This node as a member, as it is now.
    pub async fn own(&self, config: &Config, machine: &MetaMachine) -> Member {
        let id = self.file.id;
        let Some(peering) = &self.peering else {
            return Member { id, card: self.card(config, String::new()) };
        };
        let book = Arc::clone(&machine.book().borrow());
        let seeds = self.file.first();
        let known =
            book.member(id).or_else(|| seeds.iter().find(|m| m.id == id)).map(|m| m.card.peer.clone());
        let mut address = peering.own_address(config);
        if address.is_empty() || config.cluster.peer.is_unspecified() {
            // Known under a name that only the others know; it holds as long as the port does.
            let port = format!(":{}", peering.server.address().port());
            let still = known.filter(|known| known.ends_with(&port));
            let listed = still.as_ref().is_some_and(|known| self.peers.contains(known));
            let card = self.card(config, String::new());
            // A list that does not have it tells of other addresses: one of them is the new one.
            let moved = if listed { None } else { locate::own_among(peering, &card, &self.peers).await };
            address = moved.or(still).unwrap_or_else(|| peering.bound());
        }
        Member { id, card: self.card(config, address) }
    }

    /// The first members, with this node as it is now.
    pub fn first(&self, own: &Member) -> Vec<Member> {
        let mut first = self.file.first();
        first.retain(|m| m.id != own.id);
        first.push(own.clone());
        first.sort_by_key(|m| m.id);
        first
    }

    /// From now on the node speaks to the others as a member.
    pub fn join(&self, own: &Member, machine: &MetaMachine) -> Result<(), NodeError> {
        let Some(peering) = &self.peering else { return Ok(()) };
        self.belongs(own, &machine.book().borrow())?;
        let (cluster_id, first) = (self.file.cluster_id.clone(), self.first(own));
        peering.identity.set(own.id, &cluster_id).map_err(NodeError::Peer)?;
        peering.follow(&machine.book().borrow(), &first);
        let (card, book) = (own.card.clone(), machine.book());
        peering.greeter.stand(Standing::Member { card, cluster_id, first, book });
        Ok(())
    }

    /// Refuses a state that another node wrote.
    fn belongs(&self, own: &Member, book: &Book) -> Result<(), NodeError> {
        let refused = |reason| {
            Err(NodeError::Identity {
                path: self.config_data_dir.join("node.json").display().to_string(),
                reason,
            })
        };
        if book.is_founded() && book.cluster_id != self.file.cluster_id {
            let reason = format!(
                "names cluster {}, and the state beside it belongs to cluster {}",
                self.file.cluster_id, book.cluster_id
            );
            return refused(reason);
        }
        match book.member(own.id) {
            Some(known) if known.card.incarnation != own.card.incarnation => refused(format!(
                "is of another data directory than the one that node {} of cluster {} had",
                own.id, book.cluster_id
            )),
            _ => Ok(()),
        }
    }

    /// Writes `runtime.json`.
    pub fn announce(&self, config: &Config) -> std::io::Result<()> {
        runtime::write(&self.config_data_dir, config, &self.addresses)
    }

    /// Ends before there was a node.
    pub async fn abandon(self) -> Result<(), NodeError> {
        self.close().await;
        self.close_peers().await;
        Ok(())
    }

    /// Closes the doors: running requests may finish.
    pub async fn close(&self) {
        runtime::remove(&self.config_data_dir);
        self.closing.cancel();
        let servers = std::mem::take(&mut *self.servers.lock());
        for server in servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a listener ended badly");
            }
        }
    }

    /// Closes the peer port: after the log has handed its lead over.
    pub async fn close_peers(&self) {
        if let Some(peering) = &self.peering {
            peering.server.stop(PEERS_GRACE).await;
        }
    }
}

/// The bound listeners: HTTP, the old services' ports when they are asked for, and the Redis protocol.
struct Listeners {
    main: http::Server,
    api: Option<http::Server>,
    webdav: Option<http::Server>,
    resp: resp::Server,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, NodeError> {
        let main = http::Server::bind(&config.http.address.to_string()).await?;
        let (mut api, mut webdav) = (None, None);
        if let Some(address) = &config.http.api {
            api = Some(http::Server::bind(&address.to_string()).await?);
        }
        if let Some(address) = &config.http.webdav {
            webdav = Some(http::Server::bind(&address.to_string()).await?);
        }
        let resp = resp::Server::bind(&config.resp.address.to_string()).await?;
        Ok(Self { main, api, webdav, resp })
    }

    fn serve(
        self,
        routes: &http::Routes,
        door: &Arc<resp::Door>,
        closing: &CancellationToken,
    ) -> Vec<JoinHandle<()>> {
        let servers = [Some(self.main), self.api, self.webdav].into_iter().flatten();
        let start = |server: http::Server| {
            tokio::spawn(server.serve(routes.clone(), http::Options::default(), closing.clone()))
        };
        let mut running: Vec<_> = servers.map(start).collect();
        running.push(tokio::spawn(self.resp.serve(Arc::clone(door), closing.clone())));
        running
    }
}
