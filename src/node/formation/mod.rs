//! How nodes that were started with the same command line become one cluster, exactly once.
//!
//! ```text
//! --peers A,B,C ─► ask each by its address ─► decide ─► write node.json ─► … ─► start the log
//!                  └──────── Greeter answers the others ────────┘
//! ```
//!
//! Not here: what the log does with its voters, sockets. Must always hold: whatever a node says of itself is on its disk
//! already; a node that waits says why.

pub mod decide;
pub mod message;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use metad_raft::peer::PeerTransport;
use metad_raft::{Fut, PeerService, Refusal, TransportError};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use self::decide::{Chosen, Heard, Own, Step, decide};
use self::message::{Answer, Question};
use super::NodeError;
use super::identity::{NodeFile, Seed, Stage, new_cluster_id};
use crate::meta::cluster::{Book, Member, NodeCard};

/// How long one peer may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Pause between two rounds of questions at first; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Peers that are remembered because they asked.
const MET_MAX: usize = 64;

/// What this node says of itself.
#[derive(Clone)]
pub enum Standing {
    /// It looks for a cluster.
    Looking(Own),
    /// It has begun its log.
    Member {
        /// Its card.
        card: NodeCard,
        /// The cluster's id.
        cluster_id: String,
        /// The first members, until the book is there.
        first: Vec<Member>,
        /// The book.
        book: watch::Receiver<Arc<Book>>,
    },
}

/// Answers nodes that ask by address.
pub struct Greeter {
    standing: RwLock<Option<Standing>>,
    /// Nodes that asked, by the address that they gave.
    met: Mutex<BTreeMap<String, Answer>>,
    asked: Notify,
}

impl Greeter {
    /// A greeter that has nothing to say yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { standing: RwLock::new(None), met: Mutex::default(), asked: Notify::new() })
    }

    /// Says this from now on.
    pub fn stand(&self, standing: Standing) {
        *self.standing.write() = Some(standing);
    }

    /// What `asker` is told; `None` while there is nothing to say to it yet.
    fn answer(&self, asker: &str) -> Option<Answer> {
        let standing = self.standing.read().clone()?;
        Some(match standing {
            Standing::Looking(Own { card, peers, chosen: None }) => Answer::Pristine { card, peers },
            Standing::Looking(Own { card, chosen: Some(chosen), .. }) => {
                Answer::Chosen { card, cluster_id: chosen.cluster_id, first: chosen.first }
            }
            Standing::Member { card, cluster_id, first, book } => {
                let book = Arc::clone(&book.borrow());
                if book.is_founded() {
                    Answer::Member { card, cluster_id, members: book.members.clone() }
                } else if first.iter().any(|member| member.card.peer == asker) {
                    Answer::Chosen { card, cluster_id, first }
                } else {
                    // A newcomer would take the list of the first members for a list that differs from its own.
                    return None;
                }
            }
        })
    }

    fn meet(&self, question: Question) {
        let mut met = self.met.lock();
        if question.pristine && met.len() < MET_MAX {
            let Question { card, peers, .. } = question;
            met.insert(card.peer.clone(), Answer::Pristine { card, peers });
            self.asked.notify_one();
        }
    }

    /// What a node said that does not answer: only a list that can never be ours counts, for it may have ended since.
    fn remembered(&self, address: &str, own: &Own) -> Option<Answer> {
        let met = self.met.lock().get(address).cloned()?;
        match &met {
            Answer::Pristine { peers, .. } if *peers != own.peers => Some(met),
            _ => None,
        }
    }
}

impl PeerService for Greeter {
    fn handle(&self, _from: u64, request: Bytes) -> Fut<'_, Result<Bytes, Refusal>> {
        Box::pin(async move {
            let question = Question::decode(&request).map_err(|error| {
                tracing::debug!(%error, "a question that cannot be read");
                Refusal::NotServed
            })?;
            let asker = question.card.peer.clone();
            self.meet(question);
            self.answer(&asker).map(|answer| answer.encode()).ok_or(Refusal::NotServed)
        })
    }
}

/// Asks one node by its address.
pub async fn ask(
    transport: &PeerTransport,
    address: &str,
    question: &Question,
    deadline: Instant,
) -> Result<Answer, TransportError> {
    let introduced = transport.call_address(address, question.encode(), deadline).await?;
    Answer::decode(&introduced.answer)
        .map_err(|e| TransportError::Lost(format!("an answer that cannot be read: {e}")))
}

/// A node that looks for its cluster.
pub struct Seeker<'a> {
    /// The way to the others.
    pub transport: &'a PeerTransport,
    /// Answers the others meanwhile.
    pub greeter: &'a Greeter,
    /// Where `node.json` is.
    pub data_dir: &'a Path,
    /// Told what is waited for, whenever that changes.
    pub waiting: &'a (dyn Fn(String) + Send + Sync),
}

impl Seeker<'_> {
    /// Looks until the node may start its log; its file is then at [`Stage::Starting`].
    pub async fn seek(
        &self,
        mut file: NodeFile,
        card: NodeCard,
        peers: Vec<String>,
    ) -> Result<NodeFile, NodeError> {
        let mut own = Own { card, peers, chosen: None };
        if own.card.peer.is_empty() {
            own.card.peer = self.own_address(&own).await?;
        }
        if file.stage == Stage::Chosen {
            own.chosen = Some(Chosen { cluster_id: file.cluster_id.clone(), first: file.first() });
        }
        let mut pause = PAUSE_MIN;
        loop {
            self.greeter.stand(Standing::Looking(own.clone()));
            match decide(&own, &self.hear(&own).await) {
                Step::Wait(why) => {
                    (self.waiting)(why);
                    let woken = self.greeter.asked.notified();
                    // A question is news; without one, peers are asked again after the pause.
                    let _ = tokio::time::timeout(pause, woken).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                    continue;
                }
                Step::Choose(first) => {
                    let cluster_id = new_cluster_id().map_err(|e| super::data_dir_error(self.data_dir, e))?;
                    self.choose(&mut file, &mut own, Chosen { cluster_id, first })?;
                }
                Step::Adopt(chosen) => self.choose(&mut file, &mut own, chosen)?,
                Step::Start(founder) => {
                    file.founder = founder;
                    file.reach(Stage::Starting, self.data_dir)?;
                    return Ok(file);
                }
                Step::Join { cluster_id, id, members } => {
                    (file.id, file.cluster_id, file.founder) = (id, cluster_id, false);
                    file.seeds = members.iter().map(Seed::from).collect();
                    file.reach(Stage::Starting, self.data_dir)?;
                    return Ok(file);
                }
                Step::Refuse(refused) => return Err(NodeError::Formation(refused)),
            }
            pause = PAUSE_MIN;
        }
    }

    /// Writes a cluster down before anybody is told.
    fn choose(&self, file: &mut NodeFile, own: &mut Own, chosen: Chosen) -> Result<(), NodeError> {
        let me = chosen.first.iter().find(|m| m.card.incarnation == own.card.incarnation);
        file.id = me.expect("only a cluster that lists this node is taken up").id;
        file.cluster_id = chosen.cluster_id.clone();
        file.seeds = chosen.first.iter().map(Seed::from).collect();
        file.reach(Stage::Chosen, self.data_dir)?;
        tracing::info!(cluster = %file.cluster_id, id = file.id, "taken up a cluster");
        own.chosen = Some(chosen);
        Ok(())
    }

    /// Asks every peer but the node itself, all at once.
    async fn hear(&self, own: &Own) -> BTreeMap<String, Heard> {
        let question = self.question(own);
        let others = own.peers.iter().filter(|address| **address != own.card.peer);
        let asked = others.map(|address| async {
            let heard = match ask(self.transport, address, &question, Instant::now() + ANSWER).await {
                Ok(answer) => Heard::Said(answer),
                Err(error) => match self.greeter.remembered(address, own) {
                    Some(answer) => Heard::Said(answer),
                    None => Heard::Nothing(advice(&error)),
                },
            };
            (address.clone(), heard)
        });
        join_all(asked).await.into_iter().collect()
    }

    fn question(&self, own: &Own) -> Question {
        Question { card: own.card.clone(), peers: own.peers.clone(), pristine: own.chosen.is_none() }
    }

    /// Which address of the list leads back to this node: one that listens on every interface cannot know.
    async fn own_address(&self, own: &Own) -> Result<String, NodeError> {
        let question = self.question(own);
        loop {
            let mut others = 0;
            for address in &own.peers {
                match ask(self.transport, address, &question, Instant::now() + ANSWER).await {
                    Err(TransportError::Refused(Refusal::Itself)) => return Ok(address.clone()),
                    Ok(_) | Err(TransportError::Refused(_)) => others += 1,
                    Err(TransportError::Unreachable(_) | TransportError::Lost(_)) => {}
                }
            }
            if others == own.peers.len() {
                return Err(NodeError::NotAmongPeers(own.peers.join(",")));
            }
            (self.waiting)("waiting to find which address of --peers is this node's own".into());
            let _ = tokio::time::timeout(PAUSE_MAX, self.greeter.asked.notified()).await;
        }
    }
}

/// Why a peer gave no answer, with what to do about it.
fn advice(error: &TransportError) -> String {
    match error {
        TransportError::Refused(Refusal::Unauthenticated) => {
            format!("{error}: give every node the same --secret-file")
        }
        TransportError::Refused(Refusal::WrongVersion { .. }) => {
            format!("{error}: run one version of metad everywhere")
        }
        TransportError::Refused(Refusal::Itself) => {
            format!("{error}: the list names this node twice, or two nodes share a data directory")
        }
        other => other.to_string(),
    }
}
