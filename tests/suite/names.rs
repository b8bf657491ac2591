//! Names stay: whatever happens to one file, every other one keeps its path, also where files and folders want one name.
//!
//! Not here: which name a file gets (golden scripts of `vfs`), the same against a model (`vfs::tree_tests`).
//! Must always hold: what is compared is what outsiders see over HTTP, after the pins have settled.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::support::node::{Home, Node};
use crate::support::random::{Random, number};
use crate::support::{metad, run};

/// Files at three depths, with no suffix that would set them apart from folders.
const RULES: &str =
    "version = 1\n[[view]]\nname = ''\n[[view.rule]]\nname = 'any'\npath = '<{a}/><{b}/>{title}'\n";
const NAMES: [&str; 4] = ["Brazil", "BRAZIL", "Dune", "Brazil [folder]"];

fn with_rules(home: &Home) -> Node {
    let node = home.start();
    let answer = node.ask("PUT", "/v1/rules", RULES);
    assert_eq!(answer.status, 200, "{}", answer.text());
    node
}

/// One change: a file comes or gets other names, or it goes.
struct Change {
    id: String,
    /// Its two folders and its title; an empty one is none.
    names: Option<[&'static str; 3]>,
}

fn changes(random: &mut Random, count: usize) -> Vec<Change> {
    let one = |_| {
        let id = format!("f{}", random.below(9));
        let mut name = || NAMES[random.below(4) as usize];
        let names = [name(), name(), name()];
        let folders = random.below(3);
        let kept = |n, name| if n < folders { name } else { "" };
        let names = [kept(0, names[0]), kept(1, names[1]), names[2]];
        Change { id, names: (random.below(4) > 0).then_some(names) }
    };
    (0..count).map(one).collect()
}

fn apply(node: &Node, change: &Change) {
    let Change { id, names } = change;
    match names {
        Some([a, b, title]) => {
            node.put(id, &json!({"filePath": format!("{id}.bin"), "a": a, "b": b, "title": title}));
        }
        None => drop(node.ask("DELETE", &format!("/meta/{id}"), "")),
    }
    node.follow();
}

/// Paths by inode number.
fn paths(node: &Node) -> BTreeMap<u64, String> {
    node.tree().into_iter().map(|(path, inode, _)| (inode, path)).collect()
}

#[test]
fn no_change_of_a_file_moves_another_one_where_files_and_folders_want_one_name() {
    let mut random = Random(number("METAD_TEST_SEED", 5));
    let home = Home::new();
    let node = with_rules(&home);
    let (mut inodes, mut before) = (BTreeMap::new(), paths(&node));
    let mut second = 0;
    for change in changes(&mut random, 60) {
        apply(&node, &change);
        let after = paths(&node);
        let own = match &change.names {
            Some(_) => *inodes
                .entry(change.id.clone())
                .or_insert_with(|| *after.keys().find(|inode| !before.contains_key(inode)).unwrap()),
            None => inodes.remove(&change.id).unwrap_or(0),
        };
        let others = before.iter().filter(|(inode, _)| **inode != own);
        let moved: Vec<_> = others.filter(|(inode, path)| after.get(inode) != Some(path)).collect();
        assert!(moved.is_empty(), "{} {:?} moved {moved:?} of {before:#?}", change.id, change.names);
        assert_eq!(after.len(), inodes.len(), "each file has a path");
        second += after.values().filter(|path| path.contains("[folder]/")).count();
        before = after;
    }
    assert!(second > 0, "no folder ever came second");
    let before = node.tree();
    let endpoint = format!("http://{}", node.http);
    let saved = run(metad(&home.path("")).args(["-e", &endpoint, "snapshot", "save", "all.snapshot"]));
    assert_eq!(saved.code, 0, "{}", saved.stderr);
    assert!(node.stop().success());
    let node = home.start();
    assert_eq!(node.tree(), before, "after a stop");
    node.kill();
    fs::remove_dir_all(home.path("data/state")).expect("the state can be taken away");
    assert_eq!(home.start().tree(), before, "rebuilt from the log");
    let (file, new) = (home.path("all.snapshot"), Home::new());
    let restore = ["snapshot", "restore", file.to_str().unwrap(), "--data-dir", "data", "--mode", "noop"];
    let restored = run(metad(&new.path("")).args(restore));
    assert_eq!(restored.code, 0, "{}", restored.stderr);
    assert_eq!(new.start().tree(), before, "restored from a snapshot");
}
