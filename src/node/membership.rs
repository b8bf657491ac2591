//! What a node does because it is a member of a cluster: housekeeping, pulses, changes on request.
//!
//! Not here: how each is done (`house`, `pulse`, `control`). Must always hold: a node alone has its book and its rules
//! before it serves; a node of several never waits for the others here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use metad_raft::{Channel, PosixMetadataReplicator};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::NodeError;
use super::continuing::Continuing;
use super::control::Control;
use super::ground::Ground;
use super::house::{House, write_default_rules};
use super::locate::Locator;
use super::pulse::Pulse;
use crate::meta::cluster::Member;
use crate::meta::log_clock::LogClock;
use crate::meta::machine::MetaMachine;
use crate::meta::service::MetadataService;

/// A member at work.
pub struct Membership {
    /// Changes on request; `None` where there is no cluster.
    pub control: Option<Arc<Control>>,
    /// Who is there; `None` where there is no cluster.
    pub pulse: Option<Arc<Pulse>>,
    /// The tasks, which end when the node closes.
    pub keeping: Vec<JoinHandle<()>>,
    /// The members before the book.
    pub first: Vec<Member>,
}

impl Membership {
    /// Starts what belongs to a member.
    pub async fn start(
        ground: &Ground,
        own: Member,
        machine: &Arc<MetaMachine>,
        replicator: &Arc<dyn PosixMetadataReplicator>,
        service: &Arc<dyn MetadataService>,
        clock: &Arc<LogClock>,
        removed: &CancellationToken,
    ) -> Result<Self, NodeError> {
        let first = ground.first(&own);
        let Some(peering) = &ground.peering else {
            write_default_rules(service.as_ref()).await?;
            return Ok(Self { control: None, pulse: None, keeping: Vec::new(), first });
        };
        let house = Arc::new(House {
            machine: Arc::clone(machine),
            service: Arc::clone(service),
            replicator: Arc::clone(replicator),
            peering: Some(Arc::clone(peering)),
            own: own.clone(),
            cluster_id: ground.file.cluster_id.clone(),
            first: first.clone(),
            clock: Arc::clone(clock),
            moved: AtomicBool::default(),
            removed: removed.clone(),
        });
        if ground.file.seeds.is_empty() && ground.file.founder && !machine.book().borrow().is_founded() {
            house.tidy().await?;
        }
        let pulse = Pulse::new(Arc::clone(machine), peering.way(), Arc::clone(clock), removed.clone());
        let continuing = Continuing::new(Arc::clone(replicator));
        let control = Arc::new(Control {
            machine: Arc::clone(machine),
            service: Arc::clone(service),
            replicator: Arc::clone(replicator),
            peering: Arc::clone(peering),
            pulse: Arc::clone(&pulse),
            continuing: Arc::clone(&continuing),
            own: own.clone(),
        });
        peering.server.register(Channel::CLUSTER, Arc::clone(&control) as _);
        let others = others(machine, own.id, &first);
        let (log, own_id) = (Arc::clone(replicator), own.id);
        let voters = move || voters(log.as_ref(), own_id);
        let locator = Locator {
            machine: Arc::clone(machine),
            peering: Arc::clone(peering),
            pulse: Arc::clone(&pulse),
            own,
            cluster_id: ground.file.cluster_id.clone(),
            first: first.clone(),
            peers: ground.peers.clone(),
        };
        let keeping = vec![
            tokio::spawn(continuing.run(ground.closing.clone())),
            tokio::spawn(locator.run(ground.closing.clone())),
            tokio::spawn(house.run(ground.closing.clone())),
            tokio::spawn(Arc::clone(&pulse).run(others, voters, ground.closing.clone())),
        ];
        Ok(Self { control: Some(control), pulse: Some(pulse), keeping, first })
    }
}

/// Who votes; a node alone does.
pub fn voters(log: &dyn PosixMetadataReplicator, own: u64) -> BTreeSet<u64> {
    log.admin().map_or_else(|| [own].into(), |admin| admin.membership().voters)
}

/// The members but this one, as the book says now.
fn others(machine: &Arc<MetaMachine>, own: u64, first: &[Member]) -> impl Fn() -> Vec<u64> + Send + use<> {
    let (book, first) = (machine.book(), first.iter().map(|m| m.id).collect::<Vec<u64>>());
    move || {
        let book = Arc::clone(&book.borrow());
        let ids = if book.is_founded() { book.members.iter().map(|m| m.id).collect() } else { first.clone() };
        ids.into_iter().filter(|id| *id != own).collect()
    }
}
