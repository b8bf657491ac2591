//! `RaftReplicator`: the log agreed by a quorum, on openraft.
//!
//! One voter or several: the engine, the log and the snapshots are the same. Every answered entry is on the disk (`fdatasync`) of
//! a majority of the voters.
//!
//! ```text
//!   replicate ─► openraft ─► log_store ─► commit (group commit) ─► journal
//!                   │  └─► network ─► Transport ─► the other members
//!                   └─► machine ─► StateMachine::apply ─► answers
//! ```
//!
//! What a caller should know:
//! * Entry 0 is the first membership and each leader begins with a blank entry, so the first proposal has an index above 1 and
//!   indexes have holes.
//! * A call's proposals are handed over when its future is first polled.
//! * `start` of a one-voter cluster returns when it leads and has applied its whole log. A member of several returns once its own
//!   log is open and its machine is where the log knows it to be committed; [`Status::recovered`] tells when it is up to date.
//! * [`RaftReplicator::peer_service`] is what the peers of this node must reach; it refuses them until `start` has returned.
//! * `stop` hands the lead over first, when another voter answers.
//!
//! Not here: addresses, clients, forwarding.
//! Must always hold: no type of openraft leaves this folder.

mod commit;
mod export;
mod in_flight;
mod log_store;
mod machine;
mod mark;
mod membership;
mod network;
pub(crate) mod offline;
mod options;
mod read;
mod start;
mod status;
#[cfg(test)]
mod tests;
mod types;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ClientWriteError, InitializeError, RaftError};
use openraft::{EmptyNode, Raft, ServerState, SnapshotPolicy};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::admin::ClusterAdmin;
use crate::datadir::DataDir;
use crate::error::{Fatal, ReplicateError, StartError};
use crate::replicator::{Fut, PosixMetadataReplicator, Proposal, SnapshotExport, Status};
use crate::room::Room;
use crate::snapshot::SnapshotStore;
use crate::state_machine::StateMachine;
use crate::thread::on_a_thread;
use crate::transport::PeerService;
use commit::Committer;
use in_flight::{Held, InFlight};
use log_store::LogStore;
use machine::Machine;
use network::{Peers, Receiver, Service};
use read::Reads;
use status::{DueByBytes, ended, hint, picture, update};
use types::{LeaderId, Ops, TypeConfig};

pub use options::{Formation, Options, Timing};

pub(crate) type Engine = Raft<TypeConfig, Machine>;
type Answers = Vec<Result<u64, ReplicateError>>;

/// Changes of positions in the log are published at most this often.
const POSITIONS_EVERY: Duration = Duration::from_millis(5);

/// A running member.
pub(crate) struct Running {
    pub(crate) engine: Engine,
    pub(crate) receiver: Receiver,
    pub(crate) reads: Reads,
    pub(crate) room: Arc<Room>,
    in_flight: InFlight,
    /// The end of the log that the start found.
    found: Option<u64>,
    /// Whose append was taken last in this life.
    heard: watch::Sender<Option<LeaderId>>,
    /// The highest index that a caller was told.
    answered: AtomicU64,
    snapshots: Arc<SnapshotStore>,
    committer: Arc<Committer>,
    dir: Mutex<Option<DataDir>>,
}

impl Running {
    /// Notes the sender of an append or a heartbeat that was taken.
    pub(crate) fn hear(&self, leader: LeaderId) {
        self.heard.send_if_modified(|heard| heard.replace(leader) != Some(leader));
    }

    /// What the engine's metrics say now.
    fn picture(&self) -> Status {
        picture(&self.engine.metrics().borrow_watched(), self.found, *self.heard.borrow())
    }
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
        Self {
            status: watch::Sender::new(Status::initial(options.id)),
            options,
            running: Arc::default(),
            stopping: tokio::sync::Mutex::new(false),
        }
    }

    /// What this node's peers must reach on [`Channel::RAFT`](crate::Channel::RAFT). It may be handed out before `start`.
    pub fn peer_service(&self) -> Arc<dyn PeerService> {
        Arc::new(Service::new(self.running.clone()))
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
        let (root, faults) = (self.options.dir.clone(), self.options.faults.clone());
        let room = Arc::new(Room::new(root, self.options.reserve_bytes, faults.clone()));
        let store = LogStore::new(committer.clone(), room.clone(), faults);
        let (config, peers) = (self.config()?, Peers::new(&self.options));
        let engine = Raft::new(self.options.id, config, peers.clone(), store, opened.machine)
            .await
            .map_err(|e| Fatal::with("cannot start the engine", e))?;
        let running = self.running.get_or_init(|| Running {
            engine,
            receiver: Receiver::new(opened.snapshots.clone()),
            room,
            in_flight: InFlight::new(self.options.queue_bytes_max, self.options.queue_entries_max),
            snapshots: opened.snapshots,
            found: opened.last,
            heard: watch::Sender::new(None),
            answered: AtomicU64::new(0),
            reads: Reads::new(self.options.id, peers.clone()),
            committer,
            dir: Mutex::new(Some(opened.dir)),
        });
        self.form(&running.engine).await?;
        self.publish(running);
        Ok(())
    }

    fn config(&self) -> Result<Arc<openraft::Config>, Fatal> {
        let timing = self.options.timing;
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let config = openraft::Config {
            cluster_name: "metad".to_string(),
            heartbeat_interval: millis(timing.heartbeat),
            election_timeout_min: millis(timing.election_min),
            election_timeout_max: millis(timing.election_max),
            install_snapshot_timeout: 600_000,
            max_payload_entries: 512,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.options.snapshot_entries),
            max_in_snapshot_log_to_keep: self.options.tail_entries,
            // A follower this far behind is sent a snapshot when there is one that is newer than its log.
            replication_lag_threshold: self
                .options
                .snapshot_entries
                .saturating_add(self.options.tail_entries),
            purge_batch_size: self.options.snapshot_entries.clamp(1, 256),
            enable_pre_vote: Some(true),
            enable_leader_restore: Some(false),
            ..openraft::Config::default()
        };
        config.validate().map(Arc::new).map_err(|e| Fatal::with("the engine refuses its settings", e))
    }

    /// Makes a new member what its formation says; a cluster of one leads when this returns.
    async fn form(&self, engine: &Engine) -> Result<(), StartError> {
        let stopped = |e: openraft::errors::Fatal<TypeConfig>| Fatal::with("the engine stopped", e);
        let (id, formed) = (self.options.id, engine.is_initialized().await.map_err(stopped)?);
        let voters: BTreeSet<u64> = match (&self.options.formation, formed) {
            (_, true) => engine
                .with_raft_state(|state| state.membership_state.effective().voter_ids().collect())
                .await
                .map_err(stopped)?,
            (Formation::Wait, false) => return Ok(()),
            (Formation::Alone, false) => [id].into(),
            (Formation::Voters(voters), false) if voters.contains(&id) => voters.clone(),
            (Formation::Voters(_), false) => {
                return Err(Fatal::new(format!("node {id} is not one of the voters it should form")).into());
            }
        };
        if !formed {
            initialize(engine, &voters).await?;
        }
        if voters == BTreeSet::from([id]) {
            if formed {
                engine.trigger().elect(false).await.map_err(stopped)?;
            }
            lead(engine).await?;
        }
        Ok(())
    }

    /// Keeps the status in step with the engine's metrics until the engine is gone. Whoever sees `start` return sees it up to date.
    fn publish(&self, running: &Running) {
        let found = running.found;
        let (mut metrics, status) = (running.engine.metrics(), self.status.clone());
        // Weak: this task must not keep alive what it watches.
        let (room, member) = (running.room.clone(), Arc::downgrade(&self.running));
        let mut due = DueByBytes::new(self.options.snapshot_bytes);
        status.send_if_modified(|s| update(s, running.picture()));
        let mut heard = running.heard.subscribe();
        let mut standing = running.engine.server_metrics();
        tokio::spawn(async move {
            loop {
                // The borrow is short: the engine waits for it, and a copy of everything would cost more.
                let mut snapshot_index = 0;
                status.send_if_modified(|s| {
                    let now = picture(&metrics.borrow_and_update(), found, *heard.borrow_and_update());
                    snapshot_index = now.snapshot_index;
                    update(s, now)
                });
                let is_due = due.is_due(room.spent_bytes(), snapshot_index);
                if let (true, Some(member)) = (is_due, member.upgrade())
                    && let Some(running) = member.get()
                {
                    // An engine that has stopped needs no snapshot.
                    let _ = running.engine.trigger().snapshot().await;
                }
                // Positions move several times with each entry, and each word of it wakes everybody who listens: those
                // wait a little. Who leads does not.
                let moved = async {
                    let waited = tokio::time::timeout(POSITIONS_EVERY, standing.changed()).await;
                    // The engine tells the whole picture after its parts.
                    matches!(waited, Ok(Err(_))) || metrics.changed().await.is_err()
                };
                let gone = tokio::select! {
                    gone = moved => gone,
                    // The engine's picture does not change when the leader of the life before is heard again.
                    Ok(()) = heard.changed() => false,
                };
                if gone {
                    // An engine that is told to stop, or that fails, says so before it ends, and that word may come between
                    // two looks; one that panics says nothing.
                    status.send_if_modified(|s| {
                        let last = metrics.borrow_watched();
                        let news = update(s, picture(&last, found, *heard.borrow()));
                        news | (last.running_state.is_ok() && ended(s))
                    });
                    return;
                }
            }
        });
    }

    async fn replicate_inner(&self, batch: Vec<Proposal>) -> Answers {
        let (id, running) = match self.running.get() {
            Some(running) => (self.options.id, running),
            None => return vec![Err(ReplicateError::Stopped); batch.len()],
        };
        let mut held = running.in_flight.call();
        let (mut answers, accepted) = self.admit(batch, &mut held, running.room.is_full());
        if accepted.is_empty() {
            return answers;
        }
        let Ok(mut results) = running.engine.client_write_many(accepted).await else {
            return vec![Err(ReplicateError::Stopped); answers.len()];
        };
        for answer in answers.iter_mut().filter(|a| **a == Err(ReplicateError::Unknown)) {
            match results.next().await {
                Some(Ok(result)) => *answer = result.map(|r| r.log_id.index).map_err(|e| refusal(id, e)),
                // The engine stopped in the middle: what follows stays unknown.
                Some(Err(_)) | None => break,
            }
        }
        let last = answers.iter().flatten().max().copied().unwrap_or(0);
        running.answered.fetch_max(last, Ordering::Relaxed);
        answers
    }

    /// Decides what is proposed. What is accepted counts as unknown until its answer arrives.
    fn admit(&self, batch: Vec<Proposal>, held: &mut Held<'_>, full: bool) -> (Answers, Vec<Ops>) {
        let limit = self.options.entry_bytes_max;
        let (mut answers, mut accepted) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let mut refusal = full.then_some(ReplicateError::NoSpace);
        for proposal in batch {
            let bytes = proposal.ops.len();
            if bytes > limit {
                answers.push(Err(ReplicateError::TooLarge { bytes, limit }));
                continue;
            }
            if refusal.is_none() && !held.add(bytes) {
                // Once one proposal of a batch had to go, those behind it go too: a batch is never reordered.
                refusal = Some(ReplicateError::Busy);
            }
            answers.push(Err(refusal.clone().unwrap_or(ReplicateError::Unknown)));
            if refusal.is_none() {
                accepted.push(Ops(proposal.ops));
            }
        }
        (answers, accepted)
    }

    async fn barrier(&self, deadline: Instant) -> Result<u64, ReplicateError> {
        let running = self.running.get().ok_or(ReplicateError::Stopped)?;
        running.reads.barrier(&running.engine, deadline).await
    }

    /// Lets another voter lead, if there is one that answers.
    async fn hand_over(&self, engine: &Engine) {
        let now = engine.metrics().borrow_watched().clone();
        if now.state != ServerState::Leader || self.successor(&now).is_none() {
            return;
        }
        let deadline = Instant::now() + self.options.timing.election_max * 2;
        if let Err(e) = self.transfer_inner(None, deadline).await {
            tracing::warn!(error = %e, "the lead was not handed over before the stop");
        }
    }

    async fn stop_inner(&self) {
        let mut stopped = self.stopping.lock().await;
        let Some(running) = self.running.get().filter(|_| !*stopped) else { return };
        self.hand_over(&running.engine).await;
        self.settle().await;
        if let Err(e) = running.engine.shutdown().await {
            tracing::error!(error = %e, "the engine did not stop cleanly");
        }
        if let Err(e) = running.committer.flushed().await {
            tracing::error!(error = %e, "the log was not synced at the stop");
        }
        let cell = self.running.clone();
        let closed = on_a_thread("metad-log-stop", move || {
            if let Some(running) = cell.get() {
                running.snapshots.close();
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

/// Writes the first entry of a cluster's log: its members. One of several may find that another has done it already.
async fn initialize(engine: &Engine, voters: &BTreeSet<u64>) -> Result<(), StartError> {
    let members: BTreeMap<u64, EmptyNode> = voters.iter().map(|id| (*id, EmptyNode {})).collect();
    match engine.initialize(members).await {
        Ok(()) => Ok(()),
        Err(RaftError::APIError(InitializeError::NotAllowed(_))) if voters.len() > 1 => Ok(()),
        Err(e) => Err(Fatal::with("cannot form the cluster", e).into()),
    }
}

/// Waits until this node leads and has applied its log.
async fn lead(engine: &Engine) -> Result<(), StartError> {
    let stopped = |e: openraft::errors::Fatal<TypeConfig>| Fatal::with("the engine stopped", e);
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

fn refusal(id: u64, error: ClientWriteError<TypeConfig>) -> ReplicateError {
    match error {
        ClientWriteError::ForwardToLeader(to) => ReplicateError::NotLeader { leader: hint(id, to.leader_id) },
        // It may still be committed by another leader.
        ClientWriteError::LogEntryDiscarded(_)
        | ClientWriteError::ChangeMembershipError(_)
        | ClientWriteError::PreconditionFailed(_) => ReplicateError::Unknown,
    }
}

impl Drop for RaftReplicator {
    fn drop(&mut self) {
        // The journal must not go with a task of the engine: its own thread would then wait for itself.
        if let Some(running) = self.running.get() {
            running.snapshots.close();
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
        Box::pin(self.barrier(deadline))
    }

    fn status(&self) -> watch::Receiver<Status> {
        if let Some(running) = self.running.get() {
            // Positions are published a little late; whoever asks now gets those of now.
            // Looked at under the lock of what is published: an older picture never follows a newer one.
            self.status.send_if_modified(|s| s.failure.is_none() && update(s, running.picture()));
        }
        self.status.subscribe()
    }

    fn export(&self, deadline: Instant) -> Fut<'_, Result<SnapshotExport, ReplicateError>> {
        Box::pin(self.export_inner(deadline))
    }

    fn admin(&self) -> Option<&dyn ClusterAdmin> {
        Some(self)
    }

    fn stop(&self) -> Fut<'_, ()> {
        Box::pin(self.stop_inner())
    }
}
