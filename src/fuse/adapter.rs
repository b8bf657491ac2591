//! The adapter: fuser's callbacks over [`Filesystem`]. Each one is: call, match, reply.
//!
//! Not here: opening and reading ([`super::opener`], [`super::reader`]); anything that decides.
//! Must always hold: names, attributes and listings are answered inline from RAM; every request that would change
//! something is EROFS (fuser's own answers are ENOSYS or EPERM); a panic is one EIO and the session goes on.

use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    Request, TimeOrNow, WriteFlags,
};

use super::deadline::Deadlines;
use super::handles::Handles;
use super::invalidator::Invalidator;
use super::options::Options;
use super::pool::Pool;
use super::space::Space;
use super::{attr, errno, handshake, listing, opener, reader};
use crate::limits::NAME_BYTES_MAX;
use crate::vfs::filesystem::{Attr, Filesystem, FsError, NodeKind};

/// Inode numbers are never reused, so every node is of the first generation.
const GENERATION: Generation = Generation(0);
/// Unit of `statfs` in bytes.
const STATFS_BLOCK_BYTES: u32 = 4096;

/// What all requests of a mount share.
pub(super) struct Core {
    pub(super) tree: Arc<dyn Filesystem>,
    pub(super) options: Options,
    pub(super) handles: Handles,
    pub(super) pool: Pool,
    pub(super) deadlines: Arc<Deadlines>,
    pub(super) space: Arc<Space>,
    pub(super) invalidator: Invalidator,
}

impl Core {
    /// Attributes of a name in a directory; `.` and `..` are asked for by re-exports over NFS.
    fn lookup(&self, parent: u64, name: &OsStr) -> Result<Attr, FsError> {
        let Some(name) = name.to_str() else { return Err(FsError::NotFound) };
        match name {
            "." => self.tree.attr(parent),
            ".." => self.tree.attr(self.tree.parent(parent)?),
            name => self.tree.lookup(parent, name),
        }
    }

    /// Attributes of an inode; an open file keeps those it was opened with after its node is gone.
    fn attr(&self, inode: u64) -> Result<Attr, FsError> {
        match self.tree.attr(inode) {
            Err(FsError::NotFound) => match self.handles.pin(inode) {
                Some(pin) => Ok(Attr { links: 0, ..pin.attr }),
                None => Err(FsError::NotFound),
            },
            other => other,
        }
    }
}

/// fuser's side of [`Core`].
pub(super) struct Adapter {
    core: Arc<Core>,
}

impl Adapter {
    /// An adapter for one session.
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Runs a handler; when it panics, its dropped reply answers EIO.
    fn guard(&self, request: &'static str, handler: impl FnOnce(&Arc<Core>)) {
        if catch_unwind(AssertUnwindSafe(|| handler(&self.core))).is_err() {
            self.core.handles.counters.panics.add();
            tracing::error!(request, "a request handler of the mount panicked; it was answered EIO");
        }
    }
}

impl fuser::Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        handshake::negotiate(&self.core, config);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.guard("lookup", |core| match core.lookup(parent.0, name) {
            Ok(found) => reply.entry(&attr::TTL, &attr::of(&core.options, &found), GENERATION),
            Err(FsError::NotFound) => {
                reply.entry(&attr::NEGATIVE_TTL, &attr::absent(&core.options), GENERATION);
            }
            Err(error) => reply.error(errno::of_name(&error)),
        });
    }

    // Numbers come from the tree and are always known, so there is nothing to forget.
    fn forget(&self, _: &Request, _: INodeNo, _: u64) {}

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.guard("getattr", |core| match core.attr(inode.0) {
            Ok(found) => reply.attr(&attr::TTL, &attr::of(&core.options, &found)),
            Err(error) => reply.error(errno::of_inode(&error)),
        });
    }

    fn readlink(&self, _: &Request, _: INodeNo, reply: ReplyData) {
        // There are no symbolic links in the tree. Source: readlink(2), EINVAL.
        reply.error(Errno::EINVAL);
    }

    fn open(&self, _: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.guard("open", |core| {
            if opener::wants_to_write(flags) {
                return reply.error(Errno::EROFS);
            }
            opener::open(core, inode.0, reply);
        });
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.guard("read", |core| reader::read(core, inode.0, offset, size, reply));
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.guard("release", |core| {
            core.handles.release(inode.0);
            reply.ok();
        });
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // No kernel cache of listings (FOPEN_CACHE_DIR) before every change is pushed.
        self.guard("opendir", |core| match core.tree.attr(inode.0) {
            Ok(Attr { kind: NodeKind::Directory, .. }) => reply.opened(FileHandle(0), FopenFlags::empty()),
            Ok(Attr { kind: NodeKind::File, .. }) => reply.error(Errno::ENOTDIR),
            Err(error) => reply.error(errno::of_inode(&error)),
        });
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.guard("readdir", |core| {
            let listed = listing::list(&*core.tree, inode.0, offset, &mut |found, name, cookie| {
                reply.add(INodeNo(found.inode), cookie, attr::kind(found), name)
            });
            match listed {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno::of_inode(&error)),
            }
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.guard("readdirplus", |core| {
            let listed = listing::list(&*core.tree, inode.0, offset, &mut |found, name, cookie| {
                let shown = attr::of(&core.options, found);
                reply.add(shown.ino, cookie, name, &attr::TTL, &shown, GENERATION)
            });
            match listed {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(errno::of_inode(&error)),
            }
        });
    }

    fn releasedir(&self, _: &Request, _: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        self.guard("statfs", |core| {
            let totals = core.tree.totals();
            let unit = u64::from(STATFS_BLOCK_BYTES);
            let free = core.space.volume(&core.pool).available_bytes / unit;
            let blocks = totals.bytes.div_ceil(unit).saturating_add(free);
            let nodes = totals.files + totals.directories;
            let name_max = NAME_BYTES_MAX as u32;
            reply.statfs(blocks, free, free, nodes, 0, STATFS_BLOCK_BYTES, name_max, STATFS_BLOCK_BYTES);
        });
    }

    // With `default_permissions` the kernel judges by mode bits itself; after one ENOSYS it stops asking.
    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    // ENOSYS once, and the kernel never asks again for the life of the mount: `ls -l` would ask for each file.
    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    // From here on: everything that would change something.

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(Errno::EROFS);
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn symlink(&self, _: &Request, _: INodeNo, _: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn rename(
        &self,
        _: &Request,
        _: INodeNo,
        _: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    fn link(&self, _: &Request, _: INodeNo, _: INodeNo, _: &OsStr, reply: ReplyEntry) {
        reply.error(Errno::EROFS);
    }

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        reply.error(Errno::EROFS);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::EROFS);
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::EROFS);
    }
}
