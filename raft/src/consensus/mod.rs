//! `RaftReplicator`: the log agreed by a quorum, on openraft.
//!
//! Today a cluster of one voter: the engine, the log and the snapshots are those of a cluster, and the transport refuses every
//! peer. Every answered entry is on the disk (`fdatasync`).
//!
//! ```text
//!   replicate ─► openraft ─► log_store ─► commit (group commit) ─► journal
//!                   │
//!                   └─► machine ─► StateMachine::apply ─► answers
//! ```
//!
//! What a caller should know:
//! * Entry 0 is the first membership and each leader begins with a blank entry, so the first proposal has an index above 1 and
//!   indexes have holes.
//! * A call's proposals are handed over when its future is first polled.
//! * `start` of a one-voter cluster returns when it leads and has applied its whole log.
//!
//! Not here: addresses, clients, forwarding.
//! Must always hold: no type of openraft leaves this folder.

mod commit;
mod log_store;
mod machine;
mod mark;
mod network;
mod start;
#[cfg(test)]
mod tests;
mod types;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::StreamExt;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::{EmptyNode, Raft, ReadPolicy, ServerState, SnapshotPolicy};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::datadir::DataDir;
use crate::error::{Fatal, Leader, ReplicateError, StartError};
use crate::faults::{Faults, NoFaults};
use crate::replicator::{Fut, PosixMetadataReplicator, Proposal, Role, Status};
use crate::state_machine::StateMachine;
use crate::thread::on_a_thread;
use commit::Committer;
use log_store::LogStore;
use machine::Machine;
use network::Alone;
use types::{Ops, TypeConfig};

type Engine = Raft<TypeConfig, Machine>;

/// The settings of a [`RaftReplicator`].
#[derive(Clone)]
pub struct Options {
    /// Directory of the log and its snapshots; created when missing.
    pub dir: PathBuf,
    /// This node's id.
    pub id: u64,
    /// Longest entry in bytes; longer ones are `TooLarge`.
    pub entry_bytes_max: usize,
    /// Entries in the log that make a snapshot due.
    pub snapshot_entries: u64,
    /// Entries that stay in the log behind a snapshot.
    pub tail_entries: u64,
    /// The disk as tests want it.
    pub faults: Arc<dyn Faults>,
}

impl Options {
    /// The defaults for a directory: node 1, entries up to 16 MiB, a snapshot every 50,000 entries.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            id: 1,
            entry_bytes_max: 16 * 1024 * 1024,
            snapshot_entries: 50_000,
            tail_entries: 10_000,
            faults: Arc::new(NoFaults),
        }
    }
}

/// A running member.
struct Running {
    engine: Engine,
    committer: Arc<Committer>,
    dir: Mutex<Option<DataDir>>,
}

/// The replicator of a cluster; see the [module](self).
pub struct RaftReplicator {
    options: Options,
    status: watch::Sender<Status>,
    running: Arc<OnceLock<Running>>,
    stopping: tokio::sync::Mutex<bool>,
}

impl RaftReplicator {
    /// A replicator that is not started; nothing is opened yet.
    pub fn new(options: Options) -> Self {
        let status = Status {
            id: options.id,
            role: Role::Follower,
            leader: None,
            term: 0,
            last_log_index: 0,
            committed_index: 0,
            applied_index: 0,
            snapshot_index: 0,
            failure: None,
        };
        Self {
            options,
            status: watch::Sender::new(status),
            running: Arc::default(),
            stopping: tokio::sync::Mutex::new(false),
        }
    }

    fn engine(&self) -> Result<&Engine, ReplicateError> {
        self.running.get().map(|r| &r.engine).ok_or(ReplicateError::Stopped)
    }

    async fn start_inner(&self, machine: Arc<dyn StateMachine>) -> Result<(), StartError> {
        if self.running.get().is_some() {
            return Err(Fatal::new("a replicator is started once").into());
        }
        let (options, for_open) = (self.options.clone(), machine.clone());
        let opened =
            on_a_thread("metad-log-start", move || start::open(&options.dir, options.faults, &for_open))
                .map_err(|e| Fatal::with("cannot start a thread", e))?;
        let opened = opened.await.map_err(|_| Fatal::new("start-up panicked"))??;
        let committer = Committer::new(opened.journal, machine);
        let store = LogStore::new(committer.clone());
        let config = self.config()?;
        let engine = Raft::new(self.options.id, config, Alone, store, opened.machine)
            .await
            .map_err(|e| Fatal::with("cannot start the engine", e))?;
        self.publish(&engine);
        self.running.get_or_init(|| Running {
            engine: engine.clone(),
            committer,
            dir: Mutex::new(Some(opened.dir)),
        });
        lead(&engine, self.options.id).await?;
        // The publishing task may not have run yet; whoever saw `start` return sees a leader.
        let now = engine.metrics().borrow_watched().clone();
        self.status.send_if_modified(|s| update(s, &now));
        Ok(())
    }

    fn config(&self) -> Result<Arc<openraft::Config>, Fatal> {
        let config = openraft::Config {
            cluster_name: "metad".to_string(),
            heartbeat_interval: 250,
            election_timeout_min: 1000,
            election_timeout_max: 2000,
            install_snapshot_timeout: 600_000,
            max_payload_entries: 512,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.options.snapshot_entries),
            max_in_snapshot_log_to_keep: self.options.tail_entries,
            purge_batch_size: 256,
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            ..openraft::Config::default()
        };
        config.validate().map(Arc::new).map_err(|e| Fatal::with("the engine refuses its settings", e))
    }

    /// Keeps the status in step with the engine's metrics until the engine is gone.
    fn publish(&self, engine: &Engine) {
        let (mut metrics, status) = (engine.metrics(), self.status.clone());
        tokio::spawn(async move {
            loop {
                let now = metrics.borrow_watched().clone();
                status.send_if_modified(|s| update(s, &now));
                if metrics.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    async fn replicate_inner(&self, batch: Vec<Proposal>) -> Vec<Result<u64, ReplicateError>> {
        let limit = self.options.entry_bytes_max;
        let mut answers: Vec<Result<u64, ReplicateError>> = Vec::with_capacity(batch.len());
        let mut accepted = Vec::with_capacity(batch.len());
        for proposal in batch {
            let bytes = proposal.ops.len();
            if bytes > limit {
                answers.push(Err(ReplicateError::TooLarge { bytes, limit }));
            } else {
                // Until an answer arrives, nothing is known.
                answers.push(Err(ReplicateError::Unknown));
                accepted.push(Ops(proposal.ops));
            }
        }
        let engine = match self.engine() {
            Ok(engine) => engine,
            Err(e) => return vec![Err(e); answers.len()],
        };
        if accepted.is_empty() {
            return answers;
        }
        let Ok(mut results) = engine.client_write_many(accepted).await else {
            return vec![Err(ReplicateError::Stopped); answers.len()];
        };
        for answer in answers.iter_mut().filter(|a| **a == Err(ReplicateError::Unknown)) {
            match results.next().await {
                Some(Ok(result)) => *answer = result.map(|r| r.log_id.index).map_err(refusal),
                // The engine stopped in the middle: what follows stays unknown.
                Some(Err(_)) | None => break,
            }
        }
        answers
    }

    async fn barrier(&self) -> Result<u64, ReplicateError> {
        match self.engine()?.ensure_linearizable(ReadPolicy::ReadIndex).await {
            Ok(read) => Ok(read.index()),
            Err(RaftError::Fatal(_)) => Err(ReplicateError::Stopped),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                Err(ReplicateError::NotLeader { leader: to.leader_id.map(|id| Leader { id, peer: None }) })
            }
            Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
                Err(ReplicateError::Unknown)
            }
        }
    }

    async fn stop_inner(&self) {
        let mut stopped = self.stopping.lock().await;
        let Some(running) = self.running.get().filter(|_| !*stopped) else { return };
        if let Err(e) = running.engine.shutdown().await {
            tracing::error!(error = %e, "the engine did not stop cleanly");
        }
        if let Err(e) = running.committer.flushed().await {
            tracing::error!(error = %e, "the log was not synced at the stop");
        }
        let cell = self.running.clone();
        let closed = on_a_thread("metad-log-stop", move || {
            if let Some(running) = cell.get() {
                running.committer.close();
                *running.dir.lock() = None;
            }
        });
        match closed {
            Ok(closed) => *stopped = closed.await.is_ok(),
            Err(e) => tracing::error!(error = %e, "cannot start a thread"),
        }
    }
}

/// Makes a cluster of one lead, and waits until it has applied its log.
async fn lead(engine: &Engine, id: u64) -> Result<(), StartError> {
    let stopped = |e: openraft::errors::Fatal<TypeConfig>| Fatal::with("the engine stopped", e);
    if engine.is_initialized().await.map_err(stopped)? {
        engine.trigger().elect(false).await.map_err(stopped)?;
    } else {
        let members = std::collections::BTreeMap::from([(id, EmptyNode {})]);
        engine.initialize(members).await.map_err(|e| Fatal::with("cannot form a cluster of one", e))?;
    }
    let mut metrics = engine.metrics();
    loop {
        let now = metrics.borrow_watched().clone();
        now.running_state.map_err(stopped)?;
        let applied = now.last_applied.map(|l| l.index);
        if now.state == ServerState::Leader && applied.is_some() && applied == now.last_log_index {
            return Ok(());
        }
        metrics.changed().await.map_err(|_| Fatal::new("the engine stopped"))?;
    }
}

fn refusal(error: ClientWriteError<TypeConfig>) -> ReplicateError {
    match error {
        ClientWriteError::ForwardToLeader(to) => {
            ReplicateError::NotLeader { leader: to.leader_id.map(|id| Leader { id, peer: None }) }
        }
        // It may still be committed by another leader.
        ClientWriteError::LogEntryDiscarded(_)
        | ClientWriteError::ChangeMembershipError(_)
        | ClientWriteError::PreconditionFailed(_) => ReplicateError::Unknown,
    }
}

fn update(status: &mut Status, now: &openraft::RaftMetrics<TypeConfig>) -> bool {
    let before = status.clone();
    status.role = match now.state {
        ServerState::Leader => Role::Leader,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Follower | ServerState::Shutdown => Role::Follower,
    };
    status.leader = now.current_leader.map(|id| Leader { id, peer: None });
    status.term = now.current_term;
    status.last_log_index = now.last_log_index.unwrap_or(0);
    status.committed_index = now.local_committed.map_or(0, |l| l.index);
    status.applied_index = now.last_applied.map_or(0, |l| l.index);
    status.snapshot_index = now.snapshot.map_or(0, |l| l.index);
    status.failure = match &now.running_state {
        Err(openraft::errors::Fatal::Stopped) | Ok(()) => before.failure.clone(),
        Err(fatal) => Some(fatal.to_string()),
    };
    *status != before
}

impl Drop for RaftReplicator {
    fn drop(&mut self) {
        // The journal must not go with a task of the engine: its own thread would then wait for itself.
        if let Some(running) = self.running.get() {
            running.committer.close();
        }
    }
}

impl PosixMetadataReplicator for RaftReplicator {
    fn start(&self, machine: Arc<dyn StateMachine>) -> Fut<'_, Result<(), StartError>> {
        Box::pin(self.start_inner(machine))
    }

    fn replicate(&self, batch: Vec<Proposal>) -> Fut<'_, Vec<Result<u64, ReplicateError>>> {
        Box::pin(self.replicate_inner(batch))
    }

    fn read_barrier(&self, deadline: Instant) -> Fut<'_, Result<u64, ReplicateError>> {
        Box::pin(async move {
            let in_time = tokio::time::timeout_at(deadline.into(), self.barrier()).await;
            in_time.unwrap_or(Err(ReplicateError::Unknown))
        })
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    fn stop(&self) -> Fut<'_, ()> {
        Box::pin(self.stop_inner())
    }
}
