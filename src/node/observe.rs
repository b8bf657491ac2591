//! What doors may ask about the whole node: readiness and the mount.
//!
//! Not here: metadata, the tree. Must always hold: nothing here waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::future::join_all;
use metad_raft::{Fut, PosixMetadataReplicator, ReplicateError, SnapshotExport};
use parking_lot::Mutex;

use super::control::Control;
use super::doctor::{self, Place};
use super::pulse::Pulse;
use crate::fuse;
use crate::http::{Check, Figures, Finding, MemberView, Mount, MountFigures, NodeView};
use crate::meta::cluster::Member;
use crate::meta::control::ClusterControl;
use crate::meta::leader_clock::Judgement;
use crate::meta::machine::MetaMachine;
use crate::resp;

/// The mount, if there is one; taken out at the end.
#[derive(Default)]
pub struct MountSlot(Option<fuse::Mount>);

impl MountSlot {
    /// A slot with a mount.
    pub fn of(mount: fuse::Mount) -> Self {
        Self(Some(mount))
    }
}

/// What the observer sees.
pub struct Seen {
    /// The log.
    pub replicator: Arc<dyn PosixMetadataReplicator>,
    /// The book.
    pub machine: Arc<MetaMachine>,
    /// Who is there; `None` where there is no cluster.
    pub pulse: Option<Arc<Pulse>>,
    /// Changes of the cluster.
    pub control: Option<Arc<Control>>,
    /// The members before the book.
    pub first: Vec<Member>,
    /// The Redis door.
    pub resp: Arc<resp::Door>,
}

/// Sees the node for its doors.
pub struct Observer {
    seen: Seen,
    mount: Mutex<MountSlot>,
    not_ready: Mutex<Option<&'static str>>,
    place: OnceLock<Place>,
}

impl Observer {
    /// An observer of a node that has started.
    pub fn new(seen: Seen, mount: MountSlot) -> Self {
        Self { seen, mount: Mutex::new(mount), not_ready: Mutex::new(None), place: OnceLock::new() }
    }

    /// Tells where the node stands, for examinations. Once.
    pub fn stands_at(&self, place: Place) {
        self.place.get_or_init(|| place);
    }

    /// Takes readiness away for good.
    pub fn not_ready(&self, why: &'static str) {
        *self.not_ready.lock() = Some(why);
    }

    /// Takes the mount out, to be detached.
    pub fn take_mount(&self) -> Option<fuse::Mount> {
        self.mount.lock().0.take()
    }
}

impl Observer {
    /// A member serves once the others know where it is.
    fn unannounced(&self) -> Option<String> {
        let own = self.seen.control.as_ref().map(|control| &control.own)?;
        let book = self.seen.machine.book();
        let book = book.borrow();
        if !book.is_founded() {
            return Some("the cluster's book is not opened yet".to_owned());
        }
        let known = book.member(own.id).is_some_and(|known| known.card == own.card);
        (!known).then(|| "the cluster does not know yet where this node is".to_owned())
    }
}

fn behind(recovered: bool) -> Option<String> {
    (!recovered).then(|| "what the log holds is not applied yet".to_owned())
}

fn mount_figures(counts: &fuse::Counts) -> MountFigures {
    MountFigures {
        opens_passthrough: counts.opens_passthrough,
        opens_cached: counts.opens_cached,
        opens_failed: counts.opens_failed,
        reads: counts.reads,
        reads_cold: counts.reads_cold,
        late: counts.late,
    }
}

/// An address, if it is known.
fn some(address: &str) -> Option<String> {
    Some(address.to_owned()).filter(|a| !a.is_empty())
}

impl NodeView for Observer {
    fn checks(&self) -> Vec<Check> {
        let status = self.seen.replicator.status().borrow().clone();
        let serving = self.not_ready.lock().map(str::to_owned);
        let mut checks = vec![
            Check { name: "serving", problem: serving },
            Check { name: "log", problem: status.failure },
            Check { name: "leader", problem: self.leaderless() },
            Check { name: "recovered", problem: behind(status.recovered) },
            Check { name: "member", problem: self.unannounced() },
            Check { name: "state", problem: self.alarm() },
            // The doors open after the first tree is complete, and the last good one is served for ever.
            Check { name: "tree", problem: None },
        ];
        if let Some(mount) = self.mount.lock().0.as_ref() {
            let status = mount.status();
            let mounted = status.state == fuse::MountState::Mounted;
            let problem = (!mounted).then(|| format!("the mount is {}", status.state.name()));
            checks.push(Check { name: "mount", problem });
        }
        checks
    }

    fn figures(&self) -> Figures {
        let (clients, counts) = (&self.seen.resp.clients, &self.seen.resp.counts);
        Figures {
            resp_connections: clients.count() as u64,
            resp_commands: counts.commands.load(Ordering::Relaxed),
            resp_errors: counts.errors.load(Ordering::Relaxed),
            fuse: self.mount.lock().0.as_ref().map(|mount| mount_figures(&mount.status().counts)),
        }
    }

    fn members(&self) -> Vec<MemberView> {
        let Some(admin) = self.seen.replicator.admin() else { return Vec::new() };
        let status = self.seen.replicator.status().borrow().clone();
        let (voters, progress) = (admin.membership().voters, admin.progress());
        let book = Arc::clone(&self.seen.machine.book().borrow());
        let members = if book.is_founded() { &book.members } else { &self.seen.first };
        let leader = status.leader.as_ref().filter(|_| self.leaderless().is_none());
        let view = |member: &Member| {
            let leads = leader.as_ref().is_some_and(|l| l.id == member.id);
            let own = (member.id == status.id).then_some(status.last_log_index);
            let known = progress.iter().find(|p| p.id == member.id);
            let matched_index = own.or_else(|| known.and_then(|p| p.matched_index));
            let contact = self.seen.pulse.as_ref().and_then(|pulse| pulse.contact(member.id));
            let own_lag = own.map(|_| status.committed_index.saturating_sub(status.applied_index));
            let card = &member.card;
            MemberView {
                id: member.id,
                name: card.name.clone(),
                voter: voters.contains(&member.id),
                leads,
                http: some(&card.http),
                resp: some(&card.resp),
                peer: some(&card.peer),
                matched_index,
                lag: own_lag.or(contact.map(|c| c.lag)),
                rtt: contact.map(|c| c.rtt),
                seen: contact.map(|c| c.at.elapsed()),
            }
        };
        members.iter().map(view).collect()
    }

    fn leaderless(&self) -> Option<String> {
        let status = self.seen.replicator.status().borrow().clone();
        let Some(leader) = &status.leader else {
            return Some("no leader is known: reads and trees are stale".to_owned());
        };
        let (pulse, admin) = (self.seen.pulse.as_ref()?, self.seen.replicator.admin()?);
        let near = |id: u64| id == status.id || pulse.is_near(id);
        if leader.id != status.id {
            let silent = || format!("node {}, the last leader, does not answer", leader.id);
            return (!near(leader.id)).then(silent);
        }
        let voters = admin.membership().voters;
        let answering = voters.iter().filter(|id| near(**id)).count();
        let few = || format!("only {answering} of {} voters answer: no write can be committed", voters.len());
        (answering * 2 <= voters.len()).then(few)
    }

    fn alarm(&self) -> Option<String> {
        self.seen.pulse.as_ref().and_then(|pulse| pulse.alarm())
    }

    fn clock_ahead_ms(&self) -> Option<i64> {
        match self.seen.pulse.as_ref()?.clock() {
            Judgement::Near(ahead) | Judgement::Far(ahead) => Some(ahead),
            Judgement::Unknown => None,
        }
    }

    fn control(&self) -> Option<&dyn ClusterControl> {
        self.seen.control.as_deref().map(|control| control as &dyn ClusterControl)
    }

    fn examine(&self) -> Vec<Finding> {
        let status = self.seen.replicator.status().borrow().clone();
        let mut findings = self.place.get().map_or_else(Vec::new, |place| doctor::examine(place, &status));
        findings.extend(self.seen.pulse.as_ref().map(|pulse| doctor::clock(pulse.clock())));
        findings
    }

    fn examine_peers(&self) -> Fut<'_, Vec<Finding>> {
        let Some(pulse) = &self.seen.pulse else { return Box::pin(async { Vec::new() }) };
        let own = self.seen.replicator.status().borrow().id;
        let others: Vec<_> = self.members().into_iter().filter(|m| m.id != own).collect();
        Box::pin(async move { join_all(others.iter().map(|m| doctor::lanes(pulse, m.id, &m.name))).await })
    }

    fn snapshot(&self, deadline: Instant) -> Fut<'_, Result<SnapshotExport, ReplicateError>> {
        self.seen.replicator.export(deadline)
    }

    fn mount(&self) -> Option<Mount> {
        let status = self.mount.lock().0.as_ref()?.status();
        Some(Mount {
            path: status.path.display().to_string(),
            state: status.state.name().to_owned(),
            passthrough: status.passthrough,
        })
    }
}
