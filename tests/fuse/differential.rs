//! A mount of a random tree against the real directory: names, attributes, bytes, random reads, mapped memory.
//!
//! Not here: concurrency. Must always hold: whatever a program can see through the mount is what the directory says.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::mm::{MapFlags, ProtFlags};

use crate::support::{Mounted, Random, bytes, mounted, workspace};

#[test]
fn a_mount_equals_the_directory_that_it_shows_through_the_kernel() {
    compare(true);
}

#[test]
fn a_mount_equals_the_directory_that_it_shows_through_the_daemon() {
    compare(false);
}

fn compare(passthrough: bool) {
    let dir = workspace();
    let real = dir.path().join("files");
    let mut random = Random(7);
    grow(&real, &mut random, 3);
    let Some(mounted) = mounted(dir, |o| o.passthrough = passthrough) else { return };
    let (ours, theirs) = (walk(&mounted.path()), walk(&real));
    assert!(theirs.len() > 40, "the random tree has only {} nodes", theirs.len());
    assert_eq!(ours, theirs);
    for (path, node) in &theirs {
        if node.is_file {
            compare_bytes(&mounted.path().join(path), &real.join(path), &mut random);
        }
    }
    check_route(&mounted, passthrough);
    mounted.finish();
}

fn check_route(mounted: &Mounted, passthrough: bool) {
    let status = mounted.mount().status();
    assert_eq!(status.counts.opens_failed, 0);
    if passthrough && rustix::process::geteuid().is_root() {
        assert!(status.passthrough, "root has passthrough on an ordinary filesystem: {status:?}");
        assert!(status.counts.opens_passthrough > 0);
        assert_eq!(status.counts.reads, 0, "the kernel reads by itself");
    } else {
        assert!(!status.passthrough);
        assert!(status.counts.reads > 0);
        assert_eq!(status.counts.opens_passthrough, 0);
    }
}

fn grow(dir: &Path, random: &mut Random, depth: u32) {
    const SIZES: [usize; 9] = [0, 1, 4095, 4096, 4097, 65_537, 131_072, 300_001, 1_048_579];
    for n in 0..6 {
        let name = format!("Amélie {n} – [1080p] {}.mkv", random.below(1000));
        let size = SIZES[random.below(SIZES.len() as u64) as usize];
        std::fs::write(dir.join(name), bytes(random.next(), size)).unwrap();
    }
    if depth > 0 {
        for n in 0..2 {
            let below = dir.join(format!("Season {n} ({})", random.below(1000)));
            std::fs::create_dir(&below).unwrap();
            grow(&below, random, depth - 1);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    is_file: bool,
    size: u64,
    mtime_ms: i64,
    links: u64,
}

fn walk(root: &Path) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let metadata = entry.metadata().unwrap();
        let is_file = metadata.is_file();
        let size = if is_file { metadata.size() } else { 0 };
        let mtime_ms = metadata.mtime() * 1_000 + metadata.mtime_nsec() / 1_000_000;
        // The root's own time is that of the last walk; links of directories count sub-directories on both sides.
        let mtime_ms = if is_file { mtime_ms } else { 0 };
        seen.insert(name, Seen { is_file, size, mtime_ms, links: metadata.nlink() });
    }
    seen
}

fn compare_bytes(ours: &Path, theirs: &Path, random: &mut Random) {
    let expected = std::fs::read(theirs).unwrap();
    assert!(std::fs::read(ours).unwrap() == expected, "{} differs", ours.display());
    let file = File::open(ours).unwrap();
    for _ in 0..20 {
        let at = random.below(expected.len() as u64 + 10);
        let mut buffer = vec![0; random.below(200_000) as usize];
        let want = expected.get(at as usize..).unwrap_or_default();
        let want = &want[..want.len().min(buffer.len())];
        let mut read = 0;
        while read < buffer.len() {
            match file.read_at(&mut buffer[read..], at + read as u64).unwrap() {
                0 => break,
                n => read += n,
            }
        }
        assert!(&buffer[..read] == want, "{} differs at {at}", ours.display());
    }
    if !expected.is_empty() {
        compare_mapped(&file, &expected);
    }
}

#[expect(unsafe_code, reason = "mapping a file has no safe interface")]
fn compare_mapped(file: &File, expected: &[u8]) {
    // SAFETY: a fresh private mapping of a file that nobody changes, read within its length, then unmapped.
    unsafe {
        let start = rustix::mm::mmap(
            std::ptr::null_mut(),
            expected.len(),
            ProtFlags::READ,
            MapFlags::PRIVATE,
            file,
            0,
        )
        .unwrap();
        let mapped = std::slice::from_raw_parts(start.cast::<u8>(), expected.len());
        assert!(mapped == expected, "mapped bytes differ");
        rustix::mm::munmap(start, expected.len()).unwrap();
    }
}
