//! Door sessions: a write that is submitted twice is applied once.
//!
//! Not here: who submits again (`intake`). Must always hold: a sequence number is applied at most once per boot; what
//! the node acknowledged is forgotten; an older boot can do nothing once a newer one was seen.
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
    /// Applied hand-overs above the floor, with the replies of those that cannot simply be repeated.
    applied: BTreeMap<u64, Option<Vec<Response>>>,
}

/// What a session says of a hand-over before it is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Never seen: apply it.
    New,
    /// Applied before. Its replies, when they were kept.
    Repeated(Option<Vec<Response>>),
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
            return Verdict::Repeated(None);
        }
        match self.applied.get(&id.seq) {
            Some(replies) => Verdict::Repeated(replies.clone()),
            None => Verdict::New,
        }
    }

    /// Remembers an applied hand-over, and its replies when repeating it would answer something else.
    pub fn remember(&mut self, seq: u64, replies: Option<Vec<Response>>) {
        self.applied.insert(seq, replies);
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
        session.remember(1, Some(vec![Response::Count(3)]));
        assert_eq!(session.admit(id(1, 1), 0), Verdict::Repeated(Some(vec![Response::Count(3)])));
        assert_eq!(session.admit(id(1, 2), 0), Verdict::New);
    }

    #[test]
    fn what_was_acknowledged_is_forgotten_and_never_applied_again() {
        let mut session = Session::default();
        for seq in 1..=3 {
            session.admit(id(1, seq), 0);
            session.remember(seq, Some(vec![Response::Done]));
        }
        assert_eq!(session.admit(id(1, 4), 2), Verdict::New);
        assert_eq!(session.admit(id(1, 2), 0), Verdict::Repeated(None));
        assert_eq!(session.admit(id(1, 3), 0), Verdict::Repeated(Some(vec![Response::Done])));
    }

    #[test]
    fn a_newer_boot_drops_the_older_one() {
        let mut session = Session::default();
        session.admit(id(1, 1), 0);
        session.remember(1, None);
        assert_eq!(session.admit(id(2, 1), 0), Verdict::New);
        assert_eq!(session.admit(id(1, 2), 0), Verdict::Stale);
    }

    #[test]
    fn a_session_survives_its_encoding() {
        let mut session = Session::default();
        session.admit(id(4, 9), 7);
        session.remember(9, Some(vec![Response::Flag(true), Response::Nil]));
        assert_eq!(Session::decode(&session.encode()), Ok(session));
    }
}
