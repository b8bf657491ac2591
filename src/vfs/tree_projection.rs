//! The projection: what the builder's callbacks mean for the tree.
//!
//! Not here: which events matter (`builder`), locks (`tree_fs`).
//! Must always hold: a file touched many times in a batch is placed once, by its last state; rules are evaluated while
//! nobody holds a lock, and the batch is then applied in one step.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attr::{Facts, source_path};
use super::builder::{Held, Placer, StreamingStateBuilder, VfsUpdate, Wish};
use super::tree::Tree;
use super::tree_diff::TreeDiff;
use super::tree_fs::VirtualTree;
use crate::meta::pin::LinkPin;
use crate::meta::record::Record;

/// Rules and the version that pins name them by.
struct InForce {
    placer: Arc<dyn Placer>,
    version: u64,
}

/// A file ready to be put into the tree.
#[derive(Debug)]
struct Placed {
    source: Box<[u8]>,
    facts: Facts,
    wishes: Vec<Wish>,
    /// Where it stays; empty when nothing holds it.
    pins: Vec<LinkPin>,
}

impl Placed {
    fn of(rules: &InForce, record: &Record, now_ms: u64) -> Self {
        let source = source_path(record, now_ms).unwrap_or_default().into();
        let pin = record.pin.as_ref().filter(|pin| pin.rules == rules.version);
        let pins = pin.map(|pin| pin.links.clone()).unwrap_or_default();
        Self { source, facts: Facts::of(record, now_ms), wishes: rules.placer.place(record, now_ms), pins }
    }
}

/// Fills a new tree from a scan, aside, for [`Projection::replace`]: at the start, after a rule change, after a lag.
pub struct Fresh {
    rules: InForce,
    tree: Tree,
}

impl Fresh {
    /// An empty tree under these rules of this version.
    pub fn new(placer: Arc<dyn Placer>, version: u64) -> Self {
        Self { rules: InForce { placer, version }, tree: Tree::default() }
    }
}

impl VfsUpdate for Fresh {
    fn on_property_change(&mut self, _id: &[u8], _property: &[u8], _record: &Record) {}

    fn on_property_delete(&mut self, _id: &[u8], _property: &[u8]) {}

    fn on_file_delete(&mut self, id: &[u8]) -> bool {
        self.tree.remove(id)
    }

    fn on_file_complete(&mut self, id: &[u8], record: Held<'_>, now_ms: u64) -> bool {
        let new = !self.tree.contains(id);
        let placed = Placed::of(&self.rules, record.record(), now_ms);
        self.tree.place(id, &placed.source, placed.facts, &placed.wishes, &placed.pins);
        new
    }
}

/// A file's last state in a batch and the log's time then; `None` for gone.
type LastState = Option<(Arc<Record>, u64)>;

/// Follows changes: gathers a batch, then applies it to the published tree in one step.
pub struct Projection {
    rules: InForce,
    published: Arc<VirtualTree>,
    /// Files of the batch by hashId. Ordered, so that nothing depends on arrival.
    batch: BTreeMap<Box<[u8]>, LastState>,
}

impl Projection {
    /// A projection onto a published tree.
    pub fn new(placer: Arc<dyn Placer>, published: Arc<VirtualTree>) -> Self {
        Self { rules: InForce { placer, version: 0 }, published, batch: BTreeMap::new() }
    }

    /// Publishes the batch: readers see the tree before it or after it. `applied_index` is the log index that the tree
    /// reflects from then on. The answer is for the kernel's caches; use it after this call, holding no lock.
    pub fn commit(&mut self, applied_index: u64) -> TreeDiff {
        let batch = std::mem::take(&mut self.batch);
        let placed: Vec<_> = batch
            .into_iter()
            .map(|(id, state)| {
                let placed = state.map(|(record, now_ms)| Placed::of(&self.rules, &record, now_ms));
                (id, placed)
            })
            .collect();
        self.published.apply(applied_index, |tree| {
            for (id, placed) in &placed {
                match placed {
                    Some(p) => tree.place(id, &p.source, p.facts, &p.wishes, &p.pins),
                    None => {
                        tree.remove(id);
                    }
                }
            }
        })
    }

    /// Publishes the first tree, and takes over its rules. Nothing was followed before it.
    fn begin(&mut self, mut fresh: Fresh, applied_index: u64) {
        fresh.tree.fit();
        self.published.begin(applied_index, fresh.rules.version, fresh.tree);
        self.rules = fresh.rules;
    }

    /// Publishes a whole new tree in one step, and takes over its rules. What the batch held is dropped: the new tree is
    /// newer.
    pub fn replace(&mut self, mut fresh: Fresh, applied_index: u64) -> TreeDiff {
        self.batch.clear();
        fresh.tree.fit();
        let diff = self.published.replace(applied_index, fresh.rules.version, fresh.tree);
        self.rules = fresh.rules;
        diff
    }
}

impl VfsUpdate for Projection {
    fn on_property_change(&mut self, _id: &[u8], _property: &[u8], _record: &Record) {}

    fn on_property_delete(&mut self, _id: &[u8], _property: &[u8]) {}

    fn on_file_delete(&mut self, id: &[u8]) -> bool {
        let was = self.is_complete(id);
        self.batch.insert(id.into(), None);
        was
    }

    fn on_file_complete(&mut self, id: &[u8], record: Held<'_>, now_ms: u64) -> bool {
        let new = !self.is_complete(id);
        let record = match record {
            Held::Shared(record) => Arc::clone(record),
            Held::Lent(record) => Arc::new(record.clone()),
        };
        self.batch.insert(id.into(), Some((record, now_ms)));
        new
    }
}

/// The builder that follows changes, as the follower holds it.
pub type Follow = StreamingStateBuilder<Projection>;
/// The builder that scans, as the follower fills it.
pub type Scan = StreamingStateBuilder<Fresh>;

/// A builder that scans records into a new tree, under rules of this version.
pub fn scan(placer: Arc<dyn Placer>, version: u64) -> Scan {
    let relevant = placer.properties();
    StreamingStateBuilder::new(Fresh::new(placer, version), relevant)
}

/// A builder that follows changes into a published tree. Until the first [`adopt`] it knows no file.
pub fn follow(placer: Arc<dyn Placer>, published: Arc<VirtualTree>) -> Follow {
    let relevant = placer.properties();
    StreamingStateBuilder::new(Projection::new(placer, published), relevant)
}

/// Publishes a finished scan in one step; changes after `applied_index` then go to `follow`.
pub fn adopt(follow: &mut Follow, scanned: Scan, applied_index: u64) -> TreeDiff {
    let (fresh, relevant, stats) = scanned.into_parts();
    follow.adopt(relevant, stats);
    follow.update().replace(fresh, applied_index)
}

/// The same for the first tree of all, which replaces nothing.
pub fn begin(follow: &mut Follow, scanned: Scan, applied_index: u64) {
    let (fresh, relevant, stats) = scanned.into_parts();
    follow.adopt(relevant, stats);
    follow.update().begin(fresh, applied_index);
}

impl Projection {
    fn is_complete(&self, id: &[u8]) -> bool {
        match self.batch.get(id) {
            Some(state) => state.is_some(),
            None => self.published.read().contains(id),
        }
    }
}
