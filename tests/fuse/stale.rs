//! A daemon that is killed leaves a dead mount behind; the next one takes it away.
//!
//! The daemon is this very test binary, started again with one test to run and a directory to mount in.
//!
//! Not here: clean stops (`lifecycle`). Must always hold: the next mount needs no human hand.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;

use crate::fake::Fake;
use crate::support::{Mounted, eventually, is_mounted, mounted, options, workspace};

const DIRECTORY: &str = "METAD_TEST_FUSE_DAEMON";
const READY: &str = "the daemon has mounted";

/// The daemon's part; nothing to do when the tests are run by a person.
#[test]
fn daemon() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let dir = Path::new(&dir);
    let mount = metad::fuse::mount(options(dir), Fake::of(&dir.join("files"))).unwrap();
    println!("\n{READY}");
    // Until it is killed, or until its parent is gone and with it the other end of our standard input.
    std::io::stdin().lines().for_each(drop);
    mount.unmount().unwrap();
}

fn start_daemon(dir: &Path) -> Child {
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stale::daemon", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(daemon.stdout.take().unwrap());
    let ready = said.lines().any(|line| line.unwrap() == READY);
    assert!(ready, "the daemon ended before it had mounted");
    daemon
}

/// A directory in which a killed daemon has left its mount; `None` where FUSE cannot be had.
fn with_dead_mount() -> Option<tempfile::TempDir> {
    // Says why when there is no FUSE, which the daemon could not do.
    mounted(workspace(), |_| ()).map(Mounted::finish)?;
    let dir = workspace();
    std::fs::write(dir.path().join("files/film.mkv"), b"film").unwrap();
    let mut daemon = start_daemon(dir.path());
    let film = dir.path().join("mnt/film.mkv");
    assert_eq!(std::fs::read(&film).unwrap(), b"film");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    eventually("the mount is dead", || {
        std::fs::metadata(&film).is_err_and(|e| e.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()))
    });
    assert!(is_mounted(&dir.path().join("mnt")));
    Some(dir)
}

#[test]
fn the_mount_of_a_killed_daemon_is_recovered_by_the_next_one() {
    let Some(dir) = with_dead_mount() else { return };
    let recovered = mounted(dir, |_| ()).unwrap();
    assert_eq!(std::fs::read(recovered.path().join("film.mkv")).unwrap(), b"film");
    recovered.finish();
}

#[test]
fn a_living_daemon_is_not_pushed_aside_and_a_player_survives_a_killed_one() {
    let Some(first) = mounted(workspace(), |_| ()) else { return };
    let passthrough = first.mount().status().passthrough;
    first.finish();
    let dir = workspace();
    std::fs::write(dir.path().join("files/film.mkv"), b"film").unwrap();
    let mut daemon = start_daemon(dir.path());
    let refused = metad::fuse::mount(options(dir.path()), Fake::empty()).err().unwrap();
    assert!(refused.to_string().contains("another metad"), "{refused}");
    let playing = File::open(dir.path().join("mnt/film.mkv")).unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    if passthrough {
        let mut bytes = [0; 4];
        std::os::unix::fs::FileExt::read_exact_at(&playing, &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"film");
    }
    mounted(dir, |_| ()).unwrap().finish();
}
