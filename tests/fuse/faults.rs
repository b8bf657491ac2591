//! Disks that are gone, slow or lying, and a filesystem that panics.
//!
//! Not here: the daemon's own death (`stale`). Must always hold: a fault of the disk is EIO and never ENOENT; the
//! rest of the mount goes on as if nothing had happened.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use metad::vfs::filesystem::ROOT_INODE;
use rustix::io::Errno;

use crate::support::{bytes, eventually, mounted, workspace};

fn errno<T>(result: io::Result<T>) -> Option<i32> {
    result.err().and_then(|e| e.raw_os_error())
}

const EIO: Option<i32> = Some(Errno::IO.raw_os_error());
const ENOENT: Option<i32> = Some(Errno::NOENT.raw_os_error());

#[test]
fn a_file_whose_bytes_are_gone_is_eio_on_open_and_still_there() {
    let Some(mounted) = mounted(workspace(), |_| ()) else { return };
    mounted.fake.add_file(ROOT_INODE, "gone.mkv", Path::new("/nonexistent/metad/gone.mkv"));
    let path = mounted.path().join("gone.mkv");
    eventually("the name is there", || path.exists());
    assert_eq!(errno(File::open(&path)), EIO);
    assert!(path.exists(), "and stays");
    assert_eq!(errno(File::open(mounted.path().join("never.mkv"))), ENOENT);
    assert_eq!(mounted.mount().status().counts.opens_failed, 1);
    mounted.finish();
}

#[test]
fn a_disk_that_does_not_answer_costs_one_eio_in_time_and_nothing_else() {
    let dir = workspace();
    for name in ["stuck.mkv", "fine.mkv"] {
        std::fs::write(dir.path().join("files").join(name), bytes(2, 5000)).unwrap();
    }
    let Some(mounted) = mounted(dir, |o| o.deadline = Duration::from_millis(300)) else { return };
    let stuck = std::fs::metadata(mounted.path().join("stuck.mkv")).unwrap().ino();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    mounted.fake.on_open(move |inode| {
        if inode == stuck {
            // Ends when the sender is dropped.
            released.lock().unwrap().recv().ok();
        }
    });
    let begun = Instant::now();
    let path = mounted.path().join("stuck.mkv");
    // More openers than the pool has threads: they wait for one open, so the others stay free.
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| assert_eq!(errno(File::open(&path)), EIO));
        }
        assert_eq!(std::fs::read(mounted.path().join("fine.mkv")).unwrap().len(), 5000);
        assert_eq!(std::fs::read_dir(mounted.path()).unwrap().count(), 2);
    });
    assert!(begun.elapsed() < Duration::from_secs(5), "late by {:?}", begun.elapsed());
    assert_eq!(mounted.mount().status().counts.late, 20);
    drop(release);
    eventually("the file opens when the disk is back", || File::open(&path).is_ok());
    mounted.finish();
}

#[test]
fn a_panic_in_the_tree_is_one_eio() {
    let dir = workspace();
    std::fs::write(dir.path().join("files/fine.mkv"), b"fine").unwrap();
    let Some(mounted) = mounted(dir, |_| ()) else { return };
    for _ in 0..10 {
        assert_eq!(errno(std::fs::metadata(mounted.path().join("panic"))), EIO);
    }
    mounted.fake.on_open(|_| panic!("an open that fails badly"));
    assert_eq!(errno(File::open(mounted.path().join("fine.mkv"))), EIO);
    mounted.fake.on_open(|_| ());
    assert_eq!(std::fs::read(mounted.path().join("fine.mkv")).unwrap(), b"fine");
    assert_eq!(mounted.mount().status().counts.panics, 11);
    mounted.finish();
}

#[test]
fn an_open_corrects_a_size_that_the_metadata_had_wrong() {
    for passthrough in [true, false] {
        let dir = workspace();
        let content = bytes(3, 10_000);
        std::fs::write(dir.path().join("files/film.mkv"), &content).unwrap();
        let Some(mounted) = mounted(dir, |o| o.passthrough = passthrough) else { return };
        let path = mounted.path().join("film.mkv");
        let inode = std::fs::metadata(&path).unwrap().ino();
        for wrong in [0, 7, 9_999, 5_000_000] {
            mounted.fake.claim_size(inode, wrong);
            eventually("the wrong size shows", || std::fs::metadata(&path).unwrap().len() == wrong);
            let mut file = File::open(&path).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 10_000, "claimed {wrong}");
            let mut read = Vec::new();
            file.read_to_end(&mut read).unwrap();
            assert!(read == content, "claimed {wrong}, passthrough {passthrough}");
        }
        mounted.finish();
    }
}

#[test]
fn an_open_file_outlives_its_node_and_a_player_notices_nothing() {
    for passthrough in [true, false] {
        let dir = workspace();
        let content = bytes(4, 200_000);
        std::fs::write(dir.path().join("files/film.mkv"), &content).unwrap();
        let Some(mounted) = mounted(dir, |o| o.passthrough = passthrough) else { return };
        let path = mounted.path().join("film.mkv");
        let file = File::open(&path).unwrap();
        mounted.fake.remove(ROOT_INODE, "film.mkv");
        std::fs::remove_file(mounted.dir.path().join("files/film.mkv")).unwrap();
        eventually("the name is gone", || errno(std::fs::metadata(&path)) == ENOENT);
        let mut tail = vec![0; 1000];
        file.read_exact_at(&mut tail, 199_000).unwrap();
        assert!(tail == content[199_000..]);
        assert_eq!(file.metadata().unwrap().len(), 200_000);
        drop(file);
        mounted.finish();
    }
}

#[test]
fn a_read_beyond_the_pages_in_memory_is_answered_in_full() {
    let dir = workspace();
    let content = bytes(5, 3_000_000);
    let real = dir.path().join("files/film.mkv");
    std::fs::write(&real, &content).unwrap();
    let Some(mounted) = mounted(dir, |o| o.passthrough = false) else { return };
    let on_disk = File::open(&real).unwrap();
    on_disk.sync_all().unwrap();
    rustix::fs::fadvise(&on_disk, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    assert!(std::fs::read(mounted.path().join("film.mkv")).unwrap() == content);
    let counts = mounted.mount().status().counts;
    assert!(counts.reads > 0 && counts.reads_cold <= counts.reads);
    mounted.finish();
}

#[test]
fn statfs_tells_the_totals_and_the_free_space() {
    let dir = workspace();
    std::fs::write(dir.path().join("files/film.mkv"), bytes(6, 1_000_000)).unwrap();
    let real = rustix::fs::statvfs(dir.path().join("files")).unwrap();
    let Some(mounted) = mounted(dir, |_| ()) else { return };
    let seen = rustix::fs::statvfs(mounted.path()).unwrap();
    let (free, real) = (seen.f_bavail * seen.f_frsize, real.f_bavail * real.f_frsize);
    assert!(free.abs_diff(real) < real / 10 + 1_000_000, "{free} and {real}");
    assert!((seen.f_blocks - seen.f_bfree) * seen.f_frsize >= 1_000_000);
    assert_eq!((seen.f_files, seen.f_namemax), (2, 255));
    mounted.finish();
}

#[test]
fn a_change_of_the_tree_shows_within_seconds() {
    let dir = workspace();
    let real = dir.path().join("files/film.mkv");
    std::fs::write(&real, b"film").unwrap();
    let Some(mounted) = mounted(dir, |_| ()) else { return };
    let names = || {
        let names = std::fs::read_dir(mounted.path()).unwrap();
        let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["film.mkv"]);
    let fake = Arc::clone(&mounted.fake);
    assert!(!mounted.path().join("again.mkv").exists(), "an absence that the kernel remembers");
    fake.remove(ROOT_INODE, "film.mkv");
    fake.add_file(ROOT_INODE, "again.mkv", &real);
    assert_eq!(names(), ["again.mkv"], "listings are never old");
    eventually("the new name", || std::fs::read(mounted.path().join("again.mkv")).is_ok());
    eventually("the old name is gone", || !mounted.path().join("film.mkv").exists());
    mounted.finish();
}

#[test]
fn what_the_kernel_is_told_shows_at_once() {
    let dir = workspace();
    let real = dir.path().join("files/film.mkv");
    std::fs::write(&real, b"film").unwrap();
    let Some(mounted) = mounted(dir, |_| ()) else { return };
    let (film, new) = (mounted.path().join("film.mkv"), mounted.path().join("new.mkv"));
    let kernel = mounted.mount().invalidator();
    assert!(!new.exists());
    mounted.fake.add_file(ROOT_INODE, "new.mkv", &real);
    kernel.name(ROOT_INODE, "new.mkv");
    assert!(new.exists());
    let inode = std::fs::metadata(&film).unwrap().ino();
    mounted.fake.claim_size(inode, 9);
    kernel.attributes(inode);
    assert_eq!(std::fs::metadata(&film).unwrap().len(), 9);
    mounted.fake.remove(ROOT_INODE, "film.mkv");
    kernel.removed(ROOT_INODE, inode, "film.mkv");
    kernel.listing(ROOT_INODE);
    assert!(!film.exists());
    mounted.finish();
}
