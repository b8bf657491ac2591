//! The mount point before the mount: what is in the way, and whether it may be used.
//!
//! Not here: mounting ([`super::device`]). Must always hold: only a mount whose daemon is dead is ever detached; a
//! hanging one is reported, never waited for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use rustix::fs::Access;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::error::MountError;
use super::mountinfo::{self, MountEntry};
use crate::limits::FUSE_PROBE_DEADLINE_MS;

/// Most mounts on top of each other that are looked through.
const STACKED_MAX: usize = 16;

/// Clears the mount point of dead mounts and checks it; the path as mountinfo shows it.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, MountError> {
    let path = resolve(path)?;
    for _ in 0..STACKED_MAX {
        let top = mountinfo::top(&path).map_err(MountError::system("read /proc/self/mountinfo"))?;
        let Some(top) = top.filter(MountEntry::is_fuse) else { break };
        match probe(&path) {
            Probe::Dead => detach_dead(&path, &top)?,
            Probe::Alive if top.is_ours() => return Err(MountError::Occupied { path }),
            Probe::Alive => break,
            Probe::Silent => return Err(MountError::Unresponsive { path }),
        }
    }
    check(&path)?;
    Ok(path)
}

/// The absolute path without links. The last component is taken as it is when it is no link, because looking at a
/// dead mount fails.
fn resolve(path: &Path) -> Result<PathBuf, MountError> {
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
    let resolved = match path.file_name().filter(|_| !is_link) {
        Some(name) => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            parent.canonicalize().map(|parent| parent.join(name))
        }
        None => path.canonicalize(),
    };
    resolved.map_err(|source| refusal(path, source))
}

fn refusal(path: &Path, source: io::Error) -> MountError {
    let path = path.to_path_buf();
    match source.kind() {
        io::ErrorKind::NotFound => MountError::Missing { path },
        io::ErrorKind::NotADirectory => MountError::NotDirectory { path },
        _ => MountError::Unreachable { path, source },
    }
}

fn check(path: &Path) -> Result<(), MountError> {
    let metadata = std::fs::metadata(path).map_err(|source| refusal(path, source))?;
    if !metadata.is_dir() {
        return Err(MountError::NotDirectory { path: path.to_path_buf() });
    }
    let mut entries = std::fs::read_dir(path).map_err(|source| refusal(path, source))?;
    if entries.next().is_some() {
        return Err(MountError::NotEmpty { path: path.to_path_buf() });
    }
    // Root may mount on what it cannot write; fusermount3 insists for everybody else.
    if !rustix::process::geteuid().is_root() && rustix::fs::access(path, Access::WRITE_OK).is_err() {
        return Err(MountError::NotWritable { path: path.to_path_buf() });
    }
    Ok(())
}

enum Probe {
    Alive,
    Dead,
    Silent,
}

/// Asks the mount for its totals, and does not wait for ever. Not for its root's attributes: the kernel may still have
/// those of a dead daemon in its cache.
fn probe(path: &Path) -> Probe {
    let (answered, is_answered) = channel();
    let asked = path.to_path_buf();
    let thread = std::thread::Builder::new().name("fuse-probe".into()).spawn(move || {
        // Sending fails only when nobody waits any more.
        answered.send(rustix::fs::statfs(&asked).map(drop)).ok();
    });
    if thread.is_err() {
        return Probe::Silent;
    }
    match is_answered.recv_timeout(Duration::from_millis(FUSE_PROBE_DEADLINE_MS)) {
        // Source: fs/fuse: a connection without a daemon answers ENOTCONN, an aborted one ECONNABORTED.
        Ok(Err(Errno::NOTCONN | Errno::CONNABORTED)) => Probe::Dead,
        Ok(Ok(()) | Err(_)) => Probe::Alive,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Probe::Silent,
    }
}

fn detach_dead(path: &Path, top: &MountEntry) -> Result<(), MountError> {
    detach(path, UnmountFlags::DETACH)
        .map_err(|source| MountError::Stale { path: path.to_path_buf(), source })?;
    tracing::warn!(
        path = %path.display(), source = %top.source.display(),
        "detached a dead mount that a killed daemon had left behind"
    );
    Ok(())
}

/// Detaches what is on top of a path: by the system call, or with the set-uid helper for ordinary users.
pub(super) fn detach(path: &Path, flags: UnmountFlags) -> io::Result<()> {
    match rustix::mount::unmount(path, flags | UnmountFlags::NOFOLLOW) {
        Err(Errno::PERM) => super::device::unmount_by_helper(path),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfit_mount_point_is_refused_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        assert!(matches!(prepare(&missing), Err(MountError::Missing { .. })));
        assert!(matches!(prepare(&missing.join("below")), Err(MountError::Missing { .. })));
        let file = dir.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        assert!(matches!(prepare(&file), Err(MountError::NotDirectory { .. })));
        assert!(matches!(prepare(&file.join("below")), Err(MountError::NotDirectory { .. })));
        assert!(matches!(prepare(dir.path()), Err(MountError::NotEmpty { .. })));
    }

    #[test]
    fn a_link_to_an_empty_directory_is_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        std::fs::create_dir(&real).unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(prepare(&link).unwrap(), real.canonicalize().unwrap());
    }
}
