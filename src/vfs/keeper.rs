//! `TreeKeeper`: what doors may ask of whoever keeps the tree up to date.
//!
//! Not here: how it follows the log (`follower`). Must always hold: only `refresh` waits.

use std::sync::Arc;

use metad_raft::Fut;

use super::builder::BuilderStats;
use super::filesystem::FsError;
use super::rule::RuleSet;

/// The keeper of the tree.
pub trait TreeKeeper: Send + Sync {
    /// Reads all records again and publishes the tree that they make; the old one is served until then.
    fn refresh(&self) -> Fut<'_, Result<(), FsError>>;

    /// Counters of the builder.
    fn stats(&self) -> BuilderStats;

    /// When the tree was last read as a whole, in milliseconds since the epoch.
    fn last_refresh_ms(&self) -> Option<u64>;

    /// The rules that the tree follows.
    fn rules(&self) -> Arc<RuleSet>;
}
