//! Who holds which name: collisions, resolved without looking at the order of arrival.
//!
//! Every directory is a small market. Each file that the rules put there has a list of names it would take, best
//! first (`tree_name`), and a rank: (naming order, inode, number of the link). **The outcome is what falls out when files
//! are asked one by one in order of rank and each takes its best name that is still free.** A folder is asked like a
//! file, in the turn of the first link below it: that file makes the folder before it takes its own name. So whoever
//! came second, file or folder, moves aside. A pinned file's list begins with the name that it got (`meta::pin`), and so
//! does that of a folder: they ask for nothing better.
//!
//! It is kept up to date without asking everybody again (deferred acceptance; all files agree on the ranks, so there
//! is exactly one stable outcome, whatever the order of arrival):
//! * a newcomer proposes down its list; it takes a name from a holder of later rank, who then goes on down its own;
//! * a folder whose first link changes gives its name back and proposes anew, by the new rank (`tree_spelling`);
//! * a name that becomes free goes to the first in rank among those who were refused it (`waiting`), whose old name
//!   becomes free in turn.
//!
//! Consequences. A newcomer has the latest rank (orders come from a counter), so adding a file moves no other file. Once
//! everybody in `waiting` is pinned (`tree_pins`), taking a file away or changing it moves no other either: nobody waits
//! for what it leaves.
//!
//! Not here: names themselves, directories (`tree_dirs`), whose spelling of a folder counts (`tree_spelling`).
//! Must always hold: at most one entry per comparison key and directory; a child is in `waiting` for exactly the
//! candidates from its first one to before the one it holds; a file has at most one link per directory; a directory
//! that waits, or whose name somebody waits for, is contested.

use std::borrow::Cow;

use super::cookie::{cookie, key};
use super::tree::Tree;
use super::tree_name::{candidate, folder_candidate};
use super::tree_node::{Child, Link, Node};
use super::tree_spelling::LinkRank;

/// A file or a folder that would rather have a name that somebody of earlier rank holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    dir: u32,
    /// Cookie of the name's key before clashes.
    name_hash: u64,
    rank: LinkRank,
    pub(super) child: Child,
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
                Holder::File(String::from_utf8_lossy(self.file_id(holder)).into_owned())
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
        candidate(name, suffix_len, labels, self.file_id(file), k)
    }

    /// The name under which a directory shows a child.
    pub(super) fn child_name(&self, dir: u32, child: Child) -> Cow<'_, str> {
        match child.node() {
            Node::File(file) => self.name_in(file, dir),
            Node::Dir(sub) => Cow::Borrowed(self.dir_name(sub)),
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

    /// Gives a file or a contested directory its best name in a directory from candidate `k` on, and whoever it pushes
    /// aside theirs.
    pub(super) fn settle(&mut self, mut asker: Child, dir: u32, mut k: u16) {
        loop {
            let name_key = key(&self.candidate_of(asker, dir, k)).into_owned();
            let Some((at, holder)) = self.find(dir, &name_key) else {
                self.hold(asker, dir, k);
                return self.attach(dir, &name_key, asker);
            };
            if let Node::Dir(sub) = holder.node() {
                self.contest(sub);
            }
            if self.asking_rank(asker, dir) < self.asking_rank(holder, dir) {
                let lost = self.take_name(holder, dir, at);
                self.hold(asker, dir, k);
                self.attach(dir, &name_key, asker);
                (asker, k) = (holder, lost + 1);
            } else {
                self.wait_for(asker, dir, k, &name_key);
                k += 1;
            }
        }
    }

    /// Takes from a child the name it holds at a cookie; the child waits for it from now on. Answers which candidate it
    /// was: the child must settle from the next one.
    fn take_name(&mut self, holder: Child, dir: u32, at: u64) -> u16 {
        let (_, held) = self.reach(holder, dir);
        let name_key = key(&self.child_name(dir, holder)).into_owned();
        self.detach(dir, at, holder);
        self.wait_for(holder, dir, held, &name_key);
        held
    }

    /// Takes a child's name and its place in all queues of a directory, and passes the name on.
    pub(super) fn withdraw(&mut self, child: Child, dir: u32) {
        let (from, held) = self.reach(child, dir);
        self.stop_waiting(child, dir, from, held);
        let name_key = key(&self.child_name(dir, child)).into_owned();
        let (at, _) = self.find(dir, &name_key).expect("a settled child is in its directory");
        self.detach(dir, at, child);
        self.pass_on(dir, name_key);
    }

    /// Gives a name that has become free to the first in rank who waits for it, and so on down the chain.
    fn pass_on(&mut self, dir: u32, mut name_key: String) {
        while let Some(next) = self.first_waiting(dir, &name_key) {
            let (_, held) = self.reach(next.child, dir);
            self.stop_waiting(next.child, dir, next.candidate, held);
            let old_key = key(&self.child_name(dir, next.child)).into_owned();
            let (at, child) = self.find(dir, &old_key).expect("a settled child is in its directory");
            self.detach(dir, at, child);
            self.hold(child, dir, next.candidate);
            self.attach(dir, &name_key, child);
            name_key = old_key;
        }
    }

    pub(super) fn first_waiting(&self, dir: u32, name_key: &str) -> Option<Waiting> {
        if self.waiting.is_empty() {
            return None;
        }
        let name_hash = cookie(name_key, self.bits.cookie);
        let from = Waiting { dir, name_hash, rank: (0, 0, 0), child: Child::file(0), candidate: 0 };
        self.waiting
            .range(from..)
            .take_while(|w| (w.dir, w.name_hash) == (dir, name_hash))
            .find(|w| has_key(&self.candidate_of(w.child, dir, w.candidate), name_key))
            .copied()
    }

    fn wait_for(&mut self, child: Child, dir: u32, candidate: u16, name_key: &str) {
        let (name_hash, rank) = (cookie(name_key, self.bits.cookie), self.asking_rank(child, dir));
        self.waiting.insert(Waiting { dir, name_hash, rank, child, candidate });
    }

    /// Leaves the queues for candidates `from..to`.
    fn stop_waiting(&mut self, child: Child, dir: u32, from: u16, to: u16) {
        for candidate in from..to {
            let name_key = key(&self.candidate_of(child, dir, candidate)).into_owned();
            let (name_hash, rank) = (cookie(&name_key, self.bits.cookie), self.asking_rank(child, dir));
            self.waiting.remove(&Waiting { dir, name_hash, rank, child, candidate });
            if let Some(Node::Dir(holder)) = self.find(dir, &name_key).map(|(_, holder)| holder.node()) {
                self.maybe_calm.push(holder);
            }
        }
    }

    /// Notes that a child has candidate `k` of its name from now on.
    fn hold(&mut self, child: Child, dir: u32, k: u16) {
        match child.node() {
            Node::File(file) => self.link_in_mut(file, dir).held = k,
            Node::Dir(sub) => {
                let list = self.spellings.get_mut(&sub).expect(LISTED);
                list.held = k;
                let name = folder_candidate(&list.asking.base, k).into_owned();
                self.rename_dir(sub, &name);
                self.maybe_calm.push(sub);
            }
        }
    }

    /// The first candidate that a child may have, and the one that it holds.
    fn reach(&self, child: Child, dir: u32) -> (u16, u16) {
        match child.node() {
            Node::File(file) => {
                let Link { from, held, .. } = self.link_in(file, dir);
                (from, held)
            }
            // Without a list it holds what it asked for; which candidate that is matters to nobody.
            Node::Dir(sub) => self.spellings.get(&sub).map_or((0, 0), |list| (list.asking.from, list.held)),
        }
    }

    /// Who is asked first for names: the earlier naming order; then the inode number decides, then the number of the
    /// link. A folder is asked in the turn of the first link below it.
    fn asking_rank(&self, child: Child, dir: u32) -> LinkRank {
        match child.node() {
            Node::File(file) => self.link_rank(file, dir),
            Node::Dir(sub) => self.spellings[&sub].asking.rank,
        }
    }

    /// The rank of a file's link in a directory.
    pub(super) fn link_rank(&self, file: u32, dir: u32) -> LinkRank {
        let node = &self.files[file];
        (node.order, node.inode, self.link_number(file, dir))
    }

    /// Candidate `k` of the name of a file or of a contested directory.
    fn candidate_of(&self, child: Child, dir: u32, k: u16) -> Cow<'_, str> {
        match child.node() {
            Node::File(file) => self.candidate_in(file, dir, k),
            Node::Dir(sub) => folder_candidate(&self.spellings[&sub].asking.base, k),
        }
    }
}

/// Only contested directories compete for names, and those have a list.
const LISTED: &str = "a directory that competes for a name has a list";

/// Whether a name's comparison key is `wanted`.
fn has_key(name: &str, wanted: &str) -> bool {
    if name.is_ascii() { name.eq_ignore_ascii_case(wanted) } else { key(name) == wanted }
}
