//! What a node can find wrong with itself when somebody asks.
//!
//! Not here: what only a look at all nodes tells (`metad doctor`). Must always hold: it may block, so it never runs on a
//! thread of the async runtime; it leaves nothing behind; each finding that is not `Ok` says what to do.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::future::join;
use metad_raft::{Lane, Status, TransportError};
use rustix::process::{Resource, getrlimit};

use super::filesystem::{Medium, medium, refusal};
use super::pulse::Pulse;
use crate::http::Finding;
use crate::limits;
use crate::meta::leader_clock::Judgement;

/// Writes of one measurement, and bytes of each. Source: etcd's advice on disks (8 KiB `fdatasync`, p99 below 10 ms).
const SYNCS: u32 = 12;
const SYNC_BYTES: usize = 8 * 1024;
const SLOW: Duration = Duration::from_millis(10);
/// A leader whose disk is this slow loses its lead.
const HOPELESS: Duration = Duration::from_millis(250);

/// Where the node stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Whether a mount was asked for.
    pub mounts: bool,
}

/// All checks of this node.
pub fn examine(place: &Place, status: &Status) -> Vec<Finding> {
    vec![
        disk(&place.data_dir),
        space(&place.data_dir),
        filesystem(&place.data_dir),
        open_files(),
        fuse(place.mounts),
        snapshot(status),
    ]
}

fn unknown(name: &'static str, error: &io::Error) -> Finding {
    Finding::warn(name, format!("cannot be measured: {error}"), "look at the data directory")
}

fn disk(dir: &Path) -> Finding {
    match slowest_sync(dir) {
        Err(e) => unknown("disk", &e),
        Ok(worst) => {
            let text =
                format!("slowest of {SYNCS} fsyncs {:.1} ms (want < 10 ms)", worst.as_secs_f64() * 1e3);
            let advice = "move the data directory to an SSD, or take other load off this disk";
            match worst {
                w if w >= HOPELESS => Finding::fail("disk", text, advice),
                w if w >= SLOW => Finding::warn("disk", text, advice),
                _ => Finding::ok("disk", text),
            }
        }
    }
}

fn slowest_sync(dir: &Path) -> io::Result<Duration> {
    let path = dir.join("doctor.tmp");
    let measured = File::create(&path).and_then(|mut file| {
        let mut worst = Duration::ZERO;
        for _ in 0..SYNCS {
            let begun = Instant::now();
            file.write_all(&[0; SYNC_BYTES])?;
            file.sync_data()?;
            worst = worst.max(begun.elapsed());
        }
        Ok(worst)
    });
    let removed = std::fs::remove_file(&path);
    measured.and_then(|worst| removed.map(|()| worst))
}

fn space(dir: &Path) -> Finding {
    let free = match rustix::fs::statvfs(dir) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(e) => return unknown("space", &e.into()),
    };
    let text = format!("{} MiB free", free >> 20);
    let advice = "make room: without it writes are refused";
    match free {
        f if f < limits::DOCTOR_FREE_BYTES_FAIL => Finding::fail("space", text, advice),
        f if f < limits::DOCTOR_FREE_BYTES_WARN => Finding::warn("space", text, advice),
        _ => Finding::ok("space", text),
    }
}

fn filesystem(dir: &Path) -> Finding {
    let name = "filesystem";
    let medium = match medium(dir) {
        Ok(medium) => medium,
        Err(e) => return unknown(name, &e),
    };
    let advice = "put the data directory on a disk of this machine";
    match medium {
        Medium::Local => Finding::ok(name, "the data directory is on a local disk"),
        Medium::Remote(_) => Finding::fail(name, refusal(medium).unwrap_or_default(), advice),
        Medium::Fuse => {
            Finding::warn(name, "the data directory is on FUSE: its fsync may promise nothing", advice)
        }
        Medium::Memory => {
            Finding::warn(name, "the data directory is in memory and goes with the machine", advice)
        }
        Medium::Overlay => Finding::warn(
            name,
            "the data directory is in a container's layer and goes with the container",
            "mount a volume there",
        ),
    }
}

fn open_files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    let text =
        limit.map_or_else(|| "no limit on open files".to_owned(), |n| format!("{n} open files allowed"));
    if limit.is_some_and(|n| n < limits::DOCTOR_OPEN_FILES_WARN) {
        let advice = "raise it: LimitNOFILE=65536 in the unit, --ulimit nofile=65536 for a container";
        return Finding::warn("open files", text, advice);
    }
    Finding::ok("open files", text)
}

fn fuse(mounts: bool) -> Finding {
    let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/fuse");
    match (device, mounts) {
        (Ok(_), _) => Finding::ok("fuse", "/dev/fuse can be opened"),
        (Err(_), false) => Finding::ok("fuse", "no mount is asked for"),
        (Err(e), true) => Finding::fail(
            "fuse",
            format!("/dev/fuse cannot be opened: {e}"),
            "load the module; for a container: --device /dev/fuse --cap-add SYS_ADMIN",
        ),
    }
}

fn snapshot(status: &Status) -> Finding {
    let behind = status.applied_index.saturating_sub(status.snapshot_index);
    let text = format!("the newest is at {}, {behind} entries ago", status.snapshot_index);
    if behind > limits::DOCTOR_SNAPSHOT_ENTRIES_WARN {
        let advice = "a restart will replay all of them: look for `no snapshot` in the node's log, and make room on its disk";
        return Finding::warn("snapshot", text, advice);
    }
    Finding::ok("snapshot", text)
}

/// Whether both lanes lead to a member: how long each took to answer, or why it did not.
pub async fn lanes(pulse: &Pulse, id: u64, name: &str) -> Finding {
    let (control, bulk) = join(pulse.probe(id, Lane::Control), pulse.probe(id, Lane::Bulk)).await;
    let told = |lane: &str, answer: &Result<Duration, TransportError>| match answer {
        Ok(took) => format!("{lane} lane {:.1} ms", took.as_secs_f64() * 1e3),
        Err(error) => format!("{lane} lane: {error}"),
    };
    let text = format!("{name}: {}, {}", told("control", &control), told("bulk", &bulk));
    match (control, bulk) {
        (Ok(_), Ok(_)) => Finding::ok("peers", text),
        (Err(_), Err(_)) => {
            Finding::fail("peers", text, "bring it up, or look at its peer port and the way there")
        }
        (Ok(_), Err(_)) => Finding::fail(
            "peers",
            text,
            "it gets no snapshot: look at what closes or fills long connections on the way there",
        ),
        (Err(_), Ok(_)) => Finding::fail("peers", text, "it gets no log: look at the way there"),
    }
}

/// What this node's clock is worth among the voters'.
pub fn clock(judged: Judgement) -> Finding {
    let told = |ahead: i64| {
        let seconds = ahead.unsigned_abs() as f64 / 1e3;
        format!("{seconds:.1} s {} the voters' median", if ahead < 0 { "behind" } else { "ahead of" })
    };
    match judged {
        Judgement::Near(ahead) => Finding::ok("clock", told(ahead)),
        Judgement::Far(ahead) => Finding::fail(
            "clock",
            format!("{}: while this node leads, the log's time goes on without it", told(ahead)),
            "set it: run NTP on this node",
        ),
        Judgement::Unknown => Finding::warn(
            "clock",
            "the clocks of a majority of the voters are not known",
            "bring the other voters up",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Level;

    #[test]
    fn an_examination_leaves_nothing_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let findings =
            [disk(dir.path()), space(dir.path()), filesystem(dir.path()), open_files(), fuse(false)];
        let clocks = [Judgement::Near(-3), Judgement::Far(i64::MIN), Judgement::Unknown].map(clock);
        let findings: Vec<Finding> = findings.into_iter().chain(clocks).collect();
        for finding in &findings {
            assert!(finding.level == Level::Ok || !finding.advice.is_empty(), "{finding:?}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let gone = dir.path().join("gone");
        assert_eq!(disk(&gone).level, Level::Warn);
    }
}
