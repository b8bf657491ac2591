//! Every metric, named once: the fields of [`Metrics`] and the lines of `/metrics` come from the same list.
//!
//! Units are seconds and bytes; counters end in `_total`. Names follow etcd where etcd has one.
//!
//! Not here: who counts. Must always hold: label values come from small fixed sets (a route's template, never a path).

use super::family::{Counter, Family, Gauge, Histogram};

/// Bounds for times of requests and disk operations, in seconds: 50 µs to 10 s.
const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Names that are kept for figures that nobody counts yet: they come with the part that counts them, and mean nothing else.
pub const RESERVED: &[&str] = &[
    "metad_raft_leader_changes_total",
    "metad_raft_proposals_total",
    "metad_raft_proposals_pending",
    "metad_raft_commit_duration_seconds",
    "metad_raft_apply_duration_seconds",
    "metad_raft_apply_batch_entries",
    "metad_raft_fsync_duration_seconds",
    "metad_raft_append_batch_entries",
    "metad_raft_read_index_duration_seconds",
    "metad_raft_snapshot_build_seconds",
    "metad_raft_snapshot_install_seconds",
    "metad_raft_snapshot_bytes",
    "metad_store_bytes",
    "metad_store_write_behind_seconds",
    "metad_intake_batch_operations",
    "metad_events_appended_total",
    "metad_watchers_dropped_total",
    "metad_resp_command_duration_seconds",
    "metad_resp_blocked_clients",
    "metad_vfs_rule_errors_total",
    "metad_vfs_build_seconds",
    "metad_fuse_operations_total",
    "metad_fuse_operation_duration_seconds",
    "metad_fuse_read_bytes_total",
    "metad_fuse_open_files",
    "metad_webdav_requests_total",
];

/// Declares the metrics: a field, its name, its labels and its help, once each.
macro_rules! metrics {
    ($($kind:ident $field:ident $name:literal [$($label:literal),*] $help:literal $(($bounds:expr))?;)*) => {
        /// The metrics of one node. Components get it in an `Arc` and keep the series that they touch often.
        #[derive(Debug)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: Family<$kind>,)*
        }

        impl Default for Metrics {
            fn default() -> Self {
                Self {
                    $($field: Family::new(concat!("metad_", $name), $help, &[$($label),*], metrics!(@bounds $($bounds)?)),)*
                }
            }
        }

        impl Metrics {
            /// Every metric's full name, in the order of `/metrics`.
            pub const NAMES: &'static [&'static str] = &[$(concat!("metad_", $name)),*];

            /// The table of metrics in `docs/operations.md`, as Markdown, ending with a newline.
            pub fn markdown_table() -> String {
                let mut out = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
                $(out.push_str(&row(concat!("metad_", $name), stringify!($kind), &[$($label),*], $help));)*
                out.push_str(&reserved());
                out
            }

            /// The body of `/metrics`: `text/plain; version=0.0.4`.
            pub fn render(&self) -> String {
                let mut out = String::with_capacity(16 * 1024);
                $(self.$field.render(&mut out);)*
                out
            }
        }
    };
    (@bounds $bounds:expr) => { $bounds };
    (@bounds) => { &[] };
}

fn row(name: &str, kind: &str, labels: &[&str], help: &str) -> String {
    let labels = labels.iter().map(|l| format!("`{l}`")).collect::<Vec<_>>().join(", ");
    format!("| `{name}` | {} | {labels} | {help} |\n", kind.to_lowercase())
}

/// The sentence on the names that are reserved, ending with a newline.
fn reserved() -> String {
    let names = RESERVED.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(",\n");
    format!("\nReserved, coming with the parts that count them and not on the page yet:\n{names}.\n")
}

metrics! {
    Gauge build_info "build_info" ["version"] "Always 1; the version is in the label.";
    Gauge node_info "node_info" ["node", "name", "cluster"] "Always 1; who this node is.";
    Gauge start_time_seconds "start_time_seconds" [] "When the process started, in seconds since the Unix epoch.";
    Gauge resident_memory_bytes "resident_memory_bytes" [] "Resident memory of the process.";
    Gauge open_files "open_files" [] "Open file descriptors of the process.";

    Gauge raft_has_leader "raft_has_leader" [] "Whether a leader is known: 1 or 0.";
    Gauge raft_is_leader "raft_is_leader" [] "Whether this node leads: 1 or 0.";
    Gauge raft_term "raft_term" [] "Current term.";
    Gauge raft_last_log_index "raft_last_log_index" [] "Index of the last entry in the log.";
    Gauge raft_committed_index "raft_committed_index" [] "Index of the last committed entry.";
    Gauge raft_applied_index "raft_applied_index" [] "Index of the last applied entry.";
    Gauge raft_snapshot_index "raft_snapshot_index" [] "Index that the last snapshot reflects.";
    Gauge raft_purged_index "raft_purged_index" [] "Index up to which the log was cut off.";
    Gauge raft_members "raft_members" ["role"] "Members by role.";
    Gauge state_differs "state_differs" [] "Whether this node's state was seen to differ from another member's at the same index: 1 or 0.";

    Gauge clock_offset_seconds "clock_offset_seconds" [] "How far this node's clock is ahead of the voters' median; 0 while that is not known.";

    Gauge store_records "store_records" [] "Records with at least one property.";
    Gauge store_overlay_keys "store_overlay_keys" [] "Keys applied in memory that are not in sled yet.";
    Gauge store_overlay_bytes "store_overlay_bytes" [] "What the changes that are not in sled yet cost in RAM.";
    Gauge store_stored_index "store_stored_index" [] "Index up to which sled holds the state.";
    Gauge intake_waiting_bytes "intake_waiting_bytes" [] "Bytes of operations that wait to be handed to the log.";

    Gauge events_tail_length "events_tail_length" [] "Entries in the gapless tail of meta:events.";
    Gauge watchers "watchers" ["protocol"] "Clients that follow changes now.";

    Counter http_requests_total "http_requests_total" ["method", "route", "status"] "HTTP requests by route template and status.";
    Histogram http_request_duration_seconds "http_request_duration_seconds" ["method", "route"] "Time from request head to response head." (SECONDS);
    Gauge http_in_flight "http_in_flight" [] "HTTP requests being answered now.";
    Counter http_content_bytes_total "http_content_bytes_total" [] "Bytes of files sent over HTTP.";

    Gauge resp_connections "resp_connections" [] "Open connections of the Redis protocol.";
    Counter resp_commands_total "resp_commands_total" [] "Redis commands, since CONFIG RESETSTAT.";
    Counter resp_errors_total "resp_errors_total" [] "Error replies to Redis commands, since CONFIG RESETSTAT.";

    Gauge vfs_files "vfs_files" [] "Files in the virtual tree.";
    Gauge vfs_directories "vfs_directories" [] "Directories in the virtual tree, the root included.";
    Gauge vfs_bytes "vfs_bytes" [] "Sum of the sizes of the files in the virtual tree.";
    Gauge vfs_memory_bytes "vfs_memory_bytes" [] "Heap bytes of the virtual tree, estimated to within some percent.";
    Gauge vfs_applied_index "vfs_applied_index" [] "Index that the virtual tree reflects.";
    Counter vfs_events_total "vfs_events_total" [] "Changes that the virtual tree took from the log, relevant or not.";

    Counter fuse_opens_total "fuse_opens_total" ["way"] "Opens through the mount: passthrough, cached (the node reads) or failed.";
    Counter fuse_reads_total "fuse_reads_total" ["way"] "Reads that the node served through the mount: warm, or cold when they waited for the disk.";
    Counter fuse_late_total "fuse_late_total" [] "Opens and reads through the mount answered EIO because the disk was late.";
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn each_name_is_declared_once_and_is_legal() {
        let mut seen = BTreeSet::new();
        for name in Metrics::NAMES.iter().chain(RESERVED) {
            assert!(seen.insert(name), "{name} is declared twice");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        }
    }

    /// Reads the text form by the words of the format's page: every sample belongs to the family announced last,
    /// each family is announced once, and each value is a number.
    #[test]
    fn the_body_is_valid_exposition_format() {
        let metrics = Metrics::default();
        metrics.http_requests_total.with(&["GET", "/meta/{hash}", "200"]).inc();
        metrics.http_request_duration_seconds.with(&["GET", "/meta/{hash}"]).observe(0.003);
        metrics.build_info.with(&["0.1.0"]).set(1.0);
        let text = metrics.render();
        let mut types = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(
                    types.insert(name.to_owned(), kind.to_owned()).is_none(),
                    "{name} is announced twice"
                );
                name.clone_into(&mut current);
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap();
                let name = series.split('{').next().unwrap();
                let suffixes: &[&str] =
                    if types[&current] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
                assert!(suffixes.iter().any(|s| name == format!("{current}{s}")), "{line}");
                assert_eq!(types[&current] == "counter", current.ends_with("_total"), "{current}");
            }
        }
        assert!(
            text.contains(
                "metad_http_requests_total{method=\"GET\",route=\"/meta/{hash}\",status=\"200\"} 1\n"
            )
        );
        assert!(text.ends_with('\n'));
    }
}
