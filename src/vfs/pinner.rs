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
//! Must always hold: when every file has its pin nothing is proposed, so an idle node appends nothing; pins
//! whose hand-over failed are proposed again when the tree or the role changes; pins that were applied and did not hold are
//! never proposed twice in a row, because their own entry is a change.

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
    let mut last = Last::default();
    loop {
        published.borrow_and_update();
        if leads(&mut status)
            && let Err(error) = settle(service.as_ref(), &tree, &mut published, &mut last).await
        {
            last = Last::default();
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

/// The pins that were proposed last.
#[derive(Default)]
struct Last {
    pins: Vec<Op>,
    /// Whether it was told that they did not hold.
    told: bool,
}

impl Last {
    /// Whether `pins` are to be proposed: there are some, and they are others than last time.
    fn moves_on_to(&mut self, pins: &[Op]) -> bool {
        if pins != self.pins {
            *self = Self { pins: pins.to_vec(), told: false };
            return !pins.is_empty();
        }
        if !pins.is_empty() && !std::mem::replace(&mut self.told, true) {
            tracing::error!(files = pins.len(), "pins did not hold; waiting until other files need some");
        }
        false
    }
}

/// Pins batch after batch until nobody needs it.
async fn settle(
    service: &dyn MetadataService,
    tree: &VirtualTree,
    published: &mut watch::Receiver<u64>,
    last: &mut Last,
) -> Result<(), ServiceError> {
    loop {
        let pins = tree.unpinned(limits::PIN_BATCH_RECORDS);
        if !last.moves_on_to(&pins) {
            return Ok(());
        }
        let options = WriteOptions { deadline: Instant::now() + BATCH_DEADLINE };
        let written = service.write(pins, options).await?;
        // Refusals need no answer: what moved on is in the tree at that index.
        if published.wait_for(|index| *index >= written.index).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Blob;
    use crate::meta::op::RecordOp;

    fn pin(id: &'static str) -> Vec<Op> {
        vec![Op::Record(RecordOp::Pin { id: Blob::from(id), order: 1, rules: 1, links: Vec::new() })]
    }

    #[test]
    fn pins_that_did_not_hold_are_never_proposed_twice_in_a_row() {
        let mut last = Last::default();
        assert!(!last.moves_on_to(&[]), "an idle node proposes nothing");
        assert!(last.moves_on_to(&pin("a")));
        assert!(!last.moves_on_to(&pin("a")));
        assert!(!last.moves_on_to(&pin("a")), "its own entry or another change wakes it again");
        assert!(last.moves_on_to(&pin("b")));
        assert!(!last.moves_on_to(&[]));
        assert!(last.moves_on_to(&pin("b")), "they held, and are needed anew");
    }
}
