//! The figures of `/metrics` that are looked up when the page is asked for.
//!
//! Not here: what is counted as it happens (whoever does it), the metrics' names (`telemetry::metrics`).
//! Must always hold: nothing here waits for anybody, and nothing reads a disk.

use metad_raft::Role;

use super::handles::Handles;
use super::status::members;
use crate::telemetry::{Metrics, process};
use crate::vfs::Filesystem;

/// What `node` knows of the other doors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Open connections of the Redis door.
    pub resp_connections: u64,
    /// Its commands, since they were last reset.
    pub resp_commands: u64,
    /// Its error replies, since they were last reset.
    pub resp_errors: u64,
    /// The mount, if there is one.
    pub fuse: Option<MountFigures>,
}

/// What happened in the mount since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountFigures {
    /// Opens that the kernel serves by itself.
    pub opens_passthrough: u64,
    /// Opens whose reads come to the node.
    pub opens_cached: u64,
    /// Opens that failed.
    pub opens_failed: u64,
    /// Reads that the node served.
    pub reads: u64,
    /// Of those, the ones that waited for the disk.
    pub reads_cold: u64,
    /// Opens and reads that were answered EIO because the disk was late.
    pub late: u64,
}

/// Brings the metrics up to date with what the node is now.
pub(super) fn measure(app: &Handles) {
    process_now(app);
    log_now(app);
    state_now(app);
    tree_now(app);
    doors_now(&app.metrics, app.node.figures());
}

fn yes(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

fn process_now(app: &Handles) {
    let (metrics, identity) = (&app.metrics, &app.identity);
    metrics.build_info.with(&[env!("CARGO_PKG_VERSION")]).set(1.0);
    metrics.node_info.with(&[&identity.id.to_string(), &identity.name, &identity.cluster_id]).set(1.0);
    metrics.start_time_seconds.get().set(identity.started_ms as f64 / 1e3);
    // Where the kernel does not tell, the last figure stays.
    if let Some(bytes) = process::resident_bytes() {
        metrics.resident_memory_bytes.get().set(bytes as f64);
    }
    if let Some(count) = process::open_files() {
        metrics.open_files.get().set(count as f64);
    }
}

fn log_now(app: &Handles) {
    let (metrics, log, members) = (&app.metrics, app.service.status(), members(app));
    metrics.raft_has_leader.get().set(yes(log.leader.is_some() && app.node.leaderless().is_none()));
    metrics.raft_is_leader.get().set(yes(log.role == Role::Leader));
    metrics.state_differs.get().set(yes(app.node.alarm().is_some()));
    metrics.clock_offset_seconds.get().set(app.node.clock_ahead_ms().unwrap_or(0) as f64 / 1e3);
    let indexes = [
        (&metrics.raft_term, log.term),
        (&metrics.raft_last_log_index, log.last_log_index),
        (&metrics.raft_committed_index, log.committed_index),
        (&metrics.raft_applied_index, log.applied_index),
        (&metrics.raft_snapshot_index, log.snapshot_index),
        (&metrics.raft_purged_index, log.purged_index),
    ];
    for (gauge, value) in indexes {
        gauge.get().set(value as f64);
    }
    for (role, voter) in [("voter", true), ("learner", false)] {
        let count = members.iter().filter(|m| m.voter == voter).count();
        metrics.raft_members.with(&[role]).set(count as f64);
    }
}

fn state_now(app: &Handles) {
    let (metrics, totals) = (&app.metrics, app.service.totals());
    let figures = [
        (&metrics.store_records, totals.records),
        (&metrics.store_overlay_keys, totals.unstored_keys),
        (&metrics.store_overlay_bytes, totals.unstored_bytes),
        (&metrics.store_stored_index, totals.stored_index),
        (&metrics.intake_waiting_bytes, totals.waiting_bytes),
        (&metrics.events_tail_length, totals.tail_events),
    ];
    for (gauge, value) in figures {
        gauge.get().set(value as f64);
    }
}

fn tree_now(app: &Handles) {
    let (metrics, tree) = (&app.metrics, app.tree.totals());
    let figures = [
        (&metrics.vfs_files, tree.files),
        (&metrics.vfs_directories, tree.directories),
        (&metrics.vfs_bytes, tree.bytes),
        (&metrics.vfs_memory_bytes, app.tree.memory_bytes()),
        (&metrics.vfs_applied_index, tree.applied_index),
    ];
    for (gauge, value) in figures {
        gauge.get().set(value as f64);
    }
    metrics.vfs_events_total.get().follow(app.keeper.stats().events_processed);
}

fn doors_now(metrics: &Metrics, figures: Figures) {
    metrics.resp_connections.get().set(figures.resp_connections as f64);
    metrics.resp_commands_total.get().follow(figures.resp_commands);
    metrics.resp_errors_total.get().follow(figures.resp_errors);
    let Some(mount) = figures.fuse else { return };
    let opens = [
        ("passthrough", mount.opens_passthrough),
        ("cached", mount.opens_cached),
        ("failed", mount.opens_failed),
    ];
    for (way, count) in opens {
        metrics.fuse_opens_total.with(&[way]).follow(count);
    }
    let warm = mount.reads.saturating_sub(mount.reads_cold);
    for (way, count) in [("warm", warm), ("cold", mount.reads_cold)] {
        metrics.fuse_reads_total.with(&[way]).follow(count);
    }
    metrics.fuse_late_total.get().follow(mount.late);
}
