//! Commands about the node: CONFIG, TIME, ROLE and what monitoring asks. COMMAND and INFO have files of their own.
//!
//! Not here: keys. Must always hold: none of them waits for a leader; what belongs to this node says so.

use metad_raft::{Role, Status};

use super::super::codec::{Reply, Request};
use super::super::command::{ADMIN, FAST, Group, Keys, LOADING, NOSCRIPT, Row, Run, STALE};
use super::super::door::Door;
use super::super::error::{Refusal, wrong_arity};
use super::super::session::Local;
use super::super::settings;
use super::connection::answer;
use super::pattern::matches;
use super::{command, info};

/// The version whose commands and replies this door has: clients switch features on it.
pub const REDIS_VERSION: &str = "7.2.6";

const USUAL: u32 = NOSCRIPT | LOADING | STALE;

/// The rows.
pub const ROWS: &[Row] = &[
    command::ROW,
    Row::new(
        "config",
        -2,
        ADMIN | USUAL,
        Keys::None,
        Group::Server,
        Run::Container(CONFIG),
        "by subcommand",
        "Settings of this node's door.",
    ),
    info::ROW,
    Row::new(
        "lastsave",
        1,
        LOADING | STALE | FAST,
        Keys::None,
        Group::Server,
        Run::Local(time_of_save),
        "integer",
        "The time now: what is answered is on disk.",
    ),
    Row::new(
        "latency",
        -2,
        ADMIN | USUAL,
        Keys::None,
        Group::Server,
        Run::Container(LATENCY),
        "by subcommand",
        "Empty: see the metrics.",
    ),
    Row::new(
        "module",
        -2,
        ADMIN | NOSCRIPT,
        Keys::None,
        Group::Server,
        Run::Container(MODULE),
        "by subcommand",
        "There are no modules.",
    ),
    Row::new(
        "role",
        1,
        USUAL | FAST,
        Keys::None,
        Group::Server,
        Run::Local(role_command),
        "array",
        "Whether this node leads.",
    ),
    Row::new(
        "slowlog",
        -2,
        ADMIN | LOADING | STALE,
        Keys::None,
        Group::Server,
        Run::Container(SLOWLOG),
        "by subcommand",
        "Empty: see the metrics.",
    ),
    Row::new(
        "time",
        1,
        LOADING | STALE | FAST,
        Keys::None,
        Group::Server,
        Run::Local(time),
        "array",
        "This node's clock.",
    ),
];

const fn sub(
    name: &'static str,
    arity: i32,
    run: fn(&mut Local<'_>, &Request<'_>, &mut Reply),
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, ADMIN | USUAL, Keys::None, Group::Server, Run::Local(run), reply, summary)
}

const CONFIG: &[Row] = &[
    sub("config|get", -3, config_get, "map", "Settings by pattern."),
    sub("config|help", 2, |_, _, reply| help_of("CONFIG", CONFIG, reply), "array", "What there is."),
    sub("config|resetstat", 2, reset_counts, "OK", "Sets the door's counters to zero."),
    sub("config|rewrite", 2, no_file, "error", "Refused: there is no file to write."),
    sub("config|set", -4, config_set, "OK", "Changes settings of this node."),
];

const LATENCY: &[Row] = &[
    sub("latency|help", 2, |_, _, reply| help_of("LATENCY", LATENCY, reply), "array", "What there is."),
    sub("latency|latest", 2, |_, _, reply| reply.array(0), "array", "Nothing."),
    sub("latency|reset", -2, |_, _, reply| reply.int(0), "integer", "Nothing to reset."),
];

const MODULE: &[Row] = &[Row::new(
    "module|list",
    2,
    ADMIN | NOSCRIPT,
    Keys::None,
    Group::Server,
    Run::Local(|_, _, reply| reply.array(0)),
    "array",
    "No modules.",
)];

const SLOWLOG: &[Row] = &[
    sub("slowlog|get", -2, |_, _, reply| reply.array(0), "array", "Nothing."),
    sub("slowlog|help", 2, |_, _, reply| help_of("SLOWLOG", SLOWLOG, reply), "array", "What there is."),
    sub("slowlog|len", 2, |_, _, reply| reply.int(0), "integer", "0"),
    sub("slowlog|reset", 2, |_, _, reply| reply.ok(), "OK", "Nothing to reset."),
];

/// The log's status, once there is one.
pub fn status(door: &Door) -> Option<Status> {
    door.service().map(|service| service.status())
}

/// This node's role.
pub fn role(door: &Door) -> Role {
    status(door).map_or(Role::Follower, |status| status.role)
}

/// HELP of a container: a line for each of its subcommands.
pub fn help_of(name: &str, subs: &[Row], reply: &mut Reply) {
    reply.array(2 * subs.len() + 1);
    reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for sub in subs {
        reply.simple(&sub.short_name().to_uppercase());
        reply.simple(&format!("    {}", sub.summary));
    }
}

fn time(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    let now_ms = local.door.clock.now_ms();
    reply.array(2);
    reply.bulk_int((now_ms / 1000) as i64);
    reply.bulk_int((now_ms % 1000 * 1000) as i64);
}

fn time_of_save(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    reply.int((local.door.clock.now_ms() / 1000) as i64);
}

fn role_command(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    let Some(status) = status(local.door).filter(|status| status.role != Role::Leader) else {
        let offset = status(local.door).map_or(0, |status| status.applied_index);
        reply.array(3);
        reply.bulk(b"master");
        reply.int(offset as i64);
        return reply.array(0);
    };
    reply.array(5);
    reply.bulk(b"slave");
    reply.bulk(b"");
    reply.int(0);
    reply.bulk(if status.leader.is_some() { b"connected" } else { b"connect" });
    reply.int(status.applied_index as i64);
}

fn config_get(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let settings = local.door.settings.read();
    let wanted = |name: &str| (2..request.len()).any(|at| matches(request.arg(at), name.as_bytes(), true));
    let found: Vec<_> = settings.iter().filter(|(name, _)| wanted(name)).collect();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
}

fn config_set(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = change_settings(local, request).map(|()| reply.ok());
    answer(result, local, reply);
}

/// All of the settings or none.
fn change_settings(local: &Local<'_>, request: &Request<'_>) -> Result<(), Refusal> {
    if !request.len().is_multiple_of(2) {
        return Err(wrong_arity("config|set"));
    }
    let mut changes = Vec::new();
    for at in (2..request.len()).step_by(2) {
        let shown = String::from_utf8_lossy(request.arg(at)).into_owned();
        let failed = |why: &str| {
            Refusal::of(format!("ERR CONFIG SET failed (possibly related to argument '{shown}') - {why}"))
        };
        let Some((name, mutable)) = settings::find(request.arg(at)) else {
            let text = format!("ERR Unknown option or number of arguments for CONFIG SET - '{shown}'");
            return Err(Refusal::of(text));
        };
        if !mutable {
            return Err(failed("can't set immutable config"));
        }
        if changes.iter().any(|(known, _)| *known == name) {
            return Err(failed("duplicate parameter"));
        }
        changes.push((name, String::from_utf8_lossy(request.arg(at + 1)).into_owned()));
    }
    local.door.settings.write().extend(changes);
    Ok(())
}

fn reset_counts(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    local.door.counts.reset();
    reply.ok();
}

fn no_file(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    answer(Err(Refusal::fixed("ERR The server is running without a config file")), local, reply);
}
