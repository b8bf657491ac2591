//! Rules between settings.
//!
//! Not here: the shape of single values (`reader`).
//! Must always hold: no listener that other machines can reach opens by accident (design D19).

use super::error::ConfigError;
use super::reader::Reader;
use super::{Address, Config, Durability, Mode};

/// Notes every rule that `config` breaks.
pub(super) fn check(config: &Config, reader: &Reader<'_>) {
    listeners(config, reader);
    peers(config, reader);
    if config.node.mode == Mode::Raft && config.node.durability == Durability::Os {
        reader.problem(ConfigError::Conflict(
            "--durability os does not go with --mode raft: a vote or an entry that is lost in a power cut breaks the \
             promise of Raft; leave it out, or use --mode noop"
                .into(),
        ));
    }
    if config.node.name.trim().is_empty() {
        reader
            .problem(ConfigError::Conflict("--name is blank; give the node a name, or leave it out".into()));
    }
    if config.vfs.files.as_os_str().is_empty() {
        reader.problem(ConfigError::Conflict(
            "--files is blank; name the folder that holds the media files".into(),
        ));
    }
}

/// Every client listener that this configuration opens.
fn doors(config: &Config) -> Vec<(&'static str, &Address)> {
    let mut doors = vec![
        ("--http", &config.http.address),
        ("--resp", &config.resp.address),
        ("--sentinel", &config.resp.sentinel),
    ];
    doors.extend(config.http.api.as_ref().map(|a| ("API_PORT", a)));
    doors.extend(config.http.webdav.as_ref().map(|a| ("WEBDAV_PORT", a)));
    doors
}

fn listeners(config: &Config, reader: &Reader<'_>) {
    for (door, address) in doors(config) {
        if !address.is_loopback() && !config.insecure {
            reader.problem(ConfigError::Exposed { door, address: address.to_string() });
        }
    }
}

fn peers(config: &Config, reader: &Reader<'_>) {
    let cluster = &config.cluster;
    if !cluster.peers.is_empty() && config.node.mode != Mode::Raft {
        reader.problem(ConfigError::Conflict(
            "--peers only goes with --mode raft: the other modes have no peers".into(),
        ));
        return;
    }
    for (at, peer) in cluster.peers.iter().enumerate() {
        if cluster.peers[..at].contains(peer) {
            reader.problem(ConfigError::Conflict(format!(
                "--peers names {peer} twice; name every node once, the same list on every node"
            )));
        }
    }
    if !cluster.peers.is_empty() && cluster.peer.port == 0 {
        reader.problem(ConfigError::Conflict(
            "--peer with port 0 does not go with --peers: the others must know the port".into(),
        ));
    }
    // One on every interface is known to the others under another name, which it cannot know.
    if !cluster.peers.is_empty() && !cluster.peer.is_unspecified() && !cluster.peers.contains(&cluster.peer) {
        reader.problem(ConfigError::NotAmongPeers { own: cluster.peer.to_string() });
    }
    let exposed = std::iter::once(&cluster.peer).chain(&cluster.peers).find(|a| !a.is_loopback());
    if let Some(address) = exposed
        && cluster.secret_file.is_none()
        && !config.insecure
    {
        reader.problem(ConfigError::NoSecret { address: address.to_string() });
    }
}
