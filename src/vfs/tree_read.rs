//! Questions to the tree: look-ups, listings, totals.
//!
//! Not here: locks and corrections (`tree_fs`).
//! Must always hold: nothing here changes the tree or touches a disk; listings come in cookie order, path lists sorted
//! by bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cookie::{key, nfc};
use super::filesystem::{Attr, DirEntry, FsError, NodeKind};
use super::tree::Tree;
use super::tree_node::{Child, Node, ROOT};

impl Tree {
    /// The node called exactly `name` in a directory.
    pub fn lookup(&self, parent: u64, name: &str) -> Result<Attr, FsError> {
        let dir = self.directory(parent)?;
        self.entry(dir, name).map(|child| self.attr(child)).ok_or(FsError::NotFound)
    }

    /// The node at a path. Names are compared in NFC, because macOS asks in NFD.
    pub fn resolve(&self, path: &str) -> Result<Attr, FsError> {
        let mut at = Child::dir(ROOT);
        for name in path.split('/').filter(|c| !c.is_empty()) {
            let Node::Dir(dir) = at.node() else { return Err(FsError::NotDirectory) };
            at = self.entry(dir, &nfc(name)).ok_or(FsError::NotFound)?;
        }
        Ok(self.attr(at))
    }

    fn entry(&self, dir: u32, name: &str) -> Option<Child> {
        let (_, child) = self.find(dir, &key(name))?;
        (self.child_name(dir, child) == name).then_some(child)
    }

    /// Attributes of an inode, by metadata's word.
    pub fn attr_of(&self, inode: u64) -> Option<Attr> {
        let child =
            self.dir_slot(inode).map(Child::dir).or_else(|| self.inode_slot(inode).map(Child::file))?;
        match child.node() {
            Node::File(file) if self.links(file).is_empty() => None,
            Node::File(_) | Node::Dir(_) => Some(self.attr(child)),
        }
    }

    fn attr(&self, child: Child) -> Attr {
        match child.node() {
            Node::File(file) => {
                let node = &self.files[file];
                Attr {
                    inode: node.inode,
                    kind: NodeKind::File,
                    size: node.size,
                    mtime_ms: u64::from(node.mtime_s) * 1000,
                    links: u32::try_from(self.links(file).len()).unwrap_or(u32::MAX),
                }
            }
            Node::Dir(dir) => {
                let node = &self.dirs[dir];
                Attr {
                    inode: node.inode,
                    kind: NodeKind::Directory,
                    size: 0,
                    mtime_ms: u64::from(node.newest_s) * 1000,
                    links: node.subdirs.saturating_add(2),
                }
            }
        }
    }

    /// Inode number of the directory that holds a directory.
    pub fn parent(&self, inode: u64) -> Result<u64, FsError> {
        Ok(self.dirs[self.dirs[self.directory(inode)?].parent].inode)
    }

    /// Entries of a directory after a cookie, until `visit` answers `false`.
    pub fn read_dir(
        &self,
        inode: u64,
        cookie: u64,
        visit: &mut dyn FnMut(DirEntry) -> bool,
    ) -> Result<(), FsError> {
        let dir = self.directory(inode)?;
        self.dirs[dir].children.visit(cookie, &mut |cookie, child| {
            let name: Arc<str> = Arc::from(&*self.child_name(dir, child));
            visit(DirEntry { name, attr: self.attr(child), cookie })
        });
        Ok(())
    }

    fn directory(&self, inode: u64) -> Result<u32, FsError> {
        match self.dir_slot(inode) {
            Some(dir) => Ok(dir),
            None if self.inode_slot(inode).is_some() => Err(FsError::NotDirectory),
            None => Err(FsError::NotFound),
        }
    }

    /// Absolute path of a directory; `/` for the root.
    pub(super) fn dir_path(&self, dir: u32) -> String {
        let mut names = Vec::new();
        let mut at = dir;
        while at != ROOT {
            names.push(self.dir_name(at));
            at = self.dirs[at].parent;
        }
        names.reverse();
        format!("/{}", names.join("/"))
    }

    /// Absolute paths of a file, in the order of its placements.
    pub fn paths_of(&self, id: &[u8]) -> Vec<String> {
        let Some(file) = self.file_slot(id) else { return Vec::new() };
        self.links(file).iter().map(|l| join(&self.dir_path(l.dir), &self.name_in(file, l.dir))).collect()
    }

    /// hashId of a file by inode number.
    pub fn id_of(&self, inode: u64) -> Option<&[u8]> {
        self.inode_slot(inode).map(|slot| self.file_id(slot))
    }

    /// Source path of a file by inode number, as the record has it.
    pub fn source_of(&self, inode: u64) -> Option<&[u8]> {
        self.inode_slot(inode).map(|slot| self.files[slot].path(&self.texts))
    }

    /// Number of file links below each top-level directory. Source: seed 001, `categories`.
    pub fn categories(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        self.dirs[ROOT].children.visit(0, &mut |_, child| {
            if let Node::Dir(dir) = child.node() {
                found.insert(self.dir_name(dir).to_string(), u64::from(self.dirs[dir].below));
            }
            true
        });
        found
    }

    /// Files with a path, directories with the root, and the sum of the files' sizes in bytes.
    pub fn totals(&self) -> (u64, u64, u64) {
        (self.linked, self.dirs.len() as u64, self.linked_bytes)
    }
}

/// A path and a name below it.
pub(super) fn join(dir: &str, name: &str) -> String {
    if dir == "/" { format!("/{name}") } else { format!("{dir}/{name}") }
}
