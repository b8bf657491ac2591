//! Fifty threads open one file at once.
//!
//! Not here: single opens. Must always hold: nobody sees an error, and the kernel is given one backing file.

use std::fs::File;
use std::io::Read;
use std::sync::Barrier;

use crate::support::{Mounted, bytes, eventually, mounted, workspace};

const THREADS: usize = 50;

#[test]
fn fifty_openers_share_one_backing_file() {
    race(true);
}

#[test]
fn fifty_openers_share_one_file_of_the_daemon() {
    race(false);
}

fn race(passthrough: bool) {
    let dir = workspace();
    let content = bytes(1, 300_000);
    std::fs::write(dir.path().join("files/film.mkv"), &content).unwrap();
    let Some(mounted) = mounted(dir, |o| o.passthrough = passthrough) else { return };
    all_hold_it_open(&mounted, &content);
    open_and_close_in_disorder(&mounted, &content);
    assert_eq!(mounted.mount().status().counts.opens_failed, 0);
    mounted.finish();
}

fn all_hold_it_open(mounted: &Mounted, content: &[u8]) {
    let (start, opened) = (Barrier::new(THREADS), Barrier::new(THREADS));
    let path = mounted.path().join("film.mkv");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                let file = File::open(&path);
                // Nobody closes before everybody has opened, also when an open fails.
                opened.wait();
                assert!(all_of(file.unwrap()) == content);
            });
        }
    });
    let counts = mounted.mount().status().counts;
    assert_eq!(counts.opens_passthrough + counts.opens_cached, THREADS as u64);
    assert_eq!(counts.backings_registered, u64::from(counts.opens_passthrough > 0));
}

fn open_and_close_in_disorder(mounted: &Mounted, content: &[u8]) {
    let path = mounted.path().join("film.mkv");
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for _ in 0..40 {
                    let mut head = [0; 1000];
                    File::open(&path).unwrap().read_exact(&mut head).unwrap();
                    assert!(head == content[..1000]);
                }
            });
        }
    });
    // A release follows a close a little later; a new open after it all gets a fresh backing file.
    eventually("the file opens again", || File::open(&path).is_ok_and(|f| all_of(f) == content));
}

fn all_of(mut file: File) -> Vec<u8> {
    let mut out = Vec::new();
    file.read_to_end(&mut out).unwrap();
    out
}
