//! `metad status --watch`: it follows a node, also while that node is away, and ends when it is told or nobody reads.
//!
//! Not here: what the lines say (`src/cli/tests.rs`). Must always hold: a test waits for a refresh, never for time.

use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::metad;
use crate::support::node::{Guard, Home, Node, eventually};

fn watch(home: &Home, node: &Node) -> (Guard, BufReader<ChildStdout>) {
    let mut command: Command = metad(&home.path(""));
    command.args(["-e", &format!("http://{}", node.http), "status", "--watch", "0.1"]);
    let mut child = Guard(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let out = child.0.stdout.take().unwrap();
    (child, BufReader::new(out))
}

/// The line of the log in the next refresh.
fn next_log_line(out: &mut BufReader<ChildStdout>) -> String {
    loop {
        let mut line = String::new();
        assert!(out.read_line(&mut line).unwrap() > 0, "it goes on");
        if line.starts_with("log ") {
            return line;
        }
    }
}

fn code(child: &mut Guard) -> Option<i32> {
    eventually("it ends", || child.0.try_wait().unwrap()).code()
}

#[test]
fn a_change_shows_at_the_next_refresh_and_ctrl_c_ends_it_with_130() {
    let home = Home::of_mode("raft");
    let node = home.start();
    let (mut child, mut out) = watch(&home, &node);
    next_log_line(&mut out);
    node.put("a", &json!({"title": "A"}));
    let index = node.get("/v1/status")["applied_index"].as_u64().unwrap();
    // The one that was on its way may be from before.
    next_log_line(&mut out);
    let line = next_log_line(&mut out);
    let (_, applied) = line.split_once("applied ").unwrap();
    let applied: u64 = applied.split(',').next().unwrap().parse().unwrap();
    assert!(applied >= index, "{line}: {index}");
    kill_process(Pid::from_raw(child.0.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    assert_eq!(code(&mut child), Some(130));
}

#[test]
fn it_ends_with_success_when_nobody_reads_any_more() {
    let home = Home::of_mode("raft");
    let node = home.start();
    let (mut child, mut out) = watch(&home, &node);
    next_log_line(&mut out);
    drop(out);
    assert_eq!(code(&mut child), Some(0));
}

#[test]
fn it_goes_on_while_its_node_is_away() {
    let home = Home::of_mode("raft");
    let node = home.start();
    let (mut child, mut out) = watch(&home, &node);
    next_log_line(&mut out);
    let address = node.http.to_string();
    node.kill();
    let mut said = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains(&address), "{line}");
    let _again = Node::launch(&home, home.serve_at(&address, "127.0.0.1:0"));
    // Refreshes of before the kill may be in the pipe; one of a second life comes after all of them.
    (0..20).for_each(|_| drop(next_log_line(&mut out)));
    assert!(child.0.try_wait().unwrap().is_none());
}
