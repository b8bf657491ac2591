//! A filesystem in memory over real files, written the slow obvious way.
//!
//! Not here: anything that the door does. Must always hold: cookies of entries never change and are never reused.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use metad::vfs::filesystem::{Attr, DirEntry, Filesystem, FsError, FsTotals, NodeKind, OpenFile, ROOT_INODE};

type Hook = Box<dyn Fn(u64) + Send + Sync>;

struct Node {
    attr: Attr,
    parent: u64,
    /// The real file, if this is one.
    backing: PathBuf,
    /// Cookie to name and inode.
    children: BTreeMap<u64, (Arc<str>, u64)>,
}

#[derive(Default)]
struct Tree {
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

/// The fake. Looking up the name `panic` panics.
#[derive(Default)]
pub struct Fake {
    tree: RwLock<Tree>,
    on_open: RwLock<Option<Hook>>,
}

impl Fake {
    /// An empty tree.
    pub fn empty() -> Arc<Self> {
        let fake = Self::default();
        let attr = Attr { inode: ROOT_INODE, kind: NodeKind::Directory, size: 0, mtime_ms: 1_000, links: 2 };
        let root = Node { attr, parent: ROOT_INODE, backing: PathBuf::new(), children: BTreeMap::new() };
        let mut tree = fake.tree.write().unwrap();
        tree.nodes.insert(ROOT_INODE, root);
        tree.next = 10;
        drop(tree);
        Arc::new(fake)
    }

    /// A tree that shows a real directory.
    pub fn of(dir: &Path) -> Arc<Self> {
        let fake = Self::empty();
        fake.fill(ROOT_INODE, dir);
        fake
    }

    fn fill(&self, into: u64, dir: &Path) {
        self.tree.write().unwrap().nodes.get_mut(&into).unwrap().attr.mtime_ms = mtime_ms(dir);
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                let inode = self.add_dir(into, &name);
                self.fill(inode, &entry.path());
            } else {
                self.add_file(into, &name, &entry.path());
            }
        }
    }

    /// Adds a directory.
    pub fn add_dir(&self, parent: u64, name: &str) -> u64 {
        let mut tree = self.tree.write().unwrap();
        tree.nodes.get_mut(&parent).unwrap().attr.links += 1;
        let inode = 1 << 63 | tree.next;
        let attr = Attr { inode, kind: NodeKind::Directory, size: 0, mtime_ms: 1_000, links: 2 };
        tree.insert(parent, name, attr, PathBuf::new())
    }

    /// Adds a file with the size and time of `backing`, or size 0 when that does not exist.
    pub fn add_file(&self, parent: u64, name: &str, backing: &Path) -> u64 {
        let size = std::fs::metadata(backing).map_or(0, |m| m.len());
        let mtime_ms = if size > 0 || backing.exists() { mtime_ms(backing) } else { 0 };
        let mut tree = self.tree.write().unwrap();
        let attr = Attr { inode: tree.next, kind: NodeKind::File, size, mtime_ms, links: 1 };
        tree.insert(parent, name, attr, backing.to_path_buf())
    }

    /// Removes a name, and the node with it.
    pub fn remove(&self, parent: u64, name: &str) {
        let mut tree = self.tree.write().unwrap();
        let children = &mut tree.nodes.get_mut(&parent).unwrap().children;
        let (cookie, inode) = children.iter().find(|(_, c)| &*c.0 == name).map(|(k, c)| (*k, c.1)).unwrap();
        children.remove(&cookie);
        tree.nodes.remove(&inode);
    }

    /// Sets the size that the metadata claims.
    pub fn claim_size(&self, inode: u64, size: u64) {
        self.tree.write().unwrap().nodes.get_mut(&inode).unwrap().attr.size = size;
    }

    /// Calls `hook` with the inode before each open.
    pub fn on_open(&self, hook: impl Fn(u64) + Send + Sync + 'static) {
        *self.on_open.write().unwrap() = Some(Box::new(hook));
    }
}

impl Tree {
    fn insert(&mut self, parent: u64, name: &str, attr: Attr, backing: PathBuf) -> u64 {
        let cookie = self.next;
        self.next += 1;
        self.nodes.insert(attr.inode, Node { attr, parent, backing, children: BTreeMap::new() });
        let children = &mut self.nodes.get_mut(&parent).unwrap().children;
        children.insert(cookie, (name.into(), attr.inode));
        attr.inode
    }

    fn node(&self, inode: u64) -> Result<&Node, FsError> {
        self.nodes.get(&inode).ok_or(FsError::NotFound)
    }
}

impl Filesystem for Fake {
    fn lookup(&self, parent: u64, name: &str) -> Result<Attr, FsError> {
        assert_ne!(name, "panic", "a lookup that fails badly");
        let tree = self.tree.read().unwrap();
        let child = tree.node(parent)?.children.values().find(|c| &*c.0 == name).ok_or(FsError::NotFound)?;
        Ok(tree.node(child.1)?.attr)
    }

    fn resolve(&self, path: &str) -> Result<Attr, FsError> {
        let mut attr = self.attr(ROOT_INODE)?;
        for name in path.split('/').filter(|n| !n.is_empty()) {
            attr = self.lookup(attr.inode, name)?;
        }
        Ok(attr)
    }

    fn attr(&self, inode: u64) -> Result<Attr, FsError> {
        Ok(self.tree.read().unwrap().node(inode)?.attr)
    }

    fn parent(&self, inode: u64) -> Result<u64, FsError> {
        Ok(self.tree.read().unwrap().node(inode)?.parent)
    }

    fn read_dir(
        &self,
        inode: u64,
        cookie: u64,
        visit: &mut dyn FnMut(&DirEntry) -> bool,
    ) -> Result<(), FsError> {
        let tree = self.tree.read().unwrap();
        for (cookie, (name, child)) in tree.node(inode)?.children.range(cookie + 1..) {
            let entry = DirEntry { name: name.clone(), attr: tree.node(*child)?.attr, cookie: *cookie };
            if !visit(&entry) {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, inode: u64) -> Result<OpenFile, FsError> {
        let (attr, backing) = {
            let tree = self.tree.read().unwrap();
            let node = tree.node(inode)?;
            (node.attr, node.backing.clone())
        };
        if let Some(hook) = &*self.on_open.read().unwrap() {
            hook(inode);
        }
        let file = File::open(&backing).map_err(|e| FsError::Io(e.to_string()))?;
        let size = file.metadata().map_err(|e| FsError::Io(e.to_string()))?.len();
        if size != attr.size {
            self.claim_size(inode, size);
        }
        Ok(OpenFile { file, size, etag: format!("\"{inode}-{size}\""), mtime_ms: attr.mtime_ms })
    }

    fn totals(&self) -> FsTotals {
        let tree = self.tree.read().unwrap();
        let mut totals = FsTotals { applied_index: 1, ..FsTotals::default() };
        for node in tree.nodes.values() {
            match node.attr.kind {
                NodeKind::Directory => totals.directories += 1,
                NodeKind::File => totals.files += 1,
            }
            totals.bytes += node.attr.size;
        }
        totals
    }
}

fn mtime_ms(path: &Path) -> u64 {
    let metadata = std::fs::metadata(path).unwrap();
    (metadata.mtime() * 1_000 + metadata.mtime_nsec() / 1_000_000) as u64
}
