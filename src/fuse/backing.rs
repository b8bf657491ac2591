//! Registration of backing files with the kernel, and what is remembered about refusals.
//!
//! Not here: which inode has which backing ([`super::handles`]).
//! Must always hold: a refusal is never an error for the user; the daemon serves the bytes itself then. Only local
//! disks are handed over: what the kernel reads by itself has no deadline, so a reader of a file on a dead network
//! share would wait in state D for ever, where the daemon answers EIO.
//!
//! Source: kernel document `filesystems/fuse-passthrough`: registration needs CAP_SYS_ADMIN, and a filesystem that is
//! itself stacked too deep is refused with ELOOP.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};

use fuser::{BackingId, ReplyOpen};
use parking_lot::Mutex;
use rustix::io::Errno;

use super::counters::Counters;

/// Filesystems whose bytes come from elsewhere: NFS, CIFS, SMB, SMB2, FUSE, 9P, Ceph, AFS, Lustre.
/// Source: `statfs(2)`, and `linux/magic.h` and the filesystems' own headers.
const REMOTE_MAGICS: [i64; 9] = [
    0x6969,
    0xff53_4d42,
    0x517b,
    0xfe53_4d42,
    0x6573_5546,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x0bd0_0bd0,
];

/// What an open file stands on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ground {
    /// The kernel may read it, as far as is known.
    Kernel {
        /// Device number of its filesystem.
        device: u64,
    },
    /// The daemon must.
    Daemon,
}

/// Whether, and for which filesystems, the kernel takes backing files.
#[derive(Debug, Default)]
pub(super) struct Backing {
    allowed: AtomicBool,
    /// Device numbers of filesystems that the kernel refused, or that are not local.
    refused: Mutex<BTreeSet<u64>>,
}

impl Backing {
    /// Says what the handshake with the kernel gave.
    pub(super) fn allow(&self, allowed: bool) {
        self.allowed.store(allowed, Ordering::Release);
    }

    /// Whether local files are read by the kernel itself, as far as is known: nothing has been refused.
    pub(super) fn is_active(&self) -> bool {
        self.allowed.load(Ordering::Acquire) && self.refused.lock().is_empty()
    }

    /// Looks at an open file before it is registered. May wait for the disk, so it is called without locks.
    pub(super) fn examine(&self, file: &File) -> Ground {
        if !self.allowed.load(Ordering::Acquire) {
            return Ground::Daemon;
        }
        // A filesystem that cannot even be asked is not handed to the kernel.
        let Ok(device) = file.metadata().map(|m| m.dev()) else { return Ground::Daemon };
        if self.refused.lock().contains(&device) {
            return Ground::Daemon;
        }
        match rustix::fs::fstatfs(file) {
            Ok(found) if !REMOTE_MAGICS.contains(&(found.f_type & 0xffff_ffff)) => Ground::Kernel { device },
            Ok(_) | Err(_) => {
                if self.refused.lock().insert(device) {
                    tracing::info!(device, "no passthrough for files that are not on a local disk");
                }
                Ground::Daemon
            }
        }
    }

    /// Registers a file for the inode that `reply` opens; `None` means that the daemon must serve it. Never waits.
    pub(super) fn register(
        &self,
        reply: &ReplyOpen,
        file: &File,
        ground: Ground,
        counters: &Counters,
    ) -> Option<BackingId> {
        let Ground::Kernel { device } = ground else { return None };
        // Others may have been refused since it was examined.
        if !self.allowed.load(Ordering::Acquire) || self.refused.lock().contains(&device) {
            return None;
        }
        match reply.open_backing(file) {
            Ok(id) => {
                counters.backings_registered.add();
                Some(id)
            }
            Err(error) => {
                counters.backings_refused.add();
                self.remember(device, &error);
                None
            }
        }
    }

    fn remember(&self, device: u64, error: &std::io::Error) {
        match Errno::from_io_error(error) {
            // Short of memory or descriptors: the next file may be taken again.
            Some(Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::INTR) => {}
            Some(Errno::PERM) => {
                tracing::info!("no passthrough: CAP_SYS_ADMIN is missing, so reads go through the daemon");
                self.allow(false);
            }
            _ => {
                if self.refused.lock().insert(device) {
                    tracing::info!(device, %error, "no passthrough for this filesystem: reads go through the daemon");
                }
            }
        }
    }
}
