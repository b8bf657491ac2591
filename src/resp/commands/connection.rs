//! Commands about the connection itself: PING, ECHO, HELLO, AUTH, SELECT, QUIT, RESET. CLIENT has a file of its own.
//!
//! Not here: keys. Must always hold: none of them waits for a leader, so that a client can always connect and ask.

use super::super::codec::{Reply, Request};
use super::super::command::{
    ALLOW_BUSY, FAST, Group, Keys, LOADING, NO_AUTH, NO_MULTI, NOSCRIPT, Row, Run, STALE,
};
use super::super::error::{NOT_INTEGER, Refusal, SYNTAX, wrong_arity};
use super::super::session::Local;
use super::{client, server};
use metad_raft::Role;

const ALWAYS: u32 = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY;

/// The rows.
pub const ROWS: &[Row] = &[
    Row::new(
        "auth",
        -2,
        ALWAYS,
        Keys::None,
        Group::Connection,
        Run::Local(auth),
        "OK",
        "Logs the connection in.",
    ),
    client::ROW,
    Row::new(
        "echo",
        2,
        LOADING | STALE | FAST,
        Keys::None,
        Group::Connection,
        Run::Local(echo),
        "string",
        "Answers the given text.",
    ),
    Row::new(
        "hello",
        -1,
        ALWAYS,
        Keys::None,
        Group::Connection,
        Run::Local(hello),
        "map",
        "Shakes hands: version of the protocol, login, name.",
    ),
    Row::new(
        "ping",
        -1,
        FAST | LOADING | STALE,
        Keys::None,
        Group::Connection,
        Run::Local(ping),
        "PONG or the given text",
        "Answers.",
    ),
    Row::new(
        "quit",
        -1,
        ALWAYS | NO_MULTI,
        Keys::None,
        Group::Connection,
        Run::Local(quit),
        "OK",
        "Closes the connection.",
    ),
    Row::new(
        "reset",
        1,
        ALWAYS,
        Keys::None,
        Group::Connection,
        Run::Local(reset),
        "RESET",
        "Makes the connection as new.",
    ),
    Row::new(
        "select",
        2,
        LOADING | STALE | FAST,
        Keys::None,
        Group::Connection,
        Run::Local(select),
        "OK",
        "Chooses the database; there is only 0.",
    ),
];

/// Writes what a command gave.
pub fn answer(result: Result<(), Refusal>, local: &Local<'_>, reply: &mut Reply) {
    if let Err(refusal) = result {
        local.door.counts.errors.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        reply.error(&refusal.0);
    }
}

fn ping(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    match request.len() {
        1 => reply.simple("PONG"),
        2 => reply.bulk(request.arg(1)),
        _ => answer(Err(wrong_arity("ping")), local, reply),
    }
}

fn echo(_: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    reply.bulk(request.arg(1));
}

fn quit(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    local.session.closing = true;
    reply.ok();
}

fn reset(local: &mut Local<'_>, _: &Request<'_>, reply: &mut Reply) {
    local.session.reset(!local.door.options.needs_login());
    reply.speak(false);
    reply.simple("RESET");
}

fn select(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = match super::super::codec::integer(request.arg(1)) {
        Some(0) => {
            reply.ok();
            Ok(())
        }
        Some(n) if i32::try_from(n).is_ok() => Err(Refusal::fixed("ERR DB index is out of range")),
        Some(_) => {
            Err(Refusal::fixed("ERR value is out of range, value must between -2147483648 and 2147483647"))
        }
        None => Err(NOT_INTEGER),
    };
    answer(result, local, reply);
}

const WRONG_PASSWORD: Refusal =
    Refusal::fixed("WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD: Refusal = Refusal::fixed(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
);

fn auth(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    let result = match request.len() {
        2 if !local.door.options.needs_login() => Err(NO_PASSWORD),
        2 => login(local, b"default", request.arg(1)),
        3 => login(local, request.arg(1), request.arg(2)),
        _ => Err(SYNTAX),
    };
    if result.is_ok() {
        reply.ok();
    }
    answer(result, local, reply);
}

fn login(local: &mut Local<'_>, user: &[u8], password: &[u8]) -> Result<(), Refusal> {
    let options = &local.door.options;
    // Without users, the default one has no password: any will do, as in Redis.
    let open = !options.needs_login() && user == b"default";
    if !open && !options.admits(user, password) {
        return Err(WRONG_PASSWORD);
    }
    local.session.authenticated = true;
    local.session.client.change(|facts| facts.user = bytes::Bytes::copy_from_slice(user));
    Ok(())
}

fn hello(local: &mut Local<'_>, request: &Request<'_>, reply: &mut Reply) {
    match greet(local, request) {
        Ok(resp3) => {
            if let Some(resp3) = resp3 {
                reply.speak(resp3);
                local.session.client.change(|facts| facts.resp3 = resp3);
            }
            describe(local, reply);
        }
        Err(refusal) => answer(Err(refusal), local, reply),
    }
}

/// Reads HELLO's arguments and logs in; answers the version that was asked for.
fn greet(local: &mut Local<'_>, request: &Request<'_>) -> Result<Option<bool>, Refusal> {
    let mut resp3 = None;
    if request.len() > 1 {
        let version = super::super::codec::integer(request.arg(1));
        resp3 = Some(match version {
            Some(2) => false,
            Some(3) => true,
            Some(_) => return Err(Refusal::fixed("NOPROTO unsupported protocol version")),
            None => {
                return Err(Refusal::fixed("ERR Protocol version is not an integer or out of range"));
            }
        });
    }
    let (mut at, mut name) = (2, None);
    let mut credentials = None;
    while at < request.len() {
        let more = request.len() - 1 - at;
        if request.is(at, "auth") && more >= 2 {
            credentials = Some((request.arg(at + 1), request.arg(at + 2)));
            at += 3;
        } else if request.is(at, "setname") && more >= 1 {
            name = Some(client::checked_name(request.bytes(at + 1))?);
            at += 2;
        } else {
            let option = String::from_utf8_lossy(request.arg(at));
            return Err(Refusal::of(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some((user, password)) = credentials {
        login(local, user, password)?;
    }
    if !local.session.authenticated {
        let how = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
            <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";
        return Err(Refusal::fixed(how));
    }
    if let Some(name) = name {
        local.session.client.change(|facts| facts.name = name);
    }
    Ok(resp3)
}

fn describe(local: &Local<'_>, reply: &mut Reply) {
    let leads = server::role(local.door) == Role::Leader;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(server::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.int(if reply.is_resp3() { 3 } else { 2 });
    reply.bulk(b"id");
    reply.int(local.session.client.id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(if leads { b"master" } else { b"replica" });
    reply.bulk(b"modules");
    reply.array(0);
}
