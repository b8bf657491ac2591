//! Golden files of the frames between members.
//!
//! Not here: the frames (see `frame`). Must always hold: each frame that a released version sent is read for ever.

use bytes::Bytes;
use openraft::raft::{
    AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, EntryPayload};

use super::answer;
use super::frame::{Append, FileId, Have, ReadIndex, Request};
use crate::consensus::types::{Entry, LogId, Membership, Ops, Vote, from_journal, vote_from_journal};
use crate::journal::record;

const STORED: record::LogId = record::LogId { term: 3, node: 2, index: 7 };
const FILE: FileId = FileId { last: STORED, len: 1000, crc: 0xdead_beef };

fn id(index: u64) -> LogId {
    from_journal(&record::LogId { index, ..STORED })
}

fn vote() -> Vote {
    vote_from_journal(&record::Vote { term: 3, node: 2, committed: true })
}

fn higher() -> Vote {
    vote_from_journal(&record::Vote { term: 4, node: 1, committed: false })
}

fn entries() -> Vec<Entry> {
    let nodes = (1..=3).map(|n| (n, EmptyNode {}));
    let members =
        Membership::new(vec![[1, 2, 3].into()], nodes.collect::<std::collections::BTreeMap<_, _>>());
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Normal(Ops(Bytes::from_static(b"ops"))),
        EntryPayload::Membership(members.unwrap()),
    ];
    (8..).zip(payloads).map(|(index, payload)| Entry { log_id: id(index), payload }).collect()
}

fn requests() -> Vec<Request> {
    let mut ask = VoteRequest::new(higher(), Some(id(7)));
    let heartbeat = Append { vote: vote(), before: None, committed: None, entries: Vec::new() };
    let append = Append { vote: vote(), before: Some(id(7)), committed: Some(id(6)), entries: entries() };
    let pre = Request::PreVote(ask.clone());
    ask.leadership_transfer = true;
    vec![
        Request::Append(append),
        Request::Append(heartbeat),
        Request::Vote(ask),
        pre,
        Request::Transfer(TransferLeaderRequest::new(vote(), 5, Some(id(7)))),
        Request::Offer { vote: vote(), file: FILE },
        Request::Chunk { vote: vote(), file: FILE, offset: 512, bytes: Bytes::from_static(b"piece") },
        Request::Install { vote: vote(), file: FILE },
        Request::ReadIndex,
    ]
}

fn answers() -> Vec<Bytes> {
    let changed = TransferLeaderError::VoteChanged { expected: vote(), actual: higher() };
    let behind = TransferLeaderError::LogNotFlushed { expected: Some(id(7)), actual: None };
    vec![
        answer::append(&AppendEntriesResponse::Success),
        answer::append(&AppendEntriesResponse::PartialSuccess(Some(id(7)))),
        answer::append(&AppendEntriesResponse::Conflict),
        answer::append(&AppendEntriesResponse::HigherVote(higher())),
        answer::vote_of(&VoteResponse::new(higher(), Some(id(7)), true)),
        answer::transfer(&Ok(())),
        answer::transfer(&Err(changed)),
        answer::transfer(&Err(behind)),
        answer::have(Have::Upto(512)),
        answer::have(Have::HigherVote(higher())),
        answer::have(Have::Unknown),
        answer::install(Some(&vote())),
        answer::install(None),
        answer::read_index(ReadIndex::Index(7)),
        answer::read_index(ReadIndex::NotLeader(Some(2))),
        answer::read_index(ReadIndex::NotLeader(None)),
        answer::read_index(ReadIndex::Unknown),
    ]
}

/// Reads an answer and writes it again.
fn again(bytes: &Bytes) -> Bytes {
    let read = |kind: u8| match kind {
        41 => answer::to_append(bytes).map(|a| answer::append(&a)),
        44 => answer::to_vote(bytes).map(|a| answer::vote_of(&a)),
        46 => answer::to_transfer(bytes).map(|a| answer::transfer(&a)),
        49 => answer::to_have(bytes).map(answer::have),
        53 => answer::to_read_index(bytes).map(answer::read_index),
        _ => answer::to_install(bytes).map(|a| answer::install(a.as_ref())),
    };
    read(bytes[2]).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn every_frame_is_pinned() {
    let frames: Vec<Bytes> = requests().iter().map(Request::encode).chain(answers()).collect();
    let lines: Vec<String> = frames.iter().map(|f| hex(f)).collect();
    let golden: Vec<&str> = include_str!("golden/frames-v1.hex").lines().collect();
    assert_eq!(lines, golden, "\n{}\n", lines.join("\n"));
}

#[test]
fn a_frame_gives_back_what_it_was_given() {
    for request in requests() {
        assert_eq!(Request::decode(&request.encode()).unwrap(), request);
    }
    for answer in answers() {
        assert_eq!(again(&answer), answer);
    }
}

#[test]
fn a_flipped_bit_and_a_cut_frame_are_refused() {
    for request in requests() {
        let bytes = request.encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = Request::decode(&Bytes::from(damaged));
            // Only the head's kind and version are outside the checksum; another kind does not fit the fields.
            assert!(read.as_ref().ok() != Some(&request), "bit {bit} passed");
        }
        for len in 0..bytes.len() {
            assert!(Request::decode(&bytes.slice(..len)).is_err(), "{len} bytes passed");
        }
    }
}
