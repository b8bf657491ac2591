//! What the door stands on: handed in by `node`, cloned into every request.
//!
//! Not here: how any of it works. Must always hold: a handle answers from RAM, or says in its own contract that it waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::{Fut, ReplicateError, SnapshotExport};
use tokio_util::sync::CancellationToken;

use super::cids::CidIndex;
use super::disk::Disk;
use super::measure::Figures;
use super::options::Options;
use crate::clock::Clock;
use crate::meta::control::ClusterControl;
use crate::meta::service::{MetadataService, WriteOptions};
use crate::telemetry::Metrics;
use crate::vfs::VirtualTree;
use crate::vfs::keeper::TreeKeeper;

/// Who this node is and where it can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The node's id in its cluster.
    pub id: u64,
    /// The node's name for people; sent as `X-Meta-Node`.
    pub name: String,
    /// The cluster's id, as text.
    pub cluster_id: String,
    /// The machine's host name.
    pub host: String,
    /// `SERVICE_NAME`.
    pub service_name: String,
    /// `SERVICE_VERSION`.
    pub service_version: String,
    /// `BASE_URL`, if it was given.
    pub base_url: Option<String>,
    /// Address under which others reach this machine: the first one that is not loopback, when the doors are open to it.
    pub ip: String,
    /// The HTTP door as `ip:port`, really bound.
    pub http: String,
    /// Port that `/leader` and `/urls` announce as the API: `API_PORT` when it is bound, else the HTTP port.
    pub api_port: u16,
    /// The Redis door as `ip:port`, if it is there.
    pub resp: Option<String>,
    /// The peer door as `ip:port`, if it is there.
    pub peer: Option<String>,
    /// When the process started, in milliseconds since the epoch.
    pub started_ms: u64,
    /// Process id.
    pub pid: u32,
    /// Owner and permissions that `/api/fuse/getattr` shows.
    pub owner: Owner,
}

/// Owner and permissions of everything in the tree, as the mount shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Permission bits of files.
    pub file_mode: u32,
    /// Permission bits of directories.
    pub dir_mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One readiness check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name, as in `/readyz/{check}`.
    pub name: &'static str,
    /// `None` when it passes, else what is wrong.
    pub problem: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and something may go wrong later.
    Warn,
    /// Something does not work, or data is in danger.
    Fail,
}

/// What a node found when it examined itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub name: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do; empty when all is well.
    pub advice: String,
}

impl Finding {
    /// All is well.
    pub fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, text: text.into(), advice: String::new() }
    }

    /// Something may go wrong later.
    pub fn warn(name: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, text: text.into(), advice: advice.into() }
    }

    /// Something is wrong.
    pub fn fail(name: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, text: text.into(), advice: advice.into() }
    }
}

/// The mount of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where.
    pub path: String,
    /// `mounted`, or what else it is doing.
    pub state: String,
    /// Whether the kernel reads backing files without asking us.
    pub passthrough: bool,
}

/// What only `node` can see.
pub trait NodeView: Send + Sync {
    /// All readiness checks in a fixed order; never waits.
    fn checks(&self) -> Vec<Check>;

    /// The mount, if one was asked for.
    fn mount(&self) -> Option<Mount>;

    /// What the other doors count, for `/metrics`; never waits.
    fn figures(&self) -> Figures {
        Figures::default()
    }

    /// The members of the cluster, by id; none where there is no cluster. Local and stale, never waits.
    fn members(&self) -> Vec<MemberView> {
        Vec::new()
    }

    /// Why no leader can be counted on right now, though the log may still name one: it names the last that was elected,
    /// also when that node, or the majority behind it, is gone. `None` is good. Never waits.
    fn leaderless(&self) -> Option<String> {
        None
    }

    /// What must not be and is: told until the process ends. `None` is good.
    fn alarm(&self) -> Option<String> {
        None
    }

    /// How far this node's clock is ahead of the voters' median, in milliseconds; `None` while that is not known.
    fn clock_ahead_ms(&self) -> Option<i64> {
        None
    }

    /// Changes of the cluster; `None` where there is no cluster.
    fn control(&self) -> Option<&dyn ClusterControl> {
        None
    }

    /// What the node finds wrong with itself; it may block.
    fn examine(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// What it finds on its ways to the other members; waits for their answers, and not long.
    fn examine_peers(&self) -> Fut<'_, Vec<Finding>> {
        Box::pin(async { Vec::new() })
    }

    /// A snapshot with at least what is applied now, see [`metad_raft::PosixMetadataReplicator::export`].
    fn snapshot(&self, deadline: Instant) -> Fut<'_, Result<SnapshotExport, ReplicateError>> {
        let _ = deadline;
        Box::pin(async { Err(ReplicateError::Stopped) })
    }
}

/// A member of the cluster, as this node knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberView {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Whether it votes.
    pub voter: bool,
    /// Whether it leads.
    pub leads: bool,
    /// Its HTTP address; `None` while it is not known.
    pub http: Option<String>,
    /// Its Redis address, if it has that door.
    pub resp: Option<String>,
    /// Its peer address, if it has one.
    pub peer: Option<String>,
    /// Index up to which its log is known to match: of all on the leader, of itself elsewhere.
    pub matched_index: Option<u64>,
    /// Entries that it lacks, as far as that is known.
    pub lag: Option<u64>,
    /// Time of the last exchange with it.
    pub rtt: Option<Duration>,
    /// How long ago it last answered.
    pub seen: Option<Duration>,
}

/// Everything that the HTTP door needs.
#[derive(Clone)]
pub struct Handles {
    /// Metadata.
    pub service: Arc<dyn MetadataService>,
    /// The virtual tree.
    pub tree: Arc<VirtualTree>,
    /// Whoever keeps the tree up to date.
    pub keeper: Arc<dyn TreeKeeper>,
    /// Wall-clock time, for answers only.
    pub clock: Arc<dyn Clock>,
    /// Who and where.
    pub identity: Arc<Identity>,
    /// Readiness and mount.
    pub node: Arc<dyn NodeView>,
    /// What `/metrics` shows, and where requests are counted.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the node stops: endless answers end.
    pub closing: CancellationToken,
    /// Timeouts.
    pub options: Options,
}

impl Handles {
    /// When a metadata request that starts now must give up.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.options.request_timeout
    }

    /// Write options of a request that starts now.
    pub(super) fn write_options(&self) -> WriteOptions {
        WriteOptions { deadline: self.deadline() }
    }

    /// Applied index of the local state.
    pub(super) fn applied(&self) -> u64 {
        self.service.digest().0
    }
}

/// The handles in the router's hands, and what the door keeps between requests.
pub(super) struct Door {
    handles: Handles,
    /// Who may wait for the files' disk.
    pub disk: Disk,
    /// Which record a CID belongs to.
    pub cids: Arc<CidIndex>,
}

impl Door {
    /// A door over its handles.
    pub fn new(handles: Handles) -> Self {
        let disk = Disk::new(handles.options.disk_timeout);
        Self { disk, cids: Arc::default(), handles }
    }
}

impl std::ops::Deref for Door {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.handles
    }
}

/// The door, cloned into every request.
pub(super) type App = Arc<Door>;
