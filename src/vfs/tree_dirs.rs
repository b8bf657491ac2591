//! Directories: made when a file needs them, pruned with their last file, numbered and dated by state alone. A
//! directory's number comes from what the rules call it, not from what it is shown as.
//!
//! Times. `birth(dir)` is the earliest naming time (`order_ms`) of all files below: when the folder came to be, as far
//! as the state can tell. `mtime(dir)` is the latest of the naming times of its direct files and the births of its
//! sub-folders: when its listing last grew. Nothing remembers what was removed, so removing the newest entry takes the
//! mtime back; it still changes, which is what scanners compare.
//!
//! Not here: names (`tree_claim`), the spelling of a folder (`tree_spelling`), which folder is meant (`tree_folder`).
//! Must always hold: no directory but the root is empty; `below`, `subdirs` and, after `refresh_times`, birth and
//! mtime are what a walk would find; `salted` holds exactly the directories whose number is not their plain hash.

use super::cookie::key;
use super::inode::{DIRECTORY_BIT, ROOT_HASH, directory_inode, path_hash};
use super::tree::Tree;
use super::tree_folder::Folder;
use super::tree_node::{Child, Children, DirNode, Node, ROOT};
use super::tree_spelling::LinkRank;

/// A directory whose plain number belongs to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Salted {
    path_hash: u64,
    salt: u32,
}

impl Tree {
    /// The directory for a path of legal components, made if need be, for the link of this rank.
    pub(super) fn make_dirs(&mut self, path: &[Folder<'_>], rank: LinkRank) -> u32 {
        let mut dir = ROOT;
        for folder in path {
            let wish_key = key(&folder.wish);
            dir = match self.folder(dir, &wish_key) {
                Some(sub) => {
                    self.want_spelling(sub, folder.name(), rank);
                    sub
                }
                None => self.new_dir(dir, folder.name(), &wish_key, rank),
            };
        }
        dir
    }

    fn new_dir(&mut self, parent: u32, name: &str, wish_key: &str, rank: LinkRank) -> u32 {
        let hash = path_hash(self.path_hash_of(parent), wish_key, self.bits.inode);
        let slot = self.dirs.insert(DirNode {
            inode: 0,
            parent,
            subdirs: 0,
            below: 0,
            birth_s: u32::MAX,
            newest_s: 0,
            contested: false,
            name: self.texts.put(name.as_bytes()),
            children: Children::Empty,
        });
        self.set_wish(slot, wish_key);
        self.dirs[parent].subdirs += 1;
        self.claim_inode(slot, hash);
        let name_key = key(name);
        if self.find(parent, &name_key).is_none() {
            self.attach(parent, &name_key, Child::dir(slot));
        } else {
            self.begin_list(slot, &[rank]);
            let from = self.spellings[&slot].asking.from;
            self.settle(Child::dir(slot), parent, from);
        }
        slot
    }

    /// Tells a directory and those above it that a file was linked into it at `order_s`.
    pub(super) fn count_in(&mut self, dir: u32, order_s: u32) {
        self.dirs[dir].newest_s = self.dirs[dir].newest_s.max(order_s);
        let mut at = dir;
        loop {
            let node = &mut self.dirs[at];
            node.below += 1;
            let (new, before) = (node.below == 1, node.birth_s);
            node.birth_s = before.min(order_s);
            self.record_changed(self.dirs[at].inode);
            if at == ROOT {
                return;
            }
            let parent = self.dirs[at].parent;
            if new {
                self.dirs[parent].newest_s = self.dirs[parent].newest_s.max(order_s);
            } else if order_s < before && before >= self.dirs[parent].newest_s {
                self.stale_times.insert(parent);
            }
            at = parent;
        }
    }

    /// The contrary of [`Tree::count_in`]; prunes directories that have become empty.
    pub(super) fn count_out(&mut self, dir: u32, order_s: u32) {
        if order_s >= self.dirs[dir].newest_s {
            self.stale_times.insert(dir);
        }
        let mut at = dir;
        loop {
            self.dirs[at].below -= 1;
            self.record_changed(self.dirs[at].inode);
            let (below, birth_s, parent) = (self.dirs[at].below, self.dirs[at].birth_s, self.dirs[at].parent);
            if below == 0 && at != ROOT {
                if birth_s >= self.dirs[parent].newest_s {
                    self.stale_times.insert(parent);
                }
                self.prune(at);
            } else if order_s <= birth_s {
                self.stale_times.insert(at);
            }
            if at == ROOT {
                return;
            }
            at = parent;
        }
    }

    fn prune(&mut self, dir: u32) {
        let parent = self.dirs[dir].parent;
        self.withdraw(Child::dir(dir), parent);
        self.dirs[parent].subdirs -= 1;
        self.forget_spellings(dir);
        self.stale_times.remove(&dir);
        self.release_inode(dir);
        self.forget_wish(dir);
        let node = self.dirs.remove(dir);
        self.texts.take(node.name);
    }

    /// Computes again the times of the directories that lost the entry which decided them. Once per batch: a removal
    /// from a folder of a million names then costs one walk over it, however many go.
    pub(super) fn refresh_times(&mut self) {
        let mut stale: std::collections::BTreeSet<(usize, u32)> =
            std::mem::take(&mut self.stale_times).into_iter().map(|d| (self.depth(d), d)).collect();
        while let Some((_, dir)) = stale.pop_last() {
            let (birth_s, newest_s) = self.times_by_walk(dir);
            let node = &mut self.dirs[dir];
            let moved = node.birth_s != birth_s;
            (node.birth_s, node.newest_s) = (birth_s, newest_s);
            let parent = node.parent;
            self.record_changed(self.dirs[dir].inode);
            if moved && dir != ROOT {
                stale.insert((self.depth(parent), parent));
            }
        }
    }

    fn times_by_walk(&self, dir: u32) -> (u32, u32) {
        let (mut birth_s, mut newest_s) = (u32::MAX, 0);
        self.dirs[dir].children.visit(0, &mut |_, child| {
            let (first, last) = match child.node() {
                Node::File(file) => (self.files[file].order_s, self.files[file].order_s),
                Node::Dir(sub) => (self.dirs[sub].birth_s, self.dirs[sub].birth_s),
            };
            birth_s = birth_s.min(first);
            newest_s = newest_s.max(last);
            true
        });
        (birth_s, newest_s)
    }

    fn depth(&self, mut dir: u32) -> usize {
        let mut depth = 0;
        while dir != ROOT {
            dir = self.dirs[dir].parent;
            depth += 1;
        }
        depth
    }

    /// Slot of the directory with an inode number.
    pub(super) fn dir_slot(&self, inode: u64) -> Option<u32> {
        if inode == crate::vfs::ROOT_INODE {
            return Some(ROOT);
        }
        self.by_dir.find(inode, |slot| self.dirs[slot].inode == inode)
    }

    fn path_hash_of(&self, dir: u32) -> u64 {
        match self.salted.get(&dir) {
            _ if dir == ROOT => ROOT_HASH,
            Some(salted) => salted.path_hash,
            None => self.dirs[dir].inode & !DIRECTORY_BIT,
        }
    }

    /// Gives a directory its number, moving holders with a larger path on to their next one.
    fn claim_inode(&mut self, mut dir: u32, mut hash: u64) {
        let mut salt = 0;
        loop {
            let inode = directory_inode(hash, salt, self.bits.inode);
            let Some(holder) = self.dir_slot(inode) else {
                return self.set_inode(dir, inode, Salted { path_hash: hash, salt });
            };
            if self.folded_path(dir) < self.folded_path(holder) {
                let lost = Salted {
                    path_hash: self.path_hash_of(holder),
                    salt: self.salted.get(&holder).map_or(0, |s| s.salt),
                };
                self.drop_inode(holder);
                self.set_inode(dir, inode, Salted { path_hash: hash, salt });
                (dir, hash, salt) = (holder, lost.path_hash, lost.salt);
            }
            salt += 1;
        }
    }

    fn set_inode(&mut self, dir: u32, inode: u64, salted: Salted) {
        self.dirs[dir].inode = inode;
        if salted.salt > 0 {
            self.salted.insert(dir, salted);
        }
        let dirs = &self.dirs;
        self.by_dir.insert(inode, dir, |slot| dirs[slot].inode);
    }

    fn drop_inode(&mut self, dir: u32) {
        self.salted.remove(&dir);
        let dirs = &self.dirs;
        self.by_dir.remove(dirs[dir].inode, dir, |slot| dirs[slot].inode);
    }

    /// Takes a directory's number and passes it on to the smallest path that was refused it.
    fn release_inode(&mut self, dir: u32) {
        let mut free = self.dirs[dir].inode;
        self.drop_inode(dir);
        while let Some((next, salted)) = self.first_refused(free) {
            let old = self.dirs[next].inode;
            self.drop_inode(next);
            self.set_inode(next, free, salted);
            free = old;
        }
    }

    fn first_refused(&self, inode: u64) -> Option<(u32, Salted)> {
        let refused =
            |s: &Salted| (0..s.salt).find(|n| directory_inode(s.path_hash, *n, self.bits.inode) == inode);
        let found = self.salted.iter().filter_map(|(dir, s)| Some((*dir, s.path_hash, refused(s)?)));
        let (dir, path_hash, salt) = found.min_by_key(|(dir, ..)| self.folded_path(*dir))?;
        Some((dir, Salted { path_hash, salt }))
    }

    /// A directory's path as the rules call it, in comparison form: the order of salts.
    fn folded_path(&self, dir: u32) -> Vec<String> {
        let mut path = Vec::new();
        let mut at = dir;
        while at != ROOT {
            path.push(self.wish_key(at).into_owned());
            at = self.dirs[at].parent;
        }
        path.reverse();
        path
    }
}
