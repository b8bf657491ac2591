//! What a node without a log does next, from what it knows of the others: a pure function.
//!
//! ```text
//!                ┌─ a peer is a member ─┬─ it lists our incarnation ─► Join
//!                │                      ├─ it lists our address ─────► refused: we were wiped
//!   pristine ────┤                      └─ else ─────────────────────► wait for `metad node add`
//!                ├─ the lowest has chosen ─► Adopt ─► Start, waiting for its log
//!                └─ all pristine, one list ─► the lowest: Choose ─► all have adopted ─► Start, with all as voters
//! ```
//!
//! Not here: asking (`talk`), what is written down (`identity`). Must always hold: of one list of peers at most one
//! cluster comes to be, because only the lowest address chooses, and only when every peer says that it is pristine
//! under the same list; the first entry is written only once every voter has its id on disk.
//!
//! Source: research "Operations", section 5.2; issue 3, "Formation and identity".

use std::collections::BTreeMap;

use super::message::Answer;
use crate::meta::cluster::{Member, NodeCard};

/// What was heard of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// No answer, and why.
    Nothing(String),
    /// An answer.
    Said(Answer),
}

/// The cluster that a node has taken up already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Its id.
    pub cluster_id: String,
    /// Its first voters.
    pub first: Vec<Member>,
}

/// A node that has no log yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Who it is. Its peer address is one of `peers`.
    pub card: NodeCard,
    /// All first voters' addresses, sorted.
    pub peers: Vec<String>,
    /// What it has written down before.
    pub chosen: Option<Chosen>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask again; the text says what for.
    Wait(String),
    /// Draw a cluster's id and write it down, with these first voters.
    Choose(Vec<Member>),
    /// Write this cluster down.
    Adopt(Chosen),
    /// Start the log; `true`: with all first voters, `false`: waiting for the leader.
    Start(bool),
    /// The cluster has admitted this node.
    Join {
        /// The cluster's id.
        cluster_id: String,
        /// The id it gave.
        id: u64,
        /// Its members.
        members: Vec<Member>,
    },
    /// There is no way on.
    Refuse(Refused),
}

/// Why a node does not take part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Two nodes were started with different lists.
    #[error(
        "the node at {address} was started with --peers {theirs}, and this one with --peers {ours}: start every node \
         with the same list"
    )]
    ListsDiffer {
        /// The other node.
        address: String,
        /// Its list.
        theirs: String,
        /// Our list.
        ours: String,
    },
    /// Two nodes have one name.
    #[error("this node and the one at {address} are both called {name}: give each its own --name")]
    NamesClash {
        /// The other node.
        address: String,
        /// The name.
        name: String,
    },
    /// The cluster knows this node with another data directory.
    #[error(
        "this node's data directory is new, but cluster {cluster_id} has a member {name} (id {id}) at its address or \
         with its name: a node that lost its data must not come back under its old id, because it has forgotten its \
         votes. Restore the data directory, or start this node again once another member has run:\n  \
         metad -e http://{via} node replace {name} {address} --yes"
    )]
    Wiped {
        /// The cluster.
        cluster_id: String,
        /// The member's id.
        id: u64,
        /// The member's name.
        name: String,
        /// HTTP address of a member that can be asked.
        via: String,
        /// This node's peer address.
        address: String,
    },
    /// A founder or an adopter lost its data before the first entry.
    #[error(
        "cluster {cluster_id} was begun, and {who} has lost its data directory since: nothing was stored yet; stop all \
         nodes of --peers, empty their data directories, and start them again"
    )]
    BrokenOff {
        /// The cluster.
        cluster_id: String,
        /// Who lost it.
        who: String,
    },
    /// The peers belong to clusters that are not one.
    #[error(
        "the node at {address} belongs to cluster {theirs}, and {ours_of} to cluster {ours}: name the members of one \
         cluster in --peers, or choose another data directory"
    )]
    TwoClusters {
        /// The other node.
        address: String,
        /// Its cluster.
        theirs: String,
        /// Whose cluster the other one is.
        ours_of: String,
        /// That cluster.
        ours: String,
    },
}

/// Decides. `heard` has an entry for every peer but the node itself.
pub fn decide(own: &Own, heard: &BTreeMap<String, Heard>) -> Step {
    match &own.chosen {
        Some(chosen) => go_on(own, chosen, heard),
        None => begin(own, heard),
    }
}

fn said(heard: &BTreeMap<String, Heard>) -> impl Iterator<Item = (&String, &Answer)> {
    heard.iter().filter_map(|(address, heard)| match heard {
        Heard::Said(answer) => Some((address, answer)),
        Heard::Nothing(_) => None,
    })
}

fn begin(own: &Own, heard: &BTreeMap<String, Heard>) -> Step {
    let mut joined = None;
    for (address, answer) in said(heard) {
        let Answer::Member { cluster_id, .. } = answer else { continue };
        match joined {
            Some((first, id)) if id != cluster_id => {
                return Step::Refuse(two_clusters((address, cluster_id), (first, id)));
            }
            Some(_) => {}
            None => joined = Some((address, cluster_id)),
        }
    }
    if joined.is_some() { join(own, heard) } else { form(own, heard) }
}

fn two_clusters(theirs: (&String, &String), ours: (&String, &String)) -> Refused {
    Refused::TwoClusters {
        address: theirs.0.clone(),
        theirs: theirs.1.clone(),
        ours_of: format!("the one at {}", ours.0),
        ours: ours.1.clone(),
    }
}

/// A peer belongs to a cluster: ours, if it has admitted us.
fn join(own: &Own, heard: &BTreeMap<String, Heard>) -> Step {
    let mut step = None;
    for (_, answer) in said(heard) {
        let Answer::Member { card, cluster_id, members } = answer else { continue };
        if let Some(me) = members.iter().find(|m| m.card.incarnation == own.card.incarnation) {
            return Step::Join { cluster_id: cluster_id.clone(), id: me.id, members: members.clone() };
        }
        let same = |m: &&Member| m.card.peer == own.card.peer || m.card.name == own.card.name;
        step = Some(match members.iter().find(same) {
            Some(old) => Step::Refuse(Refused::Wiped {
                cluster_id: cluster_id.clone(),
                id: old.id,
                name: old.card.name.clone(),
                via: card.http.clone(),
                address: own.card.peer.clone(),
            }),
            None => Step::Wait(format!(
                "cluster {cluster_id} has not admitted this node yet: metad -e http://{} node add --name {} --addr {}",
                card.http, own.card.name, own.card.peer
            )),
        });
    }
    step.expect("a member was heard")
}

/// Nobody belongs to a cluster yet.
fn form(own: &Own, heard: &BTreeMap<String, Heard>) -> Step {
    if let Some(refused) = disagreement(own, heard) {
        return Step::Refuse(refused);
    }
    let lowest = own.peers.first() == Some(&own.card.peer);
    let chosen = said(heard).find_map(|(address, answer)| match answer {
        Answer::Chosen { cluster_id, first, .. } => Some((address, cluster_id, first)),
        Answer::Pristine { .. } | Answer::Member { .. } => None,
    });
    if let Some((address, cluster_id, first)) = chosen {
        return adopt(own, heard, (address, cluster_id, first));
    }
    let silent = heard.iter().find_map(|(address, heard)| match heard {
        Heard::Nothing(why) => Some(format!("waiting for the node at {address}: {why}")),
        Heard::Said(_) => None,
    });
    match silent {
        Some(waiting) => Step::Wait(waiting),
        None if lowest => Step::Choose(first_voters(own, heard)),
        None => Step::Wait(format!("the node at {} forms the cluster", own.peers[0])),
    }
}

/// Two nodes that can never agree.
fn disagreement(own: &Own, heard: &BTreeMap<String, Heard>) -> Option<Refused> {
    said(heard).find_map(|(address, answer)| {
        let (card, peers) = match answer {
            Answer::Pristine { card, peers } => (card, peers.clone()),
            Answer::Chosen { card, first, .. } => {
                let mut peers: Vec<String> = first.iter().map(|m| m.card.peer.clone()).collect();
                peers.sort_unstable();
                (card, peers)
            }
            Answer::Member { .. } => return None,
        };
        if peers != own.peers {
            let (theirs, ours) = (peers.join(","), own.peers.join(","));
            return Some(Refused::ListsDiffer { address: address.clone(), theirs, ours });
        }
        let name = &card.name;
        (*name == own.card.name).then(|| Refused::NamesClash { address: address.clone(), name: name.clone() })
    })
}

/// Somebody has taken a cluster up: the lowest is followed, and whoever was wiped since is refused.
fn adopt(
    own: &Own,
    heard: &BTreeMap<String, Heard>,
    (address, cluster_id, first): (&String, &String, &Vec<Member>),
) -> Step {
    let broken =
        |who: &str| Step::Refuse(Refused::BrokenOff { cluster_id: cluster_id.clone(), who: who.to_owned() });
    if !first.iter().any(|m| m.card.incarnation == own.card.incarnation) {
        return broken("this node");
    }
    let lowest = &own.peers[0];
    match heard.get(lowest) {
        Some(Heard::Said(Answer::Chosen { cluster_id, first, .. })) => {
            Step::Adopt(Chosen { cluster_id: cluster_id.clone(), first: first.clone() })
        }
        Some(Heard::Said(Answer::Pristine { .. })) => broken(&format!("the node at {lowest}")),
        Some(Heard::Said(Answer::Member { .. }) | Heard::Nothing(_)) | None => Step::Wait(format!(
            "the node at {address} has taken up cluster {cluster_id}; waiting for the node at {lowest}"
        )),
    }
}

/// Ids are places in the sorted list, from 1.
fn first_voters(own: &Own, heard: &BTreeMap<String, Heard>) -> Vec<Member> {
    let card_of = |address: &String| match heard.get(address) {
        Some(Heard::Said(Answer::Pristine { card, .. })) => {
            NodeCard { peer: address.clone(), ..card.clone() }
        }
        _ => own.card.clone(),
    };
    let ids = 1_u64..;
    ids.zip(&own.peers).map(|(id, address)| Member { id, card: card_of(address) }).collect()
}

/// This node has taken a cluster up, and its log has not begun.
fn go_on(own: &Own, chosen: &Chosen, heard: &BTreeMap<String, Heard>) -> Step {
    let ours = &chosen.cluster_id;
    let founder = own.peers.first() == Some(&own.card.peer);
    for (address, answer) in said(heard) {
        let (card, theirs) = match answer {
            Answer::Pristine { card, .. } => (card, None),
            Answer::Chosen { card, cluster_id, .. } | Answer::Member { card, cluster_id, .. } => {
                (card, Some(cluster_id))
            }
        };
        if let Some(theirs) = theirs.filter(|theirs| *theirs != ours) {
            return Step::Refuse(Refused::TwoClusters {
                address: address.clone(),
                theirs: theirs.clone(),
                ours_of: "this node".into(),
                ours: ours.clone(),
            });
        }
        if !chosen.first.iter().any(|m| m.card.incarnation == card.incarnation) && theirs.is_none() {
            let who = format!("the node at {address}");
            return Step::Refuse(Refused::BrokenOff { cluster_id: ours.clone(), who });
        }
    }
    if !founder {
        return Step::Start(false);
    }
    let missing = heard.iter().find_map(|(address, heard)| match heard {
        Heard::Nothing(why) => Some(format!("waiting for the node at {address}: {why}")),
        Heard::Said(Answer::Pristine { .. }) => {
            Some(format!("waiting until the node at {address} has taken up cluster {ours}"))
        }
        Heard::Said(Answer::Chosen { .. } | Answer::Member { .. }) => None,
    });
    missing.map_or(Step::Start(true), Step::Wait)
}

#[cfg(test)]
mod tests;
