//! Attributes as the kernel wants them, and for how long it may keep them.
//!
//! Not here: where attributes come from (`vfs`). Must always hold: equal attributes of the tree give equal `stat`
//! results on every node; no value makes the kernel refuse the reply.

use std::time::{Duration, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};

use super::options::Options;
use crate::limits::FUSE_TTL_MS;
use crate::vfs::filesystem::{Attr, NodeKind};

/// How long the kernel may keep names and attributes. The one place that says so.
pub(super) const TTL: Duration = Duration::from_millis(FUSE_TTL_MS);
/// How long it may remember that a name does not exist.
pub(super) const NEGATIVE_TTL: Duration = Duration::from_millis(FUSE_TTL_MS);
/// Preferred I/O size in bytes, what `cp` and `cat` ask for.
const BLOCK_BYTES: u32 = 128 * 1024;

/// The kind of a node in fuser's words.
pub(super) fn kind(attr: &Attr) -> FileType {
    match attr.kind {
        NodeKind::Directory => FileType::Directory,
        NodeKind::File => FileType::RegularFile,
    }
}

/// The attributes of a node under these options.
pub(super) fn of(options: &Options, attr: &Attr) -> FileAttr {
    let time = UNIX_EPOCH + Duration::from_millis(attr.mtime_ms);
    // The kernel answers EIO for a whole listing when one size has the top bit set; metadata may claim anything.
    let size = attr.size.min(i64::MAX as u64);
    FileAttr {
        ino: INodeNo(attr.inode),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind: kind(attr),
        perm: match attr.kind {
            NodeKind::Directory => options.dir_mode,
            NodeKind::File => options.file_mode,
        },
        nlink: attr.links,
        uid: options.uid,
        gid: options.gid,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// The reply that lets the kernel remember an absence: an entry with inode 0.
pub(super) fn absent(options: &Options) -> FileAttr {
    let nothing = Attr { inode: 0, kind: NodeKind::File, size: 0, mtime_ms: 0, links: 0 };
    of(options, &nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_the_kernel_refuses_is_clamped() {
        let options = Options::new("/mnt", "/files");
        let attr = Attr { inode: 5, kind: NodeKind::File, size: u64::MAX, mtime_ms: 1_500, links: 1 };
        let shown = of(&options, &attr);
        assert_eq!(shown.size, i64::MAX as u64);
        assert_eq!(shown.mtime, UNIX_EPOCH + Duration::from_millis(1_500));
        assert_eq!((shown.perm, shown.nlink, shown.ino), (0o644, 1, INodeNo(5)));
    }
}
