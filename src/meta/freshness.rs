//! Freshness: a read waits until the local state is as new as it asks for.
//!
//! Not here: the quorum's word on what is new (`metad-raft`'s read barrier). Must always hold: a linearizable read waits
//! for a barrier that was asked for after the read began; without a leader it waits two seconds at most; `session` waits
//! for its index only; `stale` waits for nobody; a refused read says that nothing was applied.
//!
//! Source: design D8, D9; Ongaro's dissertation, section 6.4.

use std::time::{Duration, Instant};

use metad_raft::{PosixMetadataReplicator, ReplicateError, Status};
use tokio::sync::watch;

use super::service::{AppliedState, Consistency, ReadOptions, ServiceError};
use crate::limits;

/// Waits until the local state is as fresh as `options` ask for.
pub(super) async fn wait(
    log: &dyn PosixMetadataReplicator,
    mut applied: watch::Receiver<u64>,
    options: ReadOptions,
) -> Result<(), ServiceError> {
    match options.consistency {
        Consistency::Linearizable => barrier(log, options.deadline).await?,
        Consistency::Session => {}
        Consistency::Stale => return Ok(()),
    }
    if *applied.borrow() >= options.min_index {
        return Ok(());
    }
    let reached = applied.wait_for(|index| *index >= options.min_index);
    match tokio::time::timeout_at(options.deadline.into(), reached).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(STOPPED),
        Err(_) => Err(TIMED_OUT),
    }
}

const STOPPED: ServiceError = ServiceError::Stopped { applied: AppliedState::No };
const TIMED_OUT: ServiceError = ServiceError::TimedOut { applied: AppliedState::No };

/// A read barrier; asked for again, each time afresh, while leaders change.
async fn barrier(log: &dyn PosixMetadataReplicator, deadline: Instant) -> Result<(), ServiceError> {
    let parked = deadline.min(Instant::now() + Duration::from_millis(limits::LEADER_WAIT_MS));
    let mut status = log.status();
    let mut pause = limits::RESEND_AFTER_MS;
    loop {
        let before = reign(&status.borrow());
        let (until, refusal) = match log.read_barrier(deadline).await {
            Ok(_) => return Ok(()),
            Err(ReplicateError::Stopped) => return Err(STOPPED),
            Err(ReplicateError::NotLeader { .. }) => (parked, ServiceError::NoLeader),
            // The leader lost its quorum, or its answer was lost.
            Err(_) => (deadline, TIMED_OUT),
        };
        let now = Instant::now();
        if now >= until {
            return Err(refusal);
        }
        let again = until.min(now + Duration::from_millis(pause));
        pause = (pause * 2).min(limits::RESEND_AFTER_MS_MAX);
        let changed = status.wait_for(|status| reign(status) != before);
        if let Ok(Err(_)) = tokio::time::timeout_at(again.into(), changed).await {
            return Err(STOPPED);
        }
    }
}

fn reign(status: &Status) -> (Option<u64>, u64) {
    (status.leader.as_ref().map(|leader| leader.id), status.term)
}
