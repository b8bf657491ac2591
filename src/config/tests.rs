//! Tests of settings: precedence, the old variables, and every refusal.
//!
//! Not here: the command line's own parsing. Must always hold: no test reads this process's environment.

use std::path::{Path, PathBuf};

use super::*;

fn sources(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::of_flags(flags);
    sources.variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    sources.system = System { uid: 1000, gid: 100, host_name: "box".into() };
    sources
}

fn load(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> Config {
    Config::load(&sources(flags, variables)).unwrap()
}

fn refusal(flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> String {
    Config::load(&sources(flags, variables)).unwrap_err().to_string()
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = load(&[], &[("HOME", "/home/a")]);
    assert_eq!(config.node.mode, Mode::Raft);
    assert_eq!(config.node.durability, Durability::Fsync);
    assert_eq!(config.node.data_dir, Path::new("/home/a/.local/share/metad"));
    assert_eq!(config.node.name, "box");
    assert_eq!(config.http.address.to_string(), "127.0.0.1:9000");
    assert_eq!(config.resp.address.to_string(), "127.0.0.1:6379");
    assert_eq!(config.resp.sentinel.to_string(), "127.0.0.1:26379");
    assert_eq!(config.cluster.peer.to_string(), "127.0.0.1:9001");
    assert_eq!(config.vfs.files, Path::new("/files"));
    assert_eq!((config.fuse.mount, config.fuse.uid, config.fuse.gid), (None, 1000, 100));
    assert_eq!((config.fuse.file_mode, config.fuse.dir_mode), (0o644, 0o755));
    assert!(!config.insecure && !config.fuse.allow_other && config.webdav.readonly);
}

#[test]
fn the_data_directory_follows_root_then_xdg_then_home() {
    let mut root = sources(&[], &[("HOME", "/root")]);
    root.system.uid = 0;
    assert_eq!(Config::load(&root).unwrap().node.data_dir, Path::new("/var/lib/metad"));
    let xdg = load(&[], &[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")]);
    assert_eq!(xdg.node.data_dir, Path::new("/data/metad"));
}

#[test]
fn flags_beat_variables_beat_the_file_beats_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let file = "name = 'file'\nmode = 'noop'\nfiles = '/f'\npeers = []\ninsecure = true\nhttp_port = 81\n";
    std::fs::write(dir.path().join("metad.toml"), file).unwrap();
    let mut sources = sources(
        &[("name", "flag")],
        &[("METAD_NODE_NAME", "variable"), ("FILES_VOLUME", "/v"), ("REDIS_URL", "")],
    );
    sources.directory = dir.path().to_owned();
    let (config, found) = Config::load_with_origins(&sources).unwrap();
    assert_eq!(config.node.name, "flag");
    assert_eq!(config.vfs.files, Path::new("/v"));
    assert_eq!((config.node.mode, config.node.durability), (Mode::Noop, Durability::Os));
    assert_eq!(config.http.address.port, 81);
    assert!(config.insecure);
    assert_eq!(config.legacy.redis_url, None, "an empty variable is not set");
    assert_eq!(found["name"].origin, Origin::Flag("name"));
    assert_eq!(found["files"].origin, Origin::Variable("FILES_VOLUME"));
    assert_eq!(found["mode"].origin, Origin::File(dir.path().join("metad.toml")));
    assert_eq!(found["peer"].origin, Origin::Default);
}

#[test]
fn the_old_addresses_are_put_together_from_host_and_port() {
    let old =
        load(&[], &[("META_CORE_HTTP_HOST", "localhost"), ("META_CORE_HTTP_PORT", "0"), ("REDIS_PORT", "7")]);
    assert_eq!(old.http.address.to_string(), "localhost:0");
    assert_eq!(old.resp.address.to_string(), "localhost:7");
    let flags = load(
        &[("http", "127.0.0.1:1"), ("resp", "127.0.0.1:2")],
        &[("META_CORE_HTTP_PORT", "8"), ("REDIS_PORT", "9")],
    );
    assert_eq!((flags.http.address.port, flags.resp.address.port), (1, 2));
    let both = load(&[], &[("METAD_RESP", "127.0.0.1:3"), ("REDIS_PORT", "9")]);
    assert_eq!(both.resp.address.port, 3);
}

#[test]
fn extra_ports_are_bound_on_the_http_host() {
    let config = load(&[], &[("API_PORT", "8180"), ("WEBDAV_PORT", "0"), ("API_HOST", "localhost")]);
    assert_eq!(config.http.api.unwrap().to_string(), "localhost:8180");
    assert_eq!(config.http.webdav.unwrap().to_string(), "127.0.0.1:0");
}

#[test]
fn an_unknown_variable_or_key_suggests_the_right_one() {
    assert_eq!(
        refusal(&[], &[("METAD_MOD", "raft")]),
        "unknown variable METAD_MOD; did you mean METAD_MODE?"
    );
    load(&[], &[("METAD_TEST_DATA", "/somewhere")]);
    assert!(refusal(&[], &[("METAD_QQQ", "1")]).contains("`metad config show` lists all"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.toml");
    std::fs::write(&path, "dataDir = '/x'\nconfig = 'y'\nhttp = { port = 1 }").unwrap();
    let text = refusal(&[("config", path.to_str().unwrap())], &[]);
    assert!(text.contains("unknown key `dataDir`") && text.contains("did you mean `data_dir`?"), "{text}");
    assert!(text.contains("unknown key `config`"), "the file cannot name the file: {text}");
    assert!(text.contains("a string, a number"), "{text}");
}

#[test]
fn a_file_that_is_named_must_be_there_and_be_toml() {
    assert!(refusal(&[("config", "/nonexistent/m.toml")], &[]).contains("cannot read the settings file"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.toml");
    std::fs::write(&path, "name = ").unwrap();
    assert!(refusal(&[], &[("METAD_CONFIG", path.to_str().unwrap())]).contains("is not valid TOML"));
}

#[test]
fn malformed_values_are_all_reported_at_once_with_their_origin() {
    let text = refusal(
        &[("mode", "rafd"), ("http", "9000")],
        &[
            ("PUID", "me"),
            ("FUSE_FILE_MODE", "888"),
            ("HEARTBEAT_INTERVAL_MS", "0"),
            ("WEBDAV_READONLY", "perhaps"),
        ],
    );
    for expected in [
        "--mode: `rafd` will not do: did you mean raft?",
        "--http: `9000` will not do: an address is host:port",
        "PUID: `me`",
        "FUSE_FILE_MODE: `888`",
        "HEARTBEAT_INTERVAL_MS: `0`",
        "WEBDAV_READONLY: `perhaps`",
    ] {
        assert!(text.contains(expected), "{expected} is missing in:\n{text}");
    }
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn a_listener_for_other_machines_needs_insecure() {
    for (key, value) in [("http", "0.0.0.0:9000"), ("resp", "[::]:1"), ("sentinel", "10.0.0.1:1")] {
        assert!(refusal(&[(key, value)], &[]).contains("--insecure"), "{key}");
        load(&[(key, value), ("insecure", "true")], &[]);
    }
    assert!(refusal(&[], &[("API_PORT", "1"), ("API_HOST", "0.0.0.0")]).starts_with("API_PORT"));
}

#[test]
fn peers_on_other_machines_need_a_secret() {
    let peers = [("peer", "10.0.0.1:1"), ("peers", "10.0.0.1:1,10.0.0.2:1")];
    assert!(refusal(&peers, &[]).contains("--secret-file"));
    let config = load(&peers, &[("METAD_SECRET_FILE", "/s")]);
    assert_eq!(config.cluster.peers.len(), 2);
    assert_eq!(config.cluster.secret_file, Some(PathBuf::from("/s")));
    load(&[("peer", "127.0.0.1:1"), ("peers", "127.0.0.1:1, 127.0.0.1:2")], &[]);
}

#[test]
fn combinations_that_exclude_each_other_are_refused() {
    assert!(refusal(&[("peers", "127.0.0.1:5")], &[]).contains("does not name this node's own address"));
    assert!(refusal(&[("peers", "127.0.0.1:9001"), ("mode", "noop")], &[]).contains("--mode raft"));
    assert!(refusal(&[("durability", "os")], &[]).contains("power cut"));
    assert!(refusal(&[], &[("WEBDAV_USERNAME", "a")]).contains("belong together"));
    assert_eq!(load(&[("durability", "fsync"), ("mode", "noop")], &[]).node.durability, Durability::Fsync);
}

#[test]
fn the_flock_volume_has_the_old_default_in_flock_mode_only() {
    assert_eq!(load(&[], &[]).legacy.meta_core_path, None);
    assert_eq!(load(&[("mode", "flock")], &[]).legacy.meta_core_path, Some(PathBuf::from("/meta-core")));
}
