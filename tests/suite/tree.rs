//! The tree is a function of what was acknowledged: the same after any end and any start, whatever the batches were; it
//! follows every change, and it never shows a byte from outside FILES_PATH.
//!
//! Not here: which name a file gets (golden scripts of `vfs`). Must always hold: what is compared is what outsiders see,
//! over HTTP and through the mount.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufRead;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde_json::{Value, json};

use crate::support::names::objections;
use crate::support::node::{Home, Node, eventually, open_error, walk};
use crate::support::random::{Random, number};

/// How soon a change over HTTP shows in the mount.
const VISIBLE: Duration = Duration::from_secs(1);

/// Titles that somebody made to break something, and some that life made.
const HOSTILE: [&str; 19] = [
    "../../etc",
    "/etc/passwd",
    "..\\..\\windows",
    "..",
    ".",
    "Face/Off",
    "CON.",
    "nul",
    "COM1.txt",
    "Who <Framed> \"Roger\" | Rabbit?*",
    "Mission: Impossible",
    "tab\tnewline\nbell\u{7}delete\u{7f}next\u{85}",
    "gpj.\u{202e}annA",
    "e\u{301}tude (NFD)",
    "étude (NFC)",
    "👨\u{200d}👩\u{200d}👧 🎬",
    "   many     blanks   ",
    "Title...",
    "???",
];

fn film(id: &str, title: &str) -> Value {
    // A fixed mtime: other files' times come from the log, and two nodes do not share a clock.
    let metadata = json!({
        "filePath": format!("{id}.mkv"), "fileName": format!("{id}.mkv"), "title": title, "fileType": "video",
        "mtime": "2001-02-03T04:05:06Z",
    });
    json!({"hashId": id, "metadata": metadata})
}

/// Films of which always three share a title.
fn films(count: usize) -> Vec<Value> {
    (0..count).map(|n| film(&format!("f{n}"), &format!("Film {}", n / 3))).collect()
}

/// Changes that leave gaps in the numbers and contenders behind.
fn churn(node: &Node) {
    // Between the steps the pins settle: until then a file that came second may still move up, or not.
    node.follow();
    node.put("f4", &json!({"title": "Film 0"}));
    node.follow();
    assert_eq!(node.ask("DELETE", "/meta/f0", "").status, 200);
    node.put("f7", &json!({"edition": "Final Cut"}));
    node.follow();
    node.import(&[film("f0", "Film 0"), film("late", "Film 1")]);
    node.follow();
}

#[test]
fn the_tree_is_the_same_after_a_stop_a_crash_and_the_loss_of_the_state_directory() {
    let home = Home::new();
    let node = home.start();
    node.import(&films(60));
    // Without a time of their own: theirs is the log's, and must survive, too.
    node.put("timeless", &json!({"filePath": "t.mkv", "title": "Timeless", "fileType": "video"}));
    churn(&node);
    let before = node.tree();
    assert_eq!(before.len(), 62);
    assert!(node.stop().success());
    let node = home.start();
    assert_eq!(node.tree(), before, "after a stop");
    node.kill();
    let node = home.start();
    assert_eq!(node.tree(), before, "after a crash");
    let status = node.get("/v1/status");
    node.kill();
    fs::remove_dir_all(home.path("data/state")).unwrap();
    let node = home.start();
    assert_eq!(node.tree(), before, "rebuilt from the log");
    let rebuilt = node.get("/v1/status");
    if rebuilt["applied_index"] == status["applied_index"] {
        assert_eq!(rebuilt["state_hash"], status["state_hash"]);
    }
    // New files get new numbers also on the rebuilt node.
    node.import(&[film("new", "New")]);
    node.follow();
    let inodes: BTreeSet<u64> = node.tree().iter().map(|(_, inode, _)| *inode).collect();
    assert_eq!(inodes.len(), 63);
}

/// All events up to the last one of `key`, as they come.
fn events(node: &Node, key: &str) -> Vec<String> {
    let stream = node.client().stream("/api/events/meta?from=0-0").unwrap();
    let mut events = Vec::new();
    for line in stream.lines() {
        let line = line.unwrap();
        let is_last = line.starts_with("data: ") && line.contains(key);
        if ["id: ", "event: ", "data: "].iter().any(|field| line.starts_with(field)) {
            events.push(line);
        }
        if is_last {
            return events;
        }
    }
    panic!("the stream ended before {key}")
}

#[test]
fn the_event_stream_is_the_same_after_a_stop_a_crash_and_the_loss_of_the_state_directory() {
    let home = Home::new();
    let node = home.start();
    node.import(&films(60));
    churn(&node);
    node.put("last", &json!({"title": "one"}));
    let before = events(&node, "file:last/title");
    assert!(before.len() > 3 * 60 * 5, "{}", before.len());
    assert!(node.stop().success());
    let node = home.start();
    assert_eq!(events(&node, "file:last/title"), before, "after a stop");
    node.kill();
    let node = home.start();
    assert_eq!(events(&node, "file:last/title"), before, "after a crash");
    node.kill();
    fs::remove_dir_all(home.path("data/state")).unwrap();
    let node = home.start();
    assert_eq!(events(&node, "file:last/title"), before, "rebuilt from the log");
    node.put("next", &json!({"title": "one"}));
    let after = events(&node, "file:next/title");
    assert_eq!(after[..before.len()], before, "what is new comes behind");
    assert_eq!(after.len(), before.len() + 3);
}

#[test]
fn the_tree_does_not_depend_on_how_an_import_is_cut_into_batches() {
    let mut records = films(120);
    records.extend(HOSTILE.iter().enumerate().map(|(n, title)| film(&format!("h{n}"), title)));
    let mut trees = Vec::new();
    for batch in [records.len(), 7, 1] {
        let home = Home::new();
        let node = home.start();
        records.chunks(batch).for_each(|records| node.import(records));
        churn(&node);
        trees.push(node.tree());
        assert!(node.stop().success());
        trees.push(home.start().tree());
    }
    assert_eq!(trees[0].len(), records.len() + 1);
    for tree in &trees[1..] {
        assert_eq!(*tree, trees[0]);
    }
}

#[test]
fn adding_or_changing_a_file_moves_no_other_files_path() {
    let home = Home::new();
    let node = home.start();
    node.import(&films(30));
    node.follow();
    let paths = || -> BTreeMap<u64, String> {
        node.tree().into_iter().map(|(path, inode, _)| (inode, path)).collect()
    };
    let mut before = paths();
    for step in [
        film("a", "Film 1"),
        film("b", "Film 1"),
        // The last of three that share a title: nobody waits for its name.
        film("f29", "Film 2"),
        film("f29", "Something else"),
        film("c", "../../Film 3"),
        film("d", "film 4"),
    ] {
        node.import(std::slice::from_ref(&step));
        node.follow();
        let after = paths();
        let moved: Vec<_> = before.iter().filter(|(inode, path)| after.get(inode) != Some(path)).collect();
        let own = step["hashId"] == "f29";
        assert_eq!(moved.len(), usize::from(own), "{step} moved {moved:?}");
        before = after;
    }
    // The holders of clean names go or change their names: nobody moves up.
    let id = |title: &str| node.tree().into_iter().find(|(path, ..)| path.ends_with(title)).unwrap().1;
    let gone = id("/Film 5.mkv");
    assert_eq!(node.ask("DELETE", "/meta/f15", "").status, 200);
    node.import(&[film("f18", "Elsewhere")]);
    node.follow();
    let after = paths();
    let moved: Vec<_> = before.iter().filter(|(inode, path)| after.get(inode) != Some(path)).collect();
    assert_eq!(moved.len(), 2, "the two files themselves: {moved:?}");
    assert!(!after.contains_key(&gone));
    // A newcomer gets the free name; and it is all the same after a crash, and rebuilt from the log.
    node.import(&[film("e", "Film 5")]);
    node.follow();
    assert!(node.paths().iter().any(|path| path.ends_with("/Film 5.mkv")));
    let before = node.tree();
    let index = node.get("/v1/status")["applied_index"].clone();
    assert_eq!(node.get("/v1/status")["applied_index"], index, "an idle node appends nothing");
    node.kill();
    let node = home.start();
    node.follow();
    assert_eq!(node.tree(), before, "after a crash");
    node.kill();
    fs::remove_dir_all(home.path("data/state")).unwrap();
    let node = home.start();
    node.follow();
    assert_eq!(node.tree(), before, "rebuilt from the log");
}

#[test]
fn hostile_titles_come_out_legal_and_all_of_them_come_out() {
    let home = Home::new();
    let Some(node) = home.start_mounted() else { return };
    let long = ["x".repeat(300), "é".repeat(300), "👩\u{200d}🚀".repeat(60)];
    let titles = HOSTILE.iter().map(|t| (*t).to_owned()).chain(long);
    let records: Vec<Value> = titles.enumerate().map(|(n, title)| film(&format!("h{n}"), &title)).collect();
    for record in &records {
        let id = record["hashId"].as_str().unwrap();
        home.file(&format!("{id}.mkv"), id.as_bytes());
    }
    node.import(&records);
    node.follow();
    let paths = walk(&home.path("mnt"));
    assert_eq!(paths.len(), records.len(), "{paths:#?}");
    assert_eq!(objections(&paths), Vec::<String>::new());
    let read: BTreeSet<_> =
        paths.iter().map(|p| fs::read_to_string(home.path("mnt").join(p)).unwrap()).collect();
    assert_eq!(read.len(), records.len(), "each path has its own file's bytes");
}

/// What hostile values are made of.
const PIECES: [&str; 32] = [
    "a",
    "B",
    ".",
    "..",
    "/",
    "\\",
    ":",
    " ",
    "\0",
    "\n",
    "\u{202e}",
    "é",
    "e\u{301}",
    "👩\u{200d}🚀",
    "CON",
    "nul",
    "%",
    "|",
    "1",
    "0",
    "-",
    "S01E02",
    "{",
    "}",
    "<",
    "İ",
    "ß",
    "ſ",
    "\u{212a}",
    "\u{feff}",
    "\u{200b}",
    "\u{7f}",
];
/// Properties that the default rules look at.
const PROPERTIES: [&str; 16] = [
    "title",
    "fileName",
    "fileType",
    "videoType",
    "season",
    "episode",
    "year",
    "extension",
    "artist",
    "album",
    "track",
    "subtitleLanguage",
    "edition",
    "version",
    "extra",
    "aired",
];

fn hostile(random: &mut Random, n: u64) -> Value {
    let mut metadata = json!({"filePath": format!("f{n}")});
    for name in PROPERTIES {
        let kinds = ["video", "audio", "subtitle", "image", "tvshow", "movie"];
        let value = if name.ends_with("Type") && random.below(10) > 0 {
            kinds[random.below(6) as usize].to_owned()
        } else {
            (0..random.below(7)).map(|_| PIECES[random.below(32) as usize]).collect()
        };
        if random.below(2) == 0 {
            metadata[name] = json!(value);
        }
    }
    json!({"hashId": format!("h{n}"), "metadata": metadata})
}

#[test]
fn random_hostile_records_all_have_a_legal_path_of_their_own_and_keep_it() {
    const RECORDS: u64 = 3000;
    let mut random = Random(number("METAD_TEST_SEED", 2));
    let home = Home::new();
    let node = home.start();
    node.import(&(0..RECORDS).map(|n| hostile(&mut random, n)).collect::<Vec<_>>());
    // Some change their minds, some go.
    node.follow();
    let again: Vec<Value> = (0..RECORDS / 10).map(|n| hostile(&mut random, 7 * n)).collect();
    node.import(&again);
    let gone = 50;
    for n in 0..gone {
        assert_eq!(node.ask("DELETE", &format!("/meta/h{}", 11 * n), "").status, 200);
    }
    node.follow();
    let before = node.paths();
    assert_eq!(before.len() as u64, RECORDS - gone);
    assert_eq!(objections(&before), Vec::<String>::new());
    assert_eq!(node.ask("POST", "/api/fuse/refresh", "").status, 200);
    assert_eq!(node.paths(), before, "read again as a whole");
    node.kill();
    fs::remove_dir_all(home.path("data/state")).unwrap();
    assert_eq!(home.start().paths(), before, "rebuilt from the log");
}

#[test]
fn other_rules_move_the_tree_at_once_and_stay_in_force_after_a_crash() {
    let home = Home::new();
    let Some(node) = home.start_mounted() else { return };
    node.import(&films(9));
    node.follow();
    let inodes = |node: &Node| node.tree().into_iter().map(|(_, inode, _)| inode).collect::<BTreeSet<_>>();
    let before = inodes(&node);
    let rules = "version = 1\n[[view]]\nname = \"\"\n[[view.rule]]\nname = \"flat\"\npath = 'All/{title} {fileName}'\n";
    let answer = node.ask("PUT", "/v1/rules", rules);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let point = home.path("mnt");
    eventually("the new layout", || point.join("All/Film 0 f0.mkv").exists().then_some(()));
    node.follow();
    let moved = walk(&point);
    assert_eq!(moved.len(), 9);
    assert!(moved.iter().all(|path| path.starts_with("All/Film ")), "{moved:?}");
    assert_eq!(inodes(&node), before, "a file keeps its number under other rules");
    node.kill();
    let node = home.start_mounted().expect("it could mount before");
    assert_eq!(walk(&point), moved);
    assert_eq!(node.ask("GET", "/v1/rules", "").text(), rules);
}

#[test]
fn a_change_over_http_is_visible_through_the_mount_within_a_second() {
    let home = Home::new();
    home.file("f.mkv", b"the bytes");
    let Some(node) = home.start_mounted() else { return };
    let seen = |title: &str| fs::read(home.path(&format!("mnt/Movies/{title}/{title}.mkv"))).ok();
    let shows = |title: &str| seen(title).filter(|bytes| bytes == b"the bytes").map(drop);
    let film = |title: &str| json!({"filePath": "f.mkv", "title": title, "fileType": "video"});
    assert_eq!(seen("One"), None, "a name that is not there yet");
    let mut delays = Vec::new();
    let mut shown = |what: &str, condition: &mut dyn FnMut() -> Option<()>| {
        let begun = Instant::now();
        eventually(what, condition);
        delays.push(begun.elapsed());
    };
    for round in 0..5 {
        node.put("f", &film("One"));
        shown("the new file", &mut || shows("One"));
        let other = format!("Two {round}");
        assert_eq!(seen(&other), None);
        node.put("f", &film(&other));
        shown("the new name", &mut || shows(&other));
        shown("the end of the old name", &mut || seen("One").is_none().then_some(()));
        assert_eq!(node.ask("DELETE", "/meta/f", "").status, 200);
        shown("the removal", &mut || seen(&other).is_none().then_some(()));
        shown("an empty tree", &mut || walk(&home.path("mnt")).is_empty().then_some(()));
    }
    // The median: a machine that stands still for a moment is not a node that is late.
    delays.sort();
    assert!(delays[delays.len() / 2] <= VISIBLE, "{delays:?}");
    assert!(node.stop().success());
}

#[test]
fn a_file_path_that_leaves_files_path_is_stored_and_does_not_exist() {
    let home = Home::new();
    fs::write(home.path("secret"), b"secret").unwrap();
    home.file("inside.mkv", b"inside");
    symlink(home.path("secret"), home.path("files/link.mkv")).unwrap();
    symlink("../secret", home.path("files/relative.mkv")).unwrap();
    symlink(home.path("."), home.path("files/up")).unwrap();
    symlink("inside.mkv", home.path("files/good.mkv")).unwrap();
    let mounted = home.start_mounted();
    let has_mount = mounted.is_some();
    let node = mounted.unwrap_or_else(|| home.start());
    let absolute = home.path("secret").to_str().unwrap().to_owned();
    let outside = [
        "../secret",
        "a/../../secret",
        &absolute,
        "link.mkv",
        "relative.mkv",
        "up/secret",
        "",
        "no\0such",
        "/",
    ];
    for (n, path) in outside.iter().enumerate() {
        node.put(&format!("o{n}"), &json!({"filePath": path, "title": format!("O{n}"), "fileType": "video"}));
        let stored = node.get(&format!("/meta/o{n}"));
        assert_eq!(stored["metadata"]["filePath"], json!(path), "it is stored verbatim");
        if !path.is_empty() {
            let told = node.get(&format!("/data/o{n}/path"));
            assert_eq!(told["exists"], json!(false), "{path}: {told}");
        }
        let answer = node.ask("GET", &format!("/data/o{n}"), "");
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    node.put("good", &json!({"filePath": "good.mkv", "title": "Good", "fileType": "video"}));
    assert_eq!(node.ask("GET", "/data/good", "").body, b"inside", "a link that stays inside works");
    if !has_mount {
        return;
    }
    node.follow();
    let point = home.path("mnt");
    let paths = walk(&point);
    assert!(paths.len() >= outside.len() - 1, "they are listed: {paths:?}");
    for path in paths {
        let path = point.join(path);
        let good = path.ends_with("Good.mkv");
        let expected = (!good).then(|| Errno::IO.raw_os_error());
        assert_eq!(open_error(&path), expected, "{}", path.display());
    }
}
