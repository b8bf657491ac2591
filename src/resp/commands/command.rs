//! COMMAND: the table of commands, told to clients.
//!
//! Not here: the table. Must always hold: what is told is what dispatch goes by.

use super::super::codec::{Reply, Request};
use super::super::command::{FLAG_NAMES, Group, Keys, LOADING, MOVABLEKEYS, Row, Run, STALE};
use super::super::command_table::{by_name, find, rows};
use super::super::error::{Refusal, SYNTAX};
use super::super::session::Local;
use super::connection::answer;
use super::pattern::matches;

const USUAL: u32 = LOADING | STALE;

/// The row.
pub const ROW: Row = Row::new(
    "command",
    -1,
    USUAL,
    Keys::None,
    Group::Server,
    Run::Container(SUBS),
    "array",
    "All commands; see the subcommands.",
);

const fn sub(
    name: &'static str,
    arity: i32,
    run: fn(&mut Local<'_>, &Request<'_>, &mut Reply),
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, USUAL, Keys::None, Group::Server, Run::Local(run), reply, summary)
}

/// Without a subcommand: all commands.
pub const BARE: Row = sub("command", -1, all, "array", "All commands.");

const SUBS: &[Row] = &[
    sub(
        "command|count",
        2,
        |_, _, reply| reply.count(rows().count()),
        "integer",
        "How many commands there are.",
    ),
    sub("command|docs", -2, docs, "map", "What commands are for."),
    sub("command|getkeys", -3, get_keys, "array", "The keys in a command."),
    sub(
        "command|getkeysandflags",
        -3,
        get_keys_and_flags,
        "array",
        "The keys in a command, and what happens to them.",
    ),
    sub(
        "command|help",
        2,
        |_, _, reply| super::server::help_of("COMMAND", SUBS, reply),
        "array",
        "What there is.",
    ),
    sub("command|info", -2, info, "array", "Arity, flags and keys of commands."),
    sub("command|list", -2, list, "array", "Names of commands."),
];

fn all(_: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    reply.array(rows().count());
    rows().for_each(|row| describe(row, reply));
}

/// The ten parts that redis-server tells of a command.
fn describe(row: &Row, reply: &mut Reply) {
    let (first, last, step) = row.keys.triple();
    let movable = if matches!(row.keys, Keys::Counted { .. } | Keys::Streams) { MOVABLEKEYS } else { 0 };
    let flags = row.flags | movable;
    reply.array(10);
    reply.bulk(row.name.as_bytes());
    reply.int(i64::from(row.arity));
    let named = FLAG_NAMES.iter().filter(|(flag, _)| flags & flag != 0);
    reply.set(named.clone().count());
    named.for_each(|(_, name)| reply.simple(name));
    [first, last, step].iter().for_each(|n| reply.int(i64::from(*n)));
    reply.set(1);
    reply.simple(&format!("@{}", row.group.name().replace('-', "")));
    reply.array(0);
    reply.array(0);
    let subs: &[Row] = if let Run::Container(subs) = row.run { subs } else { &[] };
    reply.array(subs.len());
    subs.iter().for_each(|sub| describe(sub, reply));
}

fn named(name: &[u8]) -> Option<&'static Row> {
    let mut parts = name.splitn(2, |b| *b == b'|');
    let row = by_name(parts.next()?)?;
    match (parts.next(), row.run) {
        (None, _) => Some(row),
        (Some(sub), Run::Container(subs)) => {
            subs.iter().find(|row| row.short_name().as_bytes().eq_ignore_ascii_case(sub))
        }
        (Some(_), _) => None,
    }
}

fn info(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    if request.len() == 2 {
        return all(local, request, reply);
    }
    reply.array(request.len() - 2);
    for at in 2..request.len() {
        match named(request.arg(at)) {
            Some(row) => describe(row, reply),
            None => reply.null_array(),
        }
    }
}

fn docs(_: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let wanted: Vec<&Row> = match request.len() {
        2 => rows().collect(),
        len => (2..len).filter_map(|at| named(request.arg(at))).collect(),
    };
    reply.map(wanted.len());
    wanted.into_iter().for_each(|row| document(row, reply));
}

fn document(row: &Row, reply: &mut Reply) {
    reply.bulk(row.name.as_bytes());
    let subs: &[Row] = if let Run::Container(subs) = row.run { subs } else { &[] };
    reply.map(if subs.is_empty() { 2 } else { 3 });
    reply.bulk(b"summary");
    reply.bulk(row.summary.as_bytes());
    reply.bulk(b"group");
    reply.bulk(row.group.name().as_bytes());
    if !subs.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subs.len());
        subs.iter().for_each(|sub| document(sub, reply));
    }
}

fn list(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let filter = |row: &&Row| match request.len() {
        2 => Some(true),
        5 if request.is(2, "filterby") && request.is(3, "pattern") => {
            Some(matches(request.arg(4), row.name.as_bytes(), true))
        }
        5 if request.is(2, "filterby") && (request.is(3, "aclcat") || request.is(3, "module")) => Some(false),
        _ => None,
    };
    let mut found = Vec::new();
    for row in rows() {
        match filter(&row) {
            Some(true) => found.push(row.name),
            Some(false) => {}
            None => return answer(Err(SYNTAX), local, reply),
        }
    }
    reply.array(found.len());
    found.iter().for_each(|name| reply.bulk(name.as_bytes()));
}

/// The places of the keys in the command that the request names.
fn keys_in<'a>(request: &Request<'a>) -> Result<(Request<'a>, Vec<usize>), Refusal> {
    let inner = request.without_first().without_first();
    let row = match find(&inner) {
        Ok(row) => row,
        Err(_) if by_name(inner.arg(0)).is_some() => {
            return Err(Refusal::fixed("ERR Invalid number of arguments specified for command"));
        }
        Err(_) => return Err(Refusal::fixed("ERR Invalid command specified")),
    };
    if row.keys == Keys::None {
        return Err(Refusal::fixed("ERR The command has no key arguments"));
    }
    let mut places = Vec::new();
    match row.keys.visit(&inner, |at| places.push(at)) {
        true => Ok((inner, places)),
        false => Err(Refusal::fixed("ERR Invalid arguments specified for command")),
    }
}

fn get_keys(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = keys_in(request).map(|(inner, places)| {
        reply.array(places.len());
        places.iter().for_each(|at| reply.bulk(inner.arg(*at)));
    });
    answer(result, local, reply);
}

fn get_keys_and_flags(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = keys_in(request).map(|(inner, places)| {
        let writes = find(&inner).is_ok_and(|row| row.flags & super::super::command::WRITE != 0);
        reply.array(places.len());
        for at in places {
            reply.array(2);
            reply.bulk(inner.arg(at));
            reply.set(2);
            reply.simple(if writes { "RW" } else { "RO" });
            reply.simple(if writes { "update" } else { "access" });
        }
    });
    answer(result, local, reply);
}
