//! A virtual tree of three files in memory.
//!
//! Not here: rules. Must always hold: inodes are positions in the table.

use std::sync::Arc;

use crate::vfs::{Attr, DirEntry, Filesystem, FsError, FsTotals, NodeKind, OpenFile, ROOT_INODE};

/// The tree.
pub struct FakeTree;

/// Path, and size for files.
const NODES: [(&str, Option<u64>); 4] = [
    ("/", None),
    ("/Movies", None),
    ("/Movies/Heat (1995)", None),
    ("/Movies/Heat (1995)/Heat.mkv", Some(7)),
];

fn attr_at(at: usize) -> Attr {
    let (_, size) = NODES[at];
    Attr {
        inode: at as u64 + ROOT_INODE,
        kind: if size.is_some() { NodeKind::File } else { NodeKind::Directory },
        size: size.unwrap_or(0),
        mtime_ms: 1_700_000_000_500,
        links: if size.is_some() { 1 } else { 2 },
    }
}

fn at(inode: u64) -> Result<usize, FsError> {
    let at = inode.checked_sub(ROOT_INODE).ok_or(FsError::NotFound)? as usize;
    if at < NODES.len() { Ok(at) } else { Err(FsError::NotFound) }
}

impl Filesystem for FakeTree {
    fn lookup(&self, parent: u64, name: &str) -> Result<Attr, FsError> {
        let parent = NODES[at(parent)?].0.trim_end_matches('/');
        self.resolve(&format!("{parent}/{name}"))
    }

    fn resolve(&self, path: &str) -> Result<Attr, FsError> {
        let at = NODES.iter().position(|(p, _)| *p == path).ok_or(FsError::NotFound)?;
        Ok(attr_at(at))
    }

    fn attr(&self, inode: u64) -> Result<Attr, FsError> {
        at(inode).map(attr_at)
    }

    fn parent(&self, inode: u64) -> Result<u64, FsError> {
        Ok((at(inode)? as u64).max(ROOT_INODE))
    }

    fn read_dir(
        &self,
        inode: u64,
        cookie: u64,
        visit: &mut dyn FnMut(&DirEntry) -> bool,
    ) -> Result<(), FsError> {
        let place = at(inode)?;
        if NODES[place].1.is_some() {
            return Err(FsError::NotDirectory);
        }
        if place + 1 < NODES.len() && cookie == 0 {
            let name = NODES[place + 1].0.rsplit('/').next().unwrap_or_default();
            visit(&DirEntry { name: Arc::from(name), attr: attr_at(place + 1), cookie: 3 });
        }
        Ok(())
    }

    fn open(&self, _: u64) -> Result<OpenFile, FsError> {
        Err(FsError::Io("no disk in this test".into()))
    }

    fn totals(&self) -> FsTotals {
        FsTotals { files: 1, directories: 3, bytes: 7, applied_index: 0 }
    }
}
