//! Real input: N records in, N reachable, distinct and legal paths out; bytes as they were.
//!
//! Not here: how a name is chosen. Must always hold: the checker of names (`support::names`) shares nothing with the
//! code that makes them.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::support::data;
use crate::support::names::objections;
use crate::support::node::{Home, Node, walk};
use crate::support::{metad, run};

/// Every record has one path; all paths are distinct and legal; the mount shows the same when there is one.
fn all_are_reachable(node: &Node, home: &Home, records: usize) {
    node.follow();
    assert_eq!(node.get("/meta")["count"], json!(records), "every record is stored");
    let paths = node.paths();
    assert_eq!(paths.iter().collect::<BTreeSet<_>>().len(), paths.len(), "a path is given twice");
    assert_eq!(paths.len(), records, "every record has one path");
    let objections = objections(&paths);
    assert!(objections.is_empty(), "{} illegal names:\n{}", objections.len(), objections.join("\n"));
    if home.is_mounted() {
        let mounted: Vec<String> = walk(&home.path("mnt")).iter().map(|path| format!("/{path}")).collect();
        let listed: BTreeSet<&String> = paths.iter().collect();
        assert_eq!(mounted.iter().collect::<BTreeSet<_>>(), listed, "the mount shows what is listed");
    }
}

/// With a mount where one can be had.
fn start(home: &Home) -> Node {
    home.start_mounted().unwrap_or_else(|| home.start())
}

/// A record of the films' own fields; what they hold is kept as it is, as text.
fn film(number: usize, fields: &Value) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut metadata = Map::new();
    for (name, value) in fields.as_object().expect("an object").iter().filter(|(_, v)| !v.is_null()) {
        metadata.insert(name.clone(), json!(text(value)));
    }
    let mut set = |name: &str, value: String| metadata.insert(name.to_owned(), json!(value));
    set("filePath", format!("vega/{number}.mkv"));
    set("fileName", format!("{number}.mkv"));
    set("fileType", "video".into());
    if !fields["Title"].is_null() {
        set("title", text(&fields["Title"]));
    }
    if let Some(date) = fields["Release Date"].as_str() {
        set("movieYear", date.rsplit(' ').next().unwrap_or(date).to_owned());
    }
    json!({"hashId": format!("vega{number}"), "metadata": metadata})
}

#[test]
fn three_thousand_dirty_films_all_have_a_path_of_their_own() {
    let Some(folder) = data::folder() else { return };
    let films: Vec<Value> = data::films(folder).iter().enumerate().map(|(n, f)| film(n, f)).collect();
    assert_eq!(films.len(), 3201);
    let home = Home::new();
    let node = start(&home);
    node.import(&films);
    all_are_reachable(&node, &home, films.len());
    let before = node.tree();
    assert!(node.stop().success());
    let node = start(&home);
    assert_eq!(node.tree(), before, "a restart moves nothing");
}

#[test]
fn every_release_name_of_guessits_tests_is_scanned_and_placed() {
    let Some(folder) = data::folder() else { return };
    let home = Home::new();
    let names = data::releases(folder);
    assert!(names.len() > 1000, "only {} names were found", names.len());
    for (number, name) in names.iter().enumerate() {
        home.file(name, format!("{number}\n").as_bytes());
    }
    let node = start(&home);
    let mut scan = metad(&home.path("."));
    scan.arg("scan").arg(home.path("files")).arg("--files").arg(home.path("files"));
    let scanned = run(scan.arg("-e").arg(format!("http://{}", node.http)));
    assert_eq!(scanned.code, 0, "{}", scanned.stderr);
    let left_out = names.iter().filter(|name| name.split('/').any(|part| part.starts_with('.'))).count();
    all_are_reachable(&node, &home, names.len() - left_out);
}

#[test]
fn four_real_videos_read_back_byte_for_byte_through_the_mount() {
    let Some(folder) = data::folder() else { return };
    let home = Home::new();
    let mut contents = BTreeSet::new();
    for path in data::videos(folder) {
        let content = fs::read(&path).unwrap();
        home.file(path.file_name().and_then(|n| n.to_str()).unwrap(), &content);
        contents.insert(content);
    }
    assert_eq!(contents.len(), 4);
    let Some(node) = home.start_mounted() else { return };
    let mut scan = metad(&home.path("."));
    scan.arg("scan").arg(home.path("files")).arg("--files").arg(home.path("files"));
    let scanned = run(scan.arg("-e").arg(format!("http://{}", node.http)));
    assert_eq!(scanned.code, 0, "{}", scanned.stderr);
    all_are_reachable(&node, &home, 4);
    let mounted = walk(&home.path("mnt")).into_iter().map(|path| home.path("mnt").join(path));
    let mounted: Vec<_> = mounted.collect();
    let read: BTreeSet<_> = mounted.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(read == contents, "the bytes of the mount are not those of the files");
    for path in mounted {
        let mut ffprobe = Command::new("ffprobe");
        ffprobe.args(["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=codec_name,width"]);
        match ffprobe.args(["-of", "csv=p=0"]).arg(&path).output() {
            Ok(probed) => {
                let text = String::from_utf8_lossy(&probed.stdout).into_owned();
                assert!(probed.status.success() && text.starts_with("h264,"), "{path:?}: {text} {probed:?}");
            }
            Err(e) => {
                let required = std::env::var_os("METAD_TEST_REQUIRE_DATA").is_some_and(|v| v == "1");
                assert!(!required, "METAD_TEST_REQUIRE_DATA=1, and ffprobe: {e}");
                eprintln!("ffprobe was not run: {e}");
            }
        }
    }
}
