//! The first scan: fills the first tree while the state is being verified, so that a start reads the store once.
//!
//! ```text
//! opening the state: read · hash · decode ─► pages ─► thread of its own: rules · tree ─► follower
//! ```
//!
//! Not here: what the log adds afterwards (`follower`).
//! Must always hold: nothing of it is used unless the state was found to be what its checkpoint says; whenever anything
//! is in doubt there is no first scan, and the follower reads everything itself and reports what it meets.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use bytes::Bytes;

use super::builder::Placer;
use super::rule::RuleSet;
use super::tree_projection::{self, Scan};
use crate::limits;
use crate::meta::record::Record;
use crate::meta::service::RulesView;
use crate::meta::verify::Witness;

/// Decoded records of one page.
type Page = Vec<(Bytes, Record)>;

/// Give it to the opening of the state, then to the follower.
#[derive(Default)]
pub struct FirstScan {
    running: Option<Running>,
    finished: Option<Finished>,
}

struct Running {
    pages: SyncSender<Page>,
    thread: JoinHandle<Scan>,
    rules: Arc<RuleSet>,
}

/// A scan of the state at `index`.
pub(super) struct Finished {
    pub(super) scan: Scan,
    pub(super) rules: Arc<RuleSet>,
    pub(super) index: u64,
}

impl FirstScan {
    /// The scan, if the state was verified.
    pub(super) fn take(self) -> Option<Finished> {
        self.finished
    }
}

impl Witness for FirstScan {
    fn begin(&mut self, rules: RulesView, now_ms: u64) {
        (self.running, self.finished) = (None, None);
        // Rules that cannot be read are the follower's to report.
        let version = rules.version;
        let Some(rules) = parse(rules.text) else { return };
        let scan = tree_projection::scan(Arc::clone(&rules) as Arc<dyn Placer>, version);
        let (pages, queue) = sync_channel(limits::FIRST_SCAN_PAGES_MAX);
        let thread = std::thread::Builder::new().name("vfs-first-scan".into());
        match thread.spawn(move || fill(scan, &queue, now_ms)) {
            Ok(thread) => self.running = Some(Running { pages, thread, rules }),
            Err(error) => {
                tracing::warn!(%error, "no thread for the first scan: the tree is built afterwards");
            }
        }
    }

    fn records(&mut self, page: Vec<(Bytes, Bytes)>) {
        let Some(running) = &self.running else { return };
        let handed = decode(page).and_then(|page| running.pages.send(page).ok());
        if handed.is_none() {
            self.running = None;
        }
    }

    fn verified(&mut self, index: u64) {
        let Some(Running { pages, thread, rules }) = self.running.take() else { return };
        drop(pages);
        match thread.join() {
            Ok(scan) => self.finished = Some(Finished { scan, rules, index }),
            Err(_) => tracing::error!("the thread of the first scan panicked"),
        }
    }
}

fn parse(text: Option<Bytes>) -> Option<Arc<RuleSet>> {
    let Some(text) = text else { return Some(Arc::default()) };
    let text = std::str::from_utf8(&text).ok()?;
    RuleSet::parse(text).ok().map(Arc::new)
}

fn decode(page: Vec<(Bytes, Bytes)>) -> Option<Page> {
    let one = |(id, stored)| Record::decode(&stored).ok().map(|record| (id, record));
    page.into_iter().map(one).collect()
}

fn fill(mut scan: Scan, pages: &Receiver<Page>, now_ms: u64) -> Scan {
    while let Ok(page) = pages.recv() {
        for (id, record) in page.iter().filter(|(_, record)| !record.is_deleted()) {
            scan.scan(id, record, now_ms);
        }
    }
    scan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::{EventId, Header, Property, Value};
    use crate::vfs::tree_fs::VirtualTree;
    use crate::vfs::{Source, tree_projection};

    fn stored(number: u64) -> (Bytes, Bytes) {
        let header = Header { inode: 100 + number, order: number, ..Header::default() };
        let mut record = Record { header, ..Record::default() };
        let value = Value::Inline(Bytes::from(format!("{number}.mkv")));
        let name = Bytes::from_static(b"filePath");
        record.put(Property { name, event: EventId::default(), mod_index: 1, expire_ms: 0, value });
        (Bytes::from(format!("id {number}")), record.encode())
    }

    fn deleted() -> (Bytes, Bytes) {
        let header = Header { flags: Header::DELETED, ..Header::default() };
        (Bytes::from_static(b"gone"), Record { header, ..Record::default() }.encode())
    }

    /// Paths of the tree that a first scan leads to.
    fn paths(first: FirstScan) -> Option<(Vec<String>, u64)> {
        let Finished { scan, rules, index } = first.take()?;
        let tree = Arc::new(VirtualTree::new(Source::new("/nowhere")));
        let mut follow = tree_projection::follow(rules as Arc<dyn Placer>, Arc::clone(&tree));
        tree_projection::begin(&mut follow, scan, index);
        Some((tree.files(), tree.stats().applied_index))
    }

    #[test]
    fn what_was_verified_becomes_the_tree() {
        let mut first = FirstScan::default();
        first.begin(RulesView::default(), 0);
        for page in 0..40 {
            first.records(vec![stored(2 * page), stored(2 * page + 1), deleted()]);
        }
        first.verified(9);
        let (files, index) = paths(first).unwrap();
        assert_eq!((files.len(), index), (80, 9));
    }

    #[test]
    fn what_was_not_verified_or_cannot_be_read_is_no_scan() {
        let mut unverified = FirstScan::default();
        unverified.begin(RulesView::default(), 0);
        unverified.records(vec![stored(1)]);
        assert_eq!(paths(unverified), None);

        let mut damaged = FirstScan::default();
        damaged.begin(RulesView::default(), 0);
        damaged.records(vec![stored(1), (Bytes::from_static(b"id"), Bytes::from_static(b"\xff"))]);
        damaged.verified(1);
        assert_eq!(paths(damaged), None);

        let mut lawless = FirstScan::default();
        lawless.begin(RulesView { text: Some(Bytes::from_static(b"no rules")), version: 1 }, 0);
        lawless.records(vec![stored(1)]);
        lawless.verified(1);
        assert_eq!(paths(lawless), None);
    }
}
