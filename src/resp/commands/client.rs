//! CLIENT and its subcommands.
//!
//! Not here: the list itself (`clients`). Must always hold: an unknown subcommand is an error reply and nothing else:
//! clients send new ones at connect and go on.

use bytes::Bytes;

use super::super::clients::Client;
use super::super::codec::{Reply, Request, integer};
use super::super::command::{ADMIN, Group, Keys, LOADING, NOSCRIPT, Row, Run, STALE};
use super::super::error::{Refusal, SYNTAX};
use super::super::session::Local;
use super::connection::answer;

const USUAL: u32 = NOSCRIPT | LOADING | STALE;

const fn sub(
    name: &'static str,
    arity: i32,
    run: fn(&mut Local<'_>, &Request<'_>, &mut Reply),
    reply: &'static str,
    summary: &'static str,
) -> Row {
    Row::new(name, arity, USUAL, Keys::None, Group::Connection, Run::Local(run), reply, summary)
}

/// The row.
pub const ROW: Row = Row::new(
    "client",
    -2,
    ADMIN | USUAL,
    Keys::None,
    Group::Connection,
    Run::Container(SUBS),
    "by subcommand",
    "Commands about connections.",
);

const SUBS: &[Row] = &[
    sub("client|getname", 2, get_name, "string or null", "The connection's name."),
    sub("client|help", 2, help, "array", "What there is."),
    sub("client|id", 2, id, "integer", "The connection's id."),
    sub("client|info", 2, info, "verbatim", "What is known of the connection."),
    sub("client|kill", -3, kill, "integer or OK", "Closes connections."),
    sub("client|list", -2, list, "verbatim", "All connections of this node."),
    sub("client|no-evict", 3, no_evict, "OK", "Accepted: no client is evicted here."),
    sub("client|no-touch", 3, no_touch, "OK", "Accepted: reading changes no key here."),
    sub("client|setinfo", 4, set_info, "OK", "Names the client's library."),
    sub("client|setname", 3, set_name, "OK", "Names the connection."),
];

fn id(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    reply.int(local.session.client.id as i64);
}

fn info(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    reply.verbatim(&format!("{}\n", local.session.client.line()));
}

fn get_name(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    let name = local.session.client.facts().name;
    reply.bulk_or_null((!name.is_empty()).then_some(&name[..]));
}

/// A name without spaces and special characters.
pub fn checked_name(name: Bytes) -> Result<Bytes, Refusal> {
    printable(&name)
        .then(|| Bytes::copy_from_slice(&name))
        .ok_or(Refusal::fixed("ERR Client names cannot contain spaces, newlines or special characters."))
}

fn printable(text: &[u8]) -> bool {
    text.iter().all(|b| (b'!'..=b'~').contains(b))
}

fn set_name(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = checked_name(request.bytes(2)).map(|name| {
        local.session.client.change(|facts| facts.name = name);
        reply.ok();
    });
    answer(result, local, reply);
}

fn set_info(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let word = request.arg(2).to_ascii_lowercase();
    let result = match (word.as_slice(), printable(request.arg(3))) {
        (b"lib-name" | b"lib-ver", true) => {
            let value = Bytes::copy_from_slice(request.arg(3));
            local.session.client.change(|facts| match word.as_slice() {
                b"lib-name" => facts.lib_name = value,
                _ => facts.lib_version = value,
            });
            reply.ok();
            Ok(())
        }
        (b"lib-name" | b"lib-ver", false) => {
            let word = String::from_utf8_lossy(&word).into_owned();
            Err(Refusal::of(format!("ERR {word} cannot contain spaces, newlines or special characters.")))
        }
        _ => {
            let option = String::from_utf8_lossy(request.arg(2));
            Err(Refusal::of(format!("ERR Unrecognized option '{option}'")))
        }
    };
    answer(result, local, reply);
}

fn switch(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply, set: fn(&Client, bool)) {
    let on = request.is(2, "on");
    let result = if on || request.is(2, "off") {
        set(&local.session.client, on);
        reply.ok();
        Ok(())
    } else {
        Err(SYNTAX)
    };
    answer(result, local, reply);
}

fn no_evict(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    switch(local, request, reply, |client, on| client.change(|facts| facts.no_evict = on));
}

fn no_touch(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    switch(local, request, reply, |client, on| client.change(|facts| facts.no_touch = on));
}

fn list(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = chosen(request).map(|chosen| {
        let text = local.door.clients.list(|client| match &chosen {
            Chosen::All => true,
            Chosen::None => false,
            Chosen::Ids(ids) => ids.contains(&client.id),
        });
        reply.verbatim(&text);
    });
    answer(result, local, reply);
}

enum Chosen {
    All,
    None,
    Ids(Vec<u64>),
}

/// Which clients CLIENT LIST asks for.
fn chosen(request: &Request<'_>) -> Result<Chosen, Refusal> {
    if request.len() == 2 {
        return Ok(Chosen::All);
    }
    if request.len() == 4 && request.is(2, "type") {
        return normal(request.arg(3)).map(|normal| if normal { Chosen::All } else { Chosen::None });
    }
    if request.len() > 3 && request.is(2, "id") {
        let ids = (3..request.len())
            .map(|at| client_id(request.arg(at)).ok_or(Refusal::fixed("ERR Invalid client ID")));
        return ids.collect::<Result<_, _>>().map(Chosen::Ids);
    }
    Err(SYNTAX)
}

fn client_id(text: &[u8]) -> Option<u64> {
    integer(text).and_then(|id| u64::try_from(id).ok())
}

/// Whether a client type is that of ordinary clients, the only type for now.
fn normal(kind: &[u8]) -> Result<bool, Refusal> {
    let kind = kind.to_ascii_lowercase();
    match kind.as_slice() {
        b"normal" => Ok(true),
        b"pubsub" | b"replica" | b"slave" | b"master" => Ok(false),
        _ => {
            let kind = String::from_utf8_lossy(&kind).into_owned();
            Err(Refusal::of(format!("ERR Unknown client type '{kind}'")))
        }
    }
}

fn kill(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = kill_those(local, request).map(|killed| match (request.len(), killed) {
        (3, 0) => reply.error("ERR No such client"),
        (3, _) => reply.ok(),
        (_, killed) => reply.count(killed),
    });
    answer(result, local, reply);
}

/// Ends the connections that the filters let through; answers how many.
fn kill_those(local: &mut Local<'_>, request: &Request<'_>) -> Result<usize, Refusal> {
    let own = local.session.client.id;
    let mut wanted = local.door.clients.all();
    if request.len() == 3 {
        wanted.retain(|client| client.peer.to_string().as_bytes() == request.arg(2));
    } else {
        if !request.len().is_multiple_of(2) {
            return Err(SYNTAX);
        }
        let mut skip_own = true;
        for at in (2..request.len()).step_by(2) {
            let value = request.arg(at + 1);
            let same = |text: String| text.as_bytes() == value;
            match request.arg(at).to_ascii_lowercase().as_slice() {
                b"id" => {
                    let id = client_id(value).filter(|id| *id > 0);
                    let id = id.ok_or(Refusal::fixed("ERR client-id should be greater than 0"))?;
                    wanted.retain(|client| client.id == id);
                }
                b"addr" => wanted.retain(|client| same(client.peer.to_string())),
                b"laddr" => wanted.retain(|client| same(client.local.to_string())),
                b"user" => wanted.retain(|client| client.facts().user == value),
                b"type" => {
                    let normal = normal(value)?;
                    wanted.retain(|_| normal);
                }
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => skip_own = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => skip_own = false,
                _ => return Err(SYNTAX),
            }
        }
        wanted.retain(|client| !(skip_own && client.id == own));
    }
    for client in &wanted {
        match client.id == own {
            // Its own end comes after the answer.
            true => local.session.closing = true,
            false => client.kill.cancel(),
        }
    }
    Ok(wanted.len())
}

fn help(_: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    super::server::help_of("CLIENT", SUBS, reply);
}
