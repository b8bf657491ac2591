//! Registration of backing files with the kernel, and what is remembered about refusals.
//!
//! Not here: which inode has which backing ([`super::handles`]).
//! Must always hold: a refusal is never an error for the user; the daemon serves the bytes itself then.
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

/// Whether, and for which filesystems, the kernel takes backing files.
#[derive(Debug, Default)]
pub(super) struct Backing {
    allowed: AtomicBool,
    /// Device numbers of filesystems that the kernel refused.
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

    /// Registers a file for the inode that `reply` opens; `None` means that the daemon must serve it.
    pub(super) fn register(&self, reply: &ReplyOpen, file: &File, counters: &Counters) -> Option<BackingId> {
        if !self.allowed.load(Ordering::Acquire) {
            return None;
        }
        let device = file.metadata().ok()?.dev();
        if self.refused.lock().contains(&device) {
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
