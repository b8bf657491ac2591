//! How a folder is spelled when files want it in more than one spelling (`Anime` and `anime` are one folder).
//!
//! The file of the earliest rank below decides, so a newcomer with another spelling moves nobody. Nearly every folder
//! is wanted in one spelling only; the others keep a list of all links below, from the moment the second spelling
//! comes until it is gone.
//!
//! Not here: folders themselves (`tree_dirs`).
//! Must always hold: `contested` is set exactly on directories that have a list; a list names every link below its
//! directory and at least two spellings; the directory's name is that of the list's first link.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::tree::Tree;
use super::tree_node::{Child, Node, ROOT};

/// Rank of a file, then which of its links: who decides first.
pub(super) type LinkRank = (u64, u64, usize);

/// Who wants which spelling of one directory.
#[derive(Debug, Default)]
pub(super) struct Spellings {
    wanted: BTreeMap<LinkRank, Arc<str>>,
    votes: BTreeMap<Arc<str>, BTreeSet<LinkRank>>,
}

impl Spellings {
    fn add(&mut self, rank: LinkRank, name: &str) {
        let name = match self.votes.get_key_value(name) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(name),
        };
        self.votes.entry(Arc::clone(&name)).or_default().insert(rank);
        self.wanted.insert(rank, name);
    }

    fn remove(&mut self, rank: LinkRank) {
        let name = self.wanted.remove(&rank).expect("a contested directory lists every link below");
        let votes = self.votes.get_mut(&name).expect("every listed spelling is counted");
        votes.remove(&rank);
        if votes.is_empty() {
            self.votes.remove(&name);
        }
    }
}

impl Spellings {
    /// Links that want another spelling than `name`.
    pub(super) fn others<'s>(&'s self, name: &'s str) -> impl Iterator<Item = LinkRank> + 's {
        self.votes
            .iter()
            .filter(move |(spelled, _)| ***spelled != *name)
            .flat_map(|(_, links)| links)
            .copied()
    }
}

impl Tree {
    /// A link of a file is about to go below a directory under this spelling of it.
    pub(super) fn want_spelling(&mut self, dir: u32, name: &str, rank: (u64, u64), link: usize) {
        if !self.dirs[dir].contested {
            if *self.dirs[dir].name == *name {
                return;
            }
            let mut spellings = Spellings::default();
            let spelled = self.dirs[dir].name.clone();
            for rank in self.links_below(dir) {
                spellings.add(rank, &spelled);
            }
            self.spellings.insert(dir, spellings);
            self.dirs[dir].contested = true;
        }
        let spellings = self.spellings.get_mut(&dir).expect("contested directories have a list");
        spellings.add((rank.0, rank.1, link), name);
        self.respell(dir);
    }

    /// A link has gone from a directory: it has no say any more in the spelling of any directory above.
    pub(super) fn unwant_spellings(&mut self, dir: u32, rank: (u64, u64), link: usize) {
        let mut at = dir;
        while at != ROOT {
            if self.dirs[at].contested {
                let spellings = self.spellings.get_mut(&at).expect("contested directories have a list");
                spellings.remove((rank.0, rank.1, link));
                // With its last link the directory goes away as it is.
                if !spellings.wanted.is_empty() {
                    self.respell(at);
                }
            }
            at = self.dirs[at].parent;
        }
    }

    /// A directory goes away.
    pub(super) fn forget_spellings(&mut self, dir: u32) {
        if self.dirs[dir].contested {
            self.spellings.remove(&dir);
        }
    }

    fn respell(&mut self, dir: u32) {
        let spellings = &self.spellings[&dir];
        let (_, first) = spellings.wanted.first_key_value().expect("a list names every link below");
        let first = Arc::clone(first);
        if spellings.votes.len() == 1 {
            self.spellings.remove(&dir);
            self.dirs[dir].contested = false;
        }
        if *self.dirs[dir].name != *first {
            let parent = self.dirs[dir].parent;
            self.record_removed(parent, Child::dir(dir));
            self.name_bytes += first.len();
            self.name_bytes -= self.dirs[dir].name.len();
            self.dirs[dir].name = first.as_ref().into();
            self.record_added(parent, Child::dir(dir));
        }
    }

    /// Ranks of all links below a directory.
    fn links_below(&self, dir: u32) -> Vec<LinkRank> {
        let mut found = Vec::new();
        let mut todo = vec![dir];
        while let Some(dir) = todo.pop() {
            for (_, child) in self.dirs[dir].children.all() {
                match child.node() {
                    Node::Dir(sub) => todo.push(sub),
                    Node::File(file) => {
                        let (order, inode) = self.rank(file);
                        found.push((order, inode, self.link_number(file, dir)));
                    }
                }
            }
        }
        found
    }
}
