//! The Redis door of a node: shapes, order, refusals, bad input.
//!
//! Not here: whether replies are those of redis-server (the differential test). Must always hold: every reply is looked at
//! as it came.

use super::support::node::{Home, Node};
use super::support::resp::{Resp, command};

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

#[test]
fn a_key_of_a_file_is_no_key_of_the_clients() {
    let home = Home::new();
    let node = home.start();
    let mut client = client(&node);
    for words in ["SET file:x/title T", "MSET a 1 meta:events 2", "DEL meta-sort:file:x", "GET /file/x/title"]
    {
        assert!(client.ask(words).starts_with("-ERR keys of files"), "{words}");
    }
    assert_eq!(client.ask("GET a"), "$-1");
}
