//! The real binary syncs its log before it acknowledges: seen in its system calls.
//!
//! A node runs under strace. Without strace, or without the right to use it, the tests say so and pass; with
//! METAD_TEST_REQUIRE_STRACE=1 they fail.
//!
//! Not here: the reading of traces (`raft/tests/suite`). Must always hold: before an answer stand a write of what it acknowledges
//! to the log, and an `fdatasync` of that file that begins after the write and ends before the answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::node::{Home, Node, eventually};
use crate::synced::{judge, synced};
use crate::trace::{Call, calls, number};

const WATCHED: &str =
    "trace=openat,accept4,read,recvfrom,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync";

/// Where strace is, when it works here; says why not.
fn strace() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("strace")).find(|file| file.is_file());
    let works = |strace: &PathBuf| {
        let tried = Command::new(strace).args(["-D", "-o", "/dev/null", "true"]).output();
        tried.is_ok_and(|tried| tried.status.success() && tried.stderr.is_empty())
    };
    let usable = found.filter(works);
    if usable.is_none() {
        let required = std::env::var_os("METAD_TEST_REQUIRE_STRACE").is_some_and(|v| v == "1");
        assert!(!required, "METAD_TEST_REQUIRE_STRACE=1, and strace cannot be used");
        eprintln!("skipped: strace cannot be used");
    }
    usable
}

/// The same command under strace. The tracer is a grandchild, so that the process we start is the node.
fn traced(strace: &Path, command: &Command, home: &Home) -> Command {
    let mut outer = Command::new(strace);
    outer.args(["-D", "-f", "-y", "-xx", "-s", "1000000", "-e", WATCHED, "-o"]).arg(home.path("trace"));
    outer.arg(command.get_program()).args(command.get_args()).env_clear();
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let log = fs::OpenOptions::new().create(true).append(true).open(home.path("log")).unwrap();
    outer.current_dir(command.get_current_dir().unwrap_or(Path::new("/"))).stderr(log);
    outer.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    outer
}

/// Stops the node and gives its trace, once it is whole.
fn trace_of(node: Node, home: &Home) -> Vec<Call> {
    assert!(node.stop().success(), "{}", home.said());
    let text = eventually("the trace is whole", || {
        let text = fs::read_to_string(home.path("trace")).ok()?;
        let ended = text.lines().rev().take(5).any(|line| line.ends_with("+++ exited with 0 +++"));
        ended.then_some(text)
    });
    calls(&text)
}

fn holds(call: &Call, what: &[u8]) -> bool {
    call.data.windows(what.len()).any(|window| window == what)
}

/// Whether a value was synced between the request that brought it and the success that answered it.
fn acknowledged_after_sync(calls: &[Call], value: &[u8]) -> Result<(), String> {
    let receives = |c: &&Call| c.name == "recvfrom" || c.name == "read";
    let request = calls.iter().filter(receives).find(|c| holds(c, value)).ok_or("no request")?;
    let on_it = |c: &&Call| number(&c.fd) == number(&request.fd) && c.begin > request.end;
    let answer = calls.iter().filter(on_it).find(|c| c.data.starts_with(b"HTTP/1.1 200"));
    synced(calls, request.end, answer.ok_or("no answer")?.begin, value)
}

#[test]
fn a_write_is_answered_only_after_an_fdatasync_of_its_entry() {
    let Some(strace) = strace() else { return };
    let home = Home::of_mode("raft");
    let node = Node::launch(&home, traced(&strace, &home.serve(), &home));
    let values: Vec<String> = (0..10).map(|n| format!("marked-{n}-0=v")).collect();
    for (n, value) in values.iter().enumerate() {
        let answer = node.ask("PUT", &format!("/meta/a/p{n}"), value);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let mut seen = trace_of(node, &home);
    for value in &values {
        acknowledged_after_sync(&seen, value.as_bytes()).unwrap();
    }
    // The judge is awake: without the syncs, the same trace is condemned.
    seen.retain(|call| call.name != "fdatasync");
    assert!(values.iter().all(|value| acknowledged_after_sync(&seen, value.as_bytes()).is_err()));
}

fn transfer(cluster: &Cluster, to: usize) {
    let body = json!({"to": format!("n{}", to + 1)}).to_string();
    // On a busy machine a hand-over may fail, and is asked for again.
    eventually("the lead is handed over", || {
        let answer = cluster.node(to).ask("POST", "/v1/leader/transfer", &body);
        (answer.status == 200 || cluster.leader() == to).then_some(())
    });
    eventually("it leads", || (cluster.leader() == to).then_some(()));
}

/// Writes on a node, and waits until the traced one has it.
fn write(cluster: &Cluster, on: usize, values: &[String]) {
    for value in values {
        eventually("a write is taken", || {
            (cluster.node(on).ask("PUT", "/meta/a/p", value).status == 200).then_some(())
        });
    }
    let stale = |node: &Node| -> Value {
        let answer = node.ask("GET", "/meta/a?consistency=stale", "");
        if answer.status == 200 { answer.json()["metadata"]["p"].clone() } else { Value::Null }
    };
    eventually("the traced node has it", || (stale(cluster.node(0)) == json!(values.last())).then_some(()));
}

#[test]
fn a_member_answers_an_append_or_a_vote_only_after_an_fdatasync_of_it() {
    let Some(strace) = strace() else { return };
    let mut cluster = Cluster::new(3);
    let command = traced(&strace, &cluster.serve(0), &cluster.homes[0]);
    cluster.run(0, command);
    (1..3).for_each(|n| cluster.start(n));
    cluster.ready();
    for round in 0..3 {
        let leads = 1 + round % 2;
        transfer(&cluster, leads);
        let values: Vec<String> = (0..5).map(|n| format!("marked-{round}-{n}=v")).collect();
        write(&cluster, leads, &values);
    }
    let node = cluster.nodes[0].take().unwrap();
    let mut seen = trace_of(node, &cluster.homes[0]);
    let (appends, votes) = judge(&seen).unwrap();
    assert!(appends >= 10 && votes >= 1, "{appends} appends and {votes} votes were seen");
    seen.retain(|call| call.name != "fdatasync");
    assert!(judge(&seen).is_err());
}
