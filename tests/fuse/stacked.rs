//! Files that lie on another FUSE mount: not a local disk, so no passthrough, and as slow as their daemon.
//!
//! Not here: ordinary disks (`faults`). Must always hold: a file that the kernel must not read by itself is no error
//! for the user; a read that gets no answer is EIO in time, and not a process in state D.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::fake::Fake;
use crate::stale::start_daemon;
use crate::support::{bytes, eventually, mounted, mounted_fake, workspace};

#[test]
fn files_that_are_not_on_a_local_disk_are_served_by_the_daemon() {
    let dir = workspace();
    for n in 0..5 {
        std::fs::write(dir.path().join(format!("files/{n}.mkv")), bytes(n, 200_000)).unwrap();
    }
    let Some(below) = mounted(dir, |_| ()) else { return };
    if !below.mount().status().passthrough {
        eprintln!("skipped: no passthrough, so nothing is stacked");
        return below.finish();
    }
    let above = mounted_fake(workspace(), Fake::of(&below.path()), |_| ()).unwrap();
    assert!(above.mount().status().passthrough, "nothing has been refused yet");
    for n in 0..5 {
        let seen = std::fs::read(above.path().join(format!("{n}.mkv"))).unwrap();
        assert!(seen == bytes(n, 200_000));
    }
    let status = above.mount().status();
    assert!(!status.passthrough);
    assert_eq!((status.counts.opens_passthrough, status.counts.opens_cached), (0, 5));
    assert!(status.counts.reads_cold > 0);
    assert_eq!(status.counts.opens_failed, 0);
    above.finish();
    below.finish();
}

#[test]
fn a_read_that_gets_no_answer_is_eio_in_time_and_the_mount_can_be_taken_down() {
    // Says why when there is no FUSE.
    let Some(first) = mounted(workspace(), |_| ()) else { return };
    first.finish();
    stuck_read();
}

fn stuck_read() {
    let dir = workspace();
    std::fs::write(dir.path().join("files/film.mkv"), bytes(1, 5_000_000)).unwrap();
    let mut daemon = start_daemon(dir.path(), false);
    let fake = Fake::of(&dir.path().join("mnt"));
    let above = mounted_fake(workspace(), fake, |o| o.deadline = Duration::from_millis(300)).unwrap();
    let film = File::open(above.path().join("film.mkv")).unwrap();
    let pid = Pid::from_child(&daemon.0);
    kill_process(pid, Signal::STOP).unwrap();
    eventually("the daemon stands still", || all_stopped(pid));
    let begun = Instant::now();
    let read = film.read_exact_at(&mut [0; 100], 4_000_000);
    assert_eq!(read.err().and_then(|e| e.raw_os_error()), Some(Errno::IO.raw_os_error()));
    assert!(begun.elapsed() < Duration::from_secs(5), "late by {:?}", begun.elapsed());
    assert!(above.mount().status().counts.late > 0);
    drop(film);
    above.finish();
    daemon.kill();
    // What a killed daemon leaves behind is nobody's to recover here.
    rustix::mount::unmount(dir.path().join("mnt"), rustix::mount::UnmountFlags::DETACH).unwrap();
}

/// Whether every thread of a process is stopped. Source: proc_pid_stat(5), the state after the name in brackets.
fn all_stopped(pid: Pid) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).unwrap();
    tasks
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap())
        .all(|stat| stat.rsplit(") ").next().unwrap().starts_with('T'))
}
