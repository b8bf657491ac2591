//! The cluster's book: who its members are, where they are, and whom it has removed for good.
//!
//! ```text
//! node ─ ClusterOp ─► log ─► apply ─► Book (one value of the hidden keyspace) ─► machine ─ watch ─► node: address book,
//!                                                                                                tombstones, pages
//! ```
//!
//! Not here: who votes and who leads (the log's membership holds ids only), how nodes find each other (`node`).
//! Must always hold: an id is given once and never again; a removed id stays removed; names and peer addresses of
//! members differ.
//!
//! Source: design D18; research "Operations", section 5.2.

use bincode::{Decode, Encode};
use bytes::Bytes;

use crate::codec::{self, CodecError};
use crate::limits;

/// Version byte in front of the stored book.
const VERSION: u8 = 1;

/// Where a node is, and what it can do: what it tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct NodeCard {
    /// Its name for people.
    pub name: String,
    /// Drawn once with its data directory: tells a wiped node from the one that had its address before.
    pub incarnation: u64,
    /// Peer address as `host:port`.
    pub peer: String,
    /// HTTP address as `ip:port`.
    pub http: String,
    /// Redis address as `ip:port`; empty without that door.
    pub resp: String,
    /// Lowest feature level that it can run at.
    pub feature_min: u32,
    /// Highest feature level that it can apply.
    pub feature_max: u32,
}

/// A member of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Member {
    /// Its id in the log's membership.
    pub id: u64,
    /// Where and what it is.
    pub card: NodeCard,
}

/// A node that was removed for good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Removed {
    /// The id it had.
    pub id: u64,
    /// The name it had.
    pub name: String,
}

/// The book. Fields are only appended, with a new version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Book {
    /// The cluster's id, drawn once; empty until the cluster is founded.
    pub cluster_id: String,
    /// Id of the next member.
    pub next_id: u64,
    /// The members by id.
    pub members: Vec<Member>,
    /// The removed nodes by id.
    pub removed: Vec<Removed>,
}

/// Changes of the book. Variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ClusterOp {
    /// Opens the book of a new cluster; done at once when it is this cluster's already.
    Found {
        /// The cluster's id.
        cluster_id: String,
        /// Its first members.
        members: Vec<Member>,
    },
    /// Gives a node an id; the same one when the same incarnation asks again.
    Admit {
        /// The node.
        card: NodeCard,
    },
    /// A member tells where it is now.
    Announce {
        /// The member as it is.
        member: Member,
    },
    /// Takes a node out, for good.
    Remove {
        /// The node.
        id: u64,
    },
    /// As [`ClusterOp::Announce`], of a member that is where the book says another one is: that one is elsewhere now, and
    /// nobody knows where until it tells.
    Move {
        /// The member as it is.
        member: Member,
    },
}

/// Why a change of the book was refused. Variants are only appended.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum ClusterReject {
    /// The book belongs to another cluster.
    #[error("this is another cluster")]
    AnotherCluster,
    /// Nobody has this id.
    #[error("node {id} is not a member of this cluster")]
    NoSuchMember {
        /// The id.
        id: u64,
    },
    /// The node was removed; ids never come back.
    #[error("node {id} was removed from this cluster")]
    Removed {
        /// The id.
        id: u64,
    },
    /// Another member has the name or the peer address.
    #[error("member {id} has this name or address")]
    Taken {
        /// That member.
        id: u64,
    },
    /// The data directory is not the one that the member had.
    #[error("member {id} has another data directory")]
    AnotherIncarnation {
        /// The member.
        id: u64,
    },
    /// The cluster is full.
    #[error("a cluster has at most {limit} members")]
    Full {
        /// The limit.
        limit: u32,
    },
    /// The node cannot run at the cluster's feature level.
    #[error(
        "the cluster runs at feature level {level}, the node knows {min} to {max}: {}",
        if *max < *level { "upgrade the node" } else { "upgrade all members first" }
    )]
    FeatureLevel {
        /// The cluster's.
        level: u32,
        /// The lowest that the node can run at.
        min: u32,
        /// The highest that it can apply.
        max: u32,
    },
}

impl NodeCard {
    /// Whether the node is known to be at a peer address.
    pub fn is_at(&self, peer: &str) -> bool {
        !peer.is_empty() && self.peer == peer
    }

    /// Refuses a node that cannot run at this feature level.
    ///
    /// # Errors
    /// The refusal.
    pub fn runs_at(&self, level: u32) -> Result<(), ClusterReject> {
        let (min, max) = (self.feature_min, self.feature_max);
        if (min..=max).contains(&level) {
            Ok(())
        } else {
            Err(ClusterReject::FeatureLevel { level, min, max })
        }
    }
}

impl ClusterOp {
    /// What the nodes tell of themselves with this change.
    pub fn cards(&self) -> Vec<&NodeCard> {
        match self {
            ClusterOp::Found { members, .. } => members.iter().map(|m| &m.card).collect(),
            ClusterOp::Admit { card } => vec![card],
            ClusterOp::Announce { member } | ClusterOp::Move { member } => vec![&member.card],
            ClusterOp::Remove { .. } => Vec::new(),
        }
    }
}

impl Book {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        codec::encode_into(self, &mut out);
        Bytes::from(out)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is damaged or of a newer version.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        match stored.split_first() {
            None => Err(CodecError::Truncated(0)),
            Some((&VERSION, body)) => codec::decode(body),
            Some((&found, _)) => Err(CodecError::Newer { found, supported: VERSION }),
        }
    }

    /// Whether the cluster was founded.
    pub fn is_founded(&self) -> bool {
        !self.cluster_id.is_empty()
    }

    /// The member with this id.
    pub fn member(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// The member that people mean: by name, else by id.
    pub fn named(&self, name: &str) -> Option<&Member> {
        let by_id = || name.parse().ok().and_then(|id| self.member(id));
        self.members.iter().find(|m| m.card.name == name).or_else(by_id)
    }

    /// The highest feature level that every member can apply; `None` without members.
    pub fn common_level(&self) -> Option<u32> {
        self.members.iter().map(|m| m.card.feature_max).min()
    }

    /// Whether the id was removed.
    pub fn is_removed(&self, id: u64) -> bool {
        self.removed.iter().any(|r| r.id == id)
    }

    /// Changes the book: what the change answers, or why it was refused. A refused change leaves it as it was.
    ///
    /// # Errors
    /// The refusal.
    pub fn change(&mut self, op: ClusterOp) -> Result<Option<u64>, ClusterReject> {
        match op {
            ClusterOp::Found { cluster_id, members } => self.found(cluster_id, members).map(|()| None),
            ClusterOp::Admit { card } => self.admit(card).map(Some),
            ClusterOp::Announce { member } => self.announce(member).map(|()| None),
            ClusterOp::Move { member } => self.relocate(member).map(|()| None),
            ClusterOp::Remove { id } => self.remove(id).map(|()| None),
        }
    }

    fn found(&mut self, cluster_id: String, members: Vec<Member>) -> Result<(), ClusterReject> {
        if self.is_founded() {
            return if self.cluster_id == cluster_id { Ok(()) } else { Err(ClusterReject::AnotherCluster) };
        }
        self.next_id = members.iter().map(|m| m.id).max().unwrap_or(0) + 1;
        (self.cluster_id, self.members) = (cluster_id, members);
        self.members.sort_by_key(|m| m.id);
        Ok(())
    }

    /// Refuses a card whose name or address another member has.
    fn free(&self, id: Option<u64>, card: &NodeCard) -> Result<(), ClusterReject> {
        let same = |m: &&Member| m.card.name == card.name || m.card.is_at(&card.peer);
        match self.members.iter().filter(|m| Some(m.id) != id).find(same) {
            Some(other) => Err(ClusterReject::Taken { id: other.id }),
            None => Ok(()),
        }
    }

    fn admit(&mut self, card: NodeCard) -> Result<u64, ClusterReject> {
        if let Some(known) = self.members.iter().find(|m| m.card.incarnation == card.incarnation) {
            return Ok(known.id);
        }
        self.free(None, &card)?;
        if self.members.len() >= limits::MEMBERS_MAX {
            return Err(ClusterReject::Full { limit: limits::MEMBERS_MAX as u32 });
        }
        let id = self.next_id;
        self.next_id += 1;
        self.members.push(Member { id, card });
        Ok(id)
    }

    fn announce(&mut self, member: Member) -> Result<(), ClusterReject> {
        let id = member.id;
        if self.is_removed(id) {
            return Err(ClusterReject::Removed { id });
        }
        self.free(Some(id), &member.card)?;
        let Some(known) = self.members.iter_mut().find(|m| m.id == id) else {
            return Err(ClusterReject::NoSuchMember { id });
        };
        if known.card.incarnation != member.card.incarnation {
            return Err(ClusterReject::AnotherIncarnation { id });
        }
        *known = member;
        Ok(())
    }

    fn relocate(&mut self, member: Member) -> Result<(), ClusterReject> {
        let before = self.members.clone();
        for other in self.members.iter_mut().filter(|m| m.id != member.id && m.card.is_at(&member.card.peer))
        {
            other.card.peer.clear();
        }
        self.announce(member).inspect_err(|_| self.members = before)
    }

    fn remove(&mut self, id: u64) -> Result<(), ClusterReject> {
        if self.is_removed(id) {
            return Ok(());
        }
        let Some(at) = self.members.iter().position(|m| m.id == id) else {
            return Err(ClusterReject::NoSuchMember { id });
        };
        let member = self.members.remove(at);
        self.removed.push(Removed { id, name: member.card.name });
        self.removed.sort_by_key(|r| r.id);
        Ok(())
    }
}

impl ClusterOp {
    /// Bytes in a log entry, roughly.
    pub(super) fn weight(&self) -> usize {
        const EACH: usize = 64;
        let card = |c: &NodeCard| c.name.len() + c.peer.len() + c.http.len() + c.resp.len() + EACH;
        match self {
            ClusterOp::Found { cluster_id, members } => {
                cluster_id.len() + members.iter().map(|m| card(&m.card)).sum::<usize>() + EACH
            }
            ClusterOp::Admit { card: c } => card(c),
            ClusterOp::Announce { member } | ClusterOp::Move { member } => card(&member.card),
            ClusterOp::Remove { .. } => EACH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, incarnation: u64) -> NodeCard {
        let peer = format!("{name}:1");
        NodeCard { name: name.into(), incarnation, peer, ..NodeCard::default() }
    }

    fn three() -> Book {
        let mut book = Book::default();
        let member = |id: u64| Member { id, card: card(&format!("n{id}"), id) };
        let op = ClusterOp::Found { cluster_id: "c".into(), members: vec![member(2), member(1), member(3)] };
        book.change(op.clone()).unwrap();
        assert_eq!(book.change(op), Ok(None), "founding again changes nothing");
        book
    }

    #[test]
    fn an_id_is_never_given_twice() {
        let mut book = three();
        assert_eq!(book.change(ClusterOp::Admit { card: card("n4", 4) }), Ok(Some(4)));
        book.change(ClusterOp::Remove { id: 4 }).unwrap();
        book.change(ClusterOp::Remove { id: 4 }).unwrap();
        assert_eq!(book.change(ClusterOp::Admit { card: card("n4", 5) }), Ok(Some(5)));
        assert_eq!(
            book.change(ClusterOp::Announce { member: Member { id: 4, card: card("n4", 4) } }),
            Err(ClusterReject::Removed { id: 4 })
        );
    }

    #[test]
    fn a_node_that_asks_again_gets_the_id_it_has() {
        let mut book = three();
        for _ in 0..2 {
            assert_eq!(book.change(ClusterOp::Admit { card: card("n4", 4) }), Ok(Some(4)));
        }
        assert_eq!(book.members.len(), 4);
    }

    #[test]
    fn a_wiped_node_does_not_slip_in_under_its_old_name_or_id() {
        let mut book = three();
        let before = book.clone();
        let admit = ClusterOp::Admit { card: card("n2", 99) };
        assert_eq!(book.change(admit), Err(ClusterReject::Taken { id: 2 }));
        let announce = ClusterOp::Announce { member: Member { id: 2, card: card("n2", 99) } };
        assert_eq!(book.change(announce), Err(ClusterReject::AnotherIncarnation { id: 2 }));
        assert_eq!(book, before, "a refusal changes nothing");
    }

    #[test]
    fn another_cluster_is_refused() {
        let op = ClusterOp::Found { cluster_id: "other".into(), members: Vec::new() };
        assert_eq!(three().change(op), Err(ClusterReject::AnotherCluster));
    }

    #[test]
    fn a_member_may_move_but_not_onto_another_one() {
        let mut book = three();
        let moved = |peer: &str| {
            let card = NodeCard { peer: peer.into(), ..card("n2", 2) };
            ClusterOp::Announce { member: Member { id: 2, card } }
        };
        assert_eq!(book.change(moved("elsewhere:1")), Ok(None));
        assert_eq!(book.member(2).unwrap().card.peer, "elsewhere:1");
        assert_eq!(book.change(moved("n3:1")), Err(ClusterReject::Taken { id: 3 }));
    }

    #[test]
    fn members_that_swapped_addresses_are_both_known_again_after_each_has_told() {
        let mut book = three();
        let at = |id: u64, peer: &str| {
            let card = NodeCard { peer: peer.into(), ..card(&format!("n{id}"), id) };
            Member { id, card }
        };
        assert_eq!(book.change(ClusterOp::Move { member: at(2, "n3:1") }), Ok(None));
        assert_eq!(book.member(3).unwrap().card.peer, "", "nobody knows where it is");
        assert_eq!(book.change(ClusterOp::Announce { member: at(3, "n2:1") }), Ok(None));
        let peers: Vec<_> = book.members.iter().map(|m| m.card.peer.as_str()).collect();
        assert_eq!(peers, ["n1:1", "n3:1", "n2:1"]);
        let before = book.clone();
        let stranger = Member { id: 2, card: NodeCard { incarnation: 99, ..at(2, "n1:1").card } };
        assert!(book.change(ClusterOp::Move { member: stranger }).is_err());
        assert_eq!(book, before, "a refusal changes nothing");
    }

    #[test]
    fn people_name_a_member_by_name_or_id() {
        let book = three();
        assert_eq!(book.named("n2").map(|m| m.id), Some(2));
        assert_eq!(book.named("3").map(|m| m.id), Some(3));
        assert_eq!(book.named("n9"), None);
    }
}
