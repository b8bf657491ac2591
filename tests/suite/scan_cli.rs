//! `metad scan --dry-run`: what a folder becomes, as JSON Lines on stdout.
//!
//! Not here: sending records (it needs a node). Must always hold: stdout carries nothing but lines that an import takes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{metad, metad_line, run};

fn write(root: &Path, name: &str, content: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn a_dry_run_prints_one_line_for_each_file_in_order() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "lib/Movies/Inception (2010)/Inception.2010.1080p.BluRay.mkv", "hello\n");
    write(dir.path(), "lib/Shows/Dark/Dark.S01E01-E02.mkv", "two");
    write(dir.path(), "lib/.hidden", "three");
    write(dir.path(), "lib/half.mkv.part", "four");
    let files = dir.path().join("lib");
    let scanned = run(metad(dir.path()).args(["scan", "lib", "--dry-run", "--files"]).arg(&files));
    assert_eq!(scanned.code, 0, "{}", scanned.stderr);
    let records = lines(&scanned.stdout);
    assert_eq!(records.len(), 2);
    let film = &records[0];
    assert_eq!(film["hashId"], "bagacbabaedmetwtdwfpwmscykfqiyw4tfd23y35kf2eci2pwca6b4nodbhjqi");
    for (name, value) in [
        ("filePath", "Movies/Inception (2010)/Inception.2010.1080p.BluRay.mkv"),
        ("fileName", "Inception.2010.1080p.BluRay.mkv"),
        ("extension", "mkv"),
        ("fileType", "video"),
        ("mimeType", "video/x-matroska"),
        ("sizeByte", "6"),
        ("title", "Inception"),
        ("movieYear", "2010"),
        ("videoType", "movie"),
        ("version", "1080p Blu-ray"),
    ] {
        assert_eq!(film["metadata"][name], value, "{name}");
    }
    assert_eq!(records[1]["metadata"]["episode"], "1|2");
    assert!(
        scanned.stderr.contains("2 files scanned; left out: 1 hidden, 1 unfinished"),
        "{}",
        scanned.stderr
    );
    assert!(records.iter().all(|r| r["metadata"].as_object().unwrap().values().all(Value::is_string)));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..300 {
        write(dir.path(), &format!("lib/{}/file {i}.mkv", i % 9), &i.to_string());
    }
    let one = metad_line(dir.path(), "scan lib --dry-run -q --threads 1");
    let many = metad_line(dir.path(), "scan lib --dry-run -q --threads 8");
    assert_eq!(lines(&one.stdout).len(), 300);
    assert_eq!(one.stdout, many.stdout);
    assert_eq!(one.stderr, "", "-q leaves only errors");
}

#[test]
fn a_folder_that_is_not_there_is_exit_3_and_a_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let missing = metad_line(dir.path(), "scan nowhere --dry-run");
    assert_eq!((missing.code, missing.stdout.as_str()), (3, ""));
    assert!(missing.stderr.contains("cannot scan nowhere"), "{}", missing.stderr);
    write(dir.path(), "file.mkv", "x");
    assert_eq!(metad_line(dir.path(), "scan file.mkv --dry-run").code, 1);
}

#[test]
fn files_path_of_the_old_system_counts() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "lib/sub/a.mkv", "x");
    let lib = dir.path().join("lib");
    for variable in ["FILES_PATH", "FILES_VOLUME"] {
        let scanned = run(metad(dir.path()).env(variable, &lib).args(["scan", "lib/sub", "--dry-run"]));
        assert_eq!(lines(&scanned.stdout)[0]["metadata"]["filePath"], "sub/a.mkv", "{variable}");
    }
    let scanned = run(metad(dir.path()).env("FILES_PATH", "").args(["scan", "lib/sub", "--dry-run"]));
    let path = lines(&scanned.stdout)[0]["metadata"]["filePath"].as_str().unwrap().to_owned();
    assert!(path.starts_with('/'), "an empty variable is not set: {path}");
}
