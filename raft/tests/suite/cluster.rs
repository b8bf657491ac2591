//! Several members in one process, each with a directory and a toy machine.
//!
//! Not here: what is promised (see the tests). Must always hold: nothing here waits for time; it waits for what it wants to see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::select_all;
use metad_raft::consensus::{Formation, Options};
use metad_raft::{
    AdminError, ClusterAdmin, PosixMetadataReplicator, Proposal, RaftReplicator, ReplicateError, Role, Status,
};

use crate::disk::{Disk, photograph};
use crate::machine::{State, Toy};
use crate::net::Net;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// When a test gives up.
pub fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// One node: what outlives it, and its running replicator.
pub struct Member {
    pub dir: tempfile::TempDir,
    pub toy: Toy,
    pub disk: Arc<Disk>,
    pub log: Option<Arc<RaftReplicator>>,
}

impl Member {
    pub fn log(&self) -> &RaftReplicator {
        self.log.as_ref().unwrap()
    }

    pub fn status(&self) -> Status {
        self.log().status().borrow().clone()
    }
}

pub struct Cluster {
    pub net: Net,
    pub members: BTreeMap<u64, Member>,
    pub change: fn(&mut Options),
}

impl Cluster {
    /// Members 1 to `n`, formed.
    pub async fn of(n: u64, change: fn(&mut Options)) -> Self {
        let mut cluster = Self { net: Net::new(1), members: BTreeMap::new(), change };
        let voters: BTreeSet<u64> = (1..=n).collect();
        for id in 1..=n {
            cluster.add(id, Formation::Voters(voters.clone())).await;
        }
        cluster
    }

    /// Starts a new member with an empty directory.
    pub async fn add(&mut self, id: u64, formation: Formation) {
        let (dir, toy) = (tempfile::tempdir().unwrap(), Toy::default());
        self.members.insert(id, Member { dir, toy, disk: Disk::new(), log: None });
        self.start(id, formation).await;
    }

    /// Starts a member on what its directory and its machine's disk hold.
    pub async fn start(&mut self, id: u64, formation: Formation) {
        let member = self.members.get_mut(&id).unwrap();
        let mut options = Options::new(member.dir.path());
        (options.id, options.formation) = (id, formation);
        options.transport = Some(self.net.transport(id));
        options.faults = member.disk.clone();
        (self.change)(&mut options);
        let log = RaftReplicator::new(options);
        self.net.serve(id, log.peer_service());
        log.start(Arc::new(member.toy.clone())).await.unwrap();
        member.log = Some(Arc::new(log));
    }

    /// kill -9: what the member's directory holds at this moment is all that its next life finds.
    pub async fn kill(&mut self, id: u64) {
        let next = tempfile::tempdir().unwrap();
        self.net.leave(id);
        let member = self.members.get_mut(&id).unwrap();
        let stored = member.toy.stored();
        photograph(member.dir.path(), next.path());
        member.toy = Toy::after_crash(stored);
        let log = member.log.take().unwrap();
        member.dir = next;
        // Calls that are still waiting hold it, and the dead say nothing more.
        tokio::spawn(async move { log.stop().await });
    }

    /// Stops a member in good order.
    pub async fn stop(&mut self, id: u64) {
        let member = self.members.get_mut(&id).unwrap();
        member.log.take().unwrap().stop().await;
        self.net.leave(id);
        member.toy = Toy::after_crash(member.toy.stored());
    }

    pub fn running(&self) -> impl Iterator<Item = (u64, &Member)> {
        self.members.iter().filter(|(_, m)| m.log.is_some()).map(|(id, m)| (*id, m))
    }

    /// Waits until some running member leads and answers a barrier.
    pub async fn leader(&self) -> u64 {
        let end = deadline();
        let mut seen: Vec<_> = self.running().map(|(id, m)| (id, m.log().status())).collect();
        loop {
            assert!(Instant::now() < end, "nobody leads");
            for (id, status) in &mut seen {
                let leads = status.borrow_and_update().role == Role::Leader;
                let soon = Instant::now() + Duration::from_secs(1);
                if leads && self.members[id].log().read_barrier(soon).await.is_ok() {
                    return *id;
                }
            }
            let changes = select_all(seen.iter_mut().map(|(_, status)| Box::pin(status.changed())));
            assert!(tokio::time::timeout(PATIENCE, changes).await.is_ok(), "nothing happens");
        }
    }

    /// Has whoever leads make a change, again and again until it is done or refused for good.
    pub async fn change(
        &self,
        change: impl AsyncFn(&dyn ClusterAdmin) -> Result<u64, AdminError>,
    ) -> Result<u64, AdminError> {
        let end = deadline();
        loop {
            match change(self.admin(self.leader().await)).await {
                Err(
                    AdminError::NotLeader { .. }
                    | AdminError::Conflict
                    | AdminError::Begun
                    | AdminError::TimedOut(_)
                    | AdminError::Replicate(_),
                ) if Instant::now() < end => {}
                settled => return settled,
            }
        }
    }

    /// Writes `key=value` through whoever leads, again and again until it is answered. Returns its index.
    pub async fn put(&self, key: &str, value: &str) -> u64 {
        loop {
            let leader = self.leader().await;
            let entry = Proposal { ops: format!("{key}={value}").into() };
            let answers = self.members[&leader].log().replicate(vec![entry]).await;
            match &answers[0] {
                Ok(index) => return *index,
                Err(ReplicateError::NotLeader { .. } | ReplicateError::Unknown) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// Waits until member `id` is as wanted.
    pub async fn until(&self, id: u64, what: &str, wanted: impl FnMut(&Status) -> bool) {
        let mut status = self.members[&id].log().status();
        let reached = tokio::time::timeout(PATIENCE, status.wait_for(wanted)).await;
        assert!(reached.is_ok_and(|r| r.is_ok()), "{what}: {:?}", self.members[&id].status());
    }

    /// Waits until every running member has applied `index`; they then hold the same state.
    pub async fn agree(&self, index: u64) -> State {
        for (id, _) in self.running() {
            self.until(id, "does not catch up", |s| s.applied_index >= index).await;
        }
        let states: Vec<State> = self.running().map(|(_, m)| m.toy.state()).collect();
        assert!(states.windows(2).all(|w| w[0] == w[1]), "the members differ");
        states[0].clone()
    }

    pub fn admin(&self, id: u64) -> &dyn ClusterAdmin {
        self.members[&id].log().admin().unwrap()
    }
}
