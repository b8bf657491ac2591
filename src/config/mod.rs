//! Settings: one table, four sources, one validated [`Config`].
//!
//! ```text
//! flags ┐
//! variables ┼─ sources::resolve ─► texts with origins ─ reader ─► Config::load ─ validate ─► Config
//! metad.toml ┤
//! defaults ┘
//! ```
//!
//! Not here: anything that listens, opens or creates. Must always hold: a `Config` in hand has passed every check, and
//! a refusal lists every problem at once.

pub mod address;
pub mod error;
mod reader;
pub mod settings;
pub mod sources;
mod validate;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use address::Address;
pub use error::{ConfigError, ConfigErrors};
use reader::Reader;
pub use sources::{Found, Origin, Sources, System};

/// How writes are agreed on (design D10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Replicated by Raft; one voter when there are no peers.
    Raft,
    /// One node with a local journal, no network.
    Noop,
    /// The old system: flock election over a shared volume.
    Flock,
}

/// When a write counts as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Once the operating system has it: survives kill -9, not a power cut.
    Os,
    /// After an fsync.
    Fsync,
}

/// The node itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// How writes are agreed on.
    pub mode: Mode,
    /// When a write counts as stored.
    pub durability: Durability,
    /// The node's own directory.
    pub data_dir: PathBuf,
    /// The node's name for people.
    pub name: String,
}

/// The other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Where this node listens for the others.
    pub peer: Address,
    /// Peer addresses of all first voters, this node's included; empty for one voter.
    pub peers: Vec<Address>,
    /// File with the shared secret.
    pub secret_file: Option<PathBuf>,
}

/// The HTTP door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address of contract, dashboard and WebDAV.
    pub address: Address,
    /// `API_PORT`: the same routes once more.
    pub api: Option<Address>,
    /// `WEBDAV_PORT`: the same routes once more.
    pub webdav: Option<Address>,
    /// A stable URL of this service.
    pub base_url: Option<String>,
}

/// The Redis door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RespConfig {
    /// Address of the Redis protocol.
    pub address: Address,
    /// Address of the Sentinel protocol.
    pub sentinel: Address,
    /// Key prefix of old clients, taken off in front of known keys.
    pub prefix: String,
}

/// The virtual tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VfsConfig {
    /// The folder that holds the media files.
    pub files: PathBuf,
    /// How often tree and store are compared.
    pub refresh_interval: Duration,
    /// Another WebDAV server for bytes that are not here.
    pub remote_url: Option<String>,
}

/// The mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuseConfig {
    /// Where to mount; `None` mounts nothing.
    pub mount: Option<PathBuf>,
    /// Permission bits of files.
    pub file_mode: u16,
    /// Permission bits of directories.
    pub dir_mode: u16,
    /// Owner of everything.
    pub uid: u32,
    /// Group of everything.
    pub gid: u32,
    /// Whether other users may read the mount.
    pub allow_other: bool,
}

/// WebDAV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebdavConfig {
    /// User name and password, when a login is wanted.
    pub login: Option<(String, String)>,
    /// Whether writes are refused.
    pub readonly: bool,
}

/// What the old system's volume and services need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LegacyConfig {
    /// The shared volume with locks and services.
    pub meta_core_path: Option<PathBuf>,
    /// Name among the services.
    pub service_name: String,
    /// Announced version.
    pub service_version: String,
    /// How often health is checked.
    pub health_check_interval: Duration,
    /// How often a service says that it lives.
    pub heartbeat_interval: Duration,
    /// Silence after which a service counts as stale.
    pub stale_threshold: Duration,
    /// A Redis to talk to in flock mode.
    pub redis_url: Option<String>,
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or a list of `module=level`.
    pub filter: String,
    /// The shape of the lines.
    pub format: LogFormat,
}

/// All settings of a node, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node itself.
    pub node: NodeConfig,
    /// The other nodes.
    pub cluster: ClusterConfig,
    /// The HTTP door.
    pub http: HttpConfig,
    /// The Redis door.
    pub resp: RespConfig,
    /// The virtual tree.
    pub vfs: VfsConfig,
    /// The mount.
    pub fuse: FuseConfig,
    /// WebDAV.
    pub webdav: WebdavConfig,
    /// The old system's volume and services.
    pub legacy: LegacyConfig,
    /// Logs.
    pub log: LogConfig,
    /// Whether listeners may be reachable from other machines without authentication.
    pub insecure: bool,
}

/// The text of one setting, for commands that need one and run no node.
///
/// # Errors
/// Unknown settings and a file that cannot be read; other settings' values are not looked at.
///
/// # Panics
/// When `key` is no setting.
pub fn lookup(sources: &Sources, key: &str) -> Result<Option<String>, ConfigErrors> {
    let mut errors = Vec::new();
    let mut found = sources::resolve(sources, &mut errors);
    if !errors.is_empty() {
        return Err(ConfigErrors(errors));
    }
    Ok(found.remove(key).expect("callers name declared settings").text)
}

impl Config {
    /// Reads and checks all settings.
    ///
    /// # Errors
    /// Every problem at once: unknown settings, malformed values, combinations that exclude each other.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        Self::load_with_origins(sources).map(|(config, _)| config)
    }

    /// Like [`Config::load`], with the text and the origin of every setting for `metad config show`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with_origins(
        sources: &Sources,
    ) -> Result<(Self, BTreeMap<&'static str, Found>), ConfigErrors> {
        let mut errors = Vec::new();
        let mut found = sources::resolve(sources, &mut errors);
        let reader = Reader::new(&found, errors);
        let config = build(&reader, sources);
        validate::check(&config, &reader);
        let errors = reader.into_errors();
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        show_computed(&config, &mut found);
        Ok((config, found))
    }
}

fn build(r: &Reader<'_>, sources: &Sources) -> Config {
    let mode = match r.choice("mode") {
        Some("noop") => Mode::Noop,
        Some("flock") => Mode::Flock,
        _ => Mode::Raft,
    };
    let http = http(r);
    Config {
        node: NodeConfig {
            mode,
            durability: durability(r, mode),
            data_dir: r.path("data_dir").unwrap_or_else(|| default_data_dir(sources)),
            name: r.text("name").unwrap_or_else(|| sources.system.host_name.clone()),
        },
        cluster: ClusterConfig {
            peer: r.address("peer").expect("the peer address has a default"),
            peers: r.addresses("peers"),
            secret_file: r.path("secret_file"),
        },
        resp: resp(r, &http.address),
        vfs: VfsConfig {
            files: r.path("files").expect("the files folder has a default"),
            refresh_interval: r.millis("vfs_refresh_interval_ms"),
            remote_url: r.text("meta_sort_webdav_url"),
        },
        fuse: FuseConfig {
            mount: r.path("mount"),
            file_mode: r.mode("fuse_file_mode"),
            dir_mode: r.mode("fuse_dir_mode"),
            uid: r.id("puid").unwrap_or(sources.system.uid),
            gid: r.id("pgid").unwrap_or(sources.system.gid),
            allow_other: r.switch("fuse_allow_other"),
        },
        webdav: WebdavConfig { login: login(r), readonly: r.switch("webdav_readonly") },
        legacy: legacy(r, mode),
        log: LogConfig {
            filter: r.text("log").expect("the log level has a default"),
            format: if r.choice("log_format") == Some("json") { LogFormat::Json } else { LogFormat::Text },
        },
        insecure: r.switch("insecure"),
        http,
    }
}

/// The HTTP address: host and port on their own count where they are set in a stronger place than the whole.
fn http(r: &Reader<'_>) -> HttpConfig {
    let mut address = r.address("http").expect("the HTTP address has a default");
    if let Some(host) = r.text("http_host").filter(|_| r.rank("http_host") > r.rank("http")) {
        address.host = host;
    }
    if let Some(port) = r.port("http_port").filter(|_| r.rank("http_port") > r.rank("http")) {
        address.port = port;
    }
    let api_host = r.text("api_host").unwrap_or_else(|| address.host.clone());
    HttpConfig {
        api: r.port("api_port").map(|port| Address::new(api_host, port)),
        webdav: r.port("webdav_port").map(|port| Address::new(address.host.clone(), port)),
        base_url: r.text("base_url"),
        address,
    }
}

/// The Redis address: `METAD_RESP`, else `REDIS_PORT` on the HTTP host.
fn resp(r: &Reader<'_>, http: &Address) -> RespConfig {
    let whole = r.address("resp").expect("the Redis address has a default");
    let port = r.port("redis_port").filter(|_| r.rank("redis_port") > r.rank("resp"));
    RespConfig {
        address: port.map_or(whole, |port| Address::new(http.host.clone(), port)),
        sentinel: r.address("sentinel").expect("the Sentinel address has a default"),
        prefix: r.text("redis_prefix").unwrap_or_default(),
    }
}

fn durability(r: &Reader<'_>, mode: Mode) -> Durability {
    match r.choice("durability") {
        Some("fsync") => Durability::Fsync,
        Some(_) => Durability::Os,
        None if mode == Mode::Noop => Durability::Os,
        None => Durability::Fsync,
    }
}

fn login(r: &Reader<'_>) -> Option<(String, String)> {
    match (r.text("webdav_username"), r.text("webdav_password")) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            r.problem(ConfigError::Conflict(
                "WEBDAV_USERNAME and WEBDAV_PASSWORD belong together: set both, or neither".into(),
            ));
            None
        }
    }
}

fn legacy(r: &Reader<'_>, mode: Mode) -> LegacyConfig {
    let shared = (mode == Mode::Flock).then(|| PathBuf::from("/meta-core"));
    LegacyConfig {
        meta_core_path: r.path("meta_core_path").or(shared),
        service_name: r.text("service_name").expect("the service name has a default"),
        service_version: r.text("service_version").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        health_check_interval: r.millis("health_check_interval_ms"),
        heartbeat_interval: r.millis("heartbeat_interval_ms"),
        stale_threshold: r.millis("stale_threshold_ms"),
        redis_url: r.text("redis_url"),
    }
}

/// `/var/lib/metad` as root, else `$XDG_DATA_HOME/metad` or `~/.local/share/metad`.
///
/// Source: <https://specifications.freedesktop.org/basedir-spec/latest/>.
fn default_data_dir(sources: &Sources) -> PathBuf {
    if sources.system.uid == 0 {
        return PathBuf::from("/var/lib/metad");
    }
    let xdg = sources.variable("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let home = || sources.variable("HOME").map(|h| PathBuf::from(h).join(".local/share"));
    xdg.or_else(home).map_or_else(|| PathBuf::from("metad-data"), |base| base.join("metad"))
}

/// Fills in what was worked out, so that `config show` shows what holds.
fn show_computed(config: &Config, found: &mut BTreeMap<&'static str, Found>) {
    let durability = match config.node.durability {
        Durability::Os => "os",
        Durability::Fsync => "fsync",
    };
    let computed = [
        ("data_dir", Some(config.node.data_dir.display().to_string())),
        ("name", Some(config.node.name.clone())),
        ("durability", Some(durability.to_owned())),
        ("puid", Some(config.fuse.uid.to_string())),
        ("pgid", Some(config.fuse.gid.to_string())),
        ("service_version", Some(config.legacy.service_version.clone())),
        ("meta_core_path", config.legacy.meta_core_path.as_ref().map(|p| p.display().to_string())),
    ];
    for (key, text) in computed {
        let entry = found.get_mut(key).expect("computed settings are declared");
        if entry.text.is_none() {
            entry.text = text;
        }
    }
}

#[cfg(test)]
mod tests;
