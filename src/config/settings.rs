//! The settings table: every setting once, with its flag, its variables, its default and its meaning.
//!
//! The command line's flags, the accepted variables, the keys of `metad.toml`, `metad config show` and the README's
//! table are all derived from [`SETTINGS`]; a setting cannot be parsed and undocumented.
//!
//! Not here: where values come from (`sources`), what they mean together (`validate`).
//! Must always hold: keys, flags and variables are unique; the old system's variables keep their names and meanings.

/// What the text of a setting must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// Any text, never shown.
    Secret,
    /// A file or a directory.
    Path,
    /// `host:port`; port 0 takes a free one.
    Address,
    /// 0–65535; 0 takes a free one.
    Port,
    /// `true|false|1|0|yes|no|on|off`; the flag alone means true.
    Switch,
    /// Milliseconds, at least 1.
    Millis,
    /// Permission bits in octal, at most 777.
    Mode,
    /// A numeric user or group.
    Id,
    /// Values separated by commas.
    List,
    /// One of a fixed set.
    Choice(&'static [&'static str]),
}

/// The value that holds when nobody sets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This text, read like a value that somebody set.
    Value(&'static str),
    /// Worked out at start; the text says from what.
    Computed(&'static str),
    /// None; the text says what that means.
    Absent(&'static str),
}

impl Fallback {
    /// How the default is shown to people.
    pub fn shown(&self) -> &'static str {
        match self {
            Self::Value(text) | Self::Computed(text) | Self::Absent(text) => text,
        }
    }
}

/// Who reads a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `metad serve`: may stand in the file.
    Serve,
    /// Needed before the file is read, or read by client commands: never stands in the file.
    Outside,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Key in `metad.toml`, and the setting's name everywhere else.
    pub key: &'static str,
    /// Flag of `metad serve` without the dashes.
    pub flag: Option<&'static str>,
    /// What the flag's value is called in the help.
    pub value_name: &'static str,
    /// Environment variables; the first one that is set and not empty counts.
    pub variables: &'static [&'static str],
    /// What the text must look like.
    pub kind: Kind,
    /// What holds when it is not set.
    pub fallback: Fallback,
    /// Who reads it.
    pub scope: Scope,
    /// One sentence for people.
    pub meaning: &'static str,
}

/// A setting that has a flag.
const fn flag(
    key: &'static str,
    flag: &'static str,
    value_name: &'static str,
    variables: &'static [&'static str],
    kind: Kind,
    fallback: Fallback,
    meaning: &'static str,
) -> Setting {
    Setting { key, flag: Some(flag), value_name, variables, kind, fallback, scope: Scope::Serve, meaning }
}

/// A setting without a flag: a variable of the old system.
const fn variable(
    key: &'static str,
    variables: &'static [&'static str],
    kind: Kind,
    fallback: Fallback,
    meaning: &'static str,
) -> Setting {
    Setting { key, flag: None, value_name: "", variables, kind, fallback, scope: Scope::Serve, meaning }
}

/// The values of `--mode`.
pub const MODES: &[&str] = &["raft", "noop", "flock"];
/// The values of `--durability`.
pub const DURABILITIES: &[&str] = &["os", "fsync"];
/// The values of `--log-format`.
pub const LOG_FORMATS: &[&str] = &["text", "json"];

use Fallback::{Absent, Computed, Value};
use Kind::{Address, Choice, Id, List, Millis, Mode, Path, Port, Secret, Switch, Text};

/// Every setting, in the order in which people read them.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    flag("mode", "mode", "MODE", &["METAD_MODE"], Choice(MODES), Value("raft"),
        "How writes are agreed on: `raft` replicates, `noop` is one node with a local journal, `flock` is the old election over a shared volume."),
    flag("data_dir", "data-dir", "DIR", &["METAD_DATA_DIR"], Path, Computed("/var/lib/metad as root, else the XDG data directory"),
        "The node's own directory: log, state, identity and `runtime.json`."),
    flag("name", "name", "NAME", &["METAD_NODE_NAME"], Text, Computed("host name"),
        "The node's name for people."),
    flag("http", "http", "ADDR", &[], Address, Value("127.0.0.1:9000"),
        "Address of HTTP: API, dashboard and WebDAV."),
    variable("http_host", &["META_CORE_HTTP_HOST"], Text, Absent("host of `http`"),
        "Host of the HTTP address, on its own."),
    variable("http_port", &["META_CORE_HTTP_PORT"], Port, Absent("port of `http`"),
        "Port of the HTTP address, on its own."),
    flag("resp", "resp", "ADDR", &["METAD_RESP"], Address, Value("127.0.0.1:6379"),
        "Address of the Redis protocol."),
    variable("redis_port", &["REDIS_PORT"], Port, Absent("port of `resp`"),
        "Port of the Redis protocol, on the HTTP host."),
    flag("sentinel", "sentinel", "ADDR", &["METAD_SENTINEL"], Address, Value("127.0.0.1:26379"),
        "Address of the Sentinel protocol, which tells Redis clients who leads."),
    flag("peer", "peer", "ADDR", &["METAD_PEER"], Address, Value("127.0.0.1:9001"),
        "Address for the other nodes."),
    flag("peers", "peers", "A,B,C", &["METAD_PEERS"], List, Absent("none: one voter"),
        "Peer addresses of all first voters: the same list on every node, its own address included."),
    flag("files", "files", "DIR", &["FILES_PATH", "FILES_VOLUME"], Path, Value("/files"),
        "The folder that holds the media files; nothing outside it is ever served."),
    flag("mount", "mount", "DIR", &["FUSE_MOUNT_POINT"], Path, Absent("no mount"),
        "Where to mount the virtual tree."),
    flag("secret_file", "secret-file", "FILE", &["METAD_SECRET_FILE"], Path, Absent("none"),
        "File with the secret that the nodes share; needed for peers that are not on loopback."),
    flag("durability", "durability", "HOW", &["METAD_DURABILITY"], Choice(DURABILITIES), Computed("`fsync` in raft (fixed), `os` in noop"),
        "When a write counts as stored: after an fsync, or once the operating system has it."),
    flag("insecure", "insecure", "", &["METAD_INSECURE"], Switch, Value("false"),
        "Allow addresses that other machines can reach without any authentication."),
    Setting { scope: Scope::Outside, ..flag("config", "config", "FILE", &["METAD_CONFIG"], Path, Computed("`metad.toml` if present"),
        "The settings file.") },
    flag("log", "log", "LEVEL", &["METAD_LOG", "RUST_LOG"], Text, Value("info"),
        "What is logged: a level (error, warn, info, debug, trace) or a list of `module=level`."),
    flag("log_format", "log-format", "FORMAT", &["METAD_LOG_FORMAT"], Choice(LOG_FORMATS), Value("text"),
        "The shape of log lines on stderr."),
    variable("meta_core_path", &["META_CORE_PATH"], Path, Computed("none; `/meta-core` in flock mode"),
        "The old system's shared volume with locks and services."),
    variable("service_name", &["SERVICE_NAME"], Text, Value("meta-core"),
        "The name under which this node is found among the services."),
    variable("service_version", &["SERVICE_VERSION"], Text, Computed("the version of metad"),
        "The version that is announced to the services."),
    variable("base_url", &["BASE_URL"], Text, Absent("worked out from the address"),
        "A stable URL of this service, when it stands behind a proxy."),
    variable("api_port", &["API_PORT"], Port, Absent("no second listener"),
        "A second port for the same HTTP routes."),
    variable("api_host", &["API_HOST"], Text, Absent("the HTTP host"),
        "Host of the listener of `API_PORT`."),
    variable("health_check_interval_ms", &["HEALTH_CHECK_INTERVAL_MS"], Millis, Value("5000"),
        "How often the health of the store and of the leader is checked."),
    variable("heartbeat_interval_ms", &["HEARTBEAT_INTERVAL_MS"], Millis, Value("30000"),
        "How often a service says that it lives."),
    variable("stale_threshold_ms", &["STALE_THRESHOLD_MS"], Millis, Value("60000"),
        "A service that was silent for longer counts as stale."),
    variable("redis_url", &["REDIS_URL"], Text, Absent("found through the leader"),
        "A Redis server to talk to in flock mode, instead of the leader's."),
    variable("redis_prefix", &["REDIS_PREFIX"], Text, Value("meta-sort:"),
        "Key prefix that old clients put in front of their keys."),
    variable("vfs_refresh_interval_ms", &["VFS_REFRESH_INTERVAL"], Millis, Value("30000"),
        "How often the virtual tree is compared with the store; changes themselves arrive at once."),
    variable("fuse_file_mode", &["FUSE_FILE_MODE", "FUSE_FILE_PERM"], Mode, Value("644"),
        "Permission bits of files in the mount."),
    variable("fuse_dir_mode", &["FUSE_DIR_MODE", "FUSE_DIR_PERM"], Mode, Value("755"),
        "Permission bits of directories in the mount."),
    variable("fuse_allow_other", &["FUSE_ALLOW_OTHER"], Switch, Value("false"),
        "Let other users read the mount."),
    variable("puid", &["PUID"], Id, Computed("the user of the process"),
        "Owner of everything in the mount."),
    variable("pgid", &["PGID"], Id, Computed("the group of the process"),
        "Group of everything in the mount."),
    variable("webdav_port", &["WEBDAV_PORT"], Port, Absent("no second listener"),
        "A second port for the same HTTP routes, WebDAV among them."),
    variable("webdav_username", &["WEBDAV_USERNAME"], Text, Absent("no login"),
        "User name that WebDAV asks for."),
    variable("webdav_password", &["WEBDAV_PASSWORD"], Secret, Absent("no login"),
        "Password that WebDAV asks for."),
    variable("webdav_readonly", &["WEBDAV_READONLY"], Switch, Value("true"),
        "Whether WebDAV refuses writes; the virtual tree always does."),
    variable("meta_sort_webdav_url", &["META_SORT_WEBDAV_URL"], Text, Absent("local files only"),
        "Another WebDAV server to fetch file bytes from that are not here."),
    variable("fuse_api_url", &["FUSE_API_URL"], Text, Absent("this process"),
        "Accepted for old compose files; the mount and the API are one process now."),
    Setting { scope: Scope::Outside, ..variable("endpoints", &["METAD_ENDPOINTS"], List, Value("http://127.0.0.1:9000"),
        "Nodes that client commands ask, in this order (`-e/--endpoint`).") },
];

/// The setting called `key`.
pub fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key)
}

/// The setting that a variable belongs to.
pub fn by_variable(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.variables.contains(&name))
}

/// The candidate nearest to `word`, when one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// The README's table of settings, as Markdown, ending with a newline.
pub fn markdown_table() -> String {
    let mut out = String::from(
        "| flag of `serve` | variable | in `metad.toml` | default | meaning |\n|---|---|---|---|---|\n",
    );
    for s in SETTINGS {
        let flag =
            s.flag.map(|f| format!("`--{} {}`", f, s.value_name).replace(" `", "`")).unwrap_or_default();
        let variables = s.variables.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
        let key = if s.scope == Scope::Serve { format!("`{}`", s.key) } else { String::new() };
        let default = match s.fallback {
            Value(text) => format!("`{text}`"),
            Computed(text) | Absent(text) => text.to_owned(),
        };
        out.push_str(&format!(
            "| {flag} | {variables} | {key} | {default} | {} |\n",
            s.meaning.replace('|', "\\|")
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_flags_and_variables_are_unique() {
        let mut seen = BTreeSet::new();
        for s in SETTINGS {
            let names = std::iter::once(format!("key {}", s.key))
                .chain(s.flag.map(|f| format!("flag {f}")))
                .chain(s.variables.iter().map(|v| format!("variable {v}")));
            for name in names {
                assert!(seen.insert(name.clone()), "{name} is declared twice");
            }
        }
    }

    #[test]
    fn the_old_variables_keep_their_names() {
        let old = "META_CORE_PATH FILES_PATH SERVICE_NAME SERVICE_VERSION API_PORT API_HOST BASE_URL REDIS_PORT \
            META_CORE_HTTP_PORT META_CORE_HTTP_HOST HEALTH_CHECK_INTERVAL_MS HEARTBEAT_INTERVAL_MS STALE_THRESHOLD_MS \
            REDIS_URL REDIS_PREFIX VFS_REFRESH_INTERVAL FUSE_MOUNT_POINT FUSE_FILE_MODE FUSE_DIR_MODE FUSE_ALLOW_OTHER \
            PUID PGID WEBDAV_PORT WEBDAV_USERNAME WEBDAV_PASSWORD WEBDAV_READONLY META_SORT_WEBDAV_URL FUSE_API_URL \
            FILES_VOLUME";
        for name in old.split_whitespace() {
            assert!(by_variable(name).is_some(), "{name} is gone");
        }
    }

    #[test]
    fn the_table_has_a_row_for_every_setting() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), SETTINGS.len() + 2);
        assert!(table.contains("| `--insecure` | `METAD_INSECURE` | `insecure` | `false` |"), "{table}");
        assert!(table.contains("| `--files DIR` | `FILES_PATH`, `FILES_VOLUME` | `files` | `/files` |"));
    }

    #[test]
    fn a_typing_error_finds_what_was_meant_and_nonsense_finds_nothing() {
        let keys = || SETTINGS.iter().map(|s| s.key);
        assert_eq!(nearest("data-dir", keys()), Some("data_dir"));
        assert_eq!(nearest("sentinal", keys()), Some("sentinel"));
        assert_eq!(nearest("zzzz", keys()), None);
    }
}
