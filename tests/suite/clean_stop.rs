//! SIGTERM: everything is written, nothing is left behind.
//!
//! Not here: crashes. Must always hold: a stop that waits for a client is no clean stop.

use std::io::BufRead;

use serde_json::json;

use crate::support::node::{Guard, Home, eventually, terminate, walk};
use crate::support::resp::{Resp, command};

const STOPPING: &str = "-CLUSTERDOWN the node is stopping";

#[test]
fn sigterm_ends_with_0_and_leaves_neither_mount_nor_runtime_json() {
    let home = Home::new();
    let mounted = home.start_mounted();
    let has_mount = mounted.is_some();
    let node = mounted.unwrap_or_else(|| home.start());
    node.put("f", &json!({"filePath": "f.mkv", "title": "Film", "fileType": "video"}));
    node.follow();
    assert!(home.path("data/runtime.json").exists());
    assert_eq!(home.is_mounted(), has_mount);
    let (tree, record) = (node.tree(), node.get("/meta/f"));
    assert_eq!(tree.len(), 1);
    let status = node.stop();
    assert_eq!(status.code(), Some(0), "{}", home.said());
    assert!(!home.path("data/runtime.json").exists());
    assert!(!home.is_mounted());
    assert_eq!(walk(&home.path("mnt")), Vec::<String>::new());
    let node = home.start();
    assert_eq!((node.tree(), node.get("/meta/f")), (tree, record), "everything is there");
    assert!(node.stop().success());
}

#[test]
fn a_stop_waits_neither_for_watchers_nor_for_idle_connections() {
    let home = Home::new();
    let node = home.start();
    let mut idle = node.client();
    assert_eq!(idle.send("GET", "/livez", &[], b"").unwrap().status, 200);
    let watcher = node.client().stream("/api/events/meta?from=0-0").unwrap();
    let (seen, came) = std::sync::mpsc::channel();
    let ended = std::thread::spawn(move || {
        watcher.lines().map_while(Result::ok).for_each(|line| drop(seen.send(line)));
    });
    node.put("f", &json!({"title": "Film"}));
    // A write that is acknowledged is not yet one that every watcher has been told of: the stop may cut in between.
    let event = came.iter().find(|line| line.contains("title"));
    assert!(event.is_some(), "the event came");
    assert_eq!(node.stop().code(), Some(0), "{}", home.said());
    eventually("the stream ends", || ended.is_finished().then_some(()));
    ended.join().unwrap();
}

#[test]
fn sigterm_during_the_start_is_a_clean_stop_too() {
    let home = Home::new();
    let node = home.start();
    node.put("f", &json!({"title": "Film"}));
    node.kill();
    for sign in ["data/LOCK", "data/runtime.json", "data/state/DIRTY"] {
        if home.path(sign).exists() {
            std::fs::remove_file(home.path(sign)).unwrap();
        }
        let mut child = Guard(home.serve().spawn().unwrap());
        // The node takes its lock, opens its state, announces itself: it is told to stop right then.
        eventually(sign, || home.path(sign).exists().then_some(()));
        terminate(&child.0);
        let status = eventually("the node stops", || child.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "at {sign}: {}", home.said());
        assert!(!home.path("data/runtime.json").exists(), "at {sign}");
    }
    assert_eq!(home.start().get("/meta")["count"], json!(1));
}

#[test]
fn a_stop_answers_every_command_of_redis_clients_before_it_closes() {
    let home = Home::new();
    let node = home.start();
    let (working, works) = std::sync::mpsc::channel();
    let clients: Vec<_> = (0..16)
        .map(|n| {
            let (mut client, working) = (Resp::connect(node.resp).unwrap(), working.clone());
            std::thread::spawn(move || {
                // Every other one in pipelines.
                let depth = if n % 2 == 0 { 1 } else { 50 };
                let pipeline = command("INCR n").repeat(depth);
                let (mut applied, mut refused) = (0_i64, false);
                while !refused {
                    client.send(&pipeline);
                    for _ in 0..depth {
                        // A connection that is closed before the answer fails in here.
                        let reply = client.reply();
                        refused |= reply == STOPPING;
                        assert!(reply.starts_with(':') || reply == STOPPING, "{reply}");
                        applied += i64::from(reply.starts_with(':'));
                    }
                    working.send(()).unwrap();
                }
                assert_eq!(client.rest(), "", "the end comes in order");
                applied
            })
        })
        .collect();
    works.iter().take(200).for_each(drop);
    let idle = Resp::connect(node.resp).unwrap();
    assert_eq!(node.stop().code(), Some(0), "{}", home.said());
    drop(idle);
    let applied: i64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    let node = home.start();
    let counted = Resp::connect(node.resp).unwrap().ask("GET n");
    assert_eq!(counted.split('|').nth(1), Some(applied.to_string().as_str()), "each was told truly");
}
