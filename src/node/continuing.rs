//! What changes of the cluster left to do: votes that were asked for before their node had caught up, and changes that were left
//! half-way.
//!
//! Not here: the changes (`control`). Must always hold: only the leader does it, and it forgets what it was asked for when it
//! loses the lead; whoever takes a vote or a member away takes the wish for its vote with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::{AdminError, ClusterAdmin, PosixMetadataReplicator, Role};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long one attempt waits for a node to catch up. Short, since whoever takes a wish back waits for the attempt to end.
const PATIENCE: Duration = Duration::from_secs(1);
/// A change that is half-way for so many looks was left: one that is on its way ends sooner.
const LEFT_AFTER: u32 = 5;

/// Goes on with what was left.
pub struct Continuing {
    replicator: Arc<dyn PosixMetadataReplicator>,
    /// Learners that are to get a vote.
    wanted: Mutex<BTreeSet<u64>>,
    /// Held by an attempt from its look at `wanted` to its end.
    attempt: tokio::sync::Mutex<()>,
}

impl Continuing {
    /// Nothing is left yet.
    pub fn new(replicator: Arc<dyn PosixMetadataReplicator>) -> Arc<Self> {
        Arc::new(Self { replicator, wanted: Mutex::default(), attempt: tokio::sync::Mutex::default() })
    }

    /// A learner is to get its vote once it has caught up.
    pub fn promote(&self, id: u64) {
        self.wanted.lock().insert(id);
    }

    /// It is not, any more. Once this returns, no attempt is on its way either: what its caller does next is not undone by one.
    pub async fn forget(&self, id: u64) {
        self.granted(id);
        drop(self.attempt.lock().await);
    }

    fn granted(&self, id: u64) {
        self.wanted.lock().remove(&id);
    }

    /// Works until `closing`.
    pub async fn run(self: Arc<Self>, closing: CancellationToken) {
        let mut half_way = (0, 0);
        while closing.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            if closing.run_until_cancelled(self.look(&mut half_way)).await.is_none() {
                return;
            }
        }
    }

    /// One look; `half_way` is the index of the last half-way membership, and for how many looks it has been there.
    async fn look(&self, half_way: &mut (u64, u32)) {
        let Some(admin) = self.replicator.admin() else { return };
        if self.replicator.status().borrow().role != Role::Leader {
            self.wanted.lock().clear();
            *half_way = (0, 0);
            return;
        }
        let now = admin.membership();
        *half_way = match (now.joint, half_way.0 == now.index) {
            (true, true) => (now.index, half_way.1 + 1),
            (true, false) => (now.index, 1),
            (false, _) => (0, 0),
        };
        if half_way.1 >= LEFT_AFTER {
            match admin.finish().await {
                Ok(done) => tracing::info!(done, "finished a change of the members that was left half-way"),
                Err(error) => tracing::debug!(%error, "a change of the members is still half-way"),
            }
        }
        let wanted: Vec<u64> = self.wanted.lock().iter().copied().collect();
        for id in wanted {
            self.go_on(admin, id).await;
        }
    }

    async fn go_on(&self, admin: &dyn ClusterAdmin, id: u64) {
        let _attempt = self.attempt.lock().await;
        if !self.wanted.lock().contains(&id) {
            return;
        }
        match admin.promote(id, Instant::now() + PATIENCE).await {
            Ok(index) => {
                tracing::info!(id, index, "a node has caught up and votes");
                self.granted(id);
            }
            Err(AdminError::NoSuchMember(_)) => self.granted(id),
            Err(error) => tracing::debug!(id, %error, "a node has no vote yet"),
        }
    }
}
