//! Why a mount did not come about, in words that say what to do.
//!
//! Not here: errors of single requests ([`super::errno`]). Must always hold: each message names the path and a remedy.

use std::io;
use std::path::PathBuf;

/// A mount that failed, or could not be taken down.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Nothing is there.
    #[error("the mount point {} does not exist: create it with `mkdir -p`, or name another directory", path.display())]
    Missing {
        /// The mount point.
        path: PathBuf,
    },
    /// A file is there.
    #[error("the mount point {} is not a directory: name an empty directory", path.display())]
    NotDirectory {
        /// The mount point.
        path: PathBuf,
    },
    /// Mounting would hide what is in the directory.
    #[error("the mount point {} is not empty, and mounting would hide what is in it: name an empty directory", path.display())]
    NotEmpty {
        /// The mount point.
        path: PathBuf,
    },
    /// An unprivileged mount needs write access to the directory.
    #[error("the mount point {} is not writable by this user: change its owner, or run as root", path.display())]
    NotWritable {
        /// The mount point.
        path: PathBuf,
    },
    /// The directory cannot be looked at.
    #[error("the mount point {} cannot be examined ({source}): check the permissions of the directories above it", path.display())]
    Unreachable {
        /// The mount point.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A living metad serves this mount point.
    #[error("another metad already serves {}: stop it, or name another mount point", path.display())]
    Occupied {
        /// The mount point.
        path: PathBuf,
    },
    /// A mount is there that neither answers nor is dead.
    #[error("a mount at {} does not answer: its daemon hangs; end it, or run `umount -l {}`", path.display(), path.display())]
    Unresponsive {
        /// The mount point.
        path: PathBuf,
    },
    /// A dead mount is in the way and could not be removed.
    #[error("a dead mount at {} could not be detached ({source}): run `umount -l {}` as root", path.display(), path.display())]
    Stale {
        /// The mount point.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No FUSE in this kernel or container.
    #[error("there is no /dev/fuse: run `modprobe fuse`, or start the container with `--device /dev/fuse`")]
    NoDevice,
    /// FUSE is there and this process may not use it.
    #[error(
        "no permission to mount ({source}): run as root, install fusermount3 (package fuse3), or start the container with `--cap-add SYS_ADMIN --device /dev/fuse`"
    )]
    NotPermitted {
        /// What the system said.
        source: io::Error,
    },
    /// The set-uid helper refused; it says why.
    #[error("fusermount3 refused to mount on {}: {message}", path.display())]
    Helper {
        /// The mount point.
        path: PathBuf,
        /// Its words.
        message: String,
    },
    /// Anything else that the system refused.
    #[error("cannot {step}: {source}")]
    System {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The mount is detached, and its threads still wait for something.
    #[error("{} is detached, but its session did not end in time: a program still holds files of it", path.display())]
    StillBusy {
        /// The mount point.
        path: PathBuf,
    },
}

impl MountError {
    /// Makes a [`MountError::System`] of an I/O error.
    pub(super) fn system(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { step, source }
    }
}
