//! Who this node is: `node.json` in the data directory, and what doors tell of it.
//!
//! Not here: membership (the log). Must always hold: the identity is written once, durably, and never changes.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Addresses, NodeError, data_dir_error};
use crate::config::Config;
use crate::http::{Identity, Owner};
use crate::meta::store::shelf::replace_file;

/// The identity on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// Version of this file.
    pub version: u32,
    /// The node's id in its cluster.
    pub id: u64,
    /// The cluster's id.
    pub cluster_id: String,
}

impl NodeFile {
    /// Reads the identity, or makes one for a new data directory.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, NodeError> {
        let path = data_dir.join("node.json");
        match std::fs::read(&path) {
            Ok(bytes) => Self::read(&bytes)
                .map_err(|reason| NodeError::Identity { path: path.display().to_string(), reason }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let file = Self { version: 1, id: 1, cluster_id: new_cluster_id() };
                let text = serde_json::to_vec_pretty(&file).expect("a struct of plain fields is JSON");
                replace_file(&path, &text).map_err(|e| data_dir_error(data_dir, e))?;
                Ok(file)
            }
            Err(e) => Err(data_dir_error(data_dir, e)),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(bytes).map_err(|e| format!("cannot be read ({e})"))?;
        if file.version == 1 {
            Ok(file)
        } else {
            Err(format!("has version {}, this build knows 1", file.version))
        }
    }
}

/// A fresh cluster id: 32 hexadecimal digits from the system's random numbers.
fn new_cluster_id() -> String {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    uuid.trim().replace('-', "")
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
        resp: None,
        peer: None,
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
