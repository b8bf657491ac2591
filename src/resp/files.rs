//! Keys that mean files: which commands may name them, and how.
//!
//! Not here: what such keys mean (`meta::key`), what writes do there (`meta::apply::files`), reading them (`reader`). Must
//! always hold: a command that nobody has thought about is refused on them, so no value hides beside a file.

use super::codec::Request;
use super::command::{Group, READONLY, Row};
use super::error::{FILES_STAY, READ_ONLY_SPELLING, Refusal, WRONG_TYPE};
use crate::limits;
use crate::meta::key::{Family, Place, may_be_of_a_file};

/// Whether a command may name all of its keys.
pub fn admits(row: &Row, request: &Request<'_>) -> Result<(), Refusal> {
    let mut refused = None;
    row.keys.visit(request, |at| {
        let key = request.arg(at);
        if refused.is_some() {
        } else if key.len() > limits::KEY_BYTES_MAX {
            let text = format!("ERR the key is longer than {} bytes", limits::KEY_BYTES_MAX);
            refused = Some(Refusal::of(text));
        } else if may_be_of_a_file(key) {
            let place = Place::of(&request.bytes(at), family(row.group));
            let served = match &place {
                Ok(Place::Generic { .. }) => Ok(()),
                Ok(place) => served(row, place, request),
                Err(error) => Err(Refusal::of(format!("ERR {error}"))),
            };
            refused = served.err();
        }
    });
    refused.map_or(Ok(()), Err)
}

/// As which of them the commands of a group name a key.
fn family(group: Group) -> Family {
    match group {
        Group::String | Group::Bitmap => Family::Text,
        Group::Hash => Family::Hash,
        _ => Family::Any,
    }
}

/// Reads of generic keys that files answer too.
const GENERIC_READS: [&str; 11] = [
    "exists",
    "touch",
    "type",
    "ttl",
    "pttl",
    "expiretime",
    "pexpiretime",
    "object|encoding",
    "object|freq",
    "object|idletime",
    "object|refcount",
];
const EXPIRING: [&str; 6] = ["expire", "expireat", "pexpire", "pexpireat", "setex", "psetex"];
const STRING_WRITES: [&str; 14] = [
    "set",
    "setnx",
    "getset",
    "getdel",
    "getex",
    "mset",
    "msetnx",
    "append",
    "setrange",
    "incr",
    "incrby",
    "incrbyfloat",
    "decr",
    "decrby",
];
const HASH_WRITES: [&str; 6] = ["hset", "hmset", "hsetnx", "hdel", "hincrby", "hincrbyfloat"];

fn served(row: &Row, place: &Place, request: &Request<'_>) -> Result<(), Refusal> {
    check_names(row, place, request)?;
    if row.flags & READONLY != 0 {
        return match row.group {
            // Another type is refused by the read itself.
            Group::String | Group::Hash | Group::Set => Ok(()),
            _ if GENERIC_READS.contains(&row.name) => Ok(()),
            _ => Err(not_served(row)),
        };
    }
    let expires = match row.name {
        "set" => (3..request.len()).any(|at| is_time(request.arg(at))),
        "getex" => (2..request.len()).any(|at| is_time(request.arg(at))),
        name => EXPIRING.contains(&name),
    };
    if expires {
        return Err(FILES_STAY);
    }
    let deletes = matches!(row.name, "del" | "unlink" | "watch");
    match place {
        _ if row.name == "persist" => Ok(()),
        Place::Property { writable: false, .. } if STRING_WRITES.contains(&row.name) => {
            Err(READ_ONLY_SPELLING)
        }
        Place::Property { .. } if deletes || STRING_WRITES.contains(&row.name) => Ok(()),
        Place::Record { .. } if deletes || HASH_WRITES.contains(&row.name) => Ok(()),
        Place::RecordOrProperty { .. } if deletes => Ok(()),
        Place::Index if matches!(row.name, "sadd" | "srem") => Ok(()),
        _ if STRING_WRITES.contains(&row.name) || HASH_WRITES.contains(&row.name) => Err(WRONG_TYPE),
        _ => Err(not_served(row)),
    }
}

fn is_time(word: &[u8]) -> bool {
    [b"ex".as_slice(), b"px", b"exat", b"pxat"].iter().any(|time| word.eq_ignore_ascii_case(time))
}

fn not_served(row: &Row) -> Refusal {
    let name = row.name.replace('|', " ");
    Refusal::of(format!("ERR '{name}' is not served on keys of files (file:*, meta:events)"))
}

/// Whether ids and names of properties are such as HTTP takes: text, of lengths within limits.
fn check_names(row: &Row, place: &Place, request: &Request<'_>) -> Result<(), Refusal> {
    match place {
        Place::Property { id, name, .. } => check_id(id).and_then(|()| check_property(name)),
        Place::Record { id } => {
            check_id(id)?;
            let fields = match row.name {
                "hset" | "hmset" => (2..request.len()).step_by(2),
                "hsetnx" | "hincrby" | "hincrbyfloat" => (2..3).step_by(2),
                _ => (0..0).step_by(2),
            };
            fields.map(|at| request.arg(at)).try_for_each(check_property)
        }
        Place::RecordOrProperty { record, .. } => check_id(record),
        Place::Index if row.name == "sadd" => {
            (2..request.len()).map(|at| request.arg(at)).try_for_each(check_id)
        }
        Place::Index | Place::Events | Place::Generic { .. } => Ok(()),
    }
}

fn check_id(id: &[u8]) -> Result<(), Refusal> {
    let fits = (1..=limits::ID_BYTES_MAX).contains(&id.len()) && !id.contains(&b'/');
    let fits = fits && id != b"__index__" && std::str::from_utf8(id).is_ok();
    if fits { Ok(()) } else { Err(Refusal::fixed("ERR this cannot be a hashId")) }
}

fn check_property(name: &[u8]) -> Result<(), Refusal> {
    let fits = (1..=limits::PROPERTY_BYTES_MAX).contains(&name.len()) && std::str::from_utf8(name).is_ok();
    if fits { Ok(()) } else { Err(Refusal::fixed("ERR this cannot be the name of a property")) }
}
