//! `NoOpReplicator`: one node, no consensus, no network; a local journal makes kill -9 safe.
//!
//! ```no_run
//! use std::sync::Arc;
//! use metad_raft::noop::{Durability, NoOpReplicator, Options};
//! use metad_raft::{PosixMetadataReplicator, Proposal, StateMachine};
//!
//! # async fn example(machine: Arc<dyn StateMachine>) -> Result<(), Box<dyn std::error::Error>> {
//! let mut options = Options::new("/var/lib/metad/log");     // Durability::Os by default
//! options.durability = Durability::Fsync;                   // on request
//! let log = NoOpReplicator::new(options);                   // touches nothing yet
//! log.start(machine).await?;                                // recovers and replays
//! let answers = log.replicate(vec![Proposal { ops: "bytes".into() }]).await;
//! let index = answers[0].clone()?;                          // written and applied
//! log.stop().await;                                         // finishes what is in flight
//! # let _ = index; Ok(()) }
//! ```
//!
//! What a caller should know:
//! * The first entry has index 1. A call's proposals are queued when `replicate` is *called*, not when its future is
//!   polled: two calls made one after the other are applied in that order.
//! * Many small proposals are cheap when they come in one call, or from many callers at once: everything that waits
//!   shares one write. The lone caller pays two thread switches.
//! * `Busy`, `TooLarge`, `NoSpace` are decided before anything is queued: not applied. When one proposal of a call is
//!   `Busy`, those behind it are as well. `Unknown` comes only from a failing disk or machine, and then
//!   `status().failure` says why and everything later is `Stopped`.
//! * `StateMachine::apply` and `log_flushed` run on the journal's thread, `recovered`, `discard` and the first applies on
//!   a thread that ends with `start`; none of them on a thread of the async runtime, so they may block. `snapshot` is called
//!   on the journal's thread between two applies, its blocks are read on a thread of their own.
//! * The directory belongs to the replicator; keep the machine's files beside it. Wiping the machine's files is harmless (they
//!   are rebuilt), wiping this directory loses the data: a machine whose checkpoint does not fit the journal is discarded.
//! * `stop` is idempotent. Dropping the replicator stops it too, and waits for it.
//!
//! Not here: ordering between nodes.
//! Must always hold: whatever was answered with an index is in the journal, as durable as [`Durability`] says, and in
//! the machine; after a crash it still is.

mod export;
mod intake;
mod keeper;
mod ledger;
mod options;
mod recovery;
mod writer;

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

pub use options::{Durability, Options};

use crate::datadir::DataDir;
use crate::error::{Fatal, Leader, ReplicateError, StartError};
use crate::replicator::{Fut, PosixMetadataReplicator, Proposal, Role, SnapshotExport, Status};
use crate::room::Room;
use crate::state_machine::StateMachine;
use crate::thread::on_a_thread;
use intake::{Intake, Offered};
use keeper::Keeper;
use ledger::Ledger;
use writer::Writer;

pub(crate) use recovery::mark;
pub(crate) use writer::log_id;

/// The id of the only node.
const NODE_ID: u64 = 1;

/// Where a replicator is in its life; the mutex around it makes start and stop wait for each other.
enum Life {
    New,
    Running { _dir: DataDir },
    Stopped,
}

/// The replicator of one node; see the [module](self).
pub struct NoOpReplicator {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    status: watch::Sender<Status>,
    life: Mutex<Life>,
    writer: OnceLock<Arc<Writer>>,
}

impl NoOpReplicator {
    /// A replicator that is not started; nothing is opened yet.
    pub fn new(options: Options) -> Self {
        let leader = Some(Leader { id: NODE_ID, peer: None });
        let status = Status { role: Role::Leader, leader, ..Status::initial(NODE_ID) };
        let inner = Inner {
            options,
            status: watch::Sender::new(status),
            life: Mutex::new(Life::New),
            writer: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Queues `batch` now; the result says who answers.
    fn offer(&self, batch: Vec<Proposal>) -> Result<oneshot::Receiver<intake::Answers>, intake::Answers> {
        let Some(writer) = self.inner.writer.get() else {
            return Err(vec![Err(ReplicateError::Stopped); batch.len()]);
        };
        match writer.intake.offer(batch, writer.room.is_full()) {
            Offered::Refused(answers) => Err(answers),
            Offered::Waiting { answers, start_write } => {
                if start_write {
                    writer.start();
                }
                Ok(answers)
            }
        }
    }
}

impl Inner {
    fn start(&self, machine: Arc<dyn StateMachine>) -> Result<(), StartError> {
        let mut life = self.life.lock();
        if !matches!(*life, Life::New) {
            return Err(Fatal::new("a replicator is started once").into());
        }
        let found = recovery::recover(&self.options, &machine)?;
        let snapshot = (found.snapshot_index, found.snapshots.bytes(found.snapshot_index));
        let ledger = Ledger::new(&self.options, snapshot, found.last_index, found.journal.disk_bytes());
        let purged = found.journal.purged().map_or(0, |p| p.index);
        let options = self.options.clone();
        let writer = Arc::new(Writer {
            intake: Intake::new(&options),
            room: Room::new(options.dir.clone(), options.reserve_bytes, options.faults.clone()),
            machine,
            mark: found.mark,
            journal: Mutex::new(Some(found.journal)),
            ledger: Mutex::new(ledger),
            status: self.status.clone(),
            keeper: Mutex::new(None),
            options,
        });
        *writer.keeper.lock() = Some(Keeper::spawn(writer.clone(), found.snapshots)?);
        self.status.send_modify(|s| {
            let last = found.last_index;
            (s.last_log_index, s.committed_index, s.applied_index) = (last, last, last);
            s.snapshot_index = found.snapshot_index;
            s.purged_index = purged;
            s.recovered = true;
        });
        *life = Life::Running { _dir: found.dir };
        self.writer.get_or_init(|| writer);
        Ok(())
    }

    fn stop(&self) {
        let mut life = self.life.lock();
        if let Some(writer) = self.writer.get() {
            writer.intake.drain();
            let keeper = writer.keeper.lock().take();
            if let Some(keeper) = keeper {
                keeper.stop();
            }
            if let Err(e) = writer.sync() {
                writer.fail(&Fatal::with("cannot sync the journal", e));
            }
            let journal = writer.journal.lock().take();
            drop(journal);
        }
        // The lock of the directory goes last.
        *life = Life::Stopped;
    }
}

impl PosixMetadataReplicator for NoOpReplicator {
    fn start(&self, machine: Arc<dyn StateMachine>) -> Fut<'_, Result<(), StartError>> {
        let inner = self.inner.clone();
        let started = on_a_thread("metad-log-start", move || inner.start(machine));
        Box::pin(async move {
            match started {
                Ok(started) => started.await.unwrap_or_else(|_| Err(Fatal::new("start-up panicked").into())),
                Err(e) => Err(Fatal::with("cannot start a thread", e).into()),
            }
        })
    }

    fn replicate(&self, batch: Vec<Proposal>) -> Fut<'_, Vec<Result<u64, ReplicateError>>> {
        let count = batch.len();
        let offered = self.offer(batch);
        Box::pin(async move {
            match offered {
                // A writer that panicked drops the call unanswered.
                Ok(waiting) => waiting.await.unwrap_or_else(|_| vec![Err(ReplicateError::Unknown); count]),
                Err(refused) => refused,
            }
        })
    }

    fn read_barrier(&self, _deadline: Instant) -> Fut<'_, Result<u64, ReplicateError>> {
        // Every answer was given after its entry was applied here, so the local state has them all already.
        let running = self.inner.writer.get().is_some_and(|w| w.intake.is_open());
        let applied = self.inner.status.borrow().applied_index;
        let barrier = if running { Ok(applied) } else { Err(ReplicateError::Stopped) };
        Box::pin(async move { barrier })
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.inner.status.subscribe()
    }

    fn export(&self, deadline: Instant) -> Fut<'_, Result<SnapshotExport, ReplicateError>> {
        let writer = self.inner.writer.get().filter(|w| w.intake.is_open()).cloned();
        Box::pin(async move {
            let writer = writer.ok_or(ReplicateError::Stopped)?;
            let in_time = tokio::time::timeout_at(deadline.into(), export::export(&writer)).await;
            in_time.unwrap_or(Err(ReplicateError::Unknown))
        })
    }

    fn stop(&self) -> Fut<'_, ()> {
        let inner = self.inner.clone();
        let stopped = on_a_thread("metad-log-stop", move || inner.stop());
        Box::pin(async move {
            match stopped {
                Ok(stopped) => {
                    if stopped.await.is_err() {
                        tracing::error!("stopping the replicator panicked");
                    }
                }
                // Without a thread the caller's own has to do.
                Err(_) => self.inner.stop(),
            }
        })
    }
}

impl Drop for NoOpReplicator {
    fn drop(&mut self) {
        self.inner.stop();
    }
}
