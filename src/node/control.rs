//! Changes of the cluster on request: one hop to the leader, then book and log membership in an order that a crash
//! between the two leaves repairable.
//!
//! ```text
//! add      ask the node ─► book: id ─► learner ─► caught up ─► voter
//! remove   log membership ─► book: tombstone            replace  remove ─► wait for the new node ─► add
//! ```
//!
//! Not here: what is safe for the log (`metad_raft::ClusterAdmin`). Must always hold: a forwarded change is never forwarded
//! again; asking again for what is done already does no harm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::{
    AdminError, Channel, ClusterAdmin, Fut, Lane, PeerService, PosixMetadataReplicator, Refusal,
    ReplicateError, Role, Transport, TransportError,
};

use super::continuing::Continuing;
use super::formation::ask;
use super::formation::message::{Answer, Question};
use super::peering::Peering;
use super::pulse::Pulse;
use super::word::{Reply, Word};
use crate::meta::cluster::{Book, ClusterOp, ClusterReject, Member, NodeCard};
use crate::meta::control::{ClusterChange, ClusterControl, ControlError, Done};
use crate::meta::machine::MetaMachine;
use crate::meta::op::{Op, SystemOp};
use crate::meta::response::{Reject, Response};
use crate::meta::service::{MetadataService, ServiceError, WriteOptions};

/// How long a request waits for a leader to be known.
const LEADER: Duration = Duration::from_secs(2);
/// How long a node that is to be added may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How much longer than its caller waits a change may take: its own reasons come first.
const MARGIN: Duration = Duration::from_secs(1);
/// Pause between two looks for a node that is to come.
const PAUSE: Duration = Duration::from_millis(200);
/// A member that answered this recently is alive.
const ALIVE: Duration = Duration::from_secs(3);

/// Makes changes of the cluster.
pub struct Control {
    /// The book.
    pub machine: Arc<MetaMachine>,
    /// The way to write.
    pub service: Arc<dyn MetadataService>,
    /// The log's membership.
    pub replicator: Arc<dyn PosixMetadataReplicator>,
    /// The way to the others.
    pub peering: Arc<Peering>,
    /// Who is alive.
    pub pulse: Arc<Pulse>,
    /// Who goes on with what did not end in time.
    pub continuing: Arc<Continuing>,
    /// This member.
    pub own: Member,
}

impl ClusterControl for Control {
    fn change(&self, change: ClusterChange, deadline: Instant) -> Fut<'_, Result<Done, ControlError>> {
        Box::pin(async move {
            match self.leader().await? {
                id if id == self.own.id => self.in_time(change, deadline).await,
                id => self.there(id, change, deadline).await,
            }
        })
    }
}

impl PeerService for Control {
    fn handle(&self, from: u64, request: Bytes) -> Fut<'_, Result<Bytes, Refusal>> {
        Box::pin(async move {
            let word = Word::decode(&request).map_err(|error| {
                tracing::debug!(from, %error, "a request that cannot be read");
                Refusal::NotServed
            })?;
            let reply = match word {
                Word::Pulse { digests } => self.pulse.answer(from, &digests),
                Word::Clock => self.pulse.tell_time(),
                Word::Change { change, patience_ms } => {
                    let deadline = Instant::now() + Duration::from_millis(patience_ms);
                    let done = if self.leads() {
                        self.in_time(change, deadline).await
                    } else {
                        Err(ControlError::NoLeader)
                    };
                    done.map_or_else(Reply::Failed, Reply::Done)
                }
            };
            Ok(reply.encode())
        })
    }
}

impl Control {
    fn leads(&self) -> bool {
        self.replicator.status().borrow().role == Role::Leader
    }

    fn admin(&self) -> &dyn ClusterAdmin {
        self.replicator.admin().expect("a log with a peer port has members")
    }

    fn book(&self) -> Arc<Book> {
        Arc::clone(&self.machine.book().borrow())
    }

    async fn leader(&self) -> Result<u64, ControlError> {
        let mut status = self.replicator.status();
        let known = status.wait_for(|s| s.leader.is_some());
        let status = tokio::time::timeout(LEADER, known).await.map_err(|_| ControlError::NoLeader)?;
        let leader = status.ok().and_then(|s| s.leader.as_ref().map(|l| l.id));
        leader.ok_or(ControlError::NoLeader)
    }

    async fn there(
        &self,
        leader: u64,
        change: ClusterChange,
        deadline: Instant,
    ) -> Result<Done, ControlError> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        let word = Word::Change { change, patience_ms }.encode();
        // The leader gives up first, so that its reason arrives.
        let deadline = deadline + ANSWER;
        let answer =
            self.peering.transport.call(leader, Channel::CLUSTER, Lane::Control, word, deadline).await;
        match answer.map(|bytes| Reply::decode(&bytes)) {
            Ok(Ok(Reply::Done(done))) => Ok(done),
            Ok(Ok(Reply::Failed(error))) => Err(error),
            Ok(Ok(Reply::Pulse { .. } | Reply::Clock { .. }) | Err(_)) => Err(ControlError::TimedOut(
                "the leader's answer cannot be read: look at `metad node list`".into(),
            )),
            Err(TransportError::Lost(why)) => {
                Err(ControlError::TimedOut(format!("{why}: look at `metad node list` before you ask again")))
            }
            Err(TransportError::Unreachable(_) | TransportError::Refused(_)) => Err(ControlError::NoLeader),
        }
    }

    /// On the leader, and no longer than the caller waits: a change that needs a majority that is gone would wait for ever.
    async fn in_time(&self, change: ClusterChange, deadline: Instant) -> Result<Done, ControlError> {
        let done = tokio::time::timeout_at((deadline + MARGIN).into(), self.here(change, deadline)).await;
        done.unwrap_or_else(|_| {
            Err(ControlError::TimedOut(
                "it did not end in time, and what was begun goes on: look at `metad node list` before you ask again".into(),
            ))
        })
    }

    /// A learner did not catch up in time: it gets its vote later.
    fn votes_later(&self, name: &str, id: u64, why: &str) -> ControlError {
        self.continuing.promote(id);
        ControlError::TimedOut(format!(
            "{name} is a learner (id {id}) and has no vote yet: {why}. It gets its vote as soon as it has caught up, as long as this \
             leader leads; `metad node promote {name}` asks again"
        ))
    }

    /// On the leader.
    async fn here(&self, change: ClusterChange, deadline: Instant) -> Result<Done, ControlError> {
        tracing::info!(?change, "a change of the cluster");
        match change {
            ClusterChange::Add { address, name, learner } => {
                self.add(&address, name.as_deref(), learner, deadline).await
            }
            ClusterChange::Promote { node } => {
                let id = self.member(&node)?.id;
                let promoted = self.admin().promote(id, deadline).await;
                let index = promoted.map_err(|error| match error {
                    AdminError::TimedOut(why) => self.votes_later(&node, id, &why),
                    error => refused(error),
                })?;
                self.continuing.forget(id).await;
                Ok(Done { index, id, told: vec![format!("{node} is a voter"), self.tolerance()] })
            }
            ClusterChange::Demote { node } => self.demote(node, deadline).await,
            ClusterChange::Remove { node } => self.remove(node, deadline).await,
            ClusterChange::Replace { node, address, learner } => {
                self.replace(node, &address, learner, deadline).await
            }
            ClusterChange::Transfer { to } => {
                let to = to.map(|name| self.member(&name).map(|m| m.id)).transpose()?;
                let id = self.admin().transfer(to, deadline).await.map_err(refused)?;
                let name = self.book().member(id).map_or_else(|| id.to_string(), |m| m.card.name.clone());
                Ok(Done { index: 0, id, told: vec![format!("{name} leads")] })
            }
        }
    }

    fn member(&self, name: &str) -> Result<Member, ControlError> {
        let book = self.book();
        book.named(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = book.members.iter().map(|m| m.card.name.as_str()).collect();
            ControlError::NotFound(format!(
                "no member is called {name}; the members are {}",
                names.join(", ")
            ))
        })
    }

    /// What the number of voters means.
    fn tolerance(&self) -> String {
        let voters = self.admin().membership().voters.len();
        let lost = voters.saturating_sub(1) / 2;
        let even = if voters.is_multiple_of(2) {
            "; an odd number of voters tolerates as much with one less"
        } else {
            ""
        };
        format!("{voters} voters: the cluster goes on without {lost} of them{even}")
    }

    async fn add(
        &self,
        address: &str,
        name: Option<&str>,
        learner: bool,
        deadline: Instant,
    ) -> Result<Done, ControlError> {
        let card = self.candidate(address, name, deadline).await?;
        let name = card.name.clone();
        let (id, mut index) = self.admit(card).await?;
        let mut told = vec![format!("{name} has id {id}")];
        if !self.admin().membership().voters.contains(&id) {
            index = self.admin().add_learner(id).await.map_err(refused)?;
            told.push(format!("{name} receives the log as a learner"));
        }
        if learner {
            return Ok(Done { index, id, told });
        }
        match self.admin().promote(id, deadline).await {
            Ok(promoted) => {
                told.extend([format!("{name} has caught up and votes"), self.tolerance()]);
                Ok(Done { index: promoted, id, told })
            }
            Err(AdminError::TimedOut(why)) => Err(self.votes_later(&name, id, &why)),
            Err(error) => Err(refused(error)),
        }
    }

    /// Asks the node at `address` who it is, and whether it may be added.
    async fn candidate(
        &self,
        address: &str,
        name: Option<&str>,
        deadline: Instant,
    ) -> Result<NodeCard, ControlError> {
        let question = Question { card: self.own.card.clone(), peers: Vec::new(), pristine: false };
        let deadline = deadline.min(Instant::now() + ANSWER);
        let answer = ask(&self.peering.transport, address, &question, deadline).await;
        let card = match answer {
            Ok(Answer::Pristine { card, .. }) => card,
            Ok(Answer::Chosen { card, cluster_id, .. } | Answer::Member { card, cluster_id, .. }) => {
                let known = self.book().members.iter().any(|m| m.card.incarnation == card.incarnation);
                if !known {
                    return Err(ControlError::Identity(format!(
                        "the node at {address} belongs to cluster {cluster_id}: start it with an empty data directory"
                    )));
                }
                card
            }
            Err(TransportError::Refused(Refusal::Itself)) => {
                return Err(ControlError::Conflict(format!("{address} is the leader's own address")));
            }
            Err(error) => {
                return Err(ControlError::Unreachable(format!(
                    "the node at {address} does not answer ({error}): start it with --peers {},{address}",
                    self.own.card.peer
                )));
            }
        };
        if name.is_some_and(|name| name != card.name) {
            return Err(ControlError::Identity(format!("the node at {address} is called {}", card.name)));
        }
        card.runs_at(self.machine.feature_level())
            .map_err(|why| ControlError::Conflict(format!("the node at {address} cannot be added: {why}")))?;
        Ok(NodeCard { peer: address.to_owned(), ..card })
    }

    async fn admit(&self, card: NodeCard) -> Result<(u64, u64), ControlError> {
        let name = card.name.clone();
        let (response, index) = self.write(ClusterOp::Admit { card }).await?;
        match response {
            Response::Count(id) => Ok((id.cast_unsigned(), index)),
            Response::Rejected(Reject::Cluster(ClusterReject::Taken { id })) => {
                Err(ControlError::Conflict(format!(
                    "member {id} has the name {name} or this address: `metad node replace` puts another node in its place"
                )))
            }
            Response::Rejected(why) => Err(ControlError::Conflict(why.to_string())),
            other => Err(ControlError::Conflict(format!("the book answers {other:?}"))),
        }
    }

    async fn write(&self, op: ClusterOp) -> Result<(Response, u64), ControlError> {
        let options = WriteOptions { deadline: Instant::now() + LEADER + LEADER };
        let op = Op::System(SystemOp::Cluster(op));
        let written = self.service.write(vec![op], options).await.map_err(|error| match error {
            ServiceError::NoLeader => ControlError::NoLeader,
            error => ControlError::TimedOut(error.to_string()),
        })?;
        Ok((written.responses.into_iter().next().unwrap_or(Response::Nil), written.index))
    }

    /// The leader hands over before it loses its own vote: the next leader does the rest.
    async fn hand_over(&self, change: ClusterChange, deadline: Instant) -> Result<Done, ControlError> {
        let next = self.admin().transfer(None, deadline).await.map_err(refused)?;
        self.there(next, change, deadline).await
    }

    async fn demote(&self, node: String, deadline: Instant) -> Result<Done, ControlError> {
        let id = self.member(&node)?.id;
        if id == self.own.id && self.admin().membership().voters.len() > 1 {
            return self.hand_over(ClusterChange::Demote { node }, deadline).await;
        }
        self.continuing.forget(id).await;
        let index = self.admin().demote(id).await.map_err(refused)?;
        Ok(Done { index, id, told: vec![format!("{node} is a learner"), self.tolerance()] })
    }

    async fn remove(&self, node: String, deadline: Instant) -> Result<Done, ControlError> {
        let id = self.member(&node)?.id;
        if id == self.own.id && self.admin().membership().voters.len() > 1 {
            return self.hand_over(ClusterChange::Remove { node }, deadline).await;
        }
        self.continuing.forget(id).await;
        match self.admin().remove(id).await {
            // Removed before, and the book does not say so yet.
            Ok(_) | Err(AdminError::NoSuchMember(_)) => {}
            Err(error) => return Err(refused(error)),
        }
        let (_, index) = self.write(ClusterOp::Remove { id }).await?;
        Ok(Done { index, id, told: vec![format!("{node} (id {id}) is removed for good"), self.tolerance()] })
    }

    /// Waits until a member has not answered for [`ALIVE`]; whether it has come to that: it may have died just now.
    async fn falls_silent(&self, id: u64, deadline: Instant) -> bool {
        let begun = Instant::now();
        let patience = deadline.min(begun + 2 * ALIVE);
        // A leader of a moment ago has heard of nobody yet, which says nothing of them.
        let since = |id| self.pulse.contact(id).map_or(begun, |contact| contact.at);
        while since(id).elapsed() < ALIVE {
            if Instant::now() >= patience {
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
        true
    }

    async fn replace(
        &self,
        node: String,
        address: &str,
        learner: bool,
        deadline: Instant,
    ) -> Result<Done, ControlError> {
        let old = self.member(&node)?;
        if old.id == self.own.id || !self.falls_silent(old.id, deadline).await {
            return Err(ControlError::Conflict(format!(
                "{node} is alive: stop it first, or use `metad node add` and `metad node remove`"
            )));
        }
        self.fits_in_place_of(&old, address, deadline).await?;
        let removed = self.remove(node, deadline).await?;
        loop {
            match self.add(address, None, learner, deadline).await {
                // It ended when it found its old id taken, and whoever looks after it starts it again.
                Err(ControlError::Unreachable(why)) if Instant::now() + PAUSE >= deadline => {
                    return Err(half_done(&old, address, why));
                }
                Err(ControlError::Unreachable(_)) => tokio::time::sleep(PAUSE).await,
                Ok(mut done) => {
                    done.told = removed.told.into_iter().take(1).chain(done.told).collect();
                    return Ok(done);
                }
                Err(error) => return Err(half_done(&old, address, error)),
            }
        }
    }

    /// Looks at the newcomer before anything is removed. One that does not answer yet may come later: it ends when it finds its
    /// old id taken, and is started again.
    async fn fits_in_place_of(
        &self,
        old: &Member,
        address: &str,
        deadline: Instant,
    ) -> Result<(), ControlError> {
        let card = match self.candidate(address, None, deadline).await {
            Ok(card) => card,
            Err(ControlError::Unreachable(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let book = self.book();
        let taken = book
            .members
            .iter()
            .find(|m| m.id != old.id && (m.card.is_at(&card.peer) || m.card.name == card.name));
        match taken {
            Some(member) => Err(ControlError::Conflict(format!(
                "the node at {address} has the name or the address of {}, which is a member already",
                member.card.name
            ))),
            None if card.incarnation == old.card.incarnation => {
                Err(ControlError::Conflict(format!("the node at {address} is {} itself", old.card.name)))
            }
            None => Ok(()),
        }
    }
}

/// The first half of a replacement is done for good, so no error after it may say that nothing was.
fn half_done(old: &Member, address: &str, why: impl std::fmt::Display) -> ControlError {
    ControlError::TimedOut(format!(
        "{} is removed, and {why}; then run `metad node add {address}`",
        old.card.name
    ))
}

/// The log's refusal in the words of people.
fn refused(error: AdminError) -> ControlError {
    match error {
        AdminError::NotLeader { .. } => ControlError::NoLeader,
        AdminError::Conflict | AdminError::Unsafe(_) => ControlError::Conflict(error.to_string()),
        AdminError::NoSuchMember(_) => ControlError::NotFound(error.to_string()),
        AdminError::TimedOut(why) => ControlError::TimedOut(why),
        AdminError::Begun => ControlError::TimedOut(format!("{error}; look at `metad node list`")),
        AdminError::Replicate(ReplicateError::NotLeader { .. }) => ControlError::NoLeader,
        AdminError::Replicate(error) => ControlError::TimedOut(error.to_string()),
    }
}
