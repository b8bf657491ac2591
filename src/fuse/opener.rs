//! Opening: the only request that always touches the disk, so it runs on the pool and under a deadline.
//!
//! Not here: what an open inode holds ([`super::handles`]). Must always hold: fuser's threads never wait for a disk;
//! one open per inode is under way at a time, however many ask.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use fuser::{Errno, OpenAccMode, OpenFlags, ReplyOpen};
use rustix::fs::OFlags;

use super::adapter::Core;
use super::errno;
use super::handles::Joined;
use crate::vfs::filesystem::{Attr, FsError, NodeKind, OpenFile};

/// Whether these flags ask for more than reading.
pub(super) fn wants_to_write(flags: OpenFlags) -> bool {
    let asked = OFlags::from_bits_retain(flags.0.cast_unsigned());
    flags.acc_mode() != OpenAccMode::O_RDONLY || asked.intersects(OFlags::TRUNC | OFlags::APPEND)
}

/// Answers an open: at once when the inode is open already, else from the pool.
pub(super) fn open(core: &Arc<Core>, inode: u64, reply: ReplyOpen) {
    let joined = core.handles.join(inode, reply, |reply| {
        let late = Arc::clone(core);
        core.deadlines.promise(reply, core.options.deadline, move |reply| {
            tracing::warn!(inode, "an open was answered EIO: the disk did not answer in time");
            late.handles.counters.late.add();
            late.handles.counters.opens_failed.add();
            reply.error(Errno::EIO);
        })
    });
    match joined {
        Joined::Answered | Joined::Waits => {}
        Joined::First => {
            let worker = Arc::clone(core);
            if core.pool.submit(move || open_now(&worker, inode)).is_err() {
                tracing::warn!(inode, "an open was answered EIO: too many wait for the disk");
                core.handles.failed(inode, Errno::EIO);
            }
        }
    }
}

/// Opens the file and tells everybody who waits; on a thread of the pool.
fn open_now(core: &Core, inode: u64) {
    let opened = catch_unwind(AssertUnwindSafe(|| bytes_of(core, inode))).unwrap_or_else(|_| {
        core.handles.counters.panics.add();
        Err(FsError::Io("the filesystem panicked".into()))
    });
    match opened {
        Ok((file, attr)) => core.handles.opened(inode, file.file, attr),
        Err(error) => {
            tracing::debug!(inode, %error, "open failed");
            core.handles.failed(inode, errno::of_inode(&error));
        }
    }
}

fn bytes_of(core: &Core, inode: u64) -> Result<(OpenFile, Attr), FsError> {
    let known = core.tree.attr(inode)?;
    if known.kind != NodeKind::File {
        return Err(FsError::IsDirectory);
    }
    let file = core.tree.open(inode)?;
    if file.size != known.size {
        // What the metadata said was wrong: the kernel must ask again before the first read.
        core.invalidator.attributes(inode);
    }
    let attr = Attr { size: file.size, ..known };
    Ok((file, attr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_reading_may_open() {
        let flags = |flags: OFlags| OpenFlags(flags.bits().cast_signed());
        assert!(!wants_to_write(flags(OFlags::RDONLY)));
        assert!(!wants_to_write(flags(OFlags::RDONLY | OFlags::DIRECT)));
        for refused in [OFlags::WRONLY, OFlags::RDWR, OFlags::TRUNC, OFlags::APPEND] {
            assert!(wants_to_write(flags(refused)), "{refused:?}");
        }
    }
}
