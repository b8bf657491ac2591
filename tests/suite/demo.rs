//! `metad demo` as a newcomer runs it: three nodes, a mount, nodes that are killed, Ctrl-C.
//!
//! Not here: what a cluster promises (`cluster`, `campaign`). Must always hold: the demo's folders are in the test's own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::support::client::{Answer, Client};
use crate::support::metad;
use crate::support::node::{Guard, SOON, eventually, walk};

struct Running {
    demo: Guard,
    dir: TempDir,
    said: Receiver<String>,
    /// Address and process of each node.
    nodes: Vec<(SocketAddr, i32)>,
    mount: Option<PathBuf>,
    /// A record that the demo names.
    example: String,
}

impl Drop for Running {
    /// A test that failed stops the demo in order too: one that is killed cannot take its nodes with it.
    fn drop(&mut self) {
        let id = Pid::from_raw(self.demo.0.id().cast_signed()).expect("a process id is not 0");
        let runs = |demo: &mut Guard| demo.0.try_wait().is_ok_and(|ended| ended.is_none());
        if runs(&mut self.demo) && kill_process(id, Signal::TERM).is_ok() {
            let end = std::time::Instant::now() + SOON;
            while runs(&mut self.demo) && std::time::Instant::now() < end {
                std::thread::yield_now();
            }
        }
    }
}

impl Running {
    /// Starts a demo and reads what it says to its end.
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut command = metad(dir.path());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("TMPDIR", dir.path()).arg("demo").args(args);
        let mut demo = Guard(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let (sender, said) = channel();
        let (out, err) = (demo.0.stdout.take().unwrap(), demo.0.stderr.take().unwrap());
        let other = sender.clone();
        std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).try_for_each(|l| sender.send(l))
        });
        std::thread::spawn(move || {
            BufReader::new(err).lines().map_while(Result::ok).try_for_each(|l| other.send(l))
        });
        let mut running = Self { demo, dir, said, nodes: Vec::new(), mount: None, example: String::new() };
        while running.hear(|line| line.starts_with("Ctrl-C")).is_none() {}
        running
    }

    /// Reads a line, and takes from it what it tells. `Some` when it is what is waited for.
    fn hear(&mut self, awaited: impl Fn(&str) -> bool) -> Option<()> {
        let line = self.said.recv_timeout(SOON).expect("the demo says more");
        eprintln!("demo: {line}");
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [name, url, "pid", pid] if name.starts_with("node-") => {
                let address = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
                self.nodes.push((address, pid.parse().unwrap()));
            }
            ["mount", path, _] => self.mount = Some(path.into()),
            ["metad", "-e", _, "vfs", "explain", id] => (*id).clone_into(&mut self.example),
            _ => {}
        }
        awaited(&line).then_some(())
    }

    fn wait_for(&mut self, text: &str) {
        while self.hear(|line| line.contains(text)).is_none() {}
    }

    fn kill(&self, node: usize) {
        kill_process(Pid::from_raw(self.nodes[node].1).unwrap(), Signal::KILL).unwrap();
    }

    fn ask(&self, node: usize, method: &str, path: &str, body: &str) -> Option<Answer> {
        let answer =
            Client::connect(self.nodes[node].0).ok()?.send(method, path, &[], body.as_bytes()).ok()?;
        (answer.status == 200).then_some(answer)
    }

    /// Gives the example a title over a node, and waits until its name is in the mount.
    fn rename(&self, node: usize, title: &str, mount: &Path) {
        let (path, body) = (format!("/meta/{}", self.example), json!({"title": title}).to_string());
        eventually("a write is taken", || self.ask(node, "PUT", &path, &body));
        // What is left meanwhile may be gone when it is looked into.
        let names = || walkdir::WalkDir::new(mount).into_iter().filter_map(Result::ok);
        let appeared = || names().any(|f| f.file_name().to_string_lossy().contains(title));
        eventually("it appears in the mount", || appeared().then_some(()));
    }

    /// Ctrl-C: everything is gone.
    fn stop(mut self) {
        let id = Pid::from_raw(self.demo.0.id().cast_signed()).unwrap();
        kill_process(id, Signal::INT).unwrap();
        let status = ended(&mut self.demo.0);
        assert!(status.success(), "{status}");
        let left: Vec<PathBuf> = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
        for (address, _) in &self.nodes {
            assert!(Client::connect(*address).is_err(), "{address} still answers");
        }
    }
}

fn ended(child: &mut Child) -> std::process::ExitStatus {
    eventually("the demo ends", || child.try_wait().unwrap())
}

#[test]
fn the_demos_mount_goes_on_while_one_of_its_three_nodes_is_killed() {
    let mut demo = Running::start(&[]);
    assert_eq!(demo.nodes.len(), 3);
    let Some(mount) = demo.mount.clone() else {
        let required = std::env::var_os("METAD_TEST_REQUIRE_FUSE").is_some_and(|v| v == "1");
        assert!(!required, "METAD_TEST_REQUIRE_FUSE=1, and the demo has no mount");
        eprintln!("skipped: no mount");
        return demo.stop();
    };
    eventually("the tree has everything", || {
        let status = demo.ask(0, "GET", "/v1/status", "")?.json();
        let whole = status["vfs"]["settled"] == true && status["vfs"]["files"].as_u64() > Some(50);
        whole.then_some(())
    });
    let before = walk(&mount);
    assert!(before.len() > 50, "{before:?}");
    demo.kill(2);
    assert_eq!(walk(&mount), before, "it lists");
    let film = before.iter().find(|f| f.ends_with(".mkv")).unwrap();
    assert!(fs::read(mount.join(film)).unwrap().starts_with(b"metad demo video"), "it reads");
    demo.rename(1, "Two of Three", &mount);
    demo.wait_for("node-3 is back");
    eventually("it caught up", || {
        let answer = demo.ask(2, "GET", &format!("/meta/{}", demo.example), "")?;
        (answer.json()["metadata"]["title"] == "Two of Three").then_some(())
    });
    // The mount is node-1's own: it is away for a moment.
    demo.kill(0);
    demo.wait_for("node-1 is back");
    demo.rename(2, "All Three Again", &mount);
    demo.stop();
}

#[test]
fn a_demo_of_one_node_cleans_up_after_itself_too() {
    let demo = Running::start(&["--nodes", "1"]);
    assert_eq!(demo.nodes.len(), 1);
    demo.stop();
}

#[test]
fn a_demo_that_ends_while_its_mount_is_dead_leaves_no_mount() {
    let demo = Running::start(&[]);
    demo.kill(0);
    demo.stop();
}
