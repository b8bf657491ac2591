//! The settings that CONFIG GET and CONFIG SET know. They belong to this node and say what clients ask at connect.
//!
//! Not here: metad's own settings (`config`). Must always hold: a setting that is accepted and means nothing here says so
//! in the table below.

use std::collections::BTreeMap;

/// Name, value at start, whether CONFIG SET may change it.
pub const SETTINGS: [(&str, &str, bool); 24] = [
    ("appendfsync", "always", true),
    ("appendonly", "yes", true),
    ("client-query-buffer-limit", "33554432", false),
    ("databases", "1", false),
    ("dir", ".", false),
    ("hash-max-listpack-entries", "128", true),
    ("hash-max-listpack-value", "64", true),
    ("latency-monitor-threshold", "0", true),
    ("list-max-listpack-size", "-2", true),
    ("lua-time-limit", "5000", true),
    ("maxclients", "10000", true),
    ("maxmemory", "0", true),
    ("maxmemory-policy", "noeviction", true),
    ("notify-keyspace-events", "", true),
    ("proto-max-bulk-len", "8388608", false),
    ("repl-backlog-size", "1048576", true),
    ("save", "", true),
    ("set-max-intset-entries", "512", true),
    ("slowlog-log-slower-than", "10000", true),
    ("slowlog-max-len", "128", true),
    ("stream-node-max-bytes", "4096", true),
    ("stream-node-max-entries", "100", true),
    ("tcp-keepalive", "300", true),
    ("timeout", "0", true),
];

/// The values at start.
pub fn defaults() -> BTreeMap<&'static str, String> {
    SETTINGS.iter().map(|(name, value, _)| (*name, (*value).to_owned())).collect()
}

/// The setting of this name and whether it may be changed.
pub fn find(name: &[u8]) -> Option<(&'static str, bool)> {
    let found = SETTINGS.iter().find(|(known, ..)| name.eq_ignore_ascii_case(known.as_bytes()));
    found.map(|(name, _, mutable)| (*name, *mutable))
}
