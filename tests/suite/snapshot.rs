//! `metad snapshot save | inspect | restore` and `metad recover`: the whole state leaves a node, and a new cluster begins with it.
//!
//! Not here: the format (pinned beside its code), clusters of several (`cluster`). Must always hold: a restored node shows the
//! records and the tree of the old one; no id, index or inode of the old cluster is given out again.

use std::fs;
use std::io::{BufRead, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::node::{Home, Node, eventually};
use crate::support::{Run, metad, run};

fn cli(home: &Home, args: &[&str]) -> Run {
    run(metad(&home.path("")).args(args))
}

fn save(home: &Home, node: &Node, name: &str) -> (PathBuf, Value) {
    let endpoint = format!("http://{}", node.http);
    let saved = cli(home, &["-e", &endpoint, "--json", "snapshot", "save", name]);
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    (home.path(name), serde_json::from_str(&saved.stdout).unwrap())
}

fn restore(file: &Path, home: &Home, mode: &str) -> Run {
    cli(home, &["snapshot", "restore", file.to_str().unwrap(), "--data-dir", "data", "--mode", mode])
}

fn library(node: &Node) {
    let record = |n: u64| {
        let metadata = json!({
            "filePath": format!("Film {n}.mkv"), "title": format!("Film {n}"), "year": "1985",
            "fileType": "video", "plot": "x".repeat(3000 + n as usize * 40),
        });
        json!({"hashId": format!("hash{n}"), "metadata": metadata})
    };
    node.import(&(0..120).map(record).collect::<Vec<_>>());
    node.ask("DELETE", "/meta/hash7", "");
    node.follow();
}

/// Everything that a client sees of the records.
fn export(node: &Node) -> String {
    let text = node.ask("GET", "/v1/export", "").text().to_string();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

fn event_of(text: &str) -> (u64, u64) {
    let (ms, seq) = text.split_once('-').unwrap();
    (ms.parse().unwrap(), seq.parse().unwrap())
}

/// What a successor must not fall back behind.
struct Seen {
    export: String,
    tree: Vec<(String, u64, String)>,
    index: u64,
    cluster: Value,
}

impl Seen {
    fn of(node: &Node) -> Self {
        node.follow();
        let status = node.get("/v1/status");
        let index = status["applied_index"].as_u64().unwrap();
        Self { export: export(node), tree: node.tree(), index, cluster: status["cluster_id"].clone() }
    }

    /// The successor shows the same, and what it gives out is above.
    fn succeeded_by(&self, node: &Node, last_event: &str) {
        node.follow();
        assert_eq!(export(node), self.export);
        assert_eq!(node.tree(), self.tree);
        let status = node.get("/v1/status");
        assert!(status["applied_index"].as_u64().unwrap() > self.index + (1 << 31), "{status}");
        assert_ne!(status["cluster_id"], self.cluster, "it is a cluster of its own");
        node.put("new", &json!({"filePath": "New.mkv", "title": "New", "fileType": "video"}));
        node.follow();
        let inode = node.tree().into_iter().find(|(path, _, _)| path.contains("New")).unwrap().1;
        assert!(self.tree.iter().all(|(_, old, _)| inode > old + 1_000_000), "{inode}");
        let last = newest_event(node);
        assert!(event_of(&last) > event_of(last_event), "{last} after {last_event}");
        stream_goes_on(node, last_event);
    }
}

/// The stream from an id on, up to the event of the record `new`.
fn stream_from(node: &Node, id: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in node.client().stream(&format!("/api/events/meta?from={id}")).unwrap().lines() {
        lines.push(line.unwrap());
        if lines.last().unwrap().contains("file:new/") {
            return lines;
        }
    }
    panic!("the stream ended: {lines:?}");
}

/// Who starts over sees every record; who resumes with an id of the old cluster is told of the gap, and sees what is new.
fn stream_goes_on(node: &Node, last_event: &str) {
    let all = stream_from(node, "0-0").join("\n");
    for n in (0..120).filter(|n| *n != 7) {
        assert!(all.contains(&format!("file:hash{n}/filePath")), "hash{n}");
    }
    let resumed = stream_from(node, last_event);
    assert!(resumed.iter().any(|line| line == "event: gap"), "{resumed:?}");
    let ids: Vec<_> = resumed.iter().filter_map(|line| line.strip_prefix("id: ")).map(event_of).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id > event_of(last_event)), "{resumed:?}");
}

/// Id of the newest event, as a snapshot says.
fn newest_event(node: &Node) -> String {
    let home = Home::new();
    save(&home, node, "probe").1["last_event"].as_str().unwrap().to_owned()
}

#[test]
fn a_snapshot_becomes_a_new_node_that_shows_the_same_and_gives_nothing_out_twice() {
    for (from, to) in [("noop", "raft"), ("raft", "noop")] {
        let home = Home::of_mode(from);
        let node = home.start();
        library(&node);
        let before = node.get("/v1/status")["last_log_index"].clone();
        let (file, saved) = save(&home, &node, "state.snapshot");
        assert_eq!(node.get("/v1/status")["last_log_index"], before, "nothing was appended");
        assert!(!home.path("state.snapshot.part").exists());
        let inspected = cli(&home, &["--json", "snapshot", "inspect", "state.snapshot"]);
        assert_eq!(
            serde_json::from_str::<Value>(&inspected.stdout).unwrap()["state_hash"],
            saved["state_hash"]
        );
        assert_eq!(node.get("/v1/status")["state_hash"], saved["state_hash"]);
        assert_eq!(saved["records"], json!(119));
        // What came after the snapshot is lost with the old node, and its ids must not come again.
        node.put("lost", &json!({"title": "Lost"}));
        let last = newest_event(&node);
        node.ask("DELETE", "/meta/lost", "");
        let seen = Seen::of(&node);
        assert!(node.stop().success());
        let new = Home::of_mode(to);
        let restored = restore(&file, &new, to);
        assert_eq!(restored.code, 0, "{}", restored.stderr);
        let again = restore(&file, &new, to);
        assert_eq!(again.code, 4, "{}", again.stderr);
        for life in 0..2 {
            let node = new.start();
            if life == 0 {
                seen.succeeded_by(&node, &last);
            } else {
                assert_eq!(node.get("/meta")["count"], json!(120));
            }
            node.kill();
        }
    }
}

#[test]
fn snapshots_under_load_have_all_that_was_acknowledged_before() {
    for mode in ["noop", "raft"] {
        let home = Home::of_mode(mode);
        let node = home.start();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (node, stop) = (&node, &stop);
            scope.spawn(move || {
                let mut client = node.client();
                for n in 0u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let body = json!({"title": n.to_string()}).to_string();
                    let path = format!("/meta/load{}", n % 50);
                    assert_eq!(client.send("PUT", &path, &[], body.as_bytes()).unwrap().status, 200);
                }
            });
            for round in 0..4 {
                let id = format!("before{round}");
                node.put(&id, &json!({"title": id}));
                let acknowledged = node.get("/v1/status")["applied_index"].as_u64().unwrap();
                let (file, saved) = save(&home, node, "state.snapshot");
                assert!(saved["index"].as_u64().unwrap() >= acknowledged);
                let new = Home::new();
                assert_eq!(restore(&file, &new, "noop").code, 0);
                let restored = new.start();
                assert_eq!(restored.get(&format!("/meta/{id}"))["metadata"]["title"], json!(id));
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_damaged_file_is_refused_wherever_it_is_damaged_and_restores_nothing() {
    let home = Home::new();
    let node = home.start();
    library(&node);
    let (file, _) = save(&home, &node, "state.snapshot");
    node.kill();
    let whole = fs::read(&file).unwrap();
    let step = whole.len() / 16;
    for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(home.path("damaged"), &bytes).unwrap();
        let inspected = cli(&home, &["snapshot", "inspect", "damaged"]);
        assert_eq!(inspected.code, 9, "byte {at}: {}", inspected.stderr);
        assert_eq!(inspected.stdout, "");
    }
    for len in [0, 5, whole.len() / 2, whole.len() - 1] {
        fs::write(home.path("damaged"), &whole[..len]).unwrap();
        let new = Home::new();
        assert_eq!(restore(&home.path("damaged"), &new, "raft").code, 9, "{len} bytes");
        assert!(!new.path("data").exists(), "nothing was begun");
    }
    assert_eq!(cli(&home, &["snapshot", "inspect", "nowhere"]).code, 3);
}

#[test]
fn a_download_that_breaks_off_leaves_the_old_file_and_no_new_one() {
    let home = Home::new();
    let node = home.start();
    library(&node);
    let (file, _) = save(&home, &node, "state.snapshot");
    let whole = fs::read(&file).unwrap();
    node.kill();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let bodies = [whole[..whole.len() / 2].to_vec(), Vec::new(), flipped];
    let length = whole.len();
    let server = std::thread::spawn(move || {
        for body in bodies {
            let mut stream = listener.accept().unwrap().0;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    for (target, old) in [("state.snapshot", true), ("fresh.snapshot", false), ("state.snapshot", true)] {
        let broken = cli(&home, &["-e", &endpoint, "snapshot", "save", target]);
        assert!(matches!(broken.code, 5 | 9), "{}: {}", broken.code, broken.stderr);
        assert_eq!(home.path(target).exists(), old);
        assert!(!home.path(&format!("{target}.part")).exists());
    }
    assert_eq!(fs::read(&file).unwrap(), whole, "the old file is untouched");
    server.join().unwrap();
}

#[test]
fn the_last_survivor_becomes_a_cluster_of_its_own_and_until_then_stays_what_it_was() {
    let home = Home::of_mode("raft");
    let node = home.start();
    library(&node);
    let (last, seen) = (newest_event(&node), Seen::of(&node));
    let running = cli(&home, &["recover", "--new-cluster", "--data-dir", "data", "--yes"]);
    assert_eq!(running.code, 9, "{}", running.stderr);
    node.kill();
    let asked = cli(&home, &["recover", "--new-cluster", "--data-dir", "data"]);
    assert_eq!(asked.code, 2, "{}", asked.stderr);
    for word in ["voters", "log", "lost", "--yes"] {
        assert!(asked.stderr.contains(word), "{word}: {}", asked.stderr);
    }
    let node = home.start();
    assert_eq!(
        (export(&node), node.get("/v1/status")["cluster_id"].clone()),
        (seen.export.clone(), seen.cluster.clone())
    );
    node.kill();
    let done = cli(&home, &["recover", "--new-cluster", "--data-dir", "data", "--yes"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let node = home.start();
    seen.succeeded_by(&node, &last);
    node.kill();
    let left = eventually("the folder", || fs::read_dir(home.path("data")).ok());
    let names: Vec<String> = left.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().any(|n| n.starts_with("before-recover-")), "{names:?}");
    let noop = Home::new();
    noop.start().kill();
    let refused = cli(&noop, &["recover", "--new-cluster", "--data-dir", "data", "--yes"]);
    assert_eq!(refused.code, 9, "{}", refused.stderr);
    assert!(noop.start().stop().success(), "a refusal changes nothing");
}

#[test]
fn a_restore_that_was_cut_short_is_begun_again_and_anything_else_in_the_way_is_kept() {
    let home = Home::new();
    let node = home.start();
    library(&node);
    let (file, _) = save(&home, &node, "state.snapshot");
    node.kill();
    let new = Home::of_mode("raft");
    fs::create_dir_all(new.path("data/recover.tmp/log/log")).unwrap();
    for left in ["data/LOCK", "data/recover.tmp/log/VERSION", "data/recover.tmp/node.json"] {
        fs::write(new.path(left), "cut short").unwrap();
    }
    fs::write(new.path("data/photo.jpg"), "mine").unwrap();
    assert_eq!(restore(&file, &new, "raft").code, 4);
    assert_eq!(fs::read_to_string(new.path("data/photo.jpg")).unwrap(), "mine");
    fs::remove_file(new.path("data/photo.jpg")).unwrap();
    let restored = restore(&file, &new, "raft");
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    assert!(!new.path("data/recover.tmp").exists());
    assert_eq!(new.start().get("/meta")["count"], json!(119));
}
