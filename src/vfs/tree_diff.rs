//! What one batch changed: the names that came and went and the nodes whose attributes moved.
//!
//! Not here: telling the kernel (fuse).
//! Must always hold: a diff is net: what came and went within the batch is not in it; names in a directory that is gone
//! are listed before nobody needs them, that is, a directory's own removal stands in its parent.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::Tree;
use super::tree_node::{Child, Node, ROOT};

/// Changes of one directory's listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirDiff {
    /// New names and the inode numbers behind them.
    pub added: BTreeMap<Box<str>, u64>,
    /// Names that are gone and the inode numbers that were behind them. A name whose inode changed is in both.
    pub removed: BTreeMap<Box<str>, u64>,
}

/// Changes of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeDiff {
    /// By inode number of the directory. Directories that went away are in it too, with all their names removed.
    pub dirs: BTreeMap<u64, DirDiff>,
    /// Inode numbers, old and new alike, whose attributes may have changed (size, times, links).
    pub changed: BTreeSet<u64>,
}

impl TreeDiff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.changed.is_empty()
    }

    /// Number of names that came or went.
    pub fn names(&self) -> usize {
        self.dirs.values().map(|d| d.added.len() + d.removed.len()).sum()
    }

    fn compare(&mut self, inode: u64, before: &BTreeMap<Box<str>, u64>, after: &BTreeMap<Box<str>, u64>) {
        let mut found = DirDiff::default();
        for (name, was) in before {
            if after.get(name) != Some(was) {
                found.removed.insert(name.clone(), *was);
            }
        }
        for (name, is) in after {
            if before.get(name) != Some(is) {
                found.added.insert(name.clone(), *is);
            }
        }
        if found != DirDiff::default() {
            self.dirs.insert(inode, found);
        }
    }
}

/// Inode numbers behind a name before the batch and now.
type Behind = (Option<u64>, Option<u64>);

/// Collects a diff while a batch is applied.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// By directory inode and name.
    names: BTreeMap<u64, BTreeMap<Box<str>, Behind>>,
    changed: BTreeSet<u64>,
}

impl Tree {
    /// From here on changes are collected for [`Tree::finish`]. Without it, as when a tree is filled for the first time,
    /// nothing is.
    pub fn record(&mut self) {
        self.recorder = Some(Recorder::default());
    }

    pub(super) fn record_added(&mut self, dir: u32, child: Child) {
        self.record_name(dir, child, true);
    }

    pub(super) fn record_removed(&mut self, dir: u32, child: Child) {
        self.record_name(dir, child, false);
    }

    fn record_name(&mut self, dir: u32, child: Child, there: bool) {
        if self.recorder.is_none() {
            return;
        }
        let (name, inode) = (Box::from(&*self.child_name(dir, child)), self.child_inode(child));
        let parent = self.dirs[dir].inode;
        let recorder = self.recorder.as_mut().expect("checked above");
        let now = there.then_some(inode);
        let before = if there { None } else { Some(inode) };
        recorder.names.entry(parent).or_default().entry(name).or_insert((before, None)).1 = now;
        recorder.changed.extend([parent, inode]);
    }

    pub(super) fn record_changed(&mut self, inode: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.changed.insert(inode);
        }
    }

    pub(super) fn take_diff(&mut self) -> TreeDiff {
        let Some(recorder) = self.recorder.take() else { return TreeDiff::default() };
        let mut diff = TreeDiff { dirs: BTreeMap::new(), changed: recorder.changed };
        for (inode, names) in recorder.names {
            let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
            for (name, (was, is)) in names {
                before.extend(was.map(|was| (name.clone(), was)));
                after.extend(is.map(|is| (name, is)));
            }
            diff.compare(inode, &before, &after);
        }
        diff
    }

    /// The diff between two whole trees: for a rule change, where a new tree replaces the old one.
    pub fn compare(before: &Tree, after: &Tree) -> TreeDiff {
        let mut diff = TreeDiff::default();
        for (old, new) in [(before, after), (after, before)] {
            for dir in old.walk_dirs() {
                let inode = old.dirs[dir].inode;
                let there = new.dir_slot(inode);
                if std::ptr::eq(old, before) {
                    let listing = there.map(|d| new.listing(d)).unwrap_or_default();
                    diff.compare(inode, &before.listing(dir), &listing);
                } else if there.is_none() {
                    diff.compare(inode, &BTreeMap::new(), &after.listing(dir));
                }
            }
        }
        diff.changed = before.changed_attrs(after);
        diff
    }

    fn listing(&self, dir: u32) -> BTreeMap<Box<str>, u64> {
        let mut found = BTreeMap::new();
        self.dirs[dir].children.visit(0, &mut |_, child| {
            found.insert(Box::from(&*self.child_name(dir, child)), self.child_inode(child));
            true
        });
        found
    }

    /// Inodes in both trees whose attributes differ.
    fn changed_attrs(&self, after: &Tree) -> BTreeSet<u64> {
        let dirs = self.walk_dirs().into_iter().map(|d| self.dirs[d].inode);
        let files = self.files.iter().map(|f| f.inode);
        dirs.chain(files)
            .filter(|inode| match (self.attr_of(*inode), after.attr_of(*inode)) {
                (Some(was), Some(is)) => was != is,
                (None, _) | (_, None) => false,
            })
            .collect()
    }

    /// All directories, the root first.
    pub(super) fn walk_dirs(&self) -> Vec<u32> {
        let mut found = vec![ROOT];
        let mut next = 0;
        while let Some(dir) = found.get(next).copied() {
            next += 1;
            self.dirs[dir].children.visit(0, &mut |_, child| {
                if let Node::Dir(sub) = child.node() {
                    found.push(sub);
                }
                true
            });
        }
        found
    }
}
