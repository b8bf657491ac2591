//! A real tree, filled from the fake service when a test asks for it.
//!
//! Not here: rules. Must always hold: records get inodes and orders by the order of their hashIds.

use std::sync::Arc;

use metad_raft::Fut;
use parking_lot::Mutex;

use super::fake::{EPOCH_MS, FakeService};
use crate::meta::service::MetadataService;
use crate::vfs::builder::BuilderStats;
use crate::vfs::keeper::TreeKeeper;
use crate::vfs::tree_projection::{adopt, follow, scan};
use crate::vfs::{FsError, RuleSet, VirtualTree};

/// Keeps a tree over a fake service.
pub struct FakeKeeper {
    service: Arc<FakeService>,
    tree: Arc<VirtualTree>,
    stats: Mutex<BuilderStats>,
}

impl FakeKeeper {
    /// A keeper of an empty tree.
    pub fn new(service: &Arc<FakeService>, tree: &Arc<VirtualTree>) -> Self {
        Self { service: Arc::clone(service), tree: Arc::clone(tree), stats: Mutex::default() }
    }
}

impl TreeKeeper for FakeKeeper {
    fn refresh(&self) -> Fut<'_, Result<(), FsError>> {
        let rules = self.rules();
        let mut scanned = scan(rules.clone(), 1);
        for (id, record) in self.service.stored_records() {
            scanned.scan(&id, &record, EPOCH_MS);
        }
        *self.stats.lock() = scanned.stats();
        let mut builder = follow(rules, Arc::clone(&self.tree));
        adopt(&mut builder, scanned, self.service.digest().0);
        Box::pin(async { Ok(()) })
    }

    fn stats(&self) -> BuilderStats {
        *self.stats.lock()
    }

    fn last_refresh_ms(&self) -> Option<u64> {
        Some(EPOCH_MS)
    }

    fn rules(&self) -> Arc<RuleSet> {
        let text = self.service.rules().unwrap().text;
        let parsed = text.map(|text| RuleSet::parse(std::str::from_utf8(&text).unwrap()).unwrap());
        Arc::new(parsed.unwrap_or_default())
    }
}
