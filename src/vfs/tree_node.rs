//! The nodes of the tree, laid out for a million files.
//!
//! ```text
//! FileNode   56 bytes + one text: hashId · source path · per link: name · labels
//! DirNode    64 bytes + one text: name;  children by cookie (one inline, few in a vector, many in a B-tree)
//! ```
//!
//! Not here: what may be done with them (`tree`), who holds which name (`tree_claim`).
//! Must always hold: a file's names are found from its block and lengths alone; `held` says which candidate of its
//! name it has.

use std::collections::BTreeMap;

use super::attr::Facts;
use super::tree_text::{Text, Texts};

/// The slot of the root directory.
pub(super) const ROOT: u32 = 0;
/// "No directory": the first link of a file that no rule placed.
pub(super) const NOWHERE: u32 = u32::MAX;
/// Ends each label in a file's block.
pub(super) const LABEL_END: u8 = 0;

/// One place of a file in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Slot of the directory.
    pub(super) dir: u32,
    /// Which candidate of its name it holds; 0 is the clean name.
    pub(super) held: u16,
    /// The first candidate that it may have: its pin's.
    pub(super) from: u16,
    /// Bytes of its labels, each with its end.
    pub(super) labels_len: u16,
    /// Bytes of the clean name.
    pub(super) name_len: u8,
    /// Bytes at the end of the clean name that a label goes in front of.
    pub(super) suffix_len: u8,
}

/// A file. Links after the first are in a side table of the tree, because most files have one.
#[derive(Debug)]
pub(super) struct FileNode {
    pub(super) inode: u64,
    pub(super) order: u64,
    pub(super) size: u64,
    pub(super) order_s: u32,
    pub(super) mtime_s: u32,
    /// hashId, source path, then name and labels of each link.
    pub(super) text: Text,
    pub(super) id_len: u16,
    pub(super) path_len: u16,
    pub(super) first: Link,
}

impl FileNode {
    /// The hashId.
    pub(super) fn id<'t>(&self, texts: &'t Texts) -> &'t [u8] {
        &texts.get(&self.text)[..self.id_len.into()]
    }

    /// The source path as stored.
    pub(super) fn path<'t>(&self, texts: &'t Texts) -> &'t [u8] {
        let start = usize::from(self.id_len);
        &texts.get(&self.text)[start..start + usize::from(self.path_len)]
    }

    /// What was read out of the record.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            inode: self.inode,
            order: self.order,
            order_s: self.order_s,
            size: self.size,
            mtime_s: self.mtime_s,
        }
    }
}

/// A directory.
#[derive(Debug)]
pub(super) struct DirNode {
    pub(super) inode: u64,
    pub(super) parent: u32,
    /// Sub-directories.
    pub(super) subdirs: u32,
    /// File links anywhere below.
    pub(super) below: u32,
    /// Earliest `order_s` of all links below: when the directory came to be, as far as the state can tell.
    pub(super) birth_s: u32,
    /// Latest of: `order_s` of direct links, births of sub-directories.
    pub(super) newest_s: u32,
    /// Its name depends on who is below: see `tree_spelling`.
    pub(super) contested: bool,
    pub(super) name: Text,
    pub(super) children: Children,
}

/// What a directory entry is: a slot of one of the two slabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Child(u32);

/// A [`Child`], taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    File(u32),
    Dir(u32),
}

impl Child {
    const DIR: u32 = 1 << 31;

    pub(super) fn file(slot: u32) -> Self {
        Self(slot)
    }

    pub(super) fn dir(slot: u32) -> Self {
        Self(slot | Self::DIR)
    }

    pub(super) fn node(self) -> Node {
        if self.0 & Self::DIR == 0 { Node::File(self.0) } else { Node::Dir(self.0 & !Self::DIR) }
    }
}

/// More children than this are kept in a B-tree: below, moving the rest of a vector is cheaper and smaller.
const FEW_MAX: usize = 128;

/// The children of a directory, ordered by cookie.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "every directory would carry the size of a map that few have")]
pub(super) enum Children {
    #[default]
    Empty,
    /// A film in a folder of its own is the most frequent directory there is.
    One((u64, Child)),
    Few(Vec<(u64, Child)>),
    /// Boxed, so that small directories do not carry its size.
    Many(Box<BTreeMap<u64, Child>>),
}

impl Children {
    pub(super) fn get(&self, cookie: u64) -> Option<Child> {
        match self {
            Children::Empty => None,
            Children::One((c, child)) => (*c == cookie).then_some(*child),
            Children::Few(few) => few.binary_search_by_key(&cookie, |e| e.0).ok().map(|at| few[at].1),
            Children::Many(many) => many.get(&cookie).copied(),
        }
    }

    /// Puts a child at a cookie, replacing the one there.
    pub(super) fn insert(&mut self, cookie: u64, child: Child) {
        match self {
            Children::Empty => *self = Children::One((cookie, child)),
            Children::One((c, there)) if *c == cookie => *there = child,
            Children::One(one) => {
                let mut few = Vec::with_capacity(2);
                few.extend([*one, (cookie, child)]);
                few.sort_unstable_by_key(|e| e.0);
                *self = Children::Few(few);
            }
            Children::Few(few) => match few.binary_search_by_key(&cookie, |e| e.0) {
                Ok(at) => few[at].1 = child,
                Err(at) if few.len() < FEW_MAX => few.insert(at, (cookie, child)),
                Err(_) => {
                    let mut many: Box<BTreeMap<_, _>> = Box::new(few.drain(..).collect());
                    many.insert(cookie, child);
                    *self = Children::Many(many);
                }
            },
            Children::Many(many) => {
                many.insert(cookie, child);
            }
        }
    }

    pub(super) fn remove(&mut self, cookie: u64) {
        match self {
            Children::Empty => {}
            Children::One((c, _)) => {
                if *c == cookie {
                    *self = Children::Empty;
                }
            }
            Children::Few(few) => {
                if let Ok(at) = few.binary_search_by_key(&cookie, |e| e.0) {
                    few.remove(at);
                }
                match few[..] {
                    [] => *self = Children::Empty,
                    [one] => *self = Children::One(one),
                    _ => {}
                }
            }
            Children::Many(many) => {
                many.remove(&cookie);
                if many.len() <= FEW_MAX / 2 {
                    *self = Children::Few(std::mem::take(&mut **many).into_iter().collect());
                }
            }
        }
    }

    /// Gives back the memory that growth left unused.
    pub(super) fn fit(&mut self) {
        if let Children::Few(few) = self {
            few.shrink_to_fit();
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Children::Empty => 0,
            Children::One(_) => 1,
            Children::Few(few) => few.len(),
            Children::Many(many) => many.len(),
        }
    }

    /// Children with a cookie above `after`, in order, until `visit` answers `false`.
    pub(super) fn visit(&self, after: u64, visit: &mut dyn FnMut(u64, Child) -> bool) {
        match self {
            Children::Empty => {}
            Children::One((c, child)) => {
                if *c > after {
                    visit(*c, *child);
                }
            }
            Children::Few(few) => {
                let from = few.partition_point(|e| e.0 <= after);
                let _ = few[from..].iter().all(|(c, child)| visit(*c, *child));
            }
            Children::Many(many) => {
                let from = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
                let _ = many.range(from).all(|(c, child)| visit(*c, *child));
            }
        }
    }

    /// All children in order of their cookies.
    pub(super) fn all(&self) -> Vec<(u64, Child)> {
        let mut all = Vec::with_capacity(self.len());
        self.visit(0, &mut |c, child| {
            all.push((c, child));
            true
        });
        all
    }

    /// Heap bytes, for B-trees as an estimate: 12 bytes an entry in nodes that are two thirds full.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Children::Empty | Children::One(_) => 0,
            Children::Few(few) => few.capacity() * size_of::<(u64, Child)>(),
            Children::Many(many) => many.len() * 19,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nodes_have_the_size_that_the_memory_budget_counts_on() {
        assert_eq!(size_of::<Option<FileNode>>(), 56);
        assert_eq!(size_of::<Option<DirNode>>(), 64);
    }

    proptest! {
        #[test]
        fn children_answer_like_a_map(ops in prop::collection::vec((any::<bool>(), 3u64..400), 0..1200)) {
            let (mut children, mut model) = (Children::default(), BTreeMap::new());
            for (insert, cookie) in ops {
                let child = Child::file(cookie as u32);
                if insert {
                    children.insert(cookie, child);
                    model.insert(cookie, child);
                } else {
                    children.remove(cookie);
                    model.remove(&cookie);
                }
                prop_assert_eq!(children.get(cookie), model.get(&cookie).copied());
                prop_assert_eq!(children.len(), model.len());
            }
            prop_assert_eq!(children.all(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
