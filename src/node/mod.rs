//! The node: everything put together, in the order of its start, and taken apart in reverse.
//!
//! ```text
//! ground: 1 data directory   2 listeners, the peer port too   3 identity, in a cluster found with the others
//! node:   4 state   5 log   6 metadata service   7 membership, default rules   8 tree   9 mount   10 routes   11 ready
//! ```
//!
//! Not here: what any part does. Must always hold: this is the only place that sees every part; nothing is announced
//! before it works; a clean stop leaves no mount, no `runtime.json` and nothing unwritten.

mod continuing;
mod control;
mod doctor;
mod filesystem;
mod formation;
#[cfg(test)]
mod golden;
mod ground;
mod house;
mod identity;
mod locate;
mod lock;
mod log;
mod membership;
mod observe;
pub mod offline;
mod peering;
mod pulse;
mod runtime;
mod switch;
#[cfg(test)]
mod tree_tests;
mod word;

use std::path::Path;
use std::sync::Arc;

use metad_raft::{Channel, Fatal, PosixMetadataReplicator, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::fuse;
use crate::http;
use crate::meta::entry::{FEATURE_LEVEL, NewerEntry};
use crate::meta::feed::FeedReader;
use crate::meta::key_service::KeyService;
use crate::meta::log_clock::LogClock;
use crate::meta::log_service::LogService;
use crate::meta::machine::MetaMachine;
use crate::meta::service::{MetadataService, ServiceError};
use crate::meta::store::shelf::DiskShelf;
use crate::resp;
use crate::telemetry::Metrics;
use crate::vfs::first_scan::FirstScan;
use crate::vfs::follower::{FollowError, Follower};
use crate::vfs::{Filesystem, Source, VirtualTree, pinner};

use self::doctor::Place;
pub use self::formation::decide::Refused;
use self::ground::Ground;
use self::identity::Stage;
use self::membership::Membership;
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
    /// The node does not take part in the cluster that it was told of.
    #[error(transparent)]
    Formation(#[from] Refused),
    /// None of the addresses in `--peers` is this node's.
    #[error("none of --peers {0} leads to this node: add its own address, as the others reach it")]
    NotAmongPeers(String),
    /// The cluster removed this node.
    #[error(
        "node {id} was removed from cluster {cluster} for good. To bring this machine back as a new member, empty {dir}, \
         start it with --peers, and run `metad node add` on a member"
    )]
    Removed {
        /// The node's id.
        id: u64,
        /// The cluster.
        cluster: String,
        /// The data directory.
        dir: String,
    },
    /// The secret cannot be used.
    #[error("--secret-file {path}: {why}")]
    Secret {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// The log goes on in a newer version than this build's.
    #[error(transparent)]
    Newer(#[from] NewerEntry),
    /// The state in the data directory is of a newer version than this build.
    #[error(
        "the data in {dir} is at feature level {found}, this build of metad knows {FEATURE_LEVEL}: start the newer build again"
    )]
    NewerState {
        /// The data directory.
        dir: String,
        /// The level of the data.
        found: u32,
    },
    /// The node cannot be named to its peers.
    #[error("--name: {0}")]
    Peer(#[source] metad_raft::peer::IdentityError),
    /// The peer port could not be opened.
    #[error(transparent)]
    BindPeers(#[from] metad_raft::peer::BindError),
    /// The log did not start.
    #[error(transparent)]
    Log(#[from] StartError),
    /// A local fault.
    #[error(transparent)]
    Fatal(#[from] Fatal),
    /// A listener could not be bound.
    #[error(transparent)]
    Bind(#[from] http::BindError),
    /// The Redis protocol's listener could not be bound.
    #[error(transparent)]
    BindResp(#[from] resp::BindError),
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

/// Runs a node until SIGTERM, SIGINT or a local fault.
pub fn run(config: Config) -> Result<(), NodeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(NodeError::Runtime)?;
    // As a task of the runtime: what wakes the node's own wait, each step of the log, would wake a thread of its own otherwise.
    let life = runtime.spawn(live(config));
    match runtime.block_on(life) {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Worker threads of the runtime: half of the cores. A write goes through many short tasks, and waking an idle thread for
/// each costs more than all they do; blocking work, the log's flushes, the store and FUSE have threads of their own.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// From the lock on the data directory to the last thing taken apart.
async fn live(config: Config) -> Result<(), NodeError> {
    let mut signals = Signals::listen().map_err(NodeError::Runtime)?;
    let mut ground = Box::pin(Ground::open(&config)).await?;
    tokio::select! {
        formed = Box::pin(ground.form(&config)) => formed?,
        () = signals.any() => return ground.abandon().await,
    }
    let node = Box::pin(Node::start(config, ground)).await?;
    let outcome = node.wait(&mut signals).await;
    let stopped = Box::pin(node.stop()).await;
    outcome.and(stopped)
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

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A running node.
struct Node {
    config: Config,
    machine: Arc<MetaMachine>,
    replicator: Arc<dyn PosixMetadataReplicator>,
    follower: Arc<Follower>,
    observer: Arc<Observer>,
    ground: Ground,
    keeping: Vec<tokio::task::JoinHandle<()>>,
    pinner: tokio::task::JoinHandle<()>,
    removed: CancellationToken,
}

impl Node {
    /// Starts everything; the steps are numbered in the module's header.
    async fn start(config: Config, mut ground: Ground) -> Result<Self, NodeError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let started_ms = clock.now_ms();
        let data_dir = config.node.data_dir.clone();
        let (machine, first) = open_machine(&data_dir).await?;
        refuse_newer_state(&machine, &data_dir)?;
        let machine = Arc::new(machine);
        let since = machine.feed().reader();
        let own = ground.own(&config, &machine).await;
        ground.join(&own, &machine)?;
        let started = log::start(&config, &ground, Arc::clone(&machine)).await;
        let replicator = started.map_err(|error| machine.newer().map_or(error, NodeError::Newer))?;
        ground.file.reach(Stage::Started, &data_dir)?;
        let way = ground.peering.as_ref().map(|peering| peering.way());
        let (id, voters) = (own.id, membership::voters(replicator.as_ref(), own.id));
        let time = Arc::new(LogClock::new(Arc::clone(&clock), Arc::clone(&machine), id, voters));
        let stamps = Arc::clone(&time) as Arc<dyn Clock>;
        let boot = ground.file.begin_boot(started_ms, &data_dir)?;
        let service = LogService::start(Arc::clone(&machine), Arc::clone(&replicator), way, stamps, boot)?;
        if let Some(peering) = &ground.peering {
            peering.server.register(Channel::FORWARD, service.forwarding());
        }
        let keys: Arc<dyn KeyService> = Arc::new(service);
        let service: Arc<dyn MetadataService> = Arc::clone(&keys) as _;
        let removed = CancellationToken::new();
        let member =
            Membership::start(&ground, own, &machine, &replicator, &service, &time, &removed).await?;
        let tree = Arc::new(VirtualTree::new(Source::new(&config.vfs.files)));
        let follower = Arc::new(start_follower(&service, &tree, &clock, first, since).await?);
        let mount = mount(&config, Arc::clone(&tree)).await?;
        let pins = pinner::run(Arc::clone(&service), Arc::clone(&tree), replicator.status());
        let Membership { control, pulse, keeping, first } = member;
        let seen = observe::Seen {
            replicator: Arc::clone(&replicator),
            machine: Arc::clone(&machine),
            pulse,
            control,
            first,
            resp: Arc::clone(&ground.resp),
        };
        let observer = Arc::new(Observer::new(seen, mount));
        observer.stands_at(Place { data_dir: data_dir.clone(), mounts: config.fuse.mount.is_some() });
        let addresses = ground.addresses();
        let handles = http::Handles {
            service,
            tree,
            keeper: Arc::clone(&follower) as Arc<dyn crate::vfs::keeper::TreeKeeper>,
            clock,
            identity: Arc::new(identity::of(&config, &ground.file, &addresses, started_ms)),
            node: Arc::clone(&observer) as Arc<dyn http::NodeView>,
            metrics: Arc::new(Metrics::default()),
            closing: ground.closing.clone(),
            options: http::Options::default(),
        };
        ground.resp.open(keys);
        ground.routes.replace(http::router(handles));
        ground.announce(&config).map_err(|e| data_dir_error(&data_dir, e))?;
        tracing::info!(http = %addresses.http, resp = %addresses.resp, data_dir = %data_dir.display(), "metad is ready");
        let pinner = tokio::spawn(pins);
        Ok(Self { config, machine, replicator, follower, observer, ground, keeping, pinner, removed })
    }

    /// Waits for a signal, for the log's failure, or for the word that the cluster goes on without this node.
    async fn wait(&self, signals: &mut Signals) -> Result<(), NodeError> {
        let mut status = self.replicator.status();
        let failed = status.wait_for(|status| status.failure.is_some());
        tokio::select! {
            () = signals.any() => Ok(()),
            () = self.removed.cancelled() => Err(NodeError::Removed {
                id: self.ground.file.id,
                cluster: self.ground.file.cluster_id.clone(),
                dir: self.config.node.data_dir.display().to_string(),
            }),
            status = failed => {
                if let Some(newer) = self.machine.newer() {
                    return Err(newer.into());
                }
                let failure = status.ok().and_then(|s| s.failure.clone());
                Err(NodeError::Failed(failure.unwrap_or_else(|| "the log stopped".into())))
            }
        }
    }

    /// Takes everything apart in the reverse order of the start. The log hands its lead over before it ends.
    async fn stop(self) -> Result<(), NodeError> {
        tracing::info!("stopping");
        self.observer.not_ready("the node is stopping");
        self.ground.close().await;
        for task in self.keeping {
            if let Err(error) = task.await {
                tracing::error!(%error, "housekeeping ended badly");
            }
        }
        self.pinner.abort();
        let mount = self.observer.take_mount();
        let unmounted = blocking(move || mount.map_or(Ok(()), fuse::Mount::unmount)).await;
        self.replicator.stop().await;
        self.ground.close_peers().await;
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

/// A build that is older than the data would stop at the first entry of its level.
fn refuse_newer_state(machine: &MetaMachine, data_dir: &Path) -> Result<(), NodeError> {
    let found = machine.feature_level();
    if found <= FEATURE_LEVEL {
        return Ok(());
    }
    Err(NodeError::NewerState { dir: data_dir.display().to_string(), found })
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
