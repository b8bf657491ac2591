//! INFO: what monitoring and clients read about the node.
//!
//! Not here: metrics over HTTP (`telemetry`). Must always hold: it is answered at any time, also while the node starts;
//! fields that somebody parses have Redis's names; what has no meaning here is 0 and not left out.
//!
//! Source: research/redis-facade.md §1.3.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use metad_raft::Role;

use super::super::codec::{Reply, Request};
use super::super::command::{Group, Keys, LOADING, Row, Run, STALE};
use super::super::door::Door;
use super::super::session::Local;
use super::server::{REDIS_VERSION, status};
use crate::meta::layout;
use crate::meta::object::KeyCounters;

/// The row.
pub const ROW: Row = Row::new(
    "info",
    -1,
    LOADING | STALE,
    Keys::None,
    Group::Server,
    Run::Local(info),
    "verbatim",
    "Figures about the node.",
);

type Section = (&'static str, fn(&Door, &mut String));

const SECTIONS: [Section; 12] = [
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    ("persistence", persistence),
    ("stats", stats),
    ("replication", replication),
    ("cpu", cpu),
    ("modules", nothing),
    ("errorstats", nothing),
    ("cluster", cluster),
    ("raft", raft),
    ("keyspace", keyspace),
];

fn info(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let every = |at| ["all", "default", "everything"].iter().any(|word| request.is(at, word));
    let all = request.len() == 1 || (1..request.len()).any(every);
    let wanted = |name: &str| all || (1..request.len()).any(|at| request.is(at, name));
    let mut text = String::new();
    for (name, write) in SECTIONS.iter().filter(|(name, _)| wanted(name)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let title = match *name {
            "cpu" => "CPU".to_owned(),
            name => name[..1].to_uppercase() + &name[1..],
        };
        write!(text, "# {title}\r\n").expect("writing to a string works");
        write(local.door, &mut text);
    }
    reply.verbatim(&text);
}

fn lines(out: &mut String, fields: &[(&str, &dyn std::fmt::Display)]) {
    for (name, value) in fields {
        write!(out, "{name}:{value}\r\n").expect("writing to a string works");
    }
}

fn nothing(_: &Door, _: &mut String) {}

fn server(door: &Door, out: &mut String) {
    let uptime = door.since.elapsed().as_secs();
    let port = door.clients.all().first().map_or(0, |client| client.local.port());
    lines(
        out,
        &[
            ("redis_version", &REDIS_VERSION),
            ("redis_git_sha1", &"00000000"),
            ("redis_mode", &"standalone"),
            ("metad_version", &env!("CARGO_PKG_VERSION")),
            ("os", &std::env::consts::OS),
            ("arch_bits", &64),
            ("process_id", &std::process::id()),
            ("run_id", &door.run_id),
            ("tcp_port", &port),
            ("server_time_usec", &(door.clock.now_ms() * 1000)),
            ("uptime_in_seconds", &uptime),
            ("uptime_in_days", &(uptime / 86_400)),
            ("hz", &10),
            ("executable", &"metad"),
            ("config_file", &""),
        ],
    );
}

fn clients(door: &Door, out: &mut String) {
    lines(
        out,
        &[
            ("connected_clients", &door.clients.count()),
            ("cluster_connections", &0),
            ("maxclients", &door.options.connections_max),
            ("blocked_clients", &0),
            ("tracking_clients", &0),
        ],
    );
}

/// Resident memory of the process in bytes; 0 where it cannot be read.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

fn memory(door: &Door, out: &mut String) {
    let used = resident_bytes();
    let content = door.service().map_or(0, |service| service.totals().content_bytes);
    let human = |bytes: u64| format!("{:.2}M", bytes as f64 / 1048576.0);
    lines(
        out,
        &[
            ("used_memory", &used),
            ("used_memory_human", &human(used)),
            ("used_memory_rss", &used),
            ("used_memory_rss_human", &human(used)),
            ("used_memory_peak", &used),
            ("used_memory_peak_human", &human(used)),
            ("used_memory_dataset", &content),
            ("total_system_memory", &0),
            ("maxmemory", &0),
            ("maxmemory_human", &"0B"),
            ("maxmemory_policy", &"noeviction"),
            ("mem_fragmentation_ratio", &"1.00"),
            ("mem_allocator", &"libc"),
        ],
    );
}

fn persistence(door: &Door, out: &mut String) {
    let recovered = status(door).is_some_and(|status| status.recovered);
    let loading = i32::from(!recovered);
    lines(out, &[("loading", &loading)]);
    if loading == 1 {
        lines(out, &[("loading_eta_seconds", &1)]);
    }
    lines(
        out,
        &[
            ("async_loading", &0),
            ("rdb_changes_since_last_save", &0),
            ("rdb_bgsave_in_progress", &0),
            ("rdb_last_save_time", &(door.clock.now_ms() / 1000)),
            ("rdb_last_bgsave_status", &"ok"),
            ("aof_enabled", &1),
            ("aof_rewrite_in_progress", &0),
            ("aof_rewrite_scheduled", &0),
            ("aof_last_bgrewrite_status", &"ok"),
            ("aof_last_write_status", &"ok"),
        ],
    );
}

fn stats(door: &Door, out: &mut String) {
    let count = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed);
    let counts = &door.counts;
    let per_second = count(&counts.commands) / door.since.elapsed().as_secs().max(1);
    lines(
        out,
        &[
            ("total_connections_received", &count(&counts.connections)),
            ("total_commands_processed", &count(&counts.commands)),
            ("instantaneous_ops_per_sec", &per_second),
            ("total_net_input_bytes", &count(&counts.received)),
            ("total_net_output_bytes", &count(&counts.sent)),
            ("rejected_connections", &0),
            ("expired_keys", &0),
            ("evicted_keys", &0),
            ("keyspace_hits", &0),
            ("keyspace_misses", &0),
            ("pubsub_channels", &0),
            ("pubsub_patterns", &0),
            ("total_error_replies", &count(&counts.errors)),
        ],
    );
}

fn replication(door: &Door, out: &mut String) {
    let Some(status) = status(door) else {
        return lines(out, &[("role", &"slave"), ("master_link_status", &"down"), ("connected_slaves", &0)]);
    };
    if status.role == Role::Leader {
        lines(out, &[("role", &"master")]);
    } else {
        let link = if status.leader.is_some() { "up" } else { "down" };
        lines(
            out,
            &[("role", &"slave"), ("master_host", &""), ("master_port", &0), ("master_link_status", &link)],
        );
    }
    lines(
        out,
        &[
            ("connected_slaves", &0),
            ("master_replid", &door.run_id),
            ("master_repl_offset", &status.applied_index),
            ("second_repl_offset", &-1),
            ("repl_backlog_active", &0),
        ],
    );
}

fn cpu(_: &Door, out: &mut String) {
    let used = std::fs::read_to_string("/proc/self/stat").ok().and_then(|text| {
        // The name in brackets may hold spaces; user and system time are the 12th and 13th field after it.
        let rest = text.rsplit_once(')')?.1.split_ascii_whitespace().map(str::to_owned);
        let fields: Vec<String> = rest.collect();
        let seconds = |at: usize| Some(fields.get(at)?.parse::<f64>().ok()? / 100.0);
        Some((seconds(11)?, seconds(12)?))
    });
    let (user, system) = used.unwrap_or((0.0, 0.0));
    lines(out, &[("used_cpu_sys", &system), ("used_cpu_user", &user)]);
}

fn cluster(_: &Door, out: &mut String) {
    lines(out, &[("cluster_enabled", &0)]);
}

fn raft(door: &Door, out: &mut String) {
    let Some(status) = status(door) else { return };
    let leader = status.leader.as_ref().map_or(0, |leader| leader.id);
    let role = match status.role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
    };
    lines(
        out,
        &[
            ("raft_node_id", &status.id),
            ("raft_role", &role),
            ("raft_leader_id", &leader),
            ("raft_term", &status.term),
            ("raft_last_log_index", &status.last_log_index),
            ("raft_commit_index", &status.committed_index),
            ("raft_applied_index", &status.applied_index),
            ("raft_snapshot_index", &status.snapshot_index),
        ],
    );
}

fn keyspace(door: &Door, out: &mut String) {
    let Some(service) = door.service() else { return };
    let mut counters = KeyCounters::default();
    let looked = service.look(&mut |view, _| {
        if let Some(stored) = view.get(layout::KEY_COUNTERS)? {
            counters = KeyCounters::decode(&stored)
                .map_err(|e| metad_raft::Fatal::with("decode the counters of keys", e))?;
        }
        Ok(())
    });
    if looked.is_ok() && counters.keys > 0 {
        let line = format!("keys={},expires={},avg_ttl=0", counters.keys, counters.expiring);
        lines(out, &[("db0", &line)]);
    }
}
