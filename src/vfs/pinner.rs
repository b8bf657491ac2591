//! The pinner: has every file that did not get the place it asked for pinned where it is (decision 009).
//!
//! ```text
//! tree published ─► files that hold their place only for now ─► one hand-over of pins ─► log ─► tree published ─► …
//! ```
//!
//! Only the leader proposes, and one batch at a time: the next is read from a tree that has the one before. So memory is
//! bounded by a batch, and an import is followed in steps as large as they come.
//!
//! Not here: which files those are (`tree_pins`), what a pin does (`meta::apply`).
//! Must always hold: when every file has its pin nothing is proposed, so an idle node appends nothing; a pin that
//! failed is proposed again when the tree or the role changes, never in a loop by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::{Role, Status};
use tokio::sync::watch;

use super::tree_fs::VirtualTree;
use crate::limits;
use crate::meta::op::Op;
use crate::meta::service::{MetadataService, ServiceError, WriteOptions};

/// How long a batch of pins may take.
const BATCH_DEADLINE: Duration = Duration::from_secs(30);

/// Proposes pins until the node stops: until `status` is closed or tells a failure, or the future is dropped.
pub async fn run(
    service: Arc<dyn MetadataService>,
    tree: Arc<VirtualTree>,
    mut status: watch::Receiver<Status>,
) {
    let mut published = tree.published();
    loop {
        published.borrow_and_update();
        if leads(&mut status)
            && let Err(error) = settle(service.as_ref(), &tree, &mut published).await
        {
            tracing::warn!(%error, "files could not be pinned to their names; trying again with the next change");
        }
        let changed = tokio::select! {
            changed = published.changed() => changed,
            changed = status.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

fn leads(status: &mut watch::Receiver<Status>) -> bool {
    let status = status.borrow_and_update();
    status.role == Role::Leader && status.failure.is_none()
}

/// Pins batch after batch until nobody needs it.
async fn settle(
    service: &dyn MetadataService,
    tree: &VirtualTree,
    published: &mut watch::Receiver<u64>,
) -> Result<(), ServiceError> {
    let mut before: Vec<Op> = Vec::new();
    loop {
        let pins = tree.unpinned(limits::PIN_BATCH_RECORDS);
        if pins.is_empty() {
            return Ok(());
        }
        if pins == before {
            // A pin that changes nothing would be proposed for ever.
            tracing::error!(files = pins.len(), "pins did not hold; waiting for the next change");
            return Ok(());
        }
        let options = WriteOptions { deadline: Instant::now() + BATCH_DEADLINE };
        let written = service.write(pins.clone(), options).await?;
        before = pins;
        // Refusals need no answer: what moved on is in the tree at that index.
        if published.wait_for(|index| *index >= written.index).await.is_err() {
            return Ok(());
        }
    }
}
