//! Three nodes of which two are lost for good, a snapshot of the three while they are written to, and what `doctor` says of both.
//!
//! Not here: one node alone (`snapshot`, `doctor`). Must always hold: what was acknowledged by the survivor's cluster up to its
//! last entry is in the new cluster; the old nodes are strangers to it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::cluster::Cluster;
use crate::support::node::{Home, Node, eventually};
use crate::support::{Run, metad, run};

fn film(n: u64) -> Value {
    json!({"filePath": format!("film{n}.mkv"), "title": format!("Film {n}"), "fileType": "video"})
}

fn put(node: &Node, id: &str, properties: &Value) {
    eventually("a write is taken", || {
        let answer = node.ask("PUT", &format!("/meta/{id}"), properties.to_string());
        (answer.status == 200).then_some(())
    });
}

fn cli(home: &Home, node: &Node, args: &[&str]) -> Run {
    let endpoint = format!("http://{}", node.http);
    run(metad(&home.path("")).args(["-e", &endpoint, "--timeout", "60"]).args(args))
}

fn last_event(home: &Home, node: &Node) -> (u64, u64) {
    let saved = cli(home, node, &["--json", "snapshot", "save", "probe"]);
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    let saved: Value = serde_json::from_str(&saved.stdout).unwrap();
    let (ms, seq) = saved["last_event"].as_str().unwrap().split_once('-').unwrap();
    (ms.parse().unwrap(), seq.parse().unwrap())
}

fn verdict(home: &Home, node: &Node) -> (i32, Value) {
    let examined = cli(home, node, &["--json", "doctor"]);
    (examined.code, serde_json::from_str(&examined.stdout).unwrap())
}

fn level(verdict: &Value, name: &str) -> Option<String> {
    let checks = verdict["checks"].as_array().unwrap();
    checks.iter().find(|c| c["name"] == name).map(|c| c["level"].as_str().unwrap().to_owned())
}

#[test]
fn the_survivor_of_three_begins_a_new_cluster_that_grows_and_to_which_the_old_nodes_are_strangers() {
    let mut cluster = Cluster::started(3);
    for n in 0..20 {
        put(cluster.node(n as usize % 3), &format!("film{n}"), &film(n));
    }
    let old = cluster.agreed();
    let leader = cluster.leader();
    let (survivor, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let (_, healthy) = verdict(&cluster.homes[survivor], cluster.node(survivor));
    assert_eq!(level(&healthy, "quorum").as_deref(), Some("ok"), "{healthy}");
    let last = last_event(&cluster.homes[survivor], cluster.node(survivor));
    let tree = cluster.node(survivor).tree();
    cluster.kill(leader);
    cluster.kill(other);
    let (code, lost) = verdict(&cluster.homes[survivor], cluster.node(survivor));
    assert_eq!((code, level(&lost, "quorum").as_deref()), (7, Some("fail")), "{lost}");
    cluster.kill(survivor);

    let home = &cluster.homes[survivor];
    let done = run(metad(&home.path("")).args(["recover", "--new-cluster", "--data-dir", "data", "--yes"]));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stderr.contains("voters       1, 2, 3"), "{}", done.stderr);
    cluster.start(survivor);
    cluster.ready();
    let new = cluster.agreed();
    assert_ne!(new["cluster_id"], old["cluster_id"]);
    assert_eq!(new["members"].as_array().map(Vec::len), Some(1), "{new:#}");
    assert_eq!(cluster.node(survivor).tree(), tree, "{}", cluster.said());
    put(cluster.node(survivor), "after", &film(99));
    assert!(last_event(&cluster.homes[survivor], cluster.node(survivor)) > last);

    // One that comes back as it was neither joins nor disturbs.
    cluster.start(other);
    put(cluster.node(survivor), "alone", &film(98));
    eventually("the old node is up", || {
        (cluster.node(other).ask("GET", "/v1/status", "").status == 200).then_some(())
    });
    assert_eq!(cluster.node(other).get("/v1/status")["cluster_id"], old["cluster_id"]);
    let alone = cluster.node(survivor).get("/v1/status");
    assert_eq!(alone["members"].as_array().map(Vec::len), Some(1), "{alone:#}");
    cluster.kill(other);
    fs::remove_dir_all(cluster.homes[other].path("data")).unwrap();
    let peers = [cluster.peers[survivor].clone(), cluster.peers[other].clone()].join(",");
    let command = cluster.serve_with(other, &peers);
    cluster.run(other, command);
    eventually("it waits to be admitted", || {
        cluster.node(other).ask("GET", "/readyz", "").text().contains("node add").then_some(())
    });
    let name = format!("n{}", other + 1);
    let add = ["node", "add", "--name", &name, "--addr", &cluster.peers[other]];
    let added = cli(&cluster.homes[survivor], cluster.node(survivor), &add);
    assert_eq!(added.code, 0, "{}\n{}", added.stderr, cluster.said());
    cluster.ready();
    let grown = cluster.agreed();
    assert_eq!(grown["members"].as_array().map(Vec::len), Some(2), "{grown:#}");
    assert_eq!(cluster.node(other).get("/meta")["count"], json!(22));
    let (_, two) = verdict(&cluster.homes[survivor], cluster.node(survivor));
    assert_eq!(level(&two, "voters").as_deref(), Some("warn"), "{two}");
}

#[test]
fn a_snapshot_of_any_node_of_a_cluster_under_load_has_what_that_node_had_acknowledged() {
    let cluster = Cluster::started(3);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (cluster, stop) = (&cluster, &stop);
        scope.spawn(move || {
            for n in (0u64..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                put(cluster.node(0), &format!("load{}", n % 40), &film(n));
            }
        });
        for n in 0..3 {
            let (id, node) = (format!("before{n}"), cluster.node(n));
            put(node, &id, &film(1000 + n as u64));
            let saved = cli(&cluster.homes[n], node, &["--json", "snapshot", "save", "state"]);
            assert_eq!(saved.code, 0, "{}", saved.stderr);
            let saved: Value = serde_json::from_str(&saved.stdout).unwrap();
            assert_eq!(saved["members"].as_array().map(Vec::len), Some(3), "{saved}");
            let new = Home::of_mode("raft");
            let file = cluster.homes[n].path("state");
            let args = ["snapshot", "restore", file.to_str().unwrap(), "--data-dir", "data"];
            let restored = run(metad(&new.path("")).args(args));
            assert_eq!(restored.code, 0, "{}", restored.stderr);
            let node = new.start();
            assert_eq!(node.get(&format!("/meta/{id}"))["metadata"]["title"], film(1000 + n as u64)["title"]);
            let status = node.get("/v1/status");
            assert_eq!(status["members"].as_array().map(Vec::len), Some(1), "{status:#}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    cluster.agreed();
}
