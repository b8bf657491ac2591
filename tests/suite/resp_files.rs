//! Files over the Redis protocol: every spelling of a key is the same record, the same event and the same path as over
//! HTTP.
//!
//! Not here: generic keys (`resp`). Must always hold: what one door wrote is read through the other.

use std::io::BufRead;

use serde_json::json;

use super::support::node::{Home, Node};
use super::support::resp::Resp;

fn client(node: &Node) -> Resp {
    Resp::connect(node.resp).unwrap()
}

fn all(client: &mut Resp, commands: &[&str]) -> Vec<String> {
    commands.iter().map(|words| client.ask(words)).collect()
}

/// Type and key of all events, up to the `set` of `end`, which is written here over HTTP.
fn events(node: &Node, end: &str) -> Vec<String> {
    node.put(end, &json!({ "end": "1" }));
    let stream = node.client().stream("/api/events/meta?from=0-0").unwrap();
    let (mut events, mut kind) = (Vec::new(), String::new());
    for line in stream.lines() {
        let line = line.unwrap();
        if let Some(event) = line.strip_prefix("event: ") {
            kind = event.to_owned();
        }
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let event: serde_json::Value = serde_json::from_str(data).unwrap();
        let Some(key) = event["key"].as_str() else { continue };
        if key == format!("file:{end}/end") {
            return events;
        }
        events.push(format!("{kind} {}", key.strip_prefix("file:").expect("a canonical key")));
    }
    panic!("the stream ended before {end}: {events:?}");
}

const WRONG: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn what_redis_writes_http_reads_and_the_tree_shows() {
    let home = Home::new();
    let node = home.start();
    let mut redis = client(&node);
    let replies = all(
        &mut redis,
        &[
            "SET file:x/title One",
            "SET file:x/title One",
            "MSET /file/x/fileName a.mkv meta-sort:file:x/filePath /files/a.mkv plain 1",
            "HSET file:x year 1999 title Two",
            "HDEL file:x year nothing",
            "DEL file:x/absent plain file:x/fileName",
            "SADD file:__index__ y x",
            "SREM file:__index__ y",
        ],
    );
    assert_eq!(replies, ["+OK", "+OK", "+OK", ":1", ":1", ":2", ":1", ":1"]);
    assert_eq!(node.get("/meta/x")["metadata"], json!({ "title": "Two", "filePath": "/files/a.mkv" }));
    node.follow();
    let paths = node.paths();
    assert!(paths.len() == 1 && paths[0].contains("Two"), "{paths:?}");
    assert_eq!(redis.ask("DEL file:x file:y"), ":1");
    assert_eq!(node.ask("GET", "/meta/x", "").status, 404);
    node.follow();
    assert_eq!(node.paths(), Vec::<String>::new());
    let told = [
        "set x/title",
        "set x/title",
        "set x/fileName",
        "set x/filePath",
        "set x/year",
        "set x/title",
        "del x/year",
        "del x/fileName",
        "del x/filePath",
        "del x/title",
    ];
    assert_eq!(events(&node, "end"), told);
}

#[test]
fn what_http_writes_redis_reads_in_every_spelling() {
    let home = Home::new();
    let node = home.start();
    node.put("h:1", &json!({ "title": "Ha", "titles/eng": "He" }));
    node.put("h:2", &json!({ "n": "5" }));
    let mut redis = client(&node);
    for key in ["file:h:1/title", "/file/h:1/title", "meta-sort:file:h:1/title", "meta-sort:file:h:1:title"] {
        assert_eq!(redis.ask(&format!("GET {key}")), "$2|Ha", "{key}");
        assert_eq!(all(&mut redis, &[&format!("EXISTS {key}"), &format!("TYPE {key}")]), [":1", "+string"]);
    }
    let asked = [
        ("MGET file:h:1/title file:h:1/titles/eng file:h:1 file:h:3/title", "*4|$2|Ha|$2|He|$-1|$-1"),
        ("HGETALL file:h:1", "*4|$5|title|$2|Ha|$10|titles/eng|$2|He"),
        ("HGETALL meta-sort:file:h:2", "*2|$1|n|$1|5"),
        ("HGETALL file:none", "*0"),
        ("HMGET file:h:1 title none", "*2|$2|Ha|$-1"),
        ("HKEYS file:h:1", "*2|$5|title|$10|titles/eng"),
        ("HVALS file:h:1", "*2|$2|Ha|$2|He"),
        ("HLEN file:h:1", ":2"),
        ("HEXISTS file:h:1 title", ":1"),
        ("HSTRLEN file:h:1 title", ":2"),
        ("HSCAN file:h:1 0 MATCH titles/*", "*2|$1|0|*2|$10|titles/eng|$2|He"),
        ("TYPE file:h:1", "+hash"),
        ("TYPE file:__index__", "+set"),
        ("TYPE meta:events", "+stream"),
        ("SCARD file:__index__", ":2"),
        ("SISMEMBER file:__index__ h:1", ":1"),
        ("SMISMEMBER file:__index__ h:3 h:2", "*2|:0|:1"),
        ("GETRANGE file:h:1/title 1 5", "$1|a"),
        ("STRLEN file:h:1/title", ":2"),
        ("TTL file:h:1/title", ":-1"),
        ("TTL file:h:3/title", ":-2"),
        ("EXISTS file:h:1 file:h:3 file:h:2/n file:__index__", ":3"),
    ];
    for (words, reply) in asked {
        assert_eq!(redis.ask(words), reply, "{words}");
    }
    for reply in all(&mut redis, &["SMEMBERS file:__index__", "SUNION file:__index__ none"]) {
        assert!(reply == "*2|$3|h:1|$3|h:2" || reply == "*2|$3|h:2|$3|h:1", "{reply}");
    }
    let scanned = redis.ask("SSCAN meta-sort:file:__index__ 0");
    assert!(
        scanned.starts_with("*2|$1|0|*2|") && scanned.contains("h:1") && scanned.contains("h:2"),
        "{scanned}"
    );
}

#[test]
fn values_that_depend_on_the_old_one_are_one_step_with_one_event() {
    let home = Home::new();
    let node = home.start();
    let mut redis = client(&node);
    let asked = [
        ("SETNX file:x/p a", ":1"),
        ("SETNX file:x/p b", ":0"),
        ("SET file:x/p b XX GET", "$1|a"),
        ("SET file:x/q b XX", "$-1"),
        ("GETSET file:x/p c", "$1|b"),
        ("APPEND file:x/p d", ":2"),
        ("SETRANGE file:x/p 3 e", ":4"),
        ("INCR file:x/n", ":1"),
        ("INCRBY file:x/n 41", ":42"),
        ("INCR file:x/p", "-ERR value is not an integer or out of range"),
        ("INCRBYFLOAT file:x/n 0.5", "$4|42.5"),
        ("HINCRBY file:x m 7", ":7"),
        ("HSETNX file:x m 8", ":0"),
        ("HINCRBY file:x p 1", "-ERR hash value is not an integer"),
        ("GETDEL file:x/m", "$1|7"),
        ("GETDEL file:x/m", "$-1"),
        ("GETEX file:x/n PERSIST", "$4|42.5"),
        ("MSETNX free 1 file:x/n 1", ":0"),
        ("MSETNX free 1 file:x/o 1", ":1"),
        ("PERSIST file:x/n", ":0"),
    ];
    for (words, reply) in asked {
        assert_eq!(redis.ask(words), reply, "{words}");
    }
    let names = ["p", "p", "p", "p", "p", "n", "n", "n", "m"].map(|name| format!("set x/{name}"));
    let rest = ["del x/m", "set x/o"].map(str::to_owned);
    assert_eq!(events(&node, "end"), [&names[..], &rest].concat());
    let metadata = &node.get("/meta/x")["metadata"];
    assert_eq!(metadata, &json!({ "p": "cd\u{0}e", "n": "42.5", "o": "1" }));
}

#[test]
fn a_transaction_sees_and_guards_files_as_it_does_keys() {
    let home = Home::new();
    let node = home.start();
    let (mut one, mut other) = (client(&node), client(&node));
    all(
        &mut one,
        &[
            "MULTI",
            "SET file:x/p 1",
            "GET file:x/p",
            "INCR file:x/p",
            "HGETALL file:x",
            "DEL file:x/p",
            "EXISTS file:x",
        ],
    );
    assert_eq!(one.ask("EXEC"), "*6|+OK|$1|1|:2|*2|$1|p|$1|2|:1|:0");
    for watched in ["file:x/p", "file:x", "/file/x/p"] {
        all(&mut one, &[&format!("WATCH {watched}"), "MULTI", "SET file:x/p mine"]);
        assert_eq!(other.ask("SET file:x/p theirs"), "+OK");
        assert_eq!(one.ask("EXEC"), "*-1", "{watched}");
        all(&mut one, &[&format!("WATCH {watched}"), "MULTI", "SET file:x/p mine"]);
        assert_eq!(one.ask("EXEC"), "*1|+OK", "{watched}");
    }
}

#[test]
fn no_value_hides_beside_a_file() {
    let home = Home::new();
    let node = home.start();
    node.put("a:b", &json!({ "p": "1" }));
    let mut redis = client(&node);
    let stay = "-ERR keys of files do not expire";
    let read_only = "-ERR this spelling of the key can only be read: write file:{id}/{property}";
    let not_served =
        |name: &str| format!("-ERR '{name}' is not served on keys of files (file:*, meta:events)");
    let refused = [
        ("SET file:x v", WRONG.to_owned()),
        ("GET file:a:b/p/q extra", "-ERR wrong number of arguments for 'get' command".to_owned()),
        ("HSET file:x/p f v", WRONG.to_owned()),
        ("HGETALL file:a:b/p", WRONG.to_owned()),
        ("GET file:__index__", WRONG.to_owned()),
        ("SET file:a:b:p v", read_only.to_owned()),
        ("DEL file:a:b:p", read_only.to_owned()),
        ("SADD file:a:b m", not_served("sadd")),
        ("SPOP file:__index__", not_served("spop")),
        ("SUNIONSTORE mine file:__index__", not_served("sunionstore")),
        ("RENAME file:a:b/p mine", not_served("rename")),
        ("RENAME mine file:a:b/p", not_served("rename")),
        ("COPY file:a:b mine", not_served("copy")),
        ("DEL file:__index__", not_served("del")),
        ("WATCH meta:events", not_served("watch")),
        ("EXPIRE file:a:b/p 10", stay.to_owned()),
        ("SET file:a:b/p v EX 10", stay.to_owned()),
        ("SETEX file:a:b/p 10 v", stay.to_owned()),
        ("SET file:__index__/p v", "-ERR this cannot be a hashId".to_owned()),
        ("SADD file:__index__ a/b", "-ERR this cannot be a hashId".to_owned()),
    ];
    for (words, reply) in refused {
        assert_eq!(redis.ask(words), reply, "{words}");
    }
    assert_eq!(node.get("/meta/a:b")["metadata"], json!({ "p": "1" }));
    assert_eq!(events(&node, "end"), ["set a:b/p"]);
}

#[test]
fn walking_all_keys_tells_each_key_of_a_file_once_in_the_spelling_of_the_pattern() {
    let home = Home::new();
    let node = home.start();
    (0..40).for_each(|n| node.put(&format!("f{n}"), &json!({ "a": "1", "b/c": "2" })));
    let mut redis = client(&node);
    (0..40).for_each(|n| assert_eq!(redis.ask(&format!("SET own:{n} v")), "+OK"));
    let walk = |redis: &mut Resp, options: &str| {
        let (mut cursor, mut seen) = (String::from("0"), Vec::new());
        loop {
            let reply = redis.ask(&format!("SCAN {cursor} {options}"));
            let mut parts = reply.split('|').skip(2);
            cursor = parts.next().unwrap().to_owned();
            seen.extend(parts.filter(|part| part.contains(':') || part.starts_with('/')).map(str::to_owned));
            if cursor == "0" {
                break;
            }
        }
        seen.sort();
        seen
    };
    let both = |before: &str, between: &str| {
        let names = (0..40).flat_map(|n| ["a", "b/c"].map(|p| format!("{before}f{n}{between}{p}")));
        names.collect::<Vec<String>>()
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let own = (0..40).map(|n| format!("own:{n}"));
    let common = ["file:__index__", "meta:events"].map(str::to_owned);
    let everything = sorted(both("file:", "/").into_iter().chain(own).chain(common).collect());
    assert_eq!(walk(&mut redis, "COUNT 7"), everything);
    assert_eq!(redis.ask("DBSIZE"), format!(":{}", everything.len()));
    assert_eq!(walk(&mut redis, "COUNT 7 TYPE set"), ["file:__index__"]);
    assert_eq!(walk(&mut redis, "COUNT 9 MATCH /file/*"), sorted(both("/file/", "/")));
    assert_eq!(walk(&mut redis, "MATCH meta-sort:file:f*"), sorted(both("meta-sort:file:", ":")));
    assert_eq!(walk(&mut redis, "MATCH file:f*/a").len(), 40);
    for ask in ["KEYS file:f7/*", "KEYS file:f7/[ab]*"] {
        assert_eq!(redis.ask(ask), "*2|$9|file:f7/a|$11|file:f7/b/c", "{ask}");
    }
    // One file is one look, whatever else there is.
    assert_eq!(redis.ask("SCAN 0 MATCH /file/f7/b* COUNT 1"), "*2|$1|0|*1|$12|/file/f7/b/c");
    assert_eq!(redis.ask("SCAN 0 MATCH file:none/*"), "*2|$1|0|*0");
    assert!(redis.ask("RANDOMKEY").starts_with('$'));
}
