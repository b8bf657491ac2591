//! Who this node is: `node.json` in the data directory, and what doors tell of it.
//!
//! ```text
//! new ─► chosen (id and cluster, the log is still to come) ─► starting ─► started (the log was there)
//! ```
//!
//! Not here: membership (the log), how a node gets its id (`formation`). Must always hold: every stage is on disk before
//! the next one begins; a started node has a log, and one that lost it does not come back under its id.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ground::Addresses;
use super::{NodeError, data_dir_error};
use crate::config::Config;
use crate::http::{Identity, Owner};
use crate::meta::cluster::{Member, NodeCard};
use crate::meta::store::shelf::replace_file;

/// Version of `node.json` that this build writes.
const VERSION: u32 = 1;

/// How far a node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It has no id yet.
    New,
    /// It has an id; the others may not know yet.
    Chosen,
    /// All first voters have their ids: the log may begin.
    Starting,
    /// The log has begun.
    #[default]
    Started,
}

/// A first member, as written down until the replicated book is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its peer address.
    pub peer: String,
    /// Its data directory's incarnation.
    pub incarnation: u64,
}

/// The identity on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// Version of this file.
    pub version: u32,
    /// The node's id in its cluster; 0 while it is new.
    pub id: u64,
    /// The cluster's id; empty while the node is new.
    pub cluster_id: String,
    /// How far the node has come.
    #[serde(default)]
    pub stage: Stage,
    /// Drawn with the data directory.
    #[serde(default)]
    pub incarnation: u64,
    /// Whether this node begins the log with all first voters.
    #[serde(default)]
    pub founder: bool,
    /// The members that it knew when it got its id.
    #[serde(default)]
    pub seeds: Vec<Seed>,
    /// The number of its last start; see [`NodeFile::begin_boot`].
    #[serde(default)]
    pub boot: u64,
}

/// Numbers of starts are this far apart: a running node that finds its session overtaken takes the next ones.
const BOOT_STEP: u64 = 1 << 20;

impl NodeFile {
    fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("node.json")
    }

    /// Reads the identity; a new data directory gets a new one.
    pub fn load(data_dir: &Path, raft: bool) -> Result<Self, NodeError> {
        let path = Self::path(data_dir);
        let refused = |reason: String| NodeError::Identity { path: path.display().to_string(), reason };
        match std::fs::read(&path) {
            Ok(bytes) => {
                let file = Self::read(&bytes).map_err(refused)?;
                let has_log = data_dir.join("log/VERSION").exists();
                if raft && file.stage == Stage::Started && !has_log {
                    return Err(refused(file.without_log()));
                }
                Ok(file)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let file = Self::new().map_err(|e| data_dir_error(data_dir, e))?;
                file.store(data_dir)?;
                Ok(file)
            }
            Err(e) => Err(data_dir_error(data_dir, e)),
        }
    }

    fn without_log(&self) -> String {
        format!(
            "says that this is node {} of cluster {}, and the log beside it is gone: such a node must not come back under \
             its id, because it has forgotten its votes; run `metad node replace {} ADDRESS` on another member, and start \
             this one with an empty data directory. It",
            self.id, self.cluster_id, self.id
        )
    }

    fn new() -> std::io::Result<Self> {
        Ok(Self {
            version: VERSION,
            id: 0,
            cluster_id: String::new(),
            stage: Stage::New,
            incarnation: draw()?,
            founder: false,
            seeds: Vec::new(),
            boot: 0,
        })
    }

    /// The number of this start, durably noted before anybody uses it.
    ///
    /// It names the session of this node's doors, and must be above that of every start before, whatever the clock says and
    /// however old the recovered state is: an operation under a number that was used before would be taken for the earlier
    /// one, and answered without being applied.
    pub fn begin_boot(&mut self, now_ms: u64, data_dir: &Path) -> Result<u64, NodeError> {
        self.boot = now_ms.max(self.boot + BOOT_STEP);
        self.store(data_dir)?;
        Ok(self.boot)
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(bytes).map_err(|e| format!("cannot be read ({e})"))?;
        if file.version == VERSION {
            Ok(file)
        } else {
            Err(format!("has version {}, this build knows {VERSION}", file.version))
        }
    }

    /// Writes the identity, durably.
    pub fn store(&self, data_dir: &Path) -> Result<(), NodeError> {
        let text = serde_json::to_vec_pretty(self).expect("a struct of plain fields is JSON");
        replace_file(&Self::path(data_dir), &text).map_err(|e| data_dir_error(data_dir, e))
    }

    /// A node that stands alone takes id 1 of a cluster of its own.
    pub fn alone(&mut self, data_dir: &Path) -> Result<(), NodeError> {
        if self.stage == Stage::New {
            self.id = 1;
            self.cluster_id = new_cluster_id().map_err(|e| data_dir_error(data_dir, e))?;
            (self.stage, self.founder) = (Stage::Starting, true);
            self.store(data_dir)?;
        }
        Ok(())
    }

    /// Goes on to a stage, durably.
    pub fn reach(&mut self, stage: Stage, data_dir: &Path) -> Result<(), NodeError> {
        if self.stage == stage {
            return Ok(());
        }
        self.stage = stage;
        self.store(data_dir)
    }

    /// The first members, for the time before the book.
    pub fn first(&self) -> Vec<Member> {
        let member = |seed: &Seed| Member {
            id: seed.id,
            card: NodeCard {
                name: seed.name.clone(),
                incarnation: seed.incarnation,
                peer: seed.peer.clone(),
                feature_min: 1,
                feature_max: 1,
                ..NodeCard::default()
            },
        };
        self.seeds.iter().map(member).collect()
    }
}

impl From<&Member> for Seed {
    fn from(member: &Member) -> Self {
        let NodeCard { name, peer, incarnation, .. } = member.card.clone();
        Self { id: member.id, name, peer, incarnation }
    }
}

/// A number that nobody draws twice.
fn draw() -> std::io::Result<u64> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    let digits: String = uuid.chars().filter(char::is_ascii_hexdigit).collect();
    // The version and variant digits of the UUID are in the middle: the ends are random.
    let number = digits.get(..8).zip(digits.get(24..32)).map(|(a, b)| format!("{a}{b}"));
    let number = number.and_then(|text| u64::from_str_radix(&text, 16).ok());
    number.ok_or_else(|| std::io::Error::other("the system gave no random number"))
}

/// A fresh cluster id: 32 hexadecimal digits from the system's random numbers.
pub(super) fn new_cluster_id() -> std::io::Result<String> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(uuid.trim().replace('-', ""))
}

/// What doors tell of this node.
pub(super) fn of(config: &Config, file: &NodeFile, addresses: &Addresses, started_ms: u64) -> Identity {
    Identity {
        id: file.id,
        name: config.node.name.clone(),
        cluster_id: file.cluster_id.clone(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        service_name: config.legacy.service_name.clone(),
        service_version: config.legacy.service_version.clone(),
        base_url: config.http.base_url.clone(),
        ip: reachable(addresses.http.ip()).to_string(),
        http: addresses.http.to_string(),
        api_port: addresses.api.unwrap_or(addresses.http).port(),
        resp: Some(addresses.resp.to_string()),
        peer: addresses.peer.map(|a| a.to_string()),
        started_ms,
        pid: std::process::id(),
        owner: Owner {
            file_mode: u32::from(config.fuse.file_mode),
            dir_mode: u32::from(config.fuse.dir_mode),
            uid: config.fuse.uid,
            gid: config.fuse.gid,
        },
    }
}

/// A bound listener as others reach it.
pub(super) fn as_others_see(bound: SocketAddr) -> SocketAddr {
    SocketAddr::new(reachable(bound.ip()), bound.port())
}

/// The address under which others reach a listener: its own, unless it listens on all of them.
fn reachable(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    // Connecting a UDP socket sends nothing; it only asks which of our addresses the route would use.
    let routed = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    routed.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_start_ever_has_the_number_of_an_earlier_one_whatever_the_clock_says() {
        let dir = tempfile::tempdir().unwrap();
        let mut last = 0;
        for now_ms in [1_000_000, 1_000_000, 5, 0, 2_000_000_000, 2_000_000_000] {
            // Read anew each time: the number is noted before it is used.
            let boot = NodeFile::load(dir.path(), true).unwrap().begin_boot(now_ms, dir.path()).unwrap();
            assert!(boot >= last + BOOT_STEP && boot >= now_ms, "{boot} after {last}");
            last = boot;
        }
    }
}
