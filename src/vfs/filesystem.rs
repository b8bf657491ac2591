//! `Filesystem`: what the FUSE, WebDAV and HTTP doors may ask of the virtual tree.
//!
//! Not here: the tree itself (`tree`), protocols (doors).
//! Must always hold: every answer but `open` comes from RAM and never waits; a fault of the backing disk is
//! [`FsError::Io`] and never [`FsError::NotFound`], because media servers delete what they are told does not exist.

use std::fs::File;
use std::sync::Arc;

/// Inode number of the root directory. Source: `FUSE_ROOT_ID` of the kernel.
pub const ROOT_INODE: u64 = 1;

/// What a node of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A folder computed by the rules.
    Directory,
    /// A media file, sidecar or picture.
    File,
}

/// Attributes of a node, equal on every member of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Inode number; bit 63 is set for directories.
    pub inode: u64,
    /// Directory or file.
    pub kind: NodeKind,
    /// Size in bytes: metadata's word, corrected by what an open found. 0 for directories.
    pub size: u64,
    /// Modification time in whole milliseconds since the epoch; never "now".
    pub mtime_ms: u64,
    /// Hard links: 2 + sub-directories for a directory, the number of paths for a file.
    pub links: u32,
}

/// One name in a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, one path component.
    pub name: Arc<str>,
    /// Attributes of what it names.
    pub attr: Attr,
    /// Where to go on after this entry: stable while the directory changes, over restarts and on every node.
    /// Values 1 and 2 belong to `.` and `..`.
    pub cookie: u64,
}

/// An opened file: the bytes and what was found out by opening them.
#[derive(Debug)]
pub struct OpenFile {
    /// The backing file, opened read-only beneath FILES_PATH.
    pub file: File,
    /// Its real size in bytes, from `fstat`.
    pub size: u64,
    /// Strong validator: equal content has an equal tag on every node (`"<hashId prefix>-<size>"` with quotes).
    pub etag: String,
    /// Log time of the file's last change in milliseconds, as in [`Attr::mtime_ms`].
    pub mtime_ms: u64,
}

/// Totals for `statfs` and the statistics pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FsTotals {
    /// Files in the tree.
    pub files: u64,
    /// Directories in the tree, the root included.
    pub directories: u64,
    /// Sum of the sizes of all files in bytes.
    pub bytes: u64,
    /// Index of the last log entry that the tree contains.
    pub applied_index: u64,
    /// Every file stays where it is, whatever happens to others: none waits for its pin.
    pub settled: bool,
}

/// A refusal of the filesystem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FsError {
    /// No such path, name or inode.
    #[error("no such file or directory")]
    NotFound,
    /// A directory was needed.
    #[error("not a directory")]
    NotDirectory,
    /// A file was needed.
    #[error("is a directory")]
    IsDirectory,
    /// Nothing in this filesystem can be changed.
    #[error("read-only file system")]
    ReadOnly,
    /// The file is in the tree and its bytes cannot be had: missing on disk, outside FILES_PATH, or a disk fault.
    #[error("the file's bytes cannot be read: {0}")]
    Io(String),
    /// The backing disk did not answer in time.
    #[error("the backing storage did not answer in time")]
    TimedOut,
}

/// The virtual tree, as doors see it.
pub trait Filesystem: Send + Sync {
    /// The node called `name` in the directory `parent`.
    fn lookup(&self, parent: u64, name: &str) -> Result<Attr, FsError>;

    /// The node at an absolute virtual path (`/Movies/…`); `/` is the root.
    fn resolve(&self, path: &str) -> Result<Attr, FsError>;

    /// Attributes of an inode.
    fn attr(&self, inode: u64) -> Result<Attr, FsError>;

    /// The directory that holds a directory; the root holds itself. `NotDirectory` for files.
    fn parent(&self, inode: u64) -> Result<u64, FsError>;

    /// Calls `visit` for the entries of a directory after `cookie` (0 is the beginning), until it answers `false`.
    /// `.` and `..` are left to the door.
    fn read_dir(
        &self,
        inode: u64,
        cookie: u64,
        visit: &mut dyn FnMut(&DirEntry) -> bool,
    ) -> Result<(), FsError>;

    /// Opens a file's bytes. The only call that touches the disk; callers give it a deadline.
    fn open(&self, inode: u64) -> Result<OpenFile, FsError>;

    /// Totals, from RAM.
    fn totals(&self) -> FsTotals;
}
