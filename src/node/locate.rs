//! Finding members again whose addresses changed while they were away, DHCP's way: by asking everybody in `--peers`.
//!
//! ```text
//! a member does not answer ─► ask each address of --peers who it is ─► it is that member ─► reach it there
//!                                                    the member itself ─► Announce ─► book ─► this is forgotten
//! ```
//!
//! The book is the log's, and a log without a majority cannot be told of new addresses: so what was found counts until the book
//! says something new of that member.
//!
//! Not here: a node's own announcement (`house`). Must always hold: an address is believed only of a node that has the cluster,
//! the id and the incarnation that the book knows; nothing is written from here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use metad_raft::TransportError;
use tokio_util::sync::CancellationToken;

use super::formation::message::{Answer, Question};
use super::peering::Peering;
use super::pulse::Pulse;
use crate::meta::cluster::{Member, NodeCard};
use crate::meta::machine::MetaMachine;

/// How long a member may be silent before it is looked for; nobody has answered yet when a node starts.
const SILENCE: Duration = Duration::from_secs(2);
/// Pause between two rounds of questions at first; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How long one address may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Looks for members that do not answer.
pub struct Locator {
    /// The book.
    pub machine: Arc<MetaMachine>,
    /// The way to the others.
    pub peering: Arc<Peering>,
    /// Who answers.
    pub pulse: Arc<Pulse>,
    /// This member.
    pub own: Member,
    /// The cluster's id.
    pub cluster_id: String,
    /// The members before the book.
    pub first: Vec<Member>,
    /// `--peers`.
    pub peers: Vec<String>,
}

impl Locator {
    /// Looks whenever somebody is missing, until `closing`.
    pub async fn run(self, closing: CancellationToken) {
        let mut pause = SILENCE;
        let mut missed: Vec<u64> = Vec::new();
        while closing.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let missing = self.missing();
            let ids: Vec<u64> = missing.iter().map(|m| m.id).collect();
            pause = if ids == missed { (pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
            missed = ids;
            if missing.is_empty() {
                pause = SILENCE;
                continue;
            }
            if closing.run_until_cancelled(self.look_for(&missing)).await.is_none() {
                return;
            }
        }
    }

    /// The members that have not answered lately.
    fn missing(&self) -> Vec<Member> {
        let book = Arc::clone(&self.machine.book().borrow());
        let members = if book.is_founded() { book.members.clone() } else { self.first.clone() };
        let silent = |id| self.pulse.contact(id).is_none_or(|contact| contact.at.elapsed() > SILENCE * 2);
        members.into_iter().filter(|m| m.id != self.own.id && silent(m.id)).collect()
    }

    async fn look_for(&self, missing: &[Member]) {
        let asked = self.peers.iter().filter(|address| **address != self.own.card.peer);
        let answers = join_all(asked.map(|address| async move { (address, self.who_is_at(address).await) }));
        for (address, who) in answers.await {
            let found = who.and_then(|(id, incarnation)| {
                missing.iter().find(|m| m.id == id && m.card.incarnation == incarnation)
            });
            if let Some(member) = found {
                self.peering.found(member, address);
            }
        }
    }

    /// Id and incarnation of the node at an address, if it is of this cluster.
    async fn who_is_at(&self, address: &str) -> Option<(u64, u64)> {
        let question = Question { card: self.own.card.clone(), peers: Vec::new(), pristine: false };
        let deadline = Instant::now() + ANSWER;
        let asked = self.peering.transport.call_address(address, question.encode(), deadline).await;
        let who = match asked {
            Ok(who) => who,
            Err(error) => {
                tracing::debug!(address, %error, "nobody to be found");
                return None;
            }
        };
        if who.cluster.as_deref() != Some(&self.cluster_id) {
            return None;
        }
        match Answer::decode(&who.answer) {
            Ok(Answer::Member { card, .. } | Answer::Chosen { card, .. }) => Some((who.id, card.incarnation)),
            Ok(Answer::Pristine { .. }) => None,
            Err(error) => {
                tracing::debug!(address, %error, "an answer that cannot be read");
                None
            }
        }
    }
}

/// Which of these addresses leads back to this node; `None` when none does now.
pub async fn own_among(peering: &Peering, card: &NodeCard, peers: &[String]) -> Option<String> {
    let question = Question { card: card.clone(), peers: Vec::new(), pristine: false }.encode();
    let asked = peers.iter().map(|address| async {
        let deadline = Instant::now() + ANSWER;
        let answer = peering.transport.call_address(address, question.clone(), deadline).await;
        let itself = matches!(answer, Err(TransportError::Refused(metad_raft::Refusal::Itself)));
        itself.then(|| address.clone())
    });
    join_all(asked).await.into_iter().flatten().next()
}
