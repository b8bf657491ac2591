//! Door sessions: a write that is submitted twice is applied once.
//!
//! Not here: who submits again (`intake`). Must always hold: a sequence number is applied at most once per boot, and only
//! right after the one before it, unless the node has given that one up (its floor says so); what is at or below the floor
//! is never applied; an older boot can do nothing once a newer one was seen.
//!
//! Source: Ongaro's dissertation, section 6.3 "Implementing linearizable semantics"; design D7.

use std::collections::BTreeMap;

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::entry::OpId;
use super::response::Response;
use crate::codec::{self, CodecError};

/// Version byte in front of a stored session.
const VERSION: u8 = 1;

/// What the state remembers of one node's doors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    boot: u64,
    floor: u64,
    /// Applied hand-overs above the floor, without holes; their replies unless all of them are `Done`.
    applied: BTreeMap<u64, Option<Vec<Response>>>,
}

/// What a session says of a hand-over before it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never seen: apply it.
    New,
    /// Applied before, with these replies; `None` when all of them were `Done`.
    Repeated(Option<Vec<Response>>),
    /// At or below the floor: the sender knows what became of it, or has given it up.
    Settled,
    /// A hand-over before it is missing: it must not be applied now.
    Gap,
    /// It belongs to an older boot of the node: nobody waits for it.
    Stale,
}

#[derive(Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
struct Stored {
    boot: u64,
    floor: u64,
    applied: Vec<(u64, Option<Vec<Response>>)>,
}

impl Session {
    /// The boot in force.
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Looks at a hand-over and forgets what its sender has acknowledged.
    pub fn admit(&mut self, id: OpId, floor: u64) -> Verdict {
        if id.boot < self.boot {
            return Verdict::Stale;
        }
        if id.boot > self.boot {
            *self = Self { boot: id.boot, ..Self::default() };
        }
        if floor > self.floor {
            self.floor = floor;
            self.applied = self.applied.split_off(&(floor + 1));
        }
        if id.seq <= self.floor {
            return Verdict::Settled;
        }
        match self.applied.get(&id.seq) {
            Some(replies) => Verdict::Repeated(replies.clone()),
            None if id.seq == self.last() + 1 => Verdict::New,
            None => Verdict::Gap,
        }
    }

    /// The last hand-over that was applied or given up.
    fn last(&self) -> u64 {
        self.applied.last_key_value().map_or(self.floor, |(seq, _)| *seq)
    }

    /// Remembers an applied hand-over and what it answered.
    pub fn remember(&mut self, seq: u64, replies: &[Response]) {
        let told = replies.iter().any(|reply| *reply != Response::Done);
        self.applied.insert(seq, told.then(|| replies.iter().map(Response::kept).collect()));
    }

    /// The replies of an applied hand-over above the floor, as in [`Verdict::Repeated`]; `None` when it was not applied.
    pub fn replies(&self, id: OpId) -> Option<&Option<Vec<Response>>> {
        (id.boot == self.boot).then(|| self.applied.get(&id.seq)).flatten()
    }

    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        let applied = self.applied.iter().map(|(seq, replies)| (*seq, replies.clone())).collect();
        codec::encode_into(&Stored { boot: self.boot, floor: self.floor, applied }, &mut out);
        Bytes::from(out)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        match stored.first() {
            None => Err(CodecError::Truncated(0)),
            Some(&VERSION) => {
                let Stored { boot, floor, applied } = codec::decode_shared(&stored.slice(1..))?;
                Ok(Self { boot, floor, applied: applied.into_iter().collect() })
            }
            Some(&found) => Err(CodecError::Newer { found, supported: VERSION }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(boot: u64, seq: u64) -> OpId {
        OpId { node: 1, boot, seq }
    }

    #[test]
    fn a_repeated_hand_over_gets_its_first_replies() {
        let mut session = Session::default();
        assert_eq!(session.admit(id(1, 1), 0), Verdict::New);
        session.remember(1, &[Response::Count(3)]);
        assert_eq!(session.admit(id(1, 1), 0), Verdict::Repeated(Some(vec![Response::Count(3)])));
        assert_eq!(session.admit(id(1, 2), 0), Verdict::New);
        session.remember(2, &[Response::Done, Response::Done]);
        assert_eq!(session.admit(id(1, 2), 0), Verdict::Repeated(None));
    }

    #[test]
    fn a_hand_over_is_applied_only_after_the_one_before_it() {
        let mut session = Session::default();
        assert_eq!(session.admit(id(1, 2), 0), Verdict::Gap);
        session.admit(id(1, 1), 0);
        session.remember(1, &[Response::Done]);
        assert_eq!(session.admit(id(1, 3), 0), Verdict::Gap);
        assert_eq!(session.admit(id(1, 2), 0), Verdict::New);
    }

    #[test]
    fn a_hand_over_that_its_node_gave_up_is_never_applied_after_a_later_one() {
        let mut session = Session::default();
        assert_eq!(session.admit(id(1, 3), 2), Verdict::New);
        session.remember(3, &[Response::Done]);
        assert_eq!(session.admit(id(1, 2), 0), Verdict::Settled);
        assert_eq!(session.admit(id(1, 1), 0), Verdict::Settled);
    }

    #[test]
    fn what_was_acknowledged_is_forgotten_and_never_applied_again() {
        let mut session = Session::default();
        for seq in 1..=3 {
            session.admit(id(1, seq), 0);
            session.remember(seq, &[Response::Flag(true)]);
        }
        assert_eq!(session.admit(id(1, 4), 2), Verdict::New);
        assert_eq!(session.admit(id(1, 2), 0), Verdict::Settled);
        assert_eq!(session.admit(id(1, 3), 0), Verdict::Repeated(Some(vec![Response::Flag(true)])));
    }

    #[test]
    fn a_newer_boot_drops_the_older_one() {
        let mut session = Session::default();
        session.admit(id(1, 1), 0);
        session.remember(1, &[Response::Done]);
        assert_eq!(session.admit(id(2, 1), 0), Verdict::New);
        assert_eq!(session.admit(id(1, 2), 0), Verdict::Stale);
    }

    #[test]
    fn a_session_survives_its_encoding() {
        let mut session = Session::default();
        session.admit(id(4, 9), 8);
        session.remember(9, &[Response::Flag(true), Response::Nil]);
        assert_eq!(Session::decode(&session.encode()), Ok(session));
    }
}
