//! Options of a mount.
//!
//! Not here: reading settings (`config`). Must always hold: the defaults let the owner read and nobody write.

use std::path::PathBuf;
use std::time::Duration;

use crate::limits::FUSE_DISK_DEADLINE_MS;

/// How and where to mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory to mount on; must exist and be empty.
    pub mount_point: PathBuf,
    /// FILES_PATH, the volume whose free space `statfs` reports.
    pub files: PathBuf,
    /// Owner of every node (`PUID`).
    pub uid: u32,
    /// Group of every node (`PGID`).
    pub gid: u32,
    /// Permission bits of files (`FUSE_FILE_MODE`); write bits are shown and mean nothing.
    pub file_mode: u16,
    /// Permission bits of directories (`FUSE_DIR_MODE`).
    pub dir_mode: u16,
    /// Lets other users than the daemon's in (`FUSE_ALLOW_OTHER`).
    pub allow_other: bool,
    /// Whether the kernel may read local files by itself. Off is for measurements and for debugging.
    pub passthrough: bool,
    /// How long an open or a read may wait for the disk before it is answered EIO.
    pub deadline: Duration,
}

impl Options {
    /// Options with the defaults: everything belongs to the daemon's user, 644 and 755, nobody else let in.
    pub fn new(mount_point: impl Into<PathBuf>, files: impl Into<PathBuf>) -> Self {
        Self {
            mount_point: mount_point.into(),
            files: files.into(),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            file_mode: 0o644,
            dir_mode: 0o755,
            allow_other: false,
            passthrough: true,
            deadline: Duration::from_millis(FUSE_DISK_DEADLINE_MS),
        }
    }
}
