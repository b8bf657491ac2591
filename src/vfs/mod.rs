//! The virtual filesystem: folders computed from metadata by rules.
//!
//! ```text
//!   applied log ──► follower ──► builder (pure) ──► tree ──► Filesystem ──► fuse, http, webdav
//!                                  ▲
//!                             rule set: template · condition · presets
//! ```
//!
//! Not here: protocols (doors), the records themselves (meta).
//! Must always hold: tree, names, suffixes, inodes and mtimes are a pure function of (rules, applied log); only
//! `follower` and `source` do I/O.

pub mod filesystem;

pub use filesystem::{Attr, DirEntry, Filesystem, FsError, FsTotals, NodeKind, OpenFile, ROOT_INODE};
