//! Who holds which name: collisions, resolved without looking at the order of arrival.
//!
//! Every directory is a small market. Each file that the rules put there has a list of names it would take, best
//! first (`tree_name`), and a rank: (naming order, inode). **The outcome is what falls out when files are asked one by
//! one in order of rank and each takes its best name that is still free.** Directories are asked before all files: a
//! folder keeps its name and a file of the same name moves aside. A pinned file's list begins with the name that it got
//! (`meta::pin`): it asks for nothing better.
//!
//! It is kept up to date without asking everybody again (deferred acceptance; all files agree on the ranks, so there
//! is exactly one stable outcome, whatever the order of arrival):
//! * a newcomer proposes down its list; it takes a name from a holder of later rank, who then goes on down its own;
//! * a name that becomes free goes to the first in rank among those who were refused it (`waiting`), whose old name
//!   becomes free in turn.
//!
//! Consequences. A newcomer has the latest rank (orders come from a counter), so adding a file moves no other file. Once
//! everybody in `waiting` is pinned (`tree_pins`), taking a file away or changing it moves no other either: nobody waits
//! for what it leaves. One thing does move a file: a new *folder* with its very name.
//!
//! Not here: names themselves, directories (`tree_dirs`).
//! Must always hold: at most one entry per comparison key and directory; a file is in `waiting` for exactly the
//! candidates from its first one to before the one it holds; a file has at most one link per directory.

use std::borrow::Cow;

use super::cookie::{cookie, key};
use super::tree::Tree;
use super::tree_name::candidate;
use super::tree_node::{Child, Link, Node};

/// A file that would rather have a name that somebody of earlier rank, or a folder, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    dir: u32,
    /// Cookie of the name's key before clashes.
    name_hash: u64,
    order: u64,
    inode: u64,
    pub(super) file: u32,
    candidate: u16,
}

/// A name that a file did not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The name.
    pub name: String,
    /// Who has it, or a name that clients cannot tell from it.
    pub holder: Holder,
}

/// Who has a name that a file did not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The file with this hashId.
    File(String),
    /// A folder.
    Folder,
    /// Nobody any more: the file stays where it is all the same.
    Nobody,
}

impl Tree {
    /// Better names that a file was refused in a directory, best first.
    pub(super) fn refusals(&self, file: u32, dir: u32) -> Vec<Refusal> {
        let refused = (0..self.link_in(file, dir).held).map(|k| self.candidate_in(file, dir, k).into_owned());
        let holder = |name: &str| match self.find(dir, &key(name)).map(|(_, child)| child.node()) {
            Some(Node::File(holder)) => {
                Holder::File(String::from_utf8_lossy(self.files[holder].id()).into_owned())
            }
            Some(Node::Dir(_)) => Holder::Folder,
            None => Holder::Nobody,
        };
        refused.map(|name| Refusal { holder: holder(&name), name }).collect()
    }

    /// The name that a file has in a directory.
    pub(super) fn name_in(&self, file: u32, dir: u32) -> Cow<'_, str> {
        let link = self.link_in(file, dir);
        self.candidate_in(file, dir, link.held)
    }

    /// Candidate `k` of a file's name in a directory.
    fn candidate_in(&self, file: u32, dir: u32, k: u16) -> Cow<'_, str> {
        let (name, labels) = self.name_and_labels(file, dir);
        let suffix_len = usize::from(self.link_in(file, dir).suffix_len);
        candidate(name, suffix_len, labels, self.files[file].id(), k)
    }

    /// The name under which a directory shows a child.
    pub(super) fn child_name(&self, dir: u32, child: Child) -> Cow<'_, str> {
        match child.node() {
            Node::File(file) => self.name_in(file, dir),
            Node::Dir(sub) => Cow::Borrowed(&self.dirs[sub].name),
        }
    }

    /// The inode number of a child.
    pub(super) fn child_inode(&self, child: Child) -> u64 {
        match child.node() {
            Node::File(file) => self.files[file].inode,
            Node::Dir(sub) => self.dirs[sub].inode,
        }
    }

    /// The entry with this comparison key, and its cookie.
    pub(super) fn find(&self, dir: u32, wanted: &str) -> Option<(u64, Child)> {
        let mut at = cookie(wanted, self.bits.cookie);
        while let Some(child) = self.dirs[dir].children.get(at) {
            if has_key(&self.child_name(dir, child), wanted) {
                return Some((at, child));
            }
            at += 1;
        }
        None
    }

    /// Puts an entry in under a key that is free, and tells the diff.
    pub(super) fn attach(&mut self, dir: u32, name_key: &str, child: Child) {
        let mut at = cookie(name_key, self.bits.cookie);
        let mut carried = (child, Cow::Borrowed(name_key));
        while let Some(there) = self.dirs[dir].children.get(at) {
            let there_key = key(&self.child_name(dir, there)).into_owned();
            if *carried.1 < *there_key {
                self.dirs[dir].children.insert(at, carried.0);
                carried = (there, Cow::Owned(there_key));
            }
            at += 1;
        }
        self.dirs[dir].children.insert(at, carried.0);
        self.record_added(dir, child);
    }

    /// Takes the entry at a cookie out, and tells the diff.
    pub(super) fn detach(&mut self, dir: u32, at: u64, child: Child) {
        self.record_removed(dir, child);
        self.dirs[dir].children.remove(at);
        let mut free = at;
        while let Some((from, moved)) = self.first_pushed_past(dir, free) {
            self.dirs[dir].children.remove(from);
            self.dirs[dir].children.insert(free, moved);
            free = from;
        }
    }

    /// Among the entries behind a free cookie, without a gap, the smallest key that would have taken it.
    fn first_pushed_past(&self, dir: u32, free: u64) -> Option<(u64, Child)> {
        let mut best: Option<(String, u64, Child)> = None;
        let mut at = free + 1;
        while let Some(child) = self.dirs[dir].children.get(at) {
            let name_key = key(&self.child_name(dir, child)).into_owned();
            let sooner = best.as_ref().is_none_or(|(k, ..)| name_key < *k);
            if sooner && cookie(&name_key, self.bits.cookie) <= free {
                best = Some((name_key, at, child));
            }
            at += 1;
        }
        best.map(|(_, at, child)| (at, child))
    }

    /// Gives a file its best name in a directory from candidate `k` on, and whoever it pushes aside theirs.
    pub(super) fn settle(&mut self, mut file: u32, dir: u32, mut k: u16) {
        loop {
            let name_key = key(&self.candidate_in(file, dir, k)).into_owned();
            match self.find(dir, &name_key).map(|(at, child)| (at, child.node())) {
                None => {
                    self.link_in_mut(file, dir).held = k;
                    return self.attach(dir, &name_key, Child::file(file));
                }
                Some((at, Node::File(holder))) if self.rank(file) < self.rank(holder) => {
                    let lost = self.take_name(holder, dir, at);
                    self.link_in_mut(file, dir).held = k;
                    self.attach(dir, &name_key, Child::file(file));
                    (file, k) = (holder, lost + 1);
                }
                Some((_, Node::File(_) | Node::Dir(_))) => {
                    self.wait_for(file, dir, k, &name_key);
                    k += 1;
                }
            }
        }
    }

    /// Takes from a file the name it holds at a cookie; the file waits for it from now on. Answers which candidate it
    /// was: the file must settle from the next one.
    pub(super) fn take_name(&mut self, holder: u32, dir: u32, at: u64) -> u16 {
        let held = self.link_in(holder, dir).held;
        let name_key = key(&self.name_in(holder, dir)).into_owned();
        self.detach(dir, at, Child::file(holder));
        self.wait_for(holder, dir, held, &name_key);
        held
    }

    /// Takes a file's name and its place in all queues of a directory, and passes the name on.
    pub(super) fn withdraw(&mut self, file: u32, dir: u32) {
        let Link { from, held, .. } = self.link_in(file, dir);
        self.stop_waiting(file, dir, from, held);
        let name_key = key(&self.name_in(file, dir)).into_owned();
        let (at, child) = self.find(dir, &name_key).expect("a settled file is in its directory");
        self.detach(dir, at, child);
        self.pass_on(dir, name_key);
    }

    /// Gives a name that has become free to the first in rank who waits for it, and so on down the chain.
    pub(super) fn pass_on(&mut self, dir: u32, mut name_key: String) {
        while let Some(next) = self.first_waiting(dir, &name_key) {
            let held = self.link_in(next.file, dir).held;
            self.stop_waiting(next.file, dir, next.candidate, held);
            let old_key = key(&self.name_in(next.file, dir)).into_owned();
            let (at, child) = self.find(dir, &old_key).expect("a settled file is in its directory");
            self.detach(dir, at, child);
            self.link_in_mut(next.file, dir).held = next.candidate;
            self.attach(dir, &name_key, child);
            name_key = old_key;
        }
    }

    fn first_waiting(&self, dir: u32, name_key: &str) -> Option<Waiting> {
        let name_hash = cookie(name_key, self.bits.cookie);
        let from = Waiting { dir, name_hash, order: 0, inode: 0, file: 0, candidate: 0 };
        self.waiting
            .range(from..)
            .take_while(|w| (w.dir, w.name_hash) == (dir, name_hash))
            .find(|w| has_key(&self.candidate_in(w.file, dir, w.candidate), name_key))
            .copied()
    }

    fn wait_for(&mut self, file: u32, dir: u32, candidate: u16, name_key: &str) {
        let name_hash = cookie(name_key, self.bits.cookie);
        let (order, inode) = self.rank(file);
        self.waiting.insert(Waiting { dir, name_hash, order, inode, file, candidate });
    }

    /// Leaves the queues for candidates `from..to`.
    fn stop_waiting(&mut self, file: u32, dir: u32, from: u16, to: u16) {
        let (order, inode) = self.rank(file);
        for candidate in from..to {
            let name_hash = cookie(&key(&self.candidate_in(file, dir, candidate)), self.bits.cookie);
            self.waiting.remove(&Waiting { dir, name_hash, order, inode, file, candidate });
        }
    }

    /// Who is asked first for names: the earlier naming order; the inode number decides between equals.
    pub(super) fn rank(&self, file: u32) -> (u64, u64) {
        (self.files[file].order, self.files[file].inode)
    }
}

/// Whether a name's comparison key is `wanted`.
fn has_key(name: &str, wanted: &str) -> bool {
    if name.is_ascii() { name.eq_ignore_ascii_case(wanted) } else { key(name) == wanted }
}
