//! All keys: SCAN, KEYS, RANDOMKEY, DBSIZE, FLUSHALL, and what moves keys about.
//!
//! Not here: elements of one key (`elements`). Must always hold: a key that is there during the whole of a SCAN is told
//! at least once, on whatever nodes it was asked: the cursor is a slot, the same on all of them.

use bytes::Bytes;

use super::super::codec::{Reply, Request};
use super::super::command::{FAST, Group, Keys, READONLY, Row, Run, Shape, Step, WRITE};
use super::super::error::{NOT_INTEGER, Refusal, SYNTAX, Stop};
use super::super::reader::Reader;
use super::elements::{ScanOptions, page};
use super::pattern::matches;
use super::shapes;
use super::walk::{self, Item, Spelling};
use crate::limits;
use crate::meta::key_op::KeyOp;
use crate::meta::object::Content;
use crate::meta::op::{Op, RecordOp};

/// The rows.
pub const ROWS: &[Row] = &[
    Row::new("copy", -3, WRITE, Keys::TWO, Group::Generic, Run::Write(copy), "integer", "Copies a key."),
    Row::new(
        "dbsize",
        1,
        READONLY | FAST,
        Keys::None,
        Group::Server,
        Run::Read(size),
        "integer",
        "How many keys there are.",
    ),
    Row::new(
        "dump",
        2,
        READONLY,
        Keys::ONE,
        Group::Generic,
        Run::Read(|_, _, _| Err(NO_DUMP.into())),
        "error",
        "Refused: values have no serialised form here.",
    ),
    Row::new(
        "flushall",
        -1,
        WRITE,
        Keys::None,
        Group::Server,
        Run::Write(flush),
        "OK",
        "Deletes all keys and all records.",
    ),
    Row::new(
        "flushdb",
        -1,
        WRITE,
        Keys::None,
        Group::Server,
        Run::Write(flush),
        "OK",
        "Deletes all keys and all records.",
    ),
    Row::new(
        "keys",
        2,
        READONLY,
        Keys::None,
        Group::Generic,
        Run::Read(keys),
        "array",
        "All keys by pattern.",
    ),
    Row::new(
        "object",
        -2,
        READONLY,
        Keys::SECOND,
        Group::Generic,
        Run::Container(OBJECT),
        "by subcommand",
        "About a key.",
    ),
    Row::new(
        "randomkey",
        1,
        READONLY,
        Keys::None,
        Group::Generic,
        Run::Read(random),
        "string or null",
        "A key by chance.",
    ),
    Row::new(
        "rename",
        3,
        WRITE,
        Keys::TWO,
        Group::Generic,
        Run::Write(|r| rename(r, false)),
        "OK",
        "Renames a key.",
    ),
    Row::new(
        "renamenx",
        3,
        WRITE | FAST,
        Keys::TWO,
        Group::Generic,
        Run::Write(|r| rename(r, true)),
        "integer",
        "Renames a key if the new name is free.",
    ),
    Row::new(
        "restore",
        -4,
        WRITE,
        Keys::ONE,
        Group::Generic,
        Run::Write(|_| Err(NO_DUMP)),
        "error",
        "Refused: values have no serialised form here.",
    ),
    Row::new("scan", -2, READONLY, Keys::None, Group::Generic, Run::Read(scan), "array", "Walks all keys."),
];

const NO_DUMP: Refusal =
    Refusal::fixed("ERR DUMP and RESTORE are not served: use `metad snapshot`, or COPY within the cluster");

const OBJECT: &[Row] = &[
    Row::new(
        "object|encoding",
        3,
        READONLY,
        Keys::SECOND,
        Group::Generic,
        Run::Read(encoding),
        "string or null",
        "How redis-server would hold the value.",
    ),
    Row::new(
        "object|freq",
        3,
        READONLY,
        Keys::SECOND,
        Group::Generic,
        Run::Read(frequency),
        "error",
        "Refused: uses are not counted.",
    ),
    Row::new(
        "object|help",
        2,
        READONLY,
        Keys::None,
        Group::Generic,
        Run::Local(|_, _, reply| super::server::help_of("OBJECT", OBJECT, reply)),
        "array",
        "What there is.",
    ),
    Row::new(
        "object|idletime",
        3,
        READONLY,
        Keys::SECOND,
        Group::Generic,
        Run::Read(|s, r, out| number(s, r, out, 0)),
        "integer or null",
        "0",
    ),
    Row::new(
        "object|refcount",
        3,
        READONLY,
        Keys::SECOND,
        Group::Generic,
        Run::Read(|s, r, out| number(s, r, out, 1)),
        "integer or null",
        "1",
    ),
];

fn scan(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let options = ScanOptions::read(request, 1)?;
    let pattern = options.pattern.unwrap_or(b"*");
    let (found, next) = match walk::of_one_file(state, pattern)? {
        Some(found) => (found, 0),
        None => {
            let read = |slot, limit| walk::from_slot(state, slot, limit);
            page(options.cursor, options.count, Item::slot, read)?
        }
    };
    let spelling = Spelling::of(pattern);
    let mut names: Vec<(Bytes, &str)> = found.iter().flat_map(|item| item.names(state, spelling)).collect();
    let kind = |kind: &str| options.kind.is_none_or(|wanted| wanted.eq_ignore_ascii_case(kind.as_bytes()));
    names.retain(|(name, is)| kind(is) && options.wants(name));
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(names.len());
    names.iter().for_each(|(name, _)| reply.bulk(name));
    Ok(())
}

fn keys(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let pattern = request.arg(1);
    let spelling = Spelling::of(pattern);
    state.walks(state.keys()?)?;
    let (mut cursor, mut names) = (0, Vec::new());
    loop {
        let (found, next) = match walk::of_one_file(state, pattern)? {
            Some(found) => (found, 0),
            None => {
                let read = |slot, limit| walk::from_slot(state, slot, limit);
                page(cursor, limits::SCAN_PAGE_KEYS, Item::slot, read)?
            }
        };
        let found = found.iter().flat_map(|item| item.names(state, spelling)).map(|(name, _)| name);
        names.extend(found.filter(|name| matches(pattern, name, false)));
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    reply.array(names.len());
    names.iter().for_each(|name| reply.bulk(name));
    Ok(())
}

fn random(state: &Reader<'_>, _: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    // Behind a slot by chance, and from the beginning when nothing is there.
    for slot in [(state.seed)(), 0] {
        let found = walk::from_slot(state, slot, limits::SCAN_PAGE_KEYS)?;
        let names = found.iter().map(|item| item.names(state, Spelling::Canonical));
        if let Some(names) = names.into_iter().find(|names| !names.is_empty()) {
            let at = (u128::from((state.seed)()) * names.len() as u128) >> 64;
            reply.bulk(&names[at as usize].0);
            return Ok(());
        }
    }
    reply.null();
    Ok(())
}

fn size(state: &Reader<'_>, _: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    reply.int((state.keys()? + state.file_keys()) as i64);
    Ok(())
}

fn flush(request: &Request<'_>) -> Result<Step, Refusal> {
    match request.len() {
        1 => {}
        2 if request.is(1, "sync") || request.is(1, "async") => {}
        _ => return Err(SYNTAX),
    }
    Ok(Step::Write(Op::Record(RecordOp::Clear), Shape::Plain(|_, reply| reply.ok())))
}

fn rename(request: &Request<'_>, if_free: bool) -> Result<Step, Refusal> {
    let op = KeyOp::Rename { from: request.blob(1), to: request.blob(2), if_free };
    Ok(Step::Write(Op::Key(op), Shape::Plain(shapes::value)))
}

fn copy(request: &Request<'_>) -> Result<Step, Refusal> {
    let (mut at, mut replace) = (3, false);
    while at < request.len() {
        if request.is(at, "replace") {
            replace = true;
        } else if request.is(at, "db") && at + 1 < request.len() {
            match super::super::codec::integer(request.arg(at + 1)) {
                Some(0) => at += 1,
                Some(_) => return Err(Refusal::fixed("ERR DB index is out of range")),
                None => return Err(NOT_INTEGER),
            }
        } else {
            return Err(SYNTAX);
        }
        at += 1;
    }
    if request.arg(1) == request.arg(2) {
        return Err(Refusal::fixed("ERR source and destination objects are the same"));
    }
    let op = KeyOp::Copy { from: request.blob(1), to: request.blob(2), replace };
    Ok(Step::Write(Op::Key(op), Shape::Plain(shapes::value)))
}

fn number(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply, number: i64) -> Result<(), Stop> {
    match state.key(request.arg(2))? {
        Some(_) => reply.int(number),
        None => reply.null(),
    }
    Ok(())
}

fn frequency(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    if state.key(request.arg(2))?.is_none() {
        reply.null();
        return Ok(());
    }
    let text = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
        between policies at runtime LRU and LFU data will take some time to adjust.";
    Err(Refusal::fixed(text).into())
}

/// Bytes of the longest string that redis-server keeps in one piece with its key.
const EMBEDDED_BYTES_MAX: usize = 44;
/// Elements up to which redis-server packs a hash or a set.
const PACKED_MAX: u64 = 128;

fn encoding(state: &Reader<'_>, request: &Request<'_>, reply: &mut Reply) -> Result<(), Stop> {
    let Some(key) = state.key(request.arg(2))? else {
        reply.null();
        return Ok(());
    };
    reply.bulk(match &key.content {
        Content::Text(text) if super::super::codec::integer(text).is_some() => b"int",
        Content::Text(text) if text.len() <= EMBEDDED_BYTES_MAX => b"embstr",
        Content::Text(_) | Content::LongText { .. } => b"raw",
        Content::Hash { fields: count } | Content::Set { members: count } if *count <= PACKED_MAX => {
            b"listpack"
        }
        Content::Hash { .. } | Content::Set { .. } => b"hashtable",
        Content::Stream(_) => b"stream",
    });
    Ok(())
}
