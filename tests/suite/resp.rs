//! The Redis door of a node: shapes, order, refusals, bad input.
//!
//! Not here: whether replies are those of redis-server (the differential test). Must always hold: every reply is looked at
//! as it came.

use std::process::{Command, Stdio};

use super::support::node::{Guard, Home, Node, eventually};
use super::support::resp::{Resp, command};
use super::support::run;

fn client(node: &Node) -> Resp {
    Resp::connect(node.resp).unwrap()
}

#[test]
fn a_pipeline_is_answered_in_order_and_a_read_sees_the_writes_before_it() {
    let home = Home::new();
    let node = home.start();
    let mut client = client(&node);
    let words =
        ["SET n 1", "INCR n", "GET n", "PING", "INCR n", "SET n", "INCR n", "APPEND n x", "INCR n", "GET n"];
    let pipeline: Vec<u8> = words.iter().flat_map(|words| command(words)).collect();
    client.send(&pipeline);
    let replies: Vec<String> = words.iter().map(|_| client.reply()).collect();
    let arity = "-ERR wrong number of arguments for 'set' command";
    let not_integer = "-ERR value is not an integer or out of range";
    assert_eq!(replies, ["+OK", ":2", "$1|2", "+PONG", ":3", arity, ":4", ":2", not_integer, "$2|4x"]);
}

#[test]
fn a_client_gets_the_shapes_of_the_protocol_that_it_speaks() {
    let home = Home::new();
    let node = home.start();
    let mut client = client(&node);
    assert_eq!(client.ask("GET nothing"), "$-1");
    assert!(client.ask("CONFIG GET save").starts_with("*2|"));
    assert!(client.ask("HELLO 3").starts_with("%7|$6|server|$5|redis|"));
    assert_eq!(client.ask("GET nothing"), "_");
    assert!(client.ask("CONFIG GET save").starts_with("%1|"));
    assert!(client.ask("INFO server").starts_with("="));
    assert_eq!(client.ask("HELLO 4"), "-NOPROTO unsupported protocol version");
    assert!(client.ask("CLIENT MAINT_NOTIFICATIONS ON").starts_with("-ERR unknown subcommand"));
    assert_eq!(client.ask("RESET"), "+RESET");
    assert_eq!(client.ask("GET nothing"), "$-1");
    assert_eq!(client.ask("QUIT"), "+OK");
    assert_eq!(client.rest(), "");
}

#[test]
fn what_redis_wrote_is_there_after_kill_9() {
    let home = Home::new();
    let node = home.start();
    assert_eq!(client(&node).ask("SET k v"), "+OK");
    node.kill();
    let node = home.start();
    assert_eq!(client(&node).ask("GET k"), "$1|v");
}

#[test]
fn broken_requests_are_told_and_hurt_nobody_else() {
    let home = Home::new();
    let node = home.start();
    let mut other = client(&node);
    let long = "x".repeat(70_000);
    for (bytes, text) in [
        ("*1\r\n$99999999999\r\n", "invalid bulk length"),
        ("*99999999999\r\n", "invalid multibulk length"),
        ("*2\r\n*1\r\n$1\r\nx\r\n", "expected '$', got '*'"),
        (long.as_str(), "too big inline request"),
        ("GET \"x\r\n", "unbalanced quotes in request"),
    ] {
        let mut client = client(&node);
        client.send(bytes.as_bytes());
        assert_eq!(client.rest(), format!("-ERR Protocol error: {text}\r\n"));
        assert_eq!(other.ask("PING"), "+PONG");
    }
    // A length that is announced and never sent takes no memory.
    let mut bombs: Vec<Resp> = (0..200).map(|_| client(&node)).collect();
    bombs.iter_mut().for_each(|bomb| bomb.send(b"*1000000\r\n$16000000\r\nab"));
    assert_eq!(other.ask("PING"), "+PONG");
    assert!(node.resident_bytes() < 400 << 20);
}

/// One reply for several commands.
fn all(client: &mut Resp, commands: &[&str]) -> Vec<String> {
    commands.iter().map(|words| client.ask(words)).collect()
}

#[test]
fn a_transaction_reads_its_own_writes_and_is_one_step() {
    let home = Home::new();
    let node = home.start();
    let (mut one, mut other) = (client(&node), client(&node));
    let queued = all(&mut one, &["MULTI", "SET a 1", "GET a", "INCR a", "GET a", "LPUSH"]);
    assert_eq!(queued[..5], ["+OK", "+QUEUED", "+QUEUED", "+QUEUED", "+QUEUED"]);
    assert!(queued[5].starts_with("-ERR"));
    assert_eq!(one.ask("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
    assert_eq!(one.ask("GET a"), "$-1");
    all(&mut one, &["MULTI", "SET a 1", "GET a", "INCR a", "HSET a f v", "GET a", "PING"]);
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(one.ask("EXEC"), format!("*6|+OK|$1|1|:2|{wrong}|$1|2|+PONG"));
    // What was watched and changed by somebody else lets nothing happen.
    all(&mut one, &["WATCH a", "MULTI", "SET a mine"]);
    assert_eq!(other.ask("SET a theirs"), "+OK");
    assert_eq!(one.ask("EXEC"), "*-1");
    assert_eq!(one.ask("GET a"), "$6|theirs");
    all(&mut one, &["WATCH a", "MULTI", "SET a mine"]);
    assert_eq!(one.ask("EXEC"), "*1|+OK");
    all(&mut one, &["MULTI", "DBSIZE", "SET another 1", "DBSIZE", "DEL another", "DBSIZE"]);
    assert_eq!(one.ask("EXEC"), "*5|:1|+OK|:2|:1|:1");
    all(&mut one, &["MULTI", "GET a", "EXISTS a nothing"]);
    assert_eq!(one.ask("EXEC"), "*2|$4|mine|:1");
    assert_eq!(one.ask("EXEC"), "-ERR EXEC without MULTI");
}

#[test]
fn scanning_tells_every_key_that_was_there_all_the_time() {
    let home = Home::new();
    let node = home.start();
    let mut client = client(&node);
    let names: std::collections::BTreeSet<String> = (0..300).map(|n| format!("key:{n}")).collect();
    names.iter().for_each(|name| assert_eq!(client.ask(&format!("SET {name} v")), "+OK"));
    let (mut cursor, mut seen) = (String::from("0"), std::collections::BTreeSet::new());
    loop {
        let reply = client.ask(&format!("SCAN {cursor} COUNT 7 MATCH key:*"));
        let mut parts = reply.split('|').skip(2);
        cursor = parts.next().unwrap().to_owned();
        seen.extend(parts.filter(|part| part.starts_with("key:")).map(str::to_owned));
        client.ask(&format!("SET other:{cursor} v"));
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(seen, names);
    assert_eq!(client.ask("FLUSHALL"), "+OK");
    assert_eq!(all(&mut client, &["DBSIZE", "KEYS *", "RANDOMKEY"]), [":0", "*0", "$-1"]);
}

/// A redis-server on a port of its own; `None`, after saying why, where there is none.
fn redis_server(dir: &std::path::Path) -> Option<(Guard, u16)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--databases",
        "1",
        "--dir",
    ]);
    match command.arg(dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => {
            let guard = Guard(child);
            let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop);
            eventually("redis-server listens", listens);
            Some((guard, port))
        }
        Err(error) => {
            let required = std::env::var_os("METAD_TEST_REQUIRE_REDIS").is_some_and(|v| v == "1");
            assert!(!required, "METAD_TEST_REQUIRE_REDIS=1, and redis-server does not start: {error}");
            eprintln!("skipped: redis-server does not start: {error}");
            None
        }
    }
}

/// `METAD_RESP_DIFFERENTIAL` is the number of commands of a longer run, `METAD_RESP_SEED` where it begins.
#[test]
fn random_commands_get_the_replies_of_redis_server() {
    let home = Home::new();
    let Some((_redis, port)) = redis_server(&home.path("files")) else { return };
    let node = home.start();
    let setting = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let (total, first) = (setting("METAD_RESP_DIFFERENTIAL"), setting("METAD_RESP_SEED").unwrap_or(1));
    for seed in first..first + 4 {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resp_differential.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(format!("127.0.0.1:{port}")).arg(node.resp.to_string());
        let run = run(command.arg(seed.to_string()).arg((total.unwrap_or(12_000) / 4).to_string()));
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    }
}
