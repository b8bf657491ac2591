//! The virtual tree in RAM: files, the directories that the rules put them into, and the indexes over both.
//!
//! ```text
//!   place(file, placements) ─► directories (tree_dirs, tree_spelling) ─► names (tree_claim, tree_name) ─► diff
//!   remove(file)            ─► names passed on, empty directories pruned
//!   finish()                ─► times made right, the batch's diff
//! ```
//!
//! Why this is hard, and who answers it:
//! 1. The result must not depend on the order of arrival: names, spellings, inode numbers and cookies are each a stable
//!    outcome under a rank that the state gives (`tree_claim`, `tree_spelling`, `tree_dirs`, `cookie`).
//! 2. A million files must fit: `tree_node` (layout), `tree_table` (containers).
//! 3. Readers must never see half a batch: `tree_fs` owns the lock; nothing here knows of threads.
//!
//! Not here: rules, records (`builder`), I/O of any kind, clocks, hash maps.
//! Must always hold: the tree is a pure function of the set of (file, placements) in it; two trees with the same set
//! answer every question alike.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_64;

use super::attr::Facts;
use super::builder::Wish;
use super::filesystem::ROOT_INODE;
use super::tree_claim::Waiting;
use super::tree_diff::{Recorder, TreeDiff};
use super::tree_dirs::Salted;
use super::tree_folder::{Aside, Folder};
use super::tree_name::{legal, pack_labels};
use super::tree_node::{Child, Children, DirNode, FileNode, Link, NOWHERE, ROOT};
use super::tree_spelling::Spellings;
use super::tree_table::{Slab, SlotTable};
use super::tree_text::Texts;
use crate::limits::{FILE_LINKS_MAX, SOURCE_PATH_BYTES_MAX, TREE_DEPTH_MAX};
use crate::meta::pin::LinkPin;

/// Widths of the two hashes. Tests narrow them to make clashes happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct HashBits {
    pub(super) cookie: u32,
    pub(super) inode: u32,
}

/// The tree. See the module's header.
#[derive(Debug)]
pub struct Tree {
    pub(super) files: Slab<FileNode>,
    pub(super) dirs: Slab<DirNode>,
    /// Links after the first, by slot of the file.
    extra: BTreeMap<u32, Vec<Link>>,
    by_id: SlotTable,
    by_inode: SlotTable,
    pub(super) by_dir: SlotTable,
    pub(super) salted: BTreeMap<u32, Salted>,
    pub(super) spellings: BTreeMap<u32, Spellings>,
    /// Directories whose list may have become needless in this change.
    pub(super) maybe_calm: Vec<u32>,
    pub(super) aside: Aside,
    pub(super) waiting: BTreeSet<Waiting>,
    /// Directories that lost the entry which decided their times.
    pub(super) stale_times: BTreeSet<u32>,
    pub(super) recorder: Option<Recorder>,
    pub(super) bits: HashBits,
    /// Files with at least one link, and the sum of their sizes.
    pub(super) linked: u64,
    pub(super) linked_bytes: u64,
    pub(super) texts: Texts,
}

impl Default for Tree {
    fn default() -> Self {
        Self::with_bits(HashBits { cookie: 62, inode: 63 })
    }
}

/// A placement made safe: legal components, the name, the packed labels.
#[derive(Debug)]
struct Place<'p> {
    dirs: Vec<Folder<'p>>,
    /// First candidate of the name that it may have.
    from: u16,
    name: Cow<'p, str>,
    suffix_len: usize,
    labels: Vec<u8>,
}

impl Tree {
    pub(super) fn with_bits(bits: HashBits) -> Self {
        let (mut dirs, mut texts) = (Slab::default(), Texts::default());
        let root = dirs.insert(DirNode {
            inode: ROOT_INODE,
            parent: ROOT,
            subdirs: 0,
            below: 0,
            birth_s: u32::MAX,
            newest_s: 0,
            contested: false,
            name: texts.put(b""),
            children: Children::Empty,
        });
        debug_assert_eq!(root, ROOT);
        Self {
            files: Slab::default(),
            dirs,
            extra: BTreeMap::new(),
            by_id: SlotTable::default(),
            by_inode: SlotTable::default(),
            by_dir: SlotTable::default(),
            salted: BTreeMap::new(),
            spellings: BTreeMap::new(),
            maybe_calm: Vec::new(),
            aside: Aside::default(),
            waiting: BTreeSet::new(),
            stale_times: BTreeSet::new(),
            recorder: None,
            bits,
            linked: 0,
            linked_bytes: 0,
            texts,
        }
    }

    /// Puts a file where the rules want it, or moves it there. `source` is its `filePath` as stored. Of several
    /// placements in one directory the first counts. `pins` tells, by number of the link, where it stays.
    pub fn place(&mut self, id: &[u8], source: &[u8], facts: Facts, wishes: &[Wish], pins: &[LinkPin]) {
        let mut places = safe_places(wishes);
        places.iter_mut().zip(pins).for_each(|(place, pin)| place.pin(pin));
        let text = block(id, source, &places);
        match self.file_slot(id) {
            Some(file) if self.is_at(file, facts, &places) => self.update(file, facts, &text, source),
            Some(file) => {
                self.unlink(file);
                self.drop_file(file);
                self.add(id, source, facts, &text, &places);
            }
            None => self.add(id, source, facts, &text, &places),
        }
        self.end_change();
    }

    /// Takes a file out with all its links. Answers whether it was there.
    pub fn remove(&mut self, id: &[u8]) -> bool {
        let Some(file) = self.file_slot(id) else { return false };
        self.unlink(file);
        self.drop_file(file);
        self.end_change();
        true
    }

    /// Tidies up after a change of one file.
    fn end_change(&mut self) {
        self.calm_down();
        if self.texts.is_loose() {
            let old = std::mem::take(&mut self.texts);
            self.files.iter_mut().for_each(|file| file.text = self.texts.put(old.get(&file.text)));
            self.dirs.iter_mut().for_each(|dir| dir.name = self.texts.put(old.get(&dir.name)));
        }
    }

    /// Ends a batch: nothing may be read before. Gives what changed since [`Tree::record`].
    pub fn finish(&mut self) -> TreeDiff {
        self.refresh_times();
        self.take_diff()
    }

    /// Gives back the memory that growth left unused: for a tree that was just filled.
    pub(super) fn fit(&mut self) {
        let (files, dirs, texts) = (&self.files, &self.dirs, &self.texts);
        self.by_id.fit(|slot| xxh3_64(files[slot].id(texts)));
        self.by_inode.fit(|slot| files[slot].inode);
        self.by_dir.fit(|slot| dirs[slot].inode);
        self.dirs.iter_mut().for_each(|dir| dir.children.fit());
    }

    fn add(&mut self, id: &[u8], source: &[u8], facts: Facts, text: &[u8], places: &[Place<'_>]) {
        let nowhere = Link { dir: NOWHERE, held: 0, from: 0, labels_len: 0, name_len: 0, suffix_len: 0 };
        let text = self.texts.put(text);
        let file = self.files.insert(FileNode {
            inode: facts.inode,
            order: facts.order,
            size: facts.size,
            order_s: facts.order_s,
            mtime_s: facts.mtime_s,
            text,
            id_len: short(id.len()),
            path_len: short(kept_source(source).len()),
            first: nowhere,
        });
        let (files, texts) = (&self.files, &self.texts);
        self.by_id.insert(xxh3_64(id), file, |slot| xxh3_64(files[slot].id(texts)));
        self.by_inode.insert(facts.inode, file, |slot| files[slot].inode);
        for (n, place) in places.iter().enumerate() {
            let dir = self.make_dirs(&place.dirs, (facts.order, facts.inode, n));
            let link = Link {
                dir,
                held: place.from,
                from: place.from,
                labels_len: short(place.labels.len()),
                name_len: tiny(place.name.len()),
                suffix_len: tiny(place.suffix_len),
            };
            self.push_link(file, n, link);
            self.settle(Child::file(file), dir, place.from);
            self.count_in(dir, facts.order_s);
        }
        if !places.is_empty() {
            self.linked += 1;
            self.linked_bytes = self.linked_bytes.saturating_add(facts.size);
        }
    }

    /// New facts for a file whose names stay.
    fn update(&mut self, file: u32, facts: Facts, text: &[u8], source: &[u8]) {
        let node = &mut self.files[file];
        let moved = node.facts() != facts;
        if node.first.dir != NOWHERE {
            self.linked_bytes = self.linked_bytes.saturating_sub(node.size).saturating_add(facts.size);
        }
        (node.size, node.mtime_s) = (facts.size, facts.mtime_s);
        let old = std::mem::replace(&mut node.text, self.texts.put(text));
        self.texts.take(old);
        node.path_len = short(kept_source(source).len());
        if moved {
            self.record_changed(facts.inode);
        }
    }

    fn unlink(&mut self, file: u32) {
        let links = self.links(file);
        let (order, inode, order_s) =
            (self.files[file].order, self.files[file].inode, self.files[file].order_s);
        if !links.is_empty() {
            self.linked -= 1;
            self.linked_bytes = self.linked_bytes.saturating_sub(self.files[file].size);
        }
        // Link by link: a directory that is left without one may not stay while others compete for names.
        for (n, link) in links.iter().enumerate() {
            self.withdraw(Child::file(file), link.dir);
            self.unwant_spellings(link.dir, (order, inode, n));
            self.count_out(link.dir, order_s);
        }
    }

    fn drop_file(&mut self, file: u32) {
        self.extra.remove(&file);
        let (files, texts) = (&self.files, &self.texts);
        self.by_id.remove(xxh3_64(files[file].id(texts)), file, |slot| xxh3_64(files[slot].id(texts)));
        self.by_inode.remove(files[file].inode, file, |slot| files[slot].inode);
        let node = self.files.remove(file);
        self.texts.take(node.text);
    }

    /// Whether a file already has this rank and these places, so that no name can move.
    fn is_at(&self, file: u32, facts: Facts, places: &[Place<'_>]) -> bool {
        let now = self.files[file].facts();
        let same_rank = (now.inode, now.order, now.order_s) == (facts.inode, facts.order, facts.order_s);
        let links = self.links(file);
        same_rank
            && links.len() == places.len()
            && links.iter().zip(places).all(|(link, place)| {
                let (name, labels) = self.name_and_labels(file, link.dir);
                *name == *place.name
                    && link.from == place.from
                    && usize::from(link.suffix_len) == place.suffix_len
                    && *labels == *place.labels
                    && self.is_path(link.dir, &place.dirs)
            })
    }

    /// Whether a directory has exactly this path and nobody wants it otherwise.
    fn is_path(&self, mut dir: u32, path: &[Folder<'_>]) -> bool {
        for folder in path.iter().rev() {
            if dir == ROOT || self.dirs[dir].contested || !self.is_folder(dir, folder) {
                return false;
            }
            dir = self.dirs[dir].parent;
        }
        dir == ROOT
    }

    /// hashId of a file.
    pub(super) fn file_id(&self, file: u32) -> &[u8] {
        self.files[file].id(&self.texts)
    }

    /// The name that a directory is shown under.
    pub(super) fn dir_name(&self, dir: u32) -> &str {
        self.texts.get_str(&self.dirs[dir].name)
    }

    /// Slot of the file with this hashId.
    pub(super) fn file_slot(&self, id: &[u8]) -> Option<u32> {
        self.by_id.find(xxh3_64(id), |slot| self.file_id(slot) == id)
    }

    /// Slot of the file with this inode number.
    pub(super) fn inode_slot(&self, inode: u64) -> Option<u32> {
        self.by_inode.find(inode, |slot| self.files[slot].inode == inode)
    }

    /// Whether a file with this hashId is known, placed or not.
    pub fn contains(&self, id: &[u8]) -> bool {
        self.file_slot(id).is_some()
    }

    /// All links of a file.
    pub(super) fn links(&self, file: u32) -> Vec<Link> {
        let first = self.files[file].first;
        let more = self.extra.get(&file).map_or(&[][..], Vec::as_slice);
        if first.dir == NOWHERE {
            Vec::new()
        } else {
            std::iter::once(first).chain(more.iter().copied()).collect()
        }
    }

    fn push_link(&mut self, file: u32, n: usize, link: Link) {
        if n == 0 {
            self.files[file].first = link;
        } else {
            self.extra.entry(file).or_default().push(link);
        }
    }

    /// The link of a file in a directory: there is at most one.
    pub(super) fn link_in(&self, file: u32, dir: u32) -> Link {
        let first = self.files[file].first;
        if first.dir == dir { first } else { self.extra[&file][self.link_number(file, dir) - 1] }
    }

    pub(super) fn link_in_mut(&mut self, file: u32, dir: u32) -> &mut Link {
        let n = self.link_number(file, dir);
        match n {
            0 => &mut self.files[file].first,
            n => &mut self.extra.get_mut(&file).expect("the link was just found")[n - 1],
        }
    }

    /// Which of a file's links is in a directory.
    pub(super) fn link_number(&self, file: u32, dir: u32) -> usize {
        if self.files[file].first.dir == dir {
            return 0;
        }
        let more = self.extra.get(&file).map_or(&[][..], Vec::as_slice);
        1 + more.iter().position(|l| l.dir == dir).expect("callers ask for directories that hold the file")
    }

    /// Clean name and packed labels of a file's link in a directory.
    pub(super) fn name_and_labels(&self, file: u32, dir: u32) -> (&str, &[u8]) {
        let node = &self.files[file];
        let mut start = usize::from(node.id_len) + usize::from(node.path_len);
        let mut link = node.first;
        if link.dir != dir {
            let n = self.link_number(file, dir);
            start += usize::from(link.name_len) + usize::from(link.labels_len);
            let more = &self.extra[&file];
            start += more[..n - 1]
                .iter()
                .map(|l| usize::from(l.name_len) + usize::from(l.labels_len))
                .sum::<usize>();
            link = more[n - 1];
        }
        let (name, rest) = self.texts.get(&node.text)[start..].split_at(link.name_len.into());
        let name = std::str::from_utf8(name).expect("names were text when they were stored");
        (name, &rest[..link.labels_len.into()])
    }

    /// Heap bytes of the tree, to within some percent: the statistics page's figure.
    pub fn memory_bytes(&self) -> usize {
        let children: usize = self.dirs.iter().map(|d| d.children.bytes()).sum();
        let tables = self.by_id.bytes() + self.by_inode.bytes() + self.by_dir.bytes();
        let side = self.waiting.len() * 60 + self.extra.len() * 96;
        self.files.bytes() + self.dirs.bytes() + self.texts.bytes() + children + tables + side
    }
}

impl<'p> Place<'p> {
    /// Keeps the place where a pin says. A pin for another folder is none: pins are for one outcome of the rules.
    fn pin(&mut self, pin: &'p LinkPin) {
        let names: Vec<Cow<'p, str>> = pin.folder.split('/').filter(|c| !c.is_empty()).map(legal).collect();
        if names.is_empty() {
            self.from = pin.candidate;
        } else if names.len() == self.dirs.len() && self.dirs.iter().zip(&names).all(|(f, n)| f.may_be(n)) {
            self.dirs.iter_mut().zip(names).for_each(|(folder, name)| folder.pin(name));
            self.from = pin.candidate;
        }
    }
}

/// Placements as legal components, at most one per directory.
fn safe_places(wishes: &[Wish]) -> Vec<Place<'_>> {
    let mut places: Vec<Place<'_>> = Vec::with_capacity(wishes.len());
    for wish in wishes.iter().take(FILE_LINKS_MAX) {
        let mut dirs: Vec<_> = wish.path.split('/').filter(|c| !c.is_empty()).map(legal).collect();
        let Some(name) = dirs.pop() else { continue };
        // What is too deep is shown at the depth limit: every record stays reachable.
        dirs.truncate(TREE_DEPTH_MAX - 1);
        if places.iter().all(|p| !same_directory(&p.dirs, &dirs)) {
            let suffix_len = safe_suffix(&name, wish.suffix_len);
            let labels = pack_labels(wish.labels.iter().map(String::as_str));
            let dirs = dirs.into_iter().map(Folder::new).collect();
            places.push(Place { dirs, from: 0, name, suffix_len, labels });
        }
    }
    places
}

/// A suffix that leaves something of the name and begins between two characters.
fn safe_suffix(name: &str, wanted: usize) -> usize {
    let fits = wanted < name.len() && name.is_char_boundary(name.len() - wanted);
    if fits { wanted } else { 0 }
}

fn same_directory(a: &[Folder<'_>], b: &[Cow<'_, str>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| super::cookie::key(&a.wish) == super::cookie::key(b))
}

/// A file's text: hashId, source path, then name and labels of each link.
fn block(id: &[u8], source: &[u8], places: &[Place<'_>]) -> Vec<u8> {
    let source = kept_source(source);
    let names: usize = places.iter().map(|p| p.name.len() + p.labels.len()).sum();
    let mut text = Vec::with_capacity(id.len() + source.len() + names);
    text.extend_from_slice(id);
    text.extend_from_slice(source);
    for place in places {
        text.extend_from_slice(place.name.as_bytes());
        text.extend_from_slice(&place.labels);
    }
    text
}

/// A path longer than the system's limit cannot be opened: one byte more than the limit keeps it so.
fn kept_source(source: &[u8]) -> &[u8] {
    &source[..source.len().min(SOURCE_PATH_BYTES_MAX + 1)]
}

fn tiny(len: usize) -> u8 {
    u8::try_from(len).expect("names have at most 255 bytes")
}

fn short(len: usize) -> u16 {
    u16::try_from(len).expect("ids, paths, names and labels are bounded far below 64 KiB")
}
