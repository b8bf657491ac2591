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
/// Set to keep the kernel from reading by itself.
const NO_PASSTHROUGH: &str = "METAD_TEST_FUSE_NO_PASSTHROUGH";
const READY: &str = "the daemon has mounted";

/// The daemon's part; nothing to do when the tests are run by a person.
#[test]
fn daemon() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let dir = Path::new(&dir);
    let mut options = options(dir);
    options.passthrough = std::env::var_os(NO_PASSTHROUGH).is_none();
    let mount = metad::fuse::mount(options, Fake::of(&dir.join("files"))).unwrap();
    println!("\n{READY}");
    // Until it is killed, or until its parent is gone and with it the other end of our standard input.
    std::io::stdin().lines().for_each(drop);
    mount.unmount().unwrap();
}

/// A running daemon; killed when dropped, because whoever looks at the mount of a stopped one waits for ever.
pub struct Daemon(pub Child);

impl Daemon {
    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts a daemon that mounts in `dir`, and waits until it has. It ends when its standard input does.
pub fn start_daemon(dir: &Path, passthrough: bool) -> Daemon {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if !passthrough {
        command.env(NO_PASSTHROUGH, "1");
    }
    let mut daemon = command
        .args(["--exact", "stale::daemon", "--nocapture"])
        .env(DIRECTORY, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(daemon.stdout.take().unwrap());
    let ready = said.lines().any(|line| line.unwrap() == READY);
    assert!(ready, "the daemon ended before it had mounted");
    Daemon(daemon)
}

/// A directory in which a killed daemon has left its mount; `None` where FUSE cannot be had.
fn with_dead_mount() -> Option<tempfile::TempDir> {
    // Says why when there is no FUSE, which the daemon could not do.
    mounted(workspace(), |_| ()).map(Mounted::finish)?;
    let dir = workspace();
    std::fs::write(dir.path().join("files/film.mkv"), b"film").unwrap();
    let mut daemon = start_daemon(dir.path(), true);
    let film = dir.path().join("mnt/film.mkv");
    assert_eq!(std::fs::read(&film).unwrap(), b"film");
    daemon.kill();
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
    let mut daemon = start_daemon(dir.path(), true);
    let refused = metad::fuse::mount(options(dir.path()), Fake::empty()).err().unwrap();
    assert!(refused.to_string().contains("another metad"), "{refused}");
    let playing = File::open(dir.path().join("mnt/film.mkv")).unwrap();
    daemon.kill();
    if passthrough {
        let mut bytes = [0; 4];
        std::os::unix::fs::FileExt::read_exact_at(&playing, &mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"film");
    }
    mounted(dir, |_| ()).unwrap().finish();
}
