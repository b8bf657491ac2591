//! Which files hold their places only as long as nobody else changes, and the pins that keep them there.
//!
//! They need no list of their own: a file that did not get the name it asked for is in `waiting`, and one whose folder
//! is called otherwise than it asked for (another spelling, or `Brazil [folder]`) is in the folder's `spellings`. A
//! pinned file asks for what it has, so it is in neither.
//!
//! Not here: who proposes the pins (`pinner`), what apply makes of them (`meta::apply`).
//! Must always hold: putting the pins of any of these files into the state moves no file: asked in order of rank,
//! each still gets what it had, because it was free for it.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::tree::Tree;
use super::tree_node::{Node, ROOT};
use crate::codec::Blob;
use crate::meta::op::{Op, RecordOp};
use crate::meta::pin::LinkPin;

impl Tree {
    /// Operations that pin at most `max` files which need it, under rules of version `rules`. Costs a few steps for
    /// each, however many files there are.
    pub(super) fn unpinned(&self, max: usize, rules: u64) -> Vec<Op> {
        // Of a folder that waits, the links below are misspelt.
        let refused = self.waiting.iter().filter_map(|waiting| match waiting.child.node() {
            Node::File(file) => Some(file),
            Node::Dir(_) => None,
        });
        let misspelt = self.spellings.iter().flat_map(|(dir, spellings)| {
            let links = spellings.others(self.dir_name(*dir));
            links.map(|(_, inode, _)| self.inode_slot(inode).expect("spellings list files of the tree"))
        });
        let mut files = BTreeSet::new();
        for file in refused.chain(misspelt) {
            if files.len() >= max {
                break;
            }
            files.insert(file);
        }
        files.into_iter().map(|file| Op::Record(self.pin(file, rules))).collect()
    }

    /// Whether every file stays where it is, whatever happens to others.
    pub(super) fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.spellings.is_empty()
    }

    fn pin(&self, file: u32, rules: u64) -> RecordOp {
        let node = &self.files[file];
        let links = self.links(file).into_iter().map(|link| {
            let folder = if self.is_contested(link.dir) { self.dir_path(link.dir) } else { String::new() };
            LinkPin { folder: folder.trim_start_matches('/').to_owned(), candidate: link.held }
        });
        let mut links: Vec<LinkPin> = links.collect();
        while links.last() == Some(&LinkPin::default()) {
            links.pop();
        }
        RecordOp::Pin {
            id: Blob(Bytes::copy_from_slice(self.file_id(file))),
            order: node.order,
            rules,
            links,
        }
    }

    /// Whether the spelling of a directory's path depends on who is below.
    fn is_contested(&self, mut dir: u32) -> bool {
        while dir != ROOT && !self.dirs[dir].contested {
            dir = self.dirs[dir].parent;
        }
        dir != ROOT
    }
}
