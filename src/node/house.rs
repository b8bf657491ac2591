//! Housekeeping of a member: the book is opened once, each member's address in it is right, and the first rules are there.
//!
//! Not here: changes that people ask for (`control`). Must always hold: an idle cluster writes nothing; whatever fails is
//! tried again; the first rules are written under a guard, so that they never replace rules that somebody set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use metad_raft::{PosixMetadataReplicator, Role};
use tokio_util::sync::CancellationToken;

use super::peering::Peering;
use crate::meta::cluster::{ClusterOp, ClusterReject, Member};
use crate::meta::leader_clock::Judgement;
use crate::meta::log_clock::LogClock;
use crate::meta::machine::MetaMachine;
use crate::meta::op::{Guard, Op, SystemOp};
use crate::meta::response::{Reject, Response};
use crate::meta::service::{MetadataService, ServiceError, WriteOptions};
use crate::vfs::RuleSet;

/// How long one write may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause after one that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// What a member needs to keep its house.
pub struct House {
    /// The book.
    pub machine: Arc<MetaMachine>,
    /// The way to write.
    pub service: Arc<dyn MetadataService>,
    /// Who leads.
    pub replicator: Arc<dyn PosixMetadataReplicator>,
    /// The port; `None` where there is no network.
    pub peering: Option<Arc<Peering>>,
    /// This member as it is.
    pub own: Member,
    /// The cluster's id.
    pub cluster_id: String,
    /// The members before the book, this one included.
    pub first: Vec<Member>,
    /// The clock that stamps entries.
    pub clock: Arc<LogClock>,
    /// Whether this boot has taken an address that the book had for another member.
    pub moved: AtomicBool,
    /// Cancelled once the book says that this node was removed.
    pub removed: CancellationToken,
}

impl House {
    /// Keeps addresses, tombstones and the book in step until `closing`.
    pub async fn run(self: Arc<Self>, closing: CancellationToken) {
        let mut book = self.machine.book();
        loop {
            self.follow();
            let pause = match self.tidy().await {
                Ok(true) => None,
                Ok(false) => Some(PAUSE),
                Err(error) => {
                    tracing::debug!(%error, "housekeeping is tried again");
                    Some(PAUSE)
                }
            };
            let changed = async {
                match pause {
                    // Nothing is missing: only a change of the book can bring work.
                    None => drop(book.changed().await),
                    Some(pause) => drop(tokio::time::timeout(pause, book.changed()).await),
                }
            };
            if closing.run_until_cancelled(changed).await.is_none() {
                return;
            }
        }
    }

    fn follow(&self) {
        let book = Arc::clone(&self.machine.book().borrow());
        if let Some(peering) = &self.peering {
            peering.follow(&book, &self.first);
        }
        if book.is_removed(self.own.id) {
            self.removed.cancel();
        }
    }

    /// Writes what is missing; whether nothing is missing any more.
    pub async fn tidy(&self) -> Result<bool, ServiceError> {
        if self.is_tidy() {
            return self.raise_level().await;
        }
        // A node of a moment ago may not have applied what is in the log already: the book, above all.
        self.replicator.read_barrier(Instant::now() + PATIENCE).await.map_err(|_| ServiceError::NoLeader)?;
        if self.is_tidy() {
            return self.raise_level().await;
        }
        if self.machine.book().borrow().is_founded() {
            return self.announce().await.map(|()| true);
        }
        if self.replicator.status().borrow().role != Role::Leader {
            return Ok(false);
        }
        // The first entries give the log its time: no book before the clocks of a majority are known.
        if self.clock.judge() == Judgement::Unknown {
            return Ok(false);
        }
        self.found().await.map(|()| true)
    }

    /// Once every member can apply a higher feature level, the leader lets entries use it. Whether nothing is left to do.
    async fn raise_level(&self) -> Result<bool, ServiceError> {
        let common = self.machine.book().borrow().common_level();
        let Some(level) = common.filter(|level| *level > self.machine.feature_level()) else {
            return Ok(true);
        };
        if self.replicator.status().borrow().role == Role::Leader {
            if let Some(why) = self.refused(Op::System(SystemOp::SetFeatureLevel { level })).await? {
                // The same book refuses it again: the next change of it brings the next attempt.
                tracing::warn!(level, %why, "the feature level stays as it is");
                return Ok(true);
            }
            tracing::info!(level, "every member knows it: entries may use this feature level now");
        }
        Ok(false)
    }

    /// Whether the book is open and knows this member as it is. One that it does not list has nothing to tell.
    fn is_tidy(&self) -> bool {
        let book = self.machine.book();
        let book = book.borrow();
        book.is_founded() && book.member(self.own.id).is_none_or(|known| known.card == self.own.card)
    }

    /// The first leader sets the first rules and opens the book.
    async fn found(&self) -> Result<(), ServiceError> {
        write_default_rules(self.service.as_ref()).await?;
        let mut members: Vec<Member> = self.first.iter().filter(|m| m.id != self.own.id).cloned().collect();
        members.push(self.own.clone());
        let found = ClusterOp::Found { cluster_id: self.cluster_id.clone(), members };
        self.write(Op::System(SystemOp::Cluster(found))).await
    }

    /// Tells where this node is. Where the book has another member, this node takes the place, once: were the address really
    /// both nodes', they would take it from each other for ever.
    async fn announce(&self) -> Result<(), ServiceError> {
        let told = self.propose(ClusterOp::Announce { member: self.own.clone() }).await?;
        let Some(Reject::Cluster(ClusterReject::Taken { id })) = told else { return self.report(told) };
        let holds = |m: &Member| m.id == id && m.card.is_at(&self.own.card.peer);
        if !self.machine.book().borrow().members.iter().any(holds) || self.moved.load(Ordering::Relaxed) {
            return self.report(told);
        }
        tracing::warn!(id, address = %self.own.card.peer, "this node is where the book has another member");
        // One without an answer is proposed again: only an answer uses up the one time.
        let told = self.propose(ClusterOp::Move { member: self.own.clone() }).await?;
        self.moved.store(true, Ordering::Relaxed);
        self.report(told)
    }

    fn report(&self, refused: Option<Reject>) -> Result<(), ServiceError> {
        if let Some(why) = refused {
            tracing::error!(%why, "the cluster's book refuses what this node says of itself");
        }
        Ok(())
    }

    /// Proposes a change of the book; why it was refused, if it was.
    async fn propose(&self, op: ClusterOp) -> Result<Option<Reject>, ServiceError> {
        self.refused(Op::System(SystemOp::Cluster(op))).await
    }

    /// Writes one operation; why it was refused, if it was.
    async fn refused(&self, op: Op) -> Result<Option<Reject>, ServiceError> {
        let written = self.service.write(vec![op], options()).await?;
        let refused = |response| if let Response::Rejected(why) = response { Some(why) } else { None };
        Ok(written.responses.into_iter().find_map(refused))
    }

    async fn write(&self, op: Op) -> Result<(), ServiceError> {
        let refused = self.refused(op).await?;
        self.report(refused)
    }
}

fn options() -> WriteOptions {
    WriteOptions { deadline: Instant::now() + PATIENCE }
}

/// The rules are replicated state from the first entry on: a newer build with other defaults moves nobody's files.
pub async fn write_default_rules(service: &dyn MetadataService) -> Result<(), ServiceError> {
    if service.rules()?.text.is_some() {
        return Ok(());
    }
    let rules = RuleSet::default();
    let op = rules.set_operation(rules.to_string());
    let once = Op::Atomic { guards: vec![Guard::NoRules], ops: vec![op] };
    service.write(vec![once], options()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use metad_raft::NoOpReplicator;
    use metad_raft::noop::Options;

    use super::*;
    use crate::clock::ManualClock;
    use crate::meta::cluster::NodeCard;
    use crate::meta::entry::FEATURE_LEVEL;
    use crate::meta::log_service::LogService;
    use crate::meta::store::shelf::MemoryShelf;

    fn member(id: u64, feature_max: u32) -> Member {
        let (name, peer) = (format!("n{id}"), format!("n{id}:1"));
        let card =
            NodeCard { name, incarnation: id, peer, feature_min: 1, feature_max, ..NodeCard::default() };
        Member { id, card }
    }

    async fn house(dir: &std::path::Path, own: Member) -> House {
        let machine = Arc::new(MetaMachine::open(Box::new(MemoryShelf::default())).unwrap());
        let replicator = Arc::new(NoOpReplicator::new(Options::new(dir)));
        replicator.start(Arc::clone(&machine) as _).await.unwrap();
        let wall = Arc::new(ManualClock::at(1));
        let clock = Arc::new(LogClock::new(wall, Arc::clone(&machine), own.id, [own.id].into()));
        let service = LogService::start(
            Arc::clone(&machine),
            Arc::clone(&replicator) as _,
            None,
            Arc::clone(&clock) as _,
            1,
        );
        House {
            machine,
            service: Arc::new(service.unwrap()),
            replicator,
            peering: None,
            own: own.clone(),
            cluster_id: "c".into(),
            first: vec![own, member(2, FEATURE_LEVEL)],
            clock,
            moved: AtomicBool::default(),
            removed: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn the_feature_level_rises_once_the_last_member_knows_a_higher_one() {
        let dir = tempfile::tempdir().unwrap();
        let newer = FEATURE_LEVEL + 1;
        let house = house(dir.path(), member(1, newer)).await;
        assert!(house.tidy().await.unwrap(), "the book is opened");
        assert!(house.tidy().await.unwrap(), "and nothing is left to do");
        assert_eq!(house.machine.feature_level(), FEATURE_LEVEL, "node 2 does not know more");
        let announce = ClusterOp::Announce { member: member(2, newer) };
        house.write(Op::System(SystemOp::Cluster(announce))).await.unwrap();
        house.tidy().await.unwrap();
        assert_eq!(house.machine.feature_level(), newer);
        assert!(house.tidy().await.unwrap());
    }
}
