//! Which folder is meant, when it cannot have the name that the rules give it.
//!
//! A folder is told by what the rules call it, whatever it is shown as: all files that want `Brazil/` are in one folder,
//! also when an older file is called `Brazil` and the folder `Brazil [folder]`. Nearly every folder is shown as it is
//! wanted; the others are listed here.
//!
//! Not here: which name it gets (`tree_claim`), whose spelling counts (`tree_spelling`).
//! Must always hold: `Aside` has exactly the directories whose name, in comparison form, is not what the rules call
//! them; in one directory no two folders are called the same by the rules.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::cookie::key;
use super::tree::Tree;
use super::tree_name::folder_asked;
use super::tree_node::Node;

/// A component of a path: what the rules call a folder, and what a pin says it is called.
#[derive(Clone, Debug)]
pub(super) struct Folder<'p> {
    pub(super) wish: Cow<'p, str>,
    /// One of the names of the wished folder, when it is another than the wish.
    pinned: Option<Cow<'p, str>>,
}

impl<'p> Folder<'p> {
    pub(super) fn new(wish: Cow<'p, str>) -> Self {
        Self { wish, pinned: None }
    }

    /// The name that is asked for.
    pub(super) fn name(&self) -> &str {
        self.pinned.as_deref().unwrap_or(&self.wish)
    }

    /// Whether the folder may be called so.
    pub(super) fn may_be(&self, name: &str) -> bool {
        folder_asked(name, &key(&self.wish)).is_some()
    }

    pub(super) fn pin(&mut self, name: Cow<'p, str>) {
        self.pinned = (name != self.wish).then_some(name);
    }
}

/// Directories that are shown under another name than the rules give them, by slot and by what the rules call them.
#[derive(Debug, Default)]
pub(super) struct Aside {
    by_dir: BTreeMap<u32, Box<str>>,
    by_wish: BTreeMap<u32, BTreeMap<Box<str>, u32>>,
}

impl Tree {
    /// The directory that the rules call `wish_key`, in comparison form, in another.
    pub(super) fn folder(&self, parent: u32, wish_key: &str) -> Option<u32> {
        let aside = self.aside.by_wish.get(&parent).and_then(|wishes| wishes.get(wish_key));
        aside.copied().or_else(|| match self.find(parent, wish_key)?.1.node() {
            Node::Dir(sub) => (!self.aside.by_dir.contains_key(&sub)).then_some(sub),
            Node::File(_) => None,
        })
    }

    /// What the rules call a directory, in comparison form.
    pub(super) fn wish_key(&self, dir: u32) -> Cow<'_, str> {
        match self.aside.by_dir.get(&dir) {
            Some(wish_key) => Cow::Borrowed(wish_key),
            None => key(self.dir_name(dir)),
        }
    }

    /// Whether a directory is the one that a path asks for, under the name that it asks for.
    pub(super) fn is_folder(&self, dir: u32, folder: &Folder<'_>) -> bool {
        let as_wished = folder.pinned.is_none() && self.aside.by_dir.is_empty();
        self.dir_name(dir) == folder.name() && (as_wished || self.wish_key(dir) == key(&folder.wish))
    }

    /// Says what the rules call a directory; its name and its parent are already set.
    pub(super) fn set_wish(&mut self, dir: u32, wish_key: &str) {
        self.forget_wish(dir);
        if *key(self.dir_name(dir)) != *wish_key {
            let parent = self.dirs[dir].parent;
            self.aside.by_dir.insert(dir, wish_key.into());
            self.aside.by_wish.entry(parent).or_default().insert(wish_key.into(), dir);
        }
    }

    pub(super) fn forget_wish(&mut self, dir: u32) {
        let Some(wish_key) = self.aside.by_dir.remove(&dir) else { return };
        let parent = self.dirs[dir].parent;
        let wishes = self.aside.by_wish.get_mut(&parent).expect("both maps list the same directories");
        wishes.remove(&wish_key);
        if wishes.is_empty() {
            self.aside.by_wish.remove(&parent);
        }
    }

    /// Gives a directory another name, while it is not among its parent's children.
    pub(super) fn rename_dir(&mut self, dir: u32, name: &str) {
        if self.dir_name(dir) == name {
            return;
        }
        let wish_key = self.wish_key(dir).into_owned();
        let name = self.texts.put(name.as_bytes());
        let old = std::mem::replace(&mut self.dirs[dir].name, name);
        self.texts.take(old);
        self.set_wish(dir, &wish_key);
    }
}
