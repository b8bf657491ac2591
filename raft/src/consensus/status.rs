//! From openraft's metrics to our `Status`.
//!
//! Not here: who watches. Must always hold: a change of the leader is published as soon as the engine knows it, before anything
//! that it follows.

use openraft::{RaftMetrics, ServerState};

use super::types::{LeaderId, TypeConfig};
use crate::error::Leader;
use crate::replicator::{Role, Status};

/// The leader as a hint for somebody who asked node `id`; a node that does not lead never names itself.
pub(super) fn hint(id: u64, leader: Option<u64>) -> Option<Leader> {
    leader.filter(|leader| *leader != id).map(|id| Leader { id, peer: None })
}

/// The leader that this node is, or has heard in this life. The stored vote names the leader of the life before, and nobody
/// knows whether that one still leads.
fn leader(now: &RaftMetrics<TypeConfig>, heard: Option<LeaderId>) -> Option<Leader> {
    let leads = now.state == ServerState::Leader;
    let known = |id: &u64| leads || heard.is_some_and(|h| (h.term, h.node_id) == (now.current_term, *id));
    now.current_leader.filter(known).map(|id| Leader { id, peer: None })
}

/// The picture that the metrics give. `found` is the end of the log that the start found, `heard` whose append was taken last.
pub(super) fn picture(now: &RaftMetrics<TypeConfig>, found: Option<u64>, heard: Option<LeaderId>) -> Status {
    let applied = now.last_applied.map(|l| l.index);
    Status {
        id: now.id,
        role: match now.state {
            ServerState::Leader => Role::Leader,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Follower | ServerState::Shutdown => Role::Follower,
        },
        leader: leader(now, heard),
        term: now.current_term,
        last_log_index: now.last_log_index.unwrap_or(0),
        committed_index: now.local_committed.map_or(0, |l| l.index),
        applied_index: applied.unwrap_or(0),
        snapshot_index: now.snapshot.map_or(0, |l| l.index),
        purged_index: now.purged.map_or(0, |l| l.index),
        // What a new leader took off the log's end is not waited for.
        recovered: applied >= found.min(now.last_log_index),
        failure: match &now.running_state {
            Err(openraft::errors::Fatal::Stopped) | Ok(()) => None,
            Err(fatal) => Some(fatal.to_string()),
        },
    }
}

/// Brings `status` up to date; whether anything changed. What was recovered, or failed, stays so.
pub(super) fn update(status: &mut Status, mut next: Status) -> bool {
    next.recovered |= status.recovered;
    if next.failure.is_none() {
        next.failure.clone_from(&status.failure);
    }
    let changed = *status != next;
    *status = next;
    changed
}

/// The engine is gone and never said why; whether that is news.
pub(super) fn ended(status: &mut Status) -> bool {
    let news = status.failure.is_none();
    (status.role, status.leader) = (Role::Follower, None);
    status.failure.get_or_insert_with(|| "the consensus engine ended without a word".to_owned());
    news
}

/// Tells when the log has grown by so many bytes that a snapshot is due before its entries say so.
pub(super) struct DueByBytes {
    every: u64,
    snapshot: u64,
    /// Bytes that were written when the newest snapshot was seen first, or when one was due last.
    since: u64,
}

impl DueByBytes {
    pub(super) fn new(every: u64) -> Self {
        Self { every, snapshot: 0, since: 0 }
    }

    /// `written`: bytes written to the log so far; `snapshot`: index of the newest one. True once for each so many bytes.
    pub(super) fn is_due(&mut self, written: u64, snapshot: u64) -> bool {
        let due = written - self.since >= self.every && snapshot == self.snapshot;
        if due || snapshot != self.snapshot {
            (self.snapshot, self.since) = (snapshot, written);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_ended_without_a_word_is_a_failure_and_leads_nobody() {
        let mut status = Status::initial(1);
        (status.role, status.leader) = (Role::Leader, Some(Leader { id: 1, peer: None }));
        assert!(ended(&mut status) && !ended(&mut status));
        assert_eq!(
            (status.role, status.leader.is_some(), status.failure.is_some()),
            (Role::Follower, false, true)
        );
    }

    #[test]
    fn a_snapshot_is_due_once_for_each_so_many_bytes_since_the_last_one() {
        let mut due = DueByBytes::new(10);
        assert!(!due.is_due(9, 0) && due.is_due(10, 0) && !due.is_due(11, 0));
        assert!(!due.is_due(30, 5), "a snapshot has just been written");
        assert!(!due.is_due(39, 5) && due.is_due(40, 5));
    }
}
