//! The node: everything put together, in the order of its start, and taken apart in reverse.
//!
//! ```text
//! 1 data directory   2 listeners   3 state   4 log   5 metadata service   6 default rules
//! 7 tree             8 mount       9 HTTP   10 runtime.json: ready
//! ```
//!
//! Not here: what any part does. Must always hold: this is the only place that sees every part; nothing is announced
//! before it works; a clean stop leaves no mount, no `runtime.json` and nothing unwritten.

mod identity;
mod lock;
mod observe;
mod runtime;
#[cfg(test)]
mod tree_tests;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::consensus::{self, RaftReplicator};
use metad_raft::noop::{self, NoOpReplicator};
use metad_raft::{Fatal, PosixMetadataReplicator, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Durability, Mode};
use crate::fuse;
use crate::http;
use crate::meta::feed::FeedReader;
use crate::meta::log_service::LogService;
use crate::meta::machine::MetaMachine;
use crate::meta::service::{MetadataService, ServiceError, WriteOptions};
use crate::meta::store::shelf::DiskShelf;
use crate::telemetry::Metrics;
use crate::vfs::first_scan::FirstScan;
use crate::vfs::follower::{FollowError, Follower};
use crate::vfs::{Filesystem, RuleSet, Source, VirtualTree};

use self::identity::NodeFile;
use self::lock::DataDirLock;
use self::observe::{MountSlot, Observer};

/// Why a node did not start, or why it ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The mode is not in this version.
    #[error("{0}")]
    NotYet(String),
    /// The data directory cannot be used.
    #[error("the data directory {dir}: {source}")]
    DataDir {
        /// The directory.
        dir: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data directory belongs to another version, or its identity cannot be read.
    #[error("{path} {reason}; it is this node's identity: restore it, or choose another data directory")]
    Identity {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log did not start.
    #[error(transparent)]
    Log(#[from] StartError),
    /// A local fault.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// A listener could not be bound.
    #[error(transparent)]
    Bind(#[from] http::BindError),
    /// The mount failed.
    #[error(transparent)]
    Mount(#[from] fuse::MountError),
    /// The first tree could not be built.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The default rules could not be written.
    #[error("writing the default rules failed: {0}")]
    Rules(#[from] ServiceError),
    /// The async runtime could not be started.
    #[error("starting the runtime failed: {0}")]
    Runtime(#[source] std::io::Error),
    /// The node stopped itself.
    #[error("the node stopped itself: {0}")]
    Failed(String),
}

/// How long the default rules may take to be written.
const FIRST_WRITE: Duration = Duration::from_secs(30);

/// Runs a node until SIGTERM, SIGINT or a local fault.
pub fn run(config: Config) -> Result<(), NodeError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(NodeError::Runtime)?;
    runtime.block_on(async move {
        let mut signals = Signals::listen().map_err(NodeError::Runtime)?;
        let node = Box::pin(Node::start(config)).await?;
        let outcome = node.wait(&mut signals).await;
        let stopped = Box::pin(node.stop()).await;
        outcome.and(stopped)
    })
}

/// The signals that end a node. Listened to before the start: one that comes while the node starts, or right after
/// `runtime.json` appeared, stops it cleanly once it has started, and never ends it half-way.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// A running node.
struct Node {
    config: Config,
    machine: Arc<MetaMachine>,
    replicator: Arc<dyn PosixMetadataReplicator>,
    follower: Arc<Follower>,
    observer: Arc<Observer>,
    servers: Vec<tokio::task::JoinHandle<()>>,
    closing: CancellationToken,
    /// Let go last, when nothing of this process touches the directory any more.
    _lock: DataDirLock,
}

impl Node {
    /// Starts everything; the steps are numbered in the module's header.
    async fn start(config: Config) -> Result<Self, NodeError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started_ms = clock.now_ms();
        let data_dir = config.node.data_dir.clone();
        let lock = DataDirLock::take(&data_dir)?;
        runtime::remove(&data_dir);
        let listeners = Listeners::bind(&config).await?;
        let file = NodeFile::load_or_create(&data_dir)?;
        let (machine, first) = open_machine(&data_dir).await?;
        let machine = Arc::new(machine);
        let since = machine.feed().reader();
        let replicator = start_log(&config, Arc::clone(&machine)).await?;
        let service = LogService::start(Arc::clone(&machine), Arc::clone(&replicator), Arc::clone(&clock))?;
        let service: Arc<dyn MetadataService> = Arc::new(service);
        write_default_rules(service.as_ref()).await?;
        let tree = Arc::new(VirtualTree::new(Source::new(&config.vfs.files)));
        let follower = Arc::new(start_follower(&service, &tree, &clock, first, since).await?);
        let mount = mount(&config, Arc::clone(&tree)).await?;
        let observer = Arc::new(Observer::new(Arc::clone(&replicator), mount));
        let closing = CancellationToken::new();
        let handles = http::Handles {
            service,
            tree,
            keeper: Arc::clone(&follower) as Arc<dyn crate::vfs::keeper::TreeKeeper>,
            clock,
            identity: Arc::new(identity::of(&config, &file, &listeners.addresses(), started_ms)),
            node: Arc::clone(&observer) as Arc<dyn http::NodeView>,
            metrics: Arc::new(Metrics::default()),
            closing: closing.clone(),
            options: http::Options::default(),
        };
        let http_address = listeners.http();
        let servers = listeners.serve(&handles, &closing);
        runtime::write(&data_dir, &config, http_address).map_err(|e| data_dir_error(&data_dir, e))?;
        tracing::info!(http = %http_address, data_dir = %data_dir.display(), "metad is ready");
        Ok(Self { config, machine, replicator, follower, observer, servers, closing, _lock: lock })
    }

    /// Waits for a signal or for the log's failure.
    async fn wait(&self, signals: &mut Signals) -> Result<(), NodeError> {
        let mut status = self.replicator.status();
        let failed = status.wait_for(|status| status.failure.is_some());
        tokio::select! {
            _ = signals.terminate.recv() => Ok(()),
            _ = signals.interrupt.recv() => Ok(()),
            status = failed => {
                let failure = status.ok().and_then(|s| s.failure.clone());
                Err(NodeError::Failed(failure.unwrap_or_else(|| "the log stopped".into())))
            }
        }
    }

    /// Takes everything apart in the reverse order of the start.
    async fn stop(self) -> Result<(), NodeError> {
        tracing::info!("stopping");
        self.observer.not_ready("the node is stopping");
        runtime::remove(&self.config.node.data_dir);
        self.closing.cancel();
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a listener ended badly");
            }
        }
        let mount = self.observer.take_mount();
        let unmounted = blocking(move || mount.map_or(Ok(()), fuse::Mount::unmount)).await;
        self.replicator.stop().await;
        let (machine, follower) = (self.machine, self.follower);
        blocking(move || machine.close()).await?;
        blocking(move || follower.join()).await;
        unmounted?;
        Ok(())
    }
}

/// Runs something that blocks beside the async runtime; a panic in it goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn data_dir_error(dir: &Path, source: std::io::Error) -> NodeError {
    NodeError::DataDir { dir: dir.display().to_string(), source }
}

/// Opens the state; the first tree comes out of the same scan.
async fn open_machine(data_dir: &Path) -> Result<(MetaMachine, FirstScan), NodeError> {
    let dir = data_dir.join("state");
    let open = move || {
        let mut first = FirstScan::default();
        let machine = MetaMachine::open_before(Box::new(DiskShelf::new(&dir)?), &mut first)?;
        Ok::<_, Fatal>((machine, first))
    };
    Ok(blocking(open).await?)
}

async fn start_log(
    config: &Config,
    machine: Arc<MetaMachine>,
) -> Result<Arc<dyn PosixMetadataReplicator>, NodeError> {
    let dir = config.node.data_dir.join("log");
    let replicator: Arc<dyn PosixMetadataReplicator> = match config.node.mode {
        Mode::Noop => {
            let mut options = noop::Options::new(dir);
            options.durability = match config.node.durability {
                Durability::Os => noop::Durability::Os,
                Durability::Fsync => noop::Durability::Fsync,
            };
            Arc::new(NoOpReplicator::new(options))
        }
        Mode::Raft if config.cluster.peers.is_empty() => {
            Arc::new(RaftReplicator::new(consensus::Options::new(dir)))
        }
        Mode::Raft => return Err(not_yet("several nodes (--peers)")),
        Mode::Flock => return Err(not_yet("flock mode")),
    };
    replicator.start(machine).await?;
    Ok(replicator)
}

fn not_yet(what: &str) -> NodeError {
    NodeError::NotYet(format!("{what} is not in this version of metad; one node works: leave --peers out"))
}

/// The rules are replicated state from the first entry on: a newer build with other defaults moves nobody's files.
async fn write_default_rules(service: &dyn MetadataService) -> Result<(), NodeError> {
    if service.rules()?.text.is_some() {
        return Ok(());
    }
    let rules = RuleSet::default();
    let op = rules.set_operation(rules.to_string());
    service.write(vec![op], WriteOptions { deadline: Instant::now() + FIRST_WRITE }).await?;
    Ok(())
}

async fn start_follower(
    service: &Arc<dyn MetadataService>,
    tree: &Arc<VirtualTree>,
    clock: &Arc<dyn Clock>,
    first: FirstScan,
    since: FeedReader,
) -> Result<Follower, NodeError> {
    let (service, tree, clock) = (Arc::clone(service), Arc::clone(tree), Arc::clone(clock));
    Ok(blocking(move || Follower::start(service, tree, clock, first, since)).await?)
}

async fn mount(config: &Config, tree: Arc<VirtualTree>) -> Result<MountSlot, NodeError> {
    let Some(point) = config.fuse.mount.clone() else { return Ok(MountSlot::default()) };
    let mut options = fuse::Options::new(point, config.vfs.files.clone());
    (options.uid, options.gid) = (config.fuse.uid, config.fuse.gid);
    (options.file_mode, options.dir_mode) = (config.fuse.file_mode, config.fuse.dir_mode);
    options.allow_other = config.fuse.allow_other;
    let mounted = blocking(move || fuse::mount(options, tree as Arc<dyn Filesystem>)).await?;
    Ok(MountSlot::of(mounted))
}

/// The bound HTTP listeners: the main one, and the old services' ports when they are asked for.
struct Listeners {
    main: http::Server,
    api: Option<http::Server>,
    webdav: Option<http::Server>,
}

/// Addresses that were really bound.
pub(crate) struct Addresses {
    http: SocketAddr,
    api: Option<SocketAddr>,
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
        Ok(Self { main, api, webdav })
    }

    fn http(&self) -> SocketAddr {
        self.main.address()
    }

    fn addresses(&self) -> Addresses {
        Addresses { http: self.main.address(), api: self.api.as_ref().map(http::Server::address) }
    }

    fn serve(self, handles: &http::Handles, closing: &CancellationToken) -> Vec<tokio::task::JoinHandle<()>> {
        let router = http::router(handles.clone());
        let servers = [Some(self.main), self.api, self.webdav].into_iter().flatten();
        let start = |server: http::Server| {
            tokio::spawn(server.serve(router.clone(), handles.options, closing.clone()))
        };
        servers.map(start).collect()
    }
}
