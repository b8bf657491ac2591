//! `VirtualTree`: the published tree, as doors and services see it.
//!
//! Not here: how the tree comes about (`tree`, `tree_projection`), opening files (`source`).
//! Must always hold: readers see the tree before a batch or after it, never between; a reader holds the lock for one
//! answer at most and never over a system call; sizes found by opening stay on this node and yield to new metadata.

use std::collections::BTreeMap;

use parking_lot::{RwLock, RwLockReadGuard};
use xxhash_rust::xxh3::xxh3_128;

use super::filesystem::{Attr, DirEntry, Filesystem, FsError, FsTotals, NodeKind, OpenFile};
use super::source::{Source, SourceError};
use super::tree::Tree;
use super::tree_diff::TreeDiff;

/// Characters of hashId in an ETag: all 62 of a midhash256 but its end, far more than 128 bits of it.
const ETAG_ID_CHARS: usize = 40;

/// A published tree and the index of the log that it reflects.
#[derive(Debug, Default)]
struct Published {
    tree: Tree,
    applied_index: u64,
}

/// What an open found: the size that metadata stated then, and the real one.
#[derive(Clone, Copy, Debug)]
struct Correction {
    stated: u64,
    real: u64,
}

/// Figures of the statistics page. Source: seeds 001 and 004, "Stats".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeStats {
    /// Files with at least one path.
    pub file_count: u64,
    /// Directories, `/` included.
    pub directory_count: u64,
    /// Sum of the files' sizes in bytes, by metadata's word.
    pub total_size: u64,
    /// Paths of files below each top-level directory.
    pub categories: BTreeMap<String, u64>,
    /// Heap bytes of the tree, estimated to within some percent.
    pub memory_bytes: u64,
    /// Index of the last log entry that the tree contains.
    pub applied_index: u64,
}

/// The published tree over the files below FILES_PATH.
#[derive(Debug)]
pub struct VirtualTree {
    published: RwLock<Published>,
    /// By inode; only files whose size differs from what metadata states.
    corrections: RwLock<BTreeMap<u64, Correction>>,
    source: Source,
}

/// A read lock on the tree: for questions that [`Filesystem`] does not have. Drop it soon.
pub struct TreeRead<'t>(RwLockReadGuard<'t, Published>);

impl std::ops::Deref for TreeRead<'_> {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.0.tree
    }
}

impl VirtualTree {
    /// An empty tree over a source of bytes.
    pub fn new(source: Source) -> Self {
        Self { published: RwLock::default(), corrections: RwLock::default(), source }
    }

    /// A look at the whole tree.
    pub fn read(&self) -> TreeRead<'_> {
        TreeRead(self.published.read())
    }

    /// Where the bytes of files come from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Applies a batch in one step. For the one writer.
    pub(super) fn apply(&self, applied_index: u64, batch: impl FnOnce(&mut Tree)) -> TreeDiff {
        let mut published = self.published.write();
        published.tree.record();
        batch(&mut published.tree);
        published.applied_index = applied_index;
        let diff = published.tree.finish();
        drop(published);
        self.forget_corrections(&diff);
        diff
    }

    /// Puts a whole new tree in place in one step. For the one writer: the trees are compared before, without the lock
    /// that keeps readers out, and the old one is freed after.
    pub(super) fn replace(&self, applied_index: u64, mut tree: Tree) -> TreeDiff {
        tree.finish();
        let diff = Tree::compare(&self.published.read().tree, &tree);
        let mut published = self.published.write();
        let old = std::mem::replace(&mut *published, Published { tree, applied_index });
        drop(published);
        drop(old);
        self.forget_corrections(&diff);
        diff
    }

    /// Figures for the statistics page. Walks all directories: some milliseconds for a hundred thousand.
    pub fn stats(&self) -> TreeStats {
        let published = self.published.read();
        let (file_count, directory_count, total_size) = published.tree.totals();
        TreeStats {
            file_count,
            directory_count,
            total_size,
            categories: published.tree.categories(),
            memory_bytes: published.tree.memory_bytes() as u64,
            applied_index: published.applied_index,
        }
    }

    /// Absolute paths of all files, sorted by bytes.
    pub fn files(&self) -> Vec<String> {
        self.read().listings().1
    }

    /// Absolute paths of all directories, `/` first, sorted by bytes.
    pub fn directories(&self) -> Vec<String> {
        self.read().listings().0
    }

    /// Attributes with what opens have found out.
    fn corrected(&self, attr: Attr) -> Attr {
        let corrections = self.corrections.read();
        match corrections.get(&attr.inode).filter(|c| c.stated == attr.size) {
            Some(correction) => Attr { size: correction.real, ..attr },
            None => attr,
        }
    }

    fn correct(&self, inode: u64, stated: u64, real: u64) {
        let known = self.corrections.read().get(&inode).map(|c| (c.stated, c.real));
        match (stated == real, known) {
            (true, None) => {}
            (true, Some(_)) => {
                self.corrections.write().remove(&inode);
            }
            (false, known) if known == Some((stated, real)) => {}
            (false, _) => {
                self.corrections.write().insert(inode, Correction { stated, real });
            }
        }
    }

    /// Files that went away need no correction any more.
    fn forget_corrections(&self, diff: &TreeDiff) {
        if self.corrections.read().is_empty() {
            return;
        }
        let published = self.published.read();
        let gone = |inode: &u64| published.tree.attr_of(*inode).is_none();
        let removed = diff.dirs.values().flat_map(|d| d.removed.values());
        let gone: Vec<u64> = removed.filter(|i| gone(i)).copied().collect();
        drop(published);
        let mut corrections = self.corrections.write();
        for inode in gone {
            corrections.remove(&inode);
        }
    }
}

impl Filesystem for VirtualTree {
    fn lookup(&self, parent: u64, name: &str) -> Result<Attr, FsError> {
        let found = self.published.read().tree.lookup(parent, name);
        Ok(self.corrected(found?))
    }

    fn resolve(&self, path: &str) -> Result<Attr, FsError> {
        let found = self.published.read().tree.resolve(path);
        Ok(self.corrected(found?))
    }

    fn attr(&self, inode: u64) -> Result<Attr, FsError> {
        let found = self.published.read().tree.attr_of(inode);
        Ok(self.corrected(found.ok_or(FsError::NotFound)?))
    }

    fn parent(&self, inode: u64) -> Result<u64, FsError> {
        self.published.read().tree.parent(inode)
    }

    fn read_dir(
        &self,
        inode: u64,
        cookie: u64,
        visit: &mut dyn FnMut(&DirEntry) -> bool,
    ) -> Result<(), FsError> {
        let published = self.published.read();
        published.tree.read_dir(inode, cookie, &mut |entry| {
            visit(&DirEntry { attr: self.corrected(entry.attr), ..entry })
        })
    }

    fn open(&self, inode: u64) -> Result<OpenFile, FsError> {
        let published = self.published.read();
        let attr = published.tree.attr_of(inode).ok_or(FsError::NotFound)?;
        if attr.kind == NodeKind::Directory {
            return Err(FsError::IsDirectory);
        }
        let id = published.tree.id_of(inode).ok_or(FsError::NotFound)?.to_vec();
        let path = published.tree.source_of(inode).ok_or(FsError::NotFound)?.to_vec();
        drop(published);
        let (file, size) = self.source.open(&path)?;
        self.correct(inode, attr.size, size);
        Ok(OpenFile { file, size, etag: etag(&id, size), mtime_ms: attr.mtime_ms })
    }

    fn totals(&self) -> FsTotals {
        let published = self.published.read();
        let (files, directories, bytes) = published.tree.totals();
        FsTotals { files, directories, bytes, applied_index: published.applied_index }
    }
}

impl From<SourceError> for FsError {
    /// A file of the tree whose bytes cannot be had is a fault and never "not found": media servers delete what they are
    /// told does not exist.
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotThere
            | SourceError::Outside
            | SourceError::NotAFile
            | SourceError::NoRoot { .. }
            | SourceError::Io { .. } => FsError::Io(error.to_string()),
        }
    }
}

/// `"<hashId prefix>-<size>"`. An id with characters that an ETag may not have is hashed instead.
///
/// Source: RFC 9110, 8.8.3.
pub fn etag(id: &[u8], size: u64) -> String {
    let legal = |b: &u8| b.is_ascii_graphic() && *b != b'"';
    match std::str::from_utf8(id) {
        Ok(text) if id.iter().all(legal) && id.len() <= ETAG_ID_CHARS => format!("\"{text}-{size}\""),
        Ok(text) if id.iter().all(legal) && is_content_hash(text) => {
            format!("\"{}-{size}\"", &text[..ETAG_ID_CHARS])
        }
        Ok(_) | Err(_) => format!("\"{:032x}-{size}\"", xxh3_128(id)),
    }
}

/// Whether any forty characters of an id tell it apart: a base32 CID, as midhash256 writes it.
fn is_content_hash(id: &str) -> bool {
    id.starts_with('b') && id.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_legal_and_tell_ids_apart() {
        let cid = b"bagacbabaedmetwtdwfpwmscykfqiyw4tfd23y35kf2eci2pwca6b4nodbhjqi";
        assert_eq!(etag(cid, 6), "\"bagacbabaedmetwtdwfpwmscykfqiyw4tfd23y35-6\"");
        assert_eq!(etag(b"midhash256:abc", 1), "\"midhash256:abc-1\"");
        for strange in [&b"a\"b"[..], b"a b", "\u{e9}".as_bytes(), b"\xff", b""] {
            assert!(etag(strange, 1)[1..].trim_end_matches('"').bytes().all(|b| b.is_ascii_graphic()));
        }
        let prefix = "x".repeat(60);
        assert_ne!(etag(format!("{prefix}1").as_bytes(), 1), etag(format!("{prefix}2").as_bytes(), 1));
    }
}
