//! What a folder is called when that depends on who is below: files want it in more than one spelling (`Anime` and
//! `anime` are one folder), or a file wants its very name.
//!
//! The link of the earliest rank below decides: its spelling counts, and the folder is asked for its name in that link's
//! turn (`tree_claim`). So a newcomer with another spelling moves nobody. Nearly every folder is wanted in one spelling
//! and by no file; the others keep a list of all links below, as long as that lasts.
//!
//! Not here: folders themselves (`tree_dirs`), who gets a name (`tree_claim`).
//! Must always hold: `contested` is set exactly on directories that have a list; a list names every link below its
//! directory. After each change of the tree those have one that are wanted in two spellings, are not called what their
//! first link wants, or have a name that somebody waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cookie::key;
use super::tree::Tree;
use super::tree_name::folder_asked;
use super::tree_node::{Child, Node, ROOT};

/// Rank of a file, then which of its links: who decides first.
pub(super) type LinkRank = (u64, u64, usize);

/// What a directory asks for, and what it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asking {
    /// Of the link that decides.
    pub(super) rank: LinkRank,
    /// The spelling that its names are made of.
    pub(super) base: Box<str>,
    /// The first candidate that it may have: its pin's.
    pub(super) from: u16,
}

/// Who wants which spelling of one directory.
#[derive(Debug)]
pub(super) struct Spellings {
    wanted: BTreeMap<LinkRank, Arc<str>>,
    votes: BTreeMap<Arc<str>, BTreeSet<LinkRank>>,
    /// As it was asked last.
    pub(super) asking: Asking,
    /// Which candidate of its name the directory holds.
    pub(super) held: u16,
}

impl Spellings {
    /// A list of links that all want the same.
    fn new(links: &[LinkRank], name: &str, wish_key: &str) -> Self {
        let (base, from) = asked(name, wish_key);
        let rank = *links.iter().min().expect("there is a link below each directory");
        let asking = Asking { rank, base, from };
        let mut list = Self { wanted: BTreeMap::new(), votes: BTreeMap::new(), asking, held: from };
        links.iter().for_each(|link| list.add(*link, name));
        list
    }

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

    fn first(&self) -> (LinkRank, &str) {
        let (rank, name) = self.wanted.first_key_value().expect("a list names every link below");
        (*rank, name)
    }

    /// Links that want another spelling than `name`.
    pub(super) fn others<'s>(&'s self, name: &'s str) -> impl Iterator<Item = LinkRank> + 's {
        self.votes
            .iter()
            .filter(move |(spelled, _)| ***spelled != *name)
            .flat_map(|(_, links)| links)
            .copied()
    }
}

fn asked(name: &str, wish_key: &str) -> (Box<str>, u16) {
    let (base, from) = folder_asked(name, wish_key).expect("a folder is only asked for by one of its names");
    (base.into(), from)
}

impl Tree {
    /// A link of a file is about to go below a directory under this spelling of it.
    pub(super) fn want_spelling(&mut self, dir: u32, name: &str, rank: LinkRank) {
        if !self.dirs[dir].contested {
            if self.dir_name(dir) == name {
                return;
            }
            self.contest(dir);
        }
        self.list_mut(dir).add(rank, name);
        self.ask_again(dir);
    }

    /// A link has gone from a directory: it has no say any more in the name of any directory above.
    pub(super) fn unwant_spellings(&mut self, dir: u32, rank: LinkRank) {
        let mut at = dir;
        while at != ROOT {
            // With its last link the directory goes away as it is.
            if self.dirs[at].contested && self.list_mut(at).wanted.len() > 1 {
                self.list_mut(at).remove(rank);
                self.ask_again(at);
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

    /// Gives a directory a list, if it has none.
    pub(super) fn contest(&mut self, dir: u32) {
        if !self.dirs[dir].contested {
            let links = self.links_below(dir);
            self.begin_list(dir, &links);
        }
    }

    /// Gives a directory a list of links that all want the name that it has.
    pub(super) fn begin_list(&mut self, dir: u32, links: &[LinkRank]) {
        let list = Spellings::new(links, self.dir_name(dir), &self.wish_key(dir));
        self.spellings.insert(dir, list);
        self.dirs[dir].contested = true;
        self.maybe_calm.push(dir);
    }

    fn list_mut(&mut self, dir: u32) -> &mut Spellings {
        self.spellings.get_mut(&dir).expect("contested directories have a list")
    }

    /// After a change of the list: when somebody else decides now, the directory gives its name back and asks anew.
    fn ask_again(&mut self, dir: u32) {
        let list = &self.spellings[&dir];
        let (rank, name) = list.first();
        let (base, from) = asked(name, &self.wish_key(dir));
        let asking = Asking { rank, base, from };
        if asking != list.asking {
            let parent = self.dirs[dir].parent;
            self.withdraw(Child::dir(dir), parent);
            self.list_mut(dir).asking = asking;
            self.settle(Child::dir(dir), parent, from);
        }
        self.maybe_calm.push(dir);
    }

    /// Ends a change: drops the lists that nobody needs any more.
    pub(super) fn calm_down(&mut self) {
        while let Some(dir) = self.maybe_calm.pop() {
            if self.spellings.contains_key(&dir) && !self.needs_list(dir) {
                self.spellings.remove(&dir);
                self.dirs[dir].contested = false;
            }
        }
    }

    fn needs_list(&self, dir: u32) -> bool {
        let (list, name) = (&self.spellings[&dir], self.dir_name(dir));
        list.votes.len() > 1
            || list.first().1 != name
            || self.first_waiting(self.dirs[dir].parent, &key(name)).is_some()
    }

    /// Ranks of all links below a directory.
    fn links_below(&self, dir: u32) -> Vec<LinkRank> {
        let mut found = Vec::new();
        let mut todo = vec![dir];
        while let Some(dir) = todo.pop() {
            for (_, child) in self.dirs[dir].children.all() {
                match child.node() {
                    Node::Dir(sub) => todo.push(sub),
                    Node::File(file) => found.push(self.link_rank(file, dir)),
                }
            }
        }
        found
    }
}
