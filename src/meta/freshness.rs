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
        let patience = if before.0.is_some() { deadline } else { parked };
        let (until, refusal) = match log.read_barrier(patience).await {
            Ok(_) => return Ok(()),
            Err(ReplicateError::Stopped) => return Err(STOPPED),
            Err(ReplicateError::NotLeader { .. }) => (parked, ServiceError::NoLeader),
            // Nobody who leads was found in time.
            Err(_) if reign(&status.borrow()).0.is_none() => (parked, ServiceError::NoLeader),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metad_raft::{Fut, Proposal, StartError, StateMachine};

    use super::*;

    /// A log without a leader.
    struct Leaderless {
        status: watch::Sender<Status>,
        /// Whether its barrier looks for a leader until its deadline; otherwise it refuses at once.
        looks: bool,
    }

    impl PosixMetadataReplicator for Leaderless {
        fn start(&self, _machine: Arc<dyn StateMachine>) -> Fut<'_, Result<(), StartError>> {
            Box::pin(async { Ok(()) })
        }

        fn replicate(&self, batch: Vec<Proposal>) -> Fut<'_, Vec<Result<u64, ReplicateError>>> {
            Box::pin(async move { batch.iter().map(|_| Err(ReplicateError::Stopped)).collect() })
        }

        fn read_barrier(&self, deadline: Instant) -> Fut<'_, Result<u64, ReplicateError>> {
            Box::pin(async move {
                if !self.looks {
                    return Err(ReplicateError::NotLeader { leader: None });
                }
                let nobody = std::future::pending::<()>();
                tokio::time::timeout_at(deadline.into(), nobody).await.expect_err("nobody comes");
                Err(ReplicateError::Unknown)
            })
        }

        fn status(&self) -> watch::Receiver<Status> {
            self.status.subscribe()
        }

        fn stop(&self) -> Fut<'_, ()> {
            Box::pin(async {})
        }
    }

    async fn read_on(looks: bool) -> Result<(), ServiceError> {
        let status = Status { recovered: true, ..Status::initial(1) };
        let log = Leaderless { status: watch::Sender::new(status), looks };
        let deadline = Instant::now() + Duration::from_secs(60);
        let options = ReadOptions { consistency: Consistency::Linearizable, min_index: 0, deadline };
        let heard = wait(&log, watch::Sender::new(0).subscribe(), options).await;
        assert!(Instant::now() < deadline, "it waited for its deadline");
        heard
    }

    #[tokio::test]
    async fn without_a_leader_a_read_hears_so_long_before_its_deadline_however_the_log_looks_for_one() {
        for looks in [false, true] {
            assert_eq!(read_on(looks).await, Err(ServiceError::NoLeader), "looks: {looks}");
        }
    }
}
