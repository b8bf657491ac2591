//! Bad input: a clear refusal with the contract's status or exit code, and nothing lost or left half-done.
//!
//! Not here: the bodies of refusals (golden scripts of `http`). Must always hold: after every refusal the node works and
//! has what it had.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use serde_json::json;

use crate::support::metad;
use crate::support::node::{Home, Node};

/// Sends a request that has to be refused with this status and slug, in the contract's shape.
fn refused(node: &Node, (method, path): (&str, &str), body: impl AsRef<[u8]>, (status, code): (u16, &str)) {
    let answer = node.ask(method, path, body);
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    let told = answer.json();
    assert_eq!(told["code"], json!(code), "{method} {path}: {told}");
    assert_eq!((&told["applied"], &told["retryable"]), (&json!("no"), &json!(false)), "{told}");
    assert!(!told["message"].as_str().unwrap_or_default().is_empty(), "{told}");
}

#[test]
fn refused_requests_change_nothing() {
    let home = Home::new();
    home.file("f.mkv", b"0123456789");
    let node = home.start();
    node.put("f", &json!({"filePath": "f.mkv", "title": "Film", "fileType": "video"}));
    node.follow();
    let before = (node.get("/meta/f"), node.tree(), node.get("/v1/status")["applied_index"].clone());
    let put = ("PUT", "/meta/f");
    for malformed in ["{\"title\":", "{\"title\":1}", "{\"title\":null}", "{\"title\":{}}", "[]", "", "\u{1}"]
    {
        refused(&node, put, malformed, (400, "invalid_json"));
        refused(&node, ("PATCH", "/meta/f"), malformed, (400, "invalid_json"));
    }
    refused(&node, put, b"{\"title\":\"\xff\"}", (400, "invalid_json"));
    refused(&node, put, vec![b' '; 9 << 20], (413, "body_too_large"));
    refused(&node, ("PUT", "/meta/f/title"), vec![b'x'; (1 << 20) + 1], (413, "value_too_large"));
    refused(&node, ("PUT", "/v1/rules"), "version = 1\n[[view]]\nname = 3\n", (400, "invalid_rules"));
    refused(&node, ("PUT", "/v1/rules"), "no rules at all", (400, "invalid_rules"));
    refused(&node, ("PUT", "/v1/rules"), b"\xff\xfe", (400, "invalid_rules"));
    for unknown in ["/meta/nobody", "/meta/f/nothing", "/data/nobody", "/data/nobody/path", "/file/nobody"] {
        refused(&node, ("GET", unknown), "", (404, "not_found"));
    }
    refused(&node, ("GET", "/nothing"), "", (404, "unknown_route"));
    refused(&node, ("DELETE", "/meta"), "", (405, "method_not_allowed"));
    let after = (node.get("/meta/f"), node.tree(), node.get("/v1/status")["applied_index"].clone());
    assert_eq!(after, before, "no refusal left anything behind");
    let node = {
        node.kill();
        home.start()
    };
    assert_eq!((node.get("/meta/f"), node.tree()), (before.0, before.1));
}

#[test]
fn a_bad_line_of_an_import_is_counted_and_the_others_are_taken() {
    let home = Home::new();
    let node = home.start();
    let lines = [
        r#"{"hashId":"a","metadata":{"title":"A"}}"#,
        r#"{"hashId":"b","metadata":{"title":7}}"#,
        "no json",
        r#"{"hashId":"","metadata":{"title":"C"}}"#,
        r#"{"hashId":"d","metadata":{"title":"D"}}"#,
    ];
    let answer = node.ask("POST", "/v1/import", lines.join("\n"));
    let told = answer.json();
    assert_eq!((answer.status, &told["imported"], &told["failed"]), (200, &json!(2), &json!(3)), "{told}");
    let bad: Vec<_> = told["errors"].as_array().unwrap().iter().map(|e| e["line"].clone()).collect();
    assert_eq!(bad, [json!(2), json!(3), json!(4)]);
    assert_eq!(node.get("/meta")["count"], json!(2));
}

#[test]
fn bad_ranges_are_416_and_a_hundred_ranges_are_not_a_hundred_parts() {
    let home = Home::new();
    let content: Vec<u8> = (0..200_u8).collect();
    home.file("f.mkv", &content);
    let node = home.start();
    node.put("f", &json!({"filePath": "f.mkv"}));
    let ranged = |range: &str| node.ask_with("GET", "/data/f", &[("Range", range)], "");
    for bad in ["bytes=200-", "bytes=9-1", "bytes=x-y", "bytes=", "bytes=-0", "bytes"] {
        let answer = ranged(bad);
        assert_eq!(answer.status, 416, "{bad}: {}", answer.text());
        assert_eq!(answer.header("content-range"), Some("bytes */200"), "{bad}");
        assert_eq!(answer.json()["code"], json!("bad_range"));
    }
    let good = ranged("bytes=10-19");
    assert_eq!((good.status, good.body.as_slice()), (206, &content[10..20]));
    assert_eq!(ranged("lines=1-2").body, content, "an unknown unit is ignored");
    let apart: Vec<String> = (0..100).map(|n| format!("{}-{}", 2 * n, 2 * n)).collect();
    let many = ranged(&format!("bytes={}", apart.join(",")));
    assert!(many.body.len() <= content.len() || many.status == 416, "{} {}", many.status, many.body.len());
    let same = vec!["0-0"; 100].join(",");
    let same = ranged(&format!("bytes={same}"));
    assert!(same.body.len() <= content.len(), "{} {}", same.status, same.body.len());
}

#[test]
fn a_second_process_on_the_same_data_directory_is_refused_and_disturbs_nothing() {
    let home = Home::new();
    let node = home.start();
    node.put("f", &json!({"title": "Film"}));
    let runtime = fs::read_to_string(home.path("data/runtime.json")).unwrap();
    for _ in 0..2 {
        let (code, said) = home.refusal(|_| {});
        assert_eq!(code, 9, "{said}");
        assert!(said.contains("in use by another process"), "{said}");
        assert_eq!(fs::read_to_string(home.path("data/runtime.json")).ok(), Some(runtime.clone()));
    }
    node.put("g", &json!({"title": "Another"}));
    assert_eq!(node.get("/meta")["count"], json!(2));
    node.kill();
    assert_eq!(home.start().get("/meta")["count"], json!(2));
}

#[test]
fn a_data_directory_of_another_version_is_refused_with_9_and_left_as_it_is() {
    let home = Home::new();
    let node = home.start();
    node.put("f", &json!({"title": "Film"}));
    assert!(node.stop().success());
    for (file, find, replace) in [
        ("log/VERSION", "format = 1", "format = 999"),
        ("log/VERSION", "kind = noop", "kind = another"),
        ("node.json", "\"version\": 1", "\"version\": 999"),
        ("node.json", "{", "["),
    ] {
        let path = home.path("data").join(file);
        let text = fs::read_to_string(&path).unwrap();
        let changed = text.replace(find, replace);
        assert_ne!(text, changed, "{file} holds {find}");
        fs::write(&path, &changed).unwrap();
        let (code, said) = home.refusal(|_| {});
        assert_eq!(code, 9, "{file}: {said}");
        assert!(said.contains(home.path("data").file_name().unwrap().to_str().unwrap()), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), changed, "it is left as it is");
        fs::write(&path, &text).unwrap();
        assert_eq!(home.start().get("/meta/f")["metadata"]["title"], json!("Film"), "nothing is lost");
    }
}

#[test]
fn an_unfit_mount_point_is_refused_and_the_next_start_has_everything() {
    let home = Home::new();
    let Some(node) = home.start_mounted() else { return };
    node.put("f", &json!({"filePath": "f.mkv", "title": "Film", "fileType": "video"}));
    let (code, said) = {
        let other = Home::new();
        other.refusal(|command| {
            command.arg("--mount").arg(home.path("mnt"));
        })
    };
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("another metad already serves"), "{said}");
    assert!(home.is_mounted(), "the other one's mount stays");
    assert!(node.stop().success());
    fs::create_dir(home.path("full")).unwrap();
    fs::write(home.path("full/file"), b"x").unwrap();
    for (point, expected) in
        [("missing", "does not exist"), ("full", "is not empty"), ("full/file", "is not a directory")]
    {
        let (code, said) = home.refusal(|command| {
            command.arg("--mount").arg(home.path(point));
        });
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(expected) && said.contains(point), "{said}");
        assert!(!home.path("data/runtime.json").exists(), "a node that did not start is not announced");
    }
    assert_eq!(fs::read(home.path("full/file")).unwrap(), b"x");
    let node = home.start_mounted().expect("it could mount before");
    assert_eq!(node.paths(), ["/Movies/Film/Film.mkv"]);
}

#[test]
fn without_files_path_the_tree_stays_and_bytes_come_back_with_the_volume() {
    let home = Home::new();
    home.file("f.mkv", b"bytes");
    let node = home.start();
    node.put("f", &json!({"filePath": "f.mkv", "title": "Film", "fileType": "video"}));
    node.follow();
    assert_eq!(node.ask("GET", "/data/f", "").body, b"bytes");
    node.kill();
    fs::rename(home.path("files"), home.path("unplugged")).unwrap();
    let node = home.start();
    assert_eq!(node.paths(), ["/Movies/Film/Film.mkv"], "a missing volume empties no tree");
    let answer = node.ask("GET", "/data/f", "");
    assert_eq!(answer.status, 500, "a volume that is away is no missing file: {}", answer.text());
    assert_eq!(answer.json()["code"], json!("disk_fault"));
    assert_eq!(node.ask("GET", "/readyz", "").status, 200, "metadata is served all the same");
    fs::rename(home.path("unplugged"), home.path("files")).unwrap();
    assert_eq!(node.ask("GET", "/data/f", "").body, b"bytes");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_refused() {
    let home = Home::new();
    fs::write(home.path("data"), b"a file").unwrap();
    let (code, said) = home.refusal(|_| {});
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("data directory"), "{said}");
    assert_eq!(fs::read(home.path("data")).unwrap(), b"a file");
    fs::remove_file(home.path("data")).unwrap();
    fs::create_dir(home.path("data")).unwrap();
    fs::set_permissions(home.path("data"), fs::Permissions::from_mode(0o500)).unwrap();
    if !rustix::process::geteuid().is_root() {
        let (code, said) = home.refusal(|_| {});
        assert_eq!(code, 1, "{said}");
    }
}

#[test]
fn an_ordinary_user_is_refused_a_mount_point_that_they_cannot_write() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    if let Err(error) = metad(Path::new("/")).arg("version").uid(NOBODY).output() {
        eprintln!("skipped: the binary is in a folder that only root may enter: {error}");
        return;
    }
    let home = Home::new();
    let Some(node) = home.start_mounted() else { return };
    node.put("f", &json!({"title": "Film"}));
    assert!(node.stop().success());
    for folder in ["", "mnt"] {
        fs::set_permissions(home.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for entry in walkdir::WalkDir::new(home.path("data")) {
        chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let (code, said) = home.refusal(|command| {
        command.uid(NOBODY).gid(NOBODY).arg("--mount").arg(home.path("mnt"));
    });
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("is not writable by this user"), "{said}");
    assert_eq!(home.start().get("/meta")["count"], json!(1), "nothing is lost");
}
