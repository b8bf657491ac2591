//! Several nodes: they form once, agree on everything, and outlive the loss of a minority.
//!
//! Not here: linearizability under faults (the fault harness). Must always hold: a test waits for events, never for time.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::cluster::Cluster;
use crate::support::metad;
use crate::support::node::{Node, eventually};

fn film(n: u64) -> Value {
    // No two of one name: pins of names are written a moment after the records.
    json!({"filePath": format!("film{n}.mkv"), "title": format!("Film {n}"), "fileType": "video"})
}

/// Writes on a node, again as long as it says that nothing was applied.
fn put(node: &Node, id: &str, properties: &Value) {
    eventually("a write is taken", || {
        let answer = node.ask("PUT", &format!("/meta/{id}"), properties.to_string());
        let again = answer.status != 200;
        assert!(!again || answer.json()["applied"] == "no", "{} {}", answer.status, answer.text());
        (!again).then_some(())
    });
}

fn count(node: &Node) -> u64 {
    node.get("/meta")["count"].as_u64().expect("a number")
}

/// Runs `metad` as a client of a node.
fn cli(node: &Node, line: &str) -> (i32, String, String) {
    let mut command = metad(std::path::Path::new("/"));
    command.args(["-e", &format!("http://{}", node.http)]).args(line.split_whitespace());
    let output = command.stdin(Stdio::null()).output().expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it ends by itself"), text(&output.stdout), text(&output.stderr))
}

#[test]
fn three_nodes_with_one_command_line_form_one_cluster_in_any_order_of_starts() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut cluster = Cluster::new(3);
        for n in order {
            cluster.start(n);
            // The others are told only once this one is seen to wait, or serves.
            let node = cluster.node(n);
            assert_eq!(node.ask("GET", "/livez", "").status, 200);
        }
        cluster.ready();
        let all = cluster.settled();
        for (n, status) in all.iter().enumerate() {
            assert_eq!(status["cluster_id"], all[0]["cluster_id"]);
            assert_eq!(status["node"]["id"], json!(n + 1), "{status:#}");
            assert_eq!(status["members"].as_array().map(Vec::len), Some(3), "{status:#}");
        }
        cluster.agreed();
    }
}

#[test]
fn a_node_that_waits_for_the_others_says_so_and_stops_when_told() {
    let mut cluster = Cluster::new(3);
    cluster.start(0);
    cluster.start(1);
    let ready = cluster.node(0).ask("GET", "/readyz", "");
    assert_eq!(ready.status, 503);
    eventually("it says whom it waits for", || {
        cluster.node(0).ask("GET", "/readyz", "").text().contains(&cluster.peers[2]).then_some(())
    });
    let refused = cluster.node(0).ask("PUT", "/meta/a", "{}");
    assert_eq!((refused.status, &refused.json()["applied"]), (503, &json!("no")));
    // Restarted in the middle: what it had taken up it goes on with.
    cluster.kill(1);
    cluster.start(1);
    cluster.start(2);
    cluster.ready();
    cluster.agreed();
    let node = cluster.nodes[0].take().unwrap();
    assert!(node.stop().success());
    let mut waiting = Cluster::new(3);
    waiting.start(0);
    assert_eq!(waiting.nodes[0].take().unwrap().stop().code(), Some(0));
    assert!(!waiting.homes[0].path("data/runtime.json").exists());
}

#[test]
fn what_is_written_on_any_node_is_read_on_every_node_and_is_the_same_everywhere() {
    let cluster = Cluster::started(3);
    for (n, node) in (0..).zip(cluster.running()) {
        for film_number in (0..30).filter(|f| f % 3 == n) {
            put(node, &format!("film{film_number}"), &film(film_number));
        }
    }
    for node in cluster.running() {
        assert_eq!(count(node), 30, "a read on any node sees every write that was acknowledged before");
    }
    cluster.agreed();
    let of = |node: &Node| {
        let tags: Vec<_> = (0..30)
            .map(|f| node.ask("GET", &format!("/meta/film{f}"), "").header("etag").map(str::to_owned))
            .collect();
        (node.tree(), tags)
    };
    let all: Vec<_> = cluster.running().map(of).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "trees, inodes, times and tags: {all:#?}");
    assert_eq!(all[0].0.len(), 30);
}

#[test]
fn a_write_with_a_key_is_applied_once_on_whichever_nodes_it_is_sent_again() {
    let mut cluster = Cluster::started(3);
    let key = [("Idempotency-Key", "one")];
    let add = |node: &Node, key: &[(&str, &str)], genre: &str| {
        eventually("a write is taken", || {
            let body = json!({"value": genre}).to_string();
            let answer = node.ask_with("POST", "/meta/a/_add/genres", key, body);
            (![503, 504].contains(&answer.status)).then_some(answer)
        })
    };
    // All at once, on all nodes: one is the first, the others hear what it heard.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> =
            cluster.running().map(|node| scope.spawn(move || add(node, &key, "drama"))).collect();
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let replays = answers.iter().filter(|a| a.header("idempotency-replayed") == Some("true")).count();
    assert_eq!(replays, 2, "{answers:?}");
    let told =
        |answer: &Answer| (answer.status, answer.text(), answer.header("x-meta-index").map(str::to_owned));
    let first = told(&answers[0]);
    assert_eq!((first.0, answers[0].json()["added"].clone()), (200, json!(true)));
    assert!(answers.iter().all(|answer| told(answer) == first), "{answers:?}");
    assert_eq!(cluster.node(0).ask("DELETE", "/meta/a/genres", "").status, 200);
    // After a change of the leader, and after all were killed.
    let leader = cluster.leader();
    cluster.kill(leader);
    assert_eq!(told(&add(cluster.node((leader + 1) % 3), &key, "drama")), first);
    (0..3).filter(|n| *n != leader).for_each(|n| cluster.nodes[n].take().unwrap().kill());
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready();
    for node in cluster.running() {
        assert_eq!(told(&add(node, &key, "drama")), first);
        assert_eq!(add(node, &key, "war").status, 422);
        assert_eq!(node.ask("GET", "/meta/a/genres", "").status, 404, "nothing was written again");
    }
    cluster.agreed();
}

#[test]
fn the_others_go_on_when_the_leader_is_killed_and_it_catches_up_when_it_is_back() {
    let mut cluster = Cluster::started(3);
    put(cluster.node(0), "a", &film(1));
    let leader = cluster.leader();
    cluster.kill(leader);
    let other = (leader + 1) % 3;
    put(cluster.node(other), "b", &film(2));
    assert_eq!(count(cluster.node((leader + 2) % 3)), 2);
    cluster.start(leader);
    cluster.ready();
    assert_eq!(count(cluster.node(leader)), 2);
    cluster.agreed();
}

#[test]
fn all_nodes_killed_at_once_come_back_with_everything() {
    let mut cluster = Cluster::started(3);
    for n in 0..30 {
        put(cluster.node(n as usize % 3), &format!("film{n}"), &film(n));
    }
    let before = cluster.agreed();
    let tree = cluster.node(0).tree();
    (0..3).for_each(|n| cluster.kill(n));
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready();
    let after = cluster.agreed();
    assert_eq!(
        after["state_hash"], before["state_hash"],
        "a start alone changes nothing: {before:#} {after:#}"
    );
    assert!(cluster.running().all(|node| node.tree() == tree));
}

#[test]
fn a_node_without_a_quorum_serves_stale_reads_and_its_tree_and_refuses_writes_as_not_applied() {
    let mut cluster = Cluster::started(3);
    put(cluster.node(0), "film0", &film(0));
    cluster.agreed();
    // One after the other: the last two have no quorum to hand anything over to.
    for n in [0, 2, 1] {
        assert!(cluster.nodes[n].take().unwrap().stop().success(), "{}", cluster.homes[n].said());
    }
    cluster.start(1);
    let node = cluster.node(1);
    eventually("it serves", || (node.ask("GET", "/v1/status", "").status == 200).then_some(()));
    eventually("it says so", || (node.ask("GET", "/readyz", "").status == 503).then_some(()));
    assert_eq!(node.ask("GET", "/meta/film0?consistency=stale", "").status, 200);
    assert_eq!(node.paths().len(), 1, "trees never wait for a quorum");
    let refused = node.ask("PUT", "/meta/b", film(1).to_string());
    assert_eq!((refused.status, &refused.json()["applied"]), (503, &json!("no")), "{}", refused.text());
}

#[test]
fn a_node_whose_majority_is_gone_is_not_ready_and_names_no_leader() {
    let mut cluster = Cluster::started(3);
    put(cluster.node(0), "film0", &film(0));
    cluster.agreed();
    for n in [0, 2] {
        cluster.nodes[n].take().unwrap().kill();
    }
    let node = cluster.node(1);
    // The log of the last node still names the leader that was elected last, be it gone or be it this node.
    eventually("it is not ready", || (node.ask("GET", "/readyz", "").status == 503).then_some(()));
    assert_eq!(node.ask("GET", "/readyz/leader", "").status, 503);
    assert_eq!(node.ask("GET", "/leader", "").status, 503);
    assert_eq!(node.get("/health")["status"], json!("degraded"));
    assert_eq!(node.get("/v1/status")["leader"], json!(null));
    assert_eq!(node.ask("GET", "/meta/film0?consistency=stale", "").status, 200);
    assert_eq!(node.paths().len(), 1, "trees never wait for a quorum");
}

#[test]
fn peer_lists_that_do_not_fit_are_refused_with_2() {
    let mut cluster = Cluster::new(4);
    let (a, b, c, d) = (&cluster.peers[0], &cluster.peers[1], &cluster.peers[2], &cluster.peers[3]);
    let lists = [format!("{b},{c}"), format!("{a},{b},{b}"), format!("{a},{a}")];
    let other = [format!("{a},{b},{c}"), format!("{a},{b},{d}")];
    for list in lists {
        let (code, said) = cluster.homes[0].refusal(|command| *command = cluster.serve_with(0, &list));
        assert_eq!(code, 2, "{list}: {said}");
        assert!(said.contains("--peers"), "{said}");
    }
    // Two nodes with different lists: both are told, and neither forms anything.
    let first = cluster.serve_with(0, &other[0]);
    cluster.run(0, first);
    let (code, said) = cluster.homes[1].refusal(|command| *command = cluster.serve_with(1, &other[1]));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("same list"), "{said}");
    let status = cluster.nodes[0].take().unwrap().ended();
    assert_eq!(status.code(), Some(2), "{}", cluster.homes[0].said());
}

#[test]
fn a_wrong_secret_is_told_and_never_forms_a_cluster() {
    let mut cluster = Cluster::new(2);
    for (n, secret) in [(0, "the first secret, long enough"), (1, "another secret, long enough")] {
        fs::write(cluster.homes[n].path("secret"), secret).unwrap();
        let mut command = cluster.serve(n);
        command.arg("--secret-file").arg(cluster.homes[n].path("secret"));
        cluster.run(n, command);
    }
    for n in 0..2 {
        eventually("it says what is wrong", || {
            let text = cluster.node(n).ask("GET", "/readyz", "").text();
            text.contains("--secret-file").then_some(())
        });
    }
}

#[test]
fn one_node_grows_to_three_while_it_serves_and_shrinks_again() {
    let mut cluster = Cluster::new(1);
    let alone = cluster.serve_with(0, "");
    cluster.run(0, alone);
    cluster.ready();
    for n in 0..20 {
        put(cluster.node(0), &format!("film{n}"), &film(n));
    }
    for n in [cluster.grow(), cluster.grow()] {
        let peers = [cluster.peers[0].clone(), cluster.peers[n].clone()].join(",");
        let command = cluster.serve_with(n, &peers);
        cluster.run(n, command);
        eventually("it waits to be admitted", || {
            cluster.node(n).ask("GET", "/readyz", "").text().contains("node add").then_some(())
        });
        let line = format!("--timeout 60 node add --name n{} --addr {}", n + 1, cluster.peers[n]);
        let (code, _, said) = cli(cluster.node(0), &line);
        assert_eq!(code, 0, "{said}\n{}", cluster.said());
        cluster.ready();
        assert_eq!(count(cluster.node(n)), 20, "the newcomer has everything");
    }
    let status = cluster.agreed();
    let roles: Vec<&Value> = status["members"].as_array().unwrap().iter().map(|m| &m["role"]).collect();
    assert_eq!(roles, ["voter", "voter", "voter"]);
    put(cluster.node(2), "late", &film(99));
    // Asked through the node itself, whoever leads: it stops with 9 and says so.
    let (code, _, said) = cli(cluster.node(0), "--timeout 60 node remove n3 --yes");
    assert_eq!(code, 0, "{said}\n{}", cluster.said());
    let ended = cluster.nodes[2].take().unwrap().ended();
    assert_eq!(ended.code(), Some(9), "{}", cluster.homes[2].said());
    assert!(cluster.homes[2].said().contains("was removed from cluster"));
    assert_eq!(cluster.agreed()["members"].as_array().map(Vec::len), Some(2));
    let (code, said) = cluster.homes[2].refusal(|command| *command = cluster.serve(2));
    assert_eq!(code, 9, "a removed node does not come back: {said}");
}

/// Stops all nodes, changes their addresses, starts them, and looks whether they are one cluster again.
fn survives(change: impl FnOnce(&mut Cluster)) {
    let mut cluster = Cluster::started(3);
    put(cluster.node(0), "a", &film(1));
    let before = cluster.agreed();
    (0..3).for_each(|n| cluster.kill(n));
    change(&mut cluster);
    (0..3).for_each(|n| cluster.start(n));
    cluster.ready();
    put(cluster.node(1), "b", &film(2));
    assert!(cluster.running().all(|node| count(node) == 2));
    let after = cluster.agreed();
    assert_eq!(after["cluster_id"], before["cluster_id"]);
    let members = after["members"].as_array().unwrap();
    let told: Vec<(u64, &str)> =
        members.iter().map(|m| (m["id"].as_u64().unwrap(), m["peer"].as_str().unwrap())).collect();
    let expected: Vec<(u64, &str)> = (1..).zip(cluster.peers.iter().map(String::as_str)).collect();
    assert_eq!(told, expected, "the book knows the new addresses");
    // Every node is reached where it is now, and nobody writes any more.
    let index = after["applied_index"].clone();
    assert_eq!(cluster.agreed()["applied_index"], index);
}

#[test]
fn a_cluster_whose_addresses_all_changed_at_once_finds_itself_by_its_peer_lists() {
    survives(|cluster| cluster.readdress(&[0, 1, 2]));
}

#[test]
fn two_of_three_nodes_may_move_at_once() {
    survives(|cluster| cluster.readdress(&[0, 2]));
}

#[test]
fn nodes_that_swapped_addresses_find_each_other_and_come_to_rest() {
    survives(|cluster| cluster.peers.swap(0, 1));
    survives(|cluster| cluster.peers.rotate_left(1));
}

#[test]
fn the_doctor_tries_both_lanes_to_each_peer_and_names_who_does_not_answer() {
    let mut cluster = Cluster::started(3);
    let findings = |node: &Node| -> Vec<(String, String)> {
        let checks = node.get("/v1/doctor")["checks"].as_array().unwrap().clone();
        let of = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
        let peers = checks.iter().filter(|c| c["name"] == "peers");
        peers.map(|c| (of(c, "level"), of(c, "text"))).collect()
    };
    for node in cluster.running() {
        let found = findings(node);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|(level, text)| level == "ok" && text.contains("bulk lane")), "{found:?}");
        assert!(node.get("/v1/doctor")["checks"].to_string().contains("the voters' median"));
    }
    cluster.kill(2);
    let found = findings(cluster.node(0));
    assert!(found.iter().any(|(level, text)| level == "fail" && text.starts_with("n3: ")), "{found:?}");
    assert!(found.iter().any(|(level, text)| level == "ok" && text.starts_with("n2: ")), "{found:?}");
}

#[test]
fn a_node_that_did_not_catch_up_in_time_gets_its_vote_later_by_itself() {
    let mut cluster = Cluster::new(1);
    let alone = cluster.serve_with(0, "");
    cluster.run(0, alone);
    cluster.ready();
    put(cluster.node(0), "a", &film(1));
    let n = cluster.grow();
    let command = cluster.serve_with(n, &[cluster.peers[0].clone(), cluster.peers[n].clone()].join(","));
    cluster.run(n, command);
    eventually("it waits to be admitted", || {
        cluster.node(n).ask("GET", "/readyz", "").text().contains("node add").then_some(())
    });
    let name = format!("n{}", n + 1);
    let line = format!("--timeout 60 node add --learner --name {name} --addr {}", cluster.peers[n]);
    assert_eq!(cli(cluster.node(0), &line).0, 0, "{}", cluster.said());
    let seen = |cluster: &Cluster| {
        let nodes = cluster.node(0).get("/v1/nodes");
        let known = nodes["members"].as_array().unwrap().iter().find(|m| m["name"] == json!(name)).unwrap();
        known["seen_ms"].as_u64()
    };
    eventually("the leader hears of it", || seen(&cluster));
    cluster.kill(n);
    eventually("the leader misses it", || seen(&cluster).filter(|ms| *ms > 4_000));
    let promote = format!("/v1/nodes/{name}/promote");
    let answer = cluster.node(0).ask("POST", &promote, json!({"timeout_ms": 500}).to_string());
    assert_eq!((answer.status, &answer.json()["applied"]), (504, &json!("unknown")), "{}", answer.text());
    assert!(answer.text().contains("as soon as it has caught up"), "{}", answer.text());
    let command = cluster.serve_with(n, &[cluster.peers[0].clone(), cluster.peers[n].clone()].join(","));
    cluster.run(n, command);
    eventually("it votes", || {
        let members = cluster.node(0).get("/v1/status")["members"].clone();
        members.as_array().unwrap().iter().all(|m| m["role"] == "voter").then_some(())
    });
    cluster.ready();
    cluster.agreed();
}

#[test]
fn a_wiped_node_is_refused_with_the_command_that_replaces_it() {
    let mut cluster = Cluster::started(3);
    put(cluster.node(0), "a", &film(1));
    cluster.agreed();
    cluster.kill(1);
    fs::remove_dir_all(cluster.homes[1].path("data")).unwrap();
    let (code, said) = cluster.homes[1].refusal(|command| *command = cluster.serve(1));
    assert_eq!(code, 9, "{said}");
    let expected = format!("node replace n2 {} --yes", cluster.peers[1]);
    assert!(said.contains(&expected), "{said}");
    let replacing = {
        let endpoint = cluster.node(0).http;
        let line = format!("-e http://{endpoint} --timeout 120 {expected}");
        std::thread::spawn(move || {
            let mut command = metad(std::path::Path::new("/"));
            command.args(line.split_whitespace()).output().expect("the binary runs")
        })
    };
    eventually("the old id is gone", || {
        let removed = cluster.node(0).get("/v1/status")["members"].as_array().map(Vec::len) == Some(2);
        removed.then_some(())
    });
    cluster.start(1);
    let output = replacing.join().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), cluster.said());
    cluster.ready();
    let status = cluster.agreed();
    let ids: Vec<u64> =
        status["members"].as_array().unwrap().iter().map(|m| m["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [1, 3, 4], "ids never come back");
    assert_eq!(count(cluster.node(1)), 1);
}

#[test]
fn leadership_is_handed_over_on_request_and_when_the_leader_stops() {
    let mut cluster = Cluster::started(3);
    let leader = cluster.leader();
    let next = (leader + 1) % 3;
    let (code, told, said) =
        cli(cluster.node((leader + 2) % 3), &format!("leader transfer --to n{}", next + 1));
    assert_eq!(code, 0, "{told}{said}");
    eventually("it leads", || (cluster.leader() == next).then_some(()));
    let (code, told, _) = cli(cluster.node(leader), "leader show");
    assert_eq!((code, told.contains(&format!("n{}", next + 1))), (0, true), "{told}");
    assert!(cluster.nodes[next].take().unwrap().stop().success());
    put(cluster.node(leader), "a", &film(1));
    cluster.agreed();
}
