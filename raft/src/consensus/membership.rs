//! Changes of who belongs to the cluster and of who leads it, on openraft.
//!
//! Not here: what is allowed is decided here, how it is agreed is openraft's business (joint consensus).
//! Must always hold:
//! * each change is made against the membership that the checks looked at, or not at all;
//! * the voters of afterwards have a majority that answered lately, so no change takes the quorum away;
//! * only a learner that has caught up gets a vote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::Instant as _;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{ChangeMembers, EmptyNode, Precondition, RaftMetrics, ServerState};

use super::types::TypeConfig;
use super::{Engine, RaftReplicator, hint};
use crate::admin::{AdminError, ClusterAdmin, Membership, PeerProgress};
use crate::error::ReplicateError;
use crate::replicator::Fut;

/// A learner this many entries behind counts as caught up: it gets there while its promotion is agreed.
const CAUGHT_UP_ENTRIES: u64 = 500;

type Metrics = RaftMetrics<TypeConfig>;
type Changes = ChangeMembers<u64, EmptyNode>;

fn stopped<E>(_: E) -> AdminError {
    AdminError::Replicate(ReplicateError::Stopped)
}

fn membership_of(now: &Metrics) -> Membership {
    let stored = &now.membership_config;
    let voters: BTreeSet<u64> = stored.membership().voter_ids().collect();
    let learners = stored.membership().learner_ids().filter(|id| !voters.contains(id)).collect();
    let joint = stored.membership().get_joint_config().len() > 1;
    Membership { index: stored.log_id().as_ref().map_or(0, |id| id.index), voters, learners, joint }
}

fn progress_of(now: &Metrics) -> Vec<PeerProgress> {
    let members = membership_of(now);
    let matched = |id: &u64| Some((*now.replication.as_ref()?.get(id)?).as_ref()?.index);
    let contact = |id: &u64| Some((*now.heartbeat.as_ref()?.get(id)?).as_ref()?.elapsed());
    let all = members.voters.iter().chain(&members.learners).filter(|id| **id != now.id);
    all.map(|id| PeerProgress { id: *id, matched_index: matched(id), last_contact: contact(id) }).collect()
}

impl RaftReplicator {
    fn now(&self) -> Result<(&Engine, Metrics), AdminError> {
        let engine = self.engine()?;
        Ok((engine, engine.metrics().borrow_watched().clone()))
    }

    /// The metrics, if this node leads.
    fn leading(&self) -> Result<(&Engine, Metrics), AdminError> {
        let (engine, now) = self.now()?;
        if now.state != ServerState::Leader {
            return Err(AdminError::NotLeader { leader: hint(now.id, now.current_leader) });
        }
        Ok((engine, now))
    }

    /// A member that has not answered for this long counts as down.
    fn silence_max(&self) -> Duration {
        self.options.timing.election_max
    }

    fn is_up(&self, now: &Metrics, id: u64) -> bool {
        id == now.id
            || progress_of(now)
                .iter()
                .any(|p| p.id == id && p.last_contact.is_some_and(|c| c < self.silence_max()))
    }

    /// Refuses a change after which `voters` would have no majority that is up. A leader that has only just begun gets a moment to
    /// hear from the others.
    async fn keeps_quorum(&self, voters: &BTreeSet<u64>) -> Result<(), AdminError> {
        if voters.is_empty() {
            return Err(AdminError::Unsafe("a cluster keeps at least one voter; add another first".into()));
        }
        let up = |now: &Metrics| voters.iter().filter(|id| self.is_up(now, **id)).count();
        let deadline = Instant::now() + self.silence_max();
        let enough = |now: &Metrics| up(now) * 2 > voters.len() || now.state != ServerState::Leader;
        if self.wait(deadline, enough, String::new).await.is_ok() {
            return Ok(());
        }
        let (_, now) = self.leading()?;
        let down: Vec<String> =
            voters.iter().filter(|id| !self.is_up(&now, **id)).map(u64::to_string).collect();
        Err(AdminError::Unsafe(format!(
            "of the {} voters there would be, only {} answer; bring back or remove node {} first",
            voters.len(),
            up(&now),
            down.join(", ")
        )))
    }

    /// Makes a change, if the membership is still the one in `now`.
    async fn change(&self, now: &Metrics, changes: Changes, retain: bool) -> Result<u64, AdminError> {
        let seen =
            Precondition::LastMembershipLogId { last_membership_log_id: *now.membership_config.log_id() };
        let engine = self.engine()?.clone();
        // On its own feet: a caller that goes away between the two steps must not leave both majorities needed for ever.
        let both = tokio::spawn(async move { engine.change_membership_if(changes, retain, [seen]).await });
        match both.await.map_err(stopped)? {
            Ok(done) => Ok(done.log_id.index),
            Err(RaftError::Fatal(_)) => Err(stopped(())),
            Err(RaftError::APIError(error)) => {
                let refused = refusal(now.id, error);
                let lost = matches!(refused, AdminError::NotLeader { .. });
                Err(if lost && self.has_begun(now).await? { AdminError::Begun } else { refused })
            }
        }
    }

    /// Whether a step of a change that was made against the membership in `now` is in this node's log. The metrics lag behind, so
    /// the log is asked.
    async fn has_begun(&self, now: &Metrics) -> Result<bool, AdminError> {
        let seen = *now.membership_config.log_id();
        let asked = self.engine()?.with_raft_state(move |s| *s.membership_state.effective().log_id() != seen);
        asked.await.map_err(stopped)
    }

    /// Finishes a change that a leader before this one began: until then both its majorities are needed. Whether there was one.
    async fn finish_begun(&self) -> Result<bool, AdminError> {
        let (_, now) = self.leading()?;
        if now.membership_config.membership().get_joint_config().len() < 2 {
            return Ok(false);
        }
        let index = self.change(&now, ChangeMembers::AddVoterIds(BTreeSet::new()), true).await?;
        let deadline = Instant::now() + self.silence_max();
        let known = |now: &Metrics| now.membership_config.log_id().is_some_and(|id| id.index >= index);
        self.wait(deadline, known, || "the change before this one did not end in time; ask again".to_owned())
            .await?;
        Ok(true)
    }

    async fn add_learner_inner(&self, id: u64) -> Result<u64, AdminError> {
        let (_, now) = self.leading()?;
        let members = membership_of(&now);
        if members.voters.contains(&id) || members.learners.contains(&id) {
            return Ok(members.index);
        }
        let node = BTreeMap::from([(id, EmptyNode {})]);
        self.change(&now, ChangeMembers::AddNodes(node), true).await
    }

    async fn promote_inner(&self, id: u64, deadline: Instant) -> Result<u64, AdminError> {
        self.finish_begun().await?;
        let members = membership_of(&self.leading()?.1);
        if members.voters.contains(&id) {
            return Ok(members.index);
        }
        if !members.learners.contains(&id) {
            return Err(AdminError::NoSuchMember(id));
        }
        let caught_up = |now: &Metrics| {
            let last = now.last_log_index.unwrap_or(0);
            let matched = progress_of(now).iter().find(|p| p.id == id).and_then(|p| p.matched_index);
            now.state != ServerState::Leader
                || matched.is_some_and(|m| m + CAUGHT_UP_ENTRIES >= last) && self.is_up(now, id)
        };
        self.wait(deadline, caught_up, || format!("node {id} did not catch up in time; ask again")).await?;
        let mut voters = membership_of(&self.leading()?.1).voters;
        voters.insert(id);
        self.keeps_quorum(&voters).await?;
        let (_, now) = self.leading()?;
        self.change(&now, ChangeMembers::AddVoterIds([id].into()), true).await
    }

    /// Takes a vote, and with `retain` keeps the node as a learner.
    async fn drop_voter(&self, id: u64, retain: bool) -> Result<u64, AdminError> {
        self.finish_begun().await?;
        let (_, now) = self.leading()?;
        let members = membership_of(&now);
        if !members.voters.contains(&id) {
            return match (members.learners.contains(&id), retain) {
                (false, _) => Err(AdminError::NoSuchMember(id)),
                (true, true) => Ok(members.index),
                (true, false) => self.change(&now, ChangeMembers::RemoveNodes([id].into()), false).await,
            };
        }
        let mut voters = members.voters;
        voters.remove(&id);
        self.keeps_quorum(&voters).await?;
        if id == now.id {
            // Not this node's to do any more, once another leads: the caller is told whom to ask.
            let deadline = Instant::now() + self.silence_max() * 4;
            let leader = self.transfer_inner(None, deadline).await?;
            return Err(AdminError::NotLeader { leader: hint(id, Some(leader)) });
        }
        self.change(&now, ChangeMembers::RemoveVoters([id].into()), retain).await
    }

    /// Hands the lead over; see [`ClusterAdmin::transfer`].
    pub(super) async fn transfer_inner(&self, to: Option<u64>, deadline: Instant) -> Result<u64, AdminError> {
        let members = membership_of(&self.leading()?.1);
        if let Some(to) = to.filter(|to| !members.voters.contains(to)) {
            return Err(not_a_voter(&members, to));
        }
        // A leader that has only just begun gets a moment to hear from the others.
        let patience = deadline.min(Instant::now() + self.silence_max());
        let heard = |now: &Metrics| match to {
            Some(to) => self.is_up(now, to),
            None => self.successor(now).is_some(),
        };
        if self.wait(patience, heard, String::new).await.is_err() {
            let who = to.map_or("no other voter answers; bring one back".into(), |to| {
                format!("node {to} does not answer; bring it back")
            });
            return Err(AdminError::Unsafe(format!("{who} first")));
        }
        let (engine, now) = self.leading()?;
        let to = match to.or_else(|| self.successor(&now)) {
            Some(to) if to == now.id => return Ok(to),
            Some(to) => to,
            None => return Err(AdminError::Unsafe("no other voter answers; bring one back first".into())),
        };
        let term = now.current_term;
        engine.trigger().transfer_leader(to).await.map_err(stopped)?;
        let settled = |now: &Metrics| now.current_term > term && now.current_leader.is_some();
        self.wait(deadline, settled, || format!("node {to} did not take the lead in time")).await?;
        match self.now()?.1.current_leader {
            Some(leader) if leader == to => Ok(to),
            Some(other) => Err(AdminError::TimedOut(format!("node {other} leads instead of node {to}"))),
            None => Err(AdminError::TimedOut(format!("node {to} did not take the lead in time"))),
        }
    }

    /// The other voter that is up and has most of the log.
    pub(super) fn successor(&self, now: &Metrics) -> Option<u64> {
        let voters = membership_of(now).voters;
        let others = progress_of(now).into_iter().filter(|p| voters.contains(&p.id));
        others.filter(|p| self.is_up(now, p.id)).max_by_key(|p| p.matched_index).map(|p| p.id)
    }

    async fn snapshot_inner(&self, deadline: Instant) -> Result<u64, AdminError> {
        let engine = self.engine()?;
        // Not from the metrics: they lag behind the answers that were given.
        let committed = engine.with_raft_state(|state| state.local_committed().map(|id| id.index)).await;
        let Some(wanted) = committed.map_err(stopped)? else {
            return Err(AdminError::Unsafe("there is nothing to write yet: nothing has been applied".into()));
        };
        let late = || "the snapshot was not written in time".to_string();
        self.wait(deadline, |now| now.last_applied.map(|id| id.index) >= Some(wanted), late).await?;
        loop {
            let before = self.now()?.1.snapshot.map(|id| id.index);
            if let Some(durable) = before.filter(|index| *index >= wanted) {
                return Ok(durable);
            }
            // One that was under way already may end short of what is wanted; then comes another.
            engine.trigger().snapshot().await.map_err(stopped)?;
            let written = |now: &Metrics| now.snapshot.map(|id| id.index) > before;
            self.wait(deadline, written, late).await?;
        }
    }

    /// Waits, for a moment, until what is known to be committed is applied and published: the last picture of a node that stops.
    pub(super) async fn settle(&self) {
        let deadline = Instant::now() + self.silence_max();
        // The machine answers before the engine has counted what it applied.
        let answered = self.running.get().map_or(0, |running| running.answered.load(Ordering::Relaxed));
        let applied = |now: &Metrics| {
            now.last_applied >= now.local_committed && now.last_applied.map_or(0, |l| l.index) >= answered
        };
        if self.wait(deadline, applied, String::new).await.is_err() {
            return;
        }
        let Ok((_, now)) = self.now() else { return };
        let applied = now.last_applied.map_or(0, |l| l.index);
        let mut status = self.status.subscribe();
        let published = status.wait_for(|s| s.applied_index >= applied);
        // A picture that comes late takes nothing from what is promised.
        let _ = tokio::time::timeout_at(deadline.into(), published).await;
    }

    /// Waits until the metrics are as wanted.
    async fn wait(
        &self,
        deadline: Instant,
        mut wanted: impl FnMut(&Metrics) -> bool,
        late: impl FnOnce() -> String,
    ) -> Result<(), AdminError> {
        let mut metrics = self.engine()?.metrics();
        let reached = async {
            loop {
                let now = metrics.borrow_watched().clone();
                now.running_state.clone().map_err(stopped)?;
                if wanted(&now) {
                    return Ok(());
                }
                metrics.changed().await.map_err(stopped)?;
            }
        };
        tokio::time::timeout_at(deadline.into(), reached)
            .await
            .unwrap_or_else(|_| Err(AdminError::TimedOut(late())))
    }
}

fn not_a_voter(members: &Membership, id: u64) -> AdminError {
    if members.learners.contains(&id) {
        return AdminError::Unsafe(format!("node {id} has no vote; promote it first"));
    }
    AdminError::NoSuchMember(id)
}

fn refusal(id: u64, error: ClientWriteError<TypeConfig>) -> AdminError {
    match error {
        ClientWriteError::ForwardToLeader(to) => AdminError::NotLeader { leader: hint(id, to.leader_id) },
        ClientWriteError::PreconditionFailed(_)
        | ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
            AdminError::Conflict
        }
        ClientWriteError::ChangeMembershipError(other) => AdminError::Unsafe(other.to_string()),
        ClientWriteError::LogEntryDiscarded(_) => AdminError::Replicate(ReplicateError::Unknown),
    }
}

impl ClusterAdmin for RaftReplicator {
    fn membership(&self) -> Membership {
        self.now().map_or_else(|_| Membership::default(), |(_, now)| membership_of(&now))
    }

    fn progress(&self) -> Vec<PeerProgress> {
        self.now().map_or_else(|_| Vec::new(), |(_, now)| progress_of(&now))
    }

    fn add_learner(&self, id: u64) -> Fut<'_, Result<u64, AdminError>> {
        Box::pin(self.add_learner_inner(id))
    }

    fn promote(&self, id: u64, deadline: Instant) -> Fut<'_, Result<u64, AdminError>> {
        Box::pin(self.promote_inner(id, deadline))
    }

    fn demote(&self, id: u64) -> Fut<'_, Result<u64, AdminError>> {
        Box::pin(self.drop_voter(id, true))
    }

    fn remove(&self, id: u64) -> Fut<'_, Result<u64, AdminError>> {
        Box::pin(self.drop_voter(id, false))
    }

    fn transfer(&self, to: Option<u64>, deadline: Instant) -> Fut<'_, Result<u64, AdminError>> {
        Box::pin(self.transfer_inner(to, deadline))
    }

    fn finish(&self) -> Fut<'_, Result<bool, AdminError>> {
        Box::pin(self.finish_begun())
    }

    fn snapshot(&self, deadline: Instant) -> Fut<'_, Result<u64, AdminError>> {
        Box::pin(self.snapshot_inner(deadline))
    }
}
