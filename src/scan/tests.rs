//! Tests of a whole scan over real folders.
//!
//! Not here: single names (`filename`). Must always hold: what a test's folder holds is written out in the test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;

fn run(root: &Path, files: &Path, threads: usize) -> Vec<Event> {
    let mut events = Vec::new();
    let options = Options { root: root.to_owned(), files: files.to_owned(), threads };
    let mut sink = |event| {
        events.push(event);
        ControlFlow::Continue(())
    };
    scan(&options, &mut sink).unwrap();
    events
}

fn lines(events: Vec<Event>) -> Vec<Line> {
    events.into_iter().filter_map(|e| if let Event::Record(line) = e { Some(line) } else { None }).collect()
}

fn property<'a>(line: &'a Line, name: &str) -> &'a [u8] {
    &line.properties.iter().find(|(n, _)| n == name).unwrap().1
}

#[test]
fn records_are_sorted_and_do_not_depend_on_threads() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..40 {
        fs::create_dir_all(dir.path().join(format!("d{}", i % 7))).unwrap();
        fs::write(dir.path().join(format!("d{}/f{i}.mkv", i % 7)), format!("content {i}")).unwrap();
    }
    let one = lines(run(dir.path(), dir.path(), 1));
    assert_eq!(one.len(), 40);
    assert!(one.is_sorted_by_key(|l| property(l, "filePath").to_vec()));
    assert_eq!(one, lines(run(dir.path(), dir.path(), 4)));
}

#[test]
fn paths_beneath_files_path_are_relative_and_others_absolute() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir(root.join("movies")).unwrap();
    fs::write(root.join("movies/A (2001).mkv"), "a").unwrap();
    let relative = lines(run(&root.join("movies"), &root, 1));
    assert_eq!(property(&relative[0], "filePath"), b"movies/A (2001).mkv");
    let absolute = lines(run(&root.join("movies"), Path::new("/files"), 1));
    assert_eq!(property(&absolute[0], "filePath"), root.join("movies/A (2001).mkv").as_os_str().as_bytes());
    assert_eq!(property(&absolute[0], "sizeByte"), b"1");
    assert_eq!(property(&absolute[0], "mimeType"), b"video/x-matroska");
    assert!(property(&absolute[0], "mtime").ends_with(b"Z"));
}

#[test]
fn hidden_partial_and_linked_files_are_left_out_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    for name in [".hidden.mkv", "a.mkv.part", "b.mkv", "Thumbs.db"] {
        fs::write(dir.path().join(name), name).unwrap();
    }
    fs::create_dir(dir.path().join("@eaDir")).unwrap();
    fs::write(dir.path().join("@eaDir/c.mkv"), "c").unwrap();
    symlink("/etc/hostname", dir.path().join("out.mkv")).unwrap();
    symlink(".", dir.path().join("loop")).unwrap();
    let events = run(dir.path(), dir.path(), 2);
    let mut skipped = BTreeMap::new();
    for event in &events {
        if let Event::Skipped(path, why) = event {
            skipped.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), *why);
        }
    }
    let expected = [
        (".hidden.mkv", walk::Skip::Hidden),
        ("@eaDir", walk::Skip::Hidden),
        ("Thumbs.db", walk::Skip::Hidden),
        ("a.mkv.part", walk::Skip::Partial),
        ("loop", walk::Skip::Link),
        ("out.mkv", walk::Skip::Link),
    ];
    assert_eq!(skipped, expected.into_iter().map(|(n, w)| (n.to_owned(), w)).collect());
    assert_eq!(lines(events).len(), 1);
}

#[test]
fn the_second_file_of_one_midhash_gets_its_full_hash_and_a_copy_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut content = vec![0u8; 3 * 1024 * 1024];
    fs::write(dir.path().join("a.mkv"), &content).unwrap();
    // Only bytes outside the sample differ: one midhash, two contents.
    content[0] = 1;
    fs::write(dir.path().join("b.mkv"), &content).unwrap();
    fs::write(dir.path().join("c.mkv"), &content).unwrap();
    let events = run(dir.path(), dir.path(), 2);
    assert!(matches!(&events[2], Event::Skipped(path, walk::Skip::Copy) if path.ends_with("c.mkv")));
    let found = lines(events);
    assert!(found[0].hash_id.starts_with("bagacbabae"), "{}", found[0].hash_id);
    assert!(found[1].hash_id.starts_with("bafkrei"), "{}", found[1].hash_id);
    assert_eq!(property(&found[1], "cid_midhash256"), found[0].hash_id.as_bytes());
}

#[test]
fn names_that_are_no_text_keep_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.mkv");
    fs::write(dir.path().join(name), "x").unwrap();
    let found = lines(run(dir.path(), dir.path(), 1));
    assert_eq!(property(&found[0], "fileName"), b"caf\xe9.mkv");
    assert!(found[0].encode().contains(r#""metadataBase64":{"fileName":"#));
}

#[test]
fn a_missing_folder_is_an_error_and_a_stopped_scan_stops() {
    let options = Options { root: "/nonexistent/x".into(), files: "/files".into(), threads: 1 };
    let error = scan(&options, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/x"));
    let dir = tempfile::tempdir().unwrap();
    for i in 0..5 {
        fs::write(dir.path().join(format!("{i}.mkv")), i.to_string()).unwrap();
    }
    let options = Options { root: dir.path().to_owned(), files: dir.path().to_owned(), threads: 2 };
    let mut seen = 0;
    scan(&options, &mut |_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(seen, 2);
}
