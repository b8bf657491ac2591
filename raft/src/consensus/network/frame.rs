//! The frames between members: each request and each answer, as bytes in an envelope.
//!
//! Not here: sending (see `client`), answering (see `service`). No serializer of openraft's: its structs change.
//! Must always hold: golden files pin each frame; a frame with a wrong bit is never taken for the one that was sent; the bytes
//! of an entry are never copied on the receiving side.
//!
//! All numbers are little-endian. `vote` is 17 bytes `term u64 | node u64 | committed u8`, `id` 24 bytes `term u64 | node u64 |
//! index u64`, `id?` is `0 u8` or `1 u8 | id`, `file` is `id | length u64 | checksum u32`.
//! ```text
//! Append          vote | id? before the entries | id? committed | count u32 | { id | kind u8 | length u32 | bytes } …
//! AppendAnswer    0 u8 taken | 1 u8, id?: taken up to | 2 u8 conflict | 3 u8, vote: a higher one
//! Vote, PreVote   vote | id? last entry | transfer u8
//! VoteAnswer      vote | granted u8 | id? last entry
//! Transfer        vote | to u64 | id? last entry
//! TransferAnswer  0 u8 | 1 u8, vote expected, vote found | 2 u8, id? expected, id? found
//! Offer           vote | file
//! Chunk           vote | file | offset u64 | bytes
//! Install         vote | file
//! Have            0 u8, offset u64 | 1 u8, vote: a higher one | 2 u8: offer it (again)
//! InstallAnswer   0 u8, vote | 2 u8: offer it (again)
//! ReadIndex       nothing
//! ReadIndexAnswer 0 u8, index u64 | 1 u8, 0 u8: no leader | 1 u8, 1 u8, id u64: that node leads | 2 u8: nobody can say now
//! ```

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest};

use crate::codec::{self, CodecError, ENVELOPE_BYTES, Fields, Kind};
use crate::consensus::types::{
    Entry, LogId, TypeConfig, Vote, entry_from_journal, from_journal, payload_to_journal, to_journal,
    vote_from_journal, vote_to_journal,
};
use crate::journal::record::{self, Payload, PayloadKind};

/// The version of every frame.
pub(super) const VERSION: u8 = 1;
/// Bytes of an entry beside its payload.
const ENTRY_HEAD_BYTES: usize = 24 + 1 + 4;

/// A body up to this many bytes is copied out of the buffer that it arrived in.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// A snapshot file on its way: what it contains, and which bytes exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    /// The last entry in it.
    pub last: record::LogId,
    /// Its length in bytes.
    pub len: u64,
    /// The checksum over all of it but the footer, as its footer says.
    pub crc: u32,
}

/// What one member asks another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Request {
    Append(Append),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    Transfer(TransferLeaderRequest<TypeConfig>),
    Offer { vote: Vote, file: FileId },
    Chunk { vote: Vote, file: FileId, offset: u64, bytes: Bytes },
    Install { vote: Vote, file: FileId },
    ReadIndex,
}

/// Entries for a follower; the fields of openraft's request, which cannot be compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Append {
    pub vote: Vote,
    pub before: Option<LogId>,
    pub committed: Option<LogId>,
    pub entries: Vec<Entry>,
}

impl From<AppendEntriesRequest<TypeConfig>> for Append {
    fn from(r: AppendEntriesRequest<TypeConfig>) -> Self {
        Self { vote: r.vote, before: r.prev_log_id, committed: r.leader_commit, entries: r.entries }
    }
}

impl From<Append> for AppendEntriesRequest<TypeConfig> {
    fn from(a: Append) -> Self {
        Self { vote: a.vote, prev_log_id: a.before, leader_commit: a.committed, entries: a.entries }
    }
}

/// How much of a snapshot the receiver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Have {
    /// It wants the bytes from here on.
    Upto(u64),
    /// It follows a leader with this higher vote.
    HigherVote(Vote),
    /// It knows nothing of this file.
    Unknown,
}

/// What the leader says about its commit index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadIndex {
    /// Everything that was acknowledged before the request is at or below this index.
    Index(u64),
    /// The one who was asked does not lead; perhaps this node does.
    NotLeader(Option<u64>),
    /// It leads, but no quorum confirmed that in time.
    Unknown,
}

pub(super) fn room(bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + bytes);
    out.resize(ENVELOPE_BYTES, 0);
    out
}

pub(super) fn seal(kind: Kind, out: Vec<u8>) -> Bytes {
    Bytes::from(codec::seal(kind, VERSION, out))
}

pub(super) fn put_id(out: &mut Vec<u8>, id: &record::LogId) {
    for number in [id.term, id.node, id.index] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

pub(super) fn put_some_id(out: &mut Vec<u8>, id: Option<&LogId>) {
    match id {
        None => out.push(0),
        Some(id) => {
            out.push(1);
            put_id(out, &to_journal(id));
        }
    }
}

pub(super) fn put_vote(out: &mut Vec<u8>, vote: &Vote) {
    let vote = vote_to_journal(vote);
    out.extend_from_slice(&vote.term.to_le_bytes());
    out.extend_from_slice(&vote.node.to_le_bytes());
    out.push(u8::from(vote.committed));
}

fn put_file(out: &mut Vec<u8>, file: &FileId) {
    put_id(out, &file.last);
    out.extend_from_slice(&file.len.to_le_bytes());
    out.extend_from_slice(&file.crc.to_le_bytes());
}

pub(super) fn flag(fields: &mut Fields<'_>) -> Result<bool, CodecError> {
    match fields.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CodecError::Malformed("a flag that is neither 0 nor 1")),
    }
}

fn id(fields: &mut Fields<'_>) -> Result<record::LogId, CodecError> {
    Ok(record::LogId { term: fields.u64()?, node: fields.u64()?, index: fields.u64()? })
}

pub(super) fn some_id(fields: &mut Fields<'_>) -> Result<Option<LogId>, CodecError> {
    Ok(if flag(fields)? { Some(from_journal(&id(fields)?)) } else { None })
}

pub(super) fn vote(fields: &mut Fields<'_>) -> Result<Vote, CodecError> {
    let (term, node, committed) = (fields.u64()?, fields.u64()?, flag(fields)?);
    Ok(vote_from_journal(&record::Vote { term, node, committed }))
}

fn file(fields: &mut Fields<'_>) -> Result<FileId, CodecError> {
    Ok(FileId { last: id(fields)?, len: fields.u64()?, crc: fields.u32()? })
}

fn vote_request(fields: &mut Fields<'_>) -> Result<VoteRequest<TypeConfig>, CodecError> {
    let mut request = VoteRequest::new(vote(fields)?, some_id(fields)?);
    request.leadership_transfer = flag(fields)?;
    Ok(request)
}

impl Request {
    /// The request as bytes.
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Request::Append(append) => append.encode(),
            Request::Vote(request) => encode_vote_request(Kind::Vote, request),
            Request::PreVote(request) => encode_vote_request(Kind::PreVote, request),
            Request::Transfer(request) => {
                let mut out = room(64);
                put_vote(&mut out, request.from_leader());
                out.extend_from_slice(&request.to_node_id().to_le_bytes());
                put_some_id(&mut out, request.last_log_id());
                seal(Kind::Transfer, out)
            }
            Request::Offer { vote, file } => encode_file(Kind::Offer, vote, file),
            Request::Install { vote, file } => encode_file(Kind::Install, vote, file),
            Request::ReadIndex => seal(Kind::ReadIndex, room(0)),
            Request::Chunk { vote, file, offset, bytes } => {
                let mut out = room(72 + bytes.len());
                put_vote(&mut out, vote);
                put_file(&mut out, file);
                out.extend_from_slice(&offset.to_le_bytes());
                out.extend_from_slice(bytes);
                seal(Kind::Chunk, out)
            }
        }
    }

    /// The reverse of [`Request::encode`].
    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, CodecError> {
        let (kind, body) = codec::open(VERSION, bytes)?;
        let mut fields = Fields::new(body);
        let of = |k: Kind| kind == k as u8;
        let request = if of(Kind::Append) {
            Request::Append(Append::decode(bytes, &mut fields)?)
        } else if of(Kind::Vote) {
            Request::Vote(vote_request(&mut fields)?)
        } else if of(Kind::PreVote) {
            Request::PreVote(vote_request(&mut fields)?)
        } else if of(Kind::Transfer) {
            let (from, to) = (vote(&mut fields)?, fields.u64()?);
            Request::Transfer(TransferLeaderRequest::new(from, to, some_id(&mut fields)?))
        } else if of(Kind::Offer) {
            Request::Offer { vote: vote(&mut fields)?, file: file(&mut fields)? }
        } else if of(Kind::Install) {
            Request::Install { vote: vote(&mut fields)?, file: file(&mut fields)? }
        } else if of(Kind::ReadIndex) {
            Request::ReadIndex
        } else if of(Kind::Chunk) {
            let (vote, file, offset) = (vote(&mut fields)?, file(&mut fields)?, fields.u64()?);
            return Ok(Request::Chunk { vote, file, offset, bytes: bytes.slice_ref(fields.rest()) });
        } else {
            return Err(CodecError::Malformed("an unknown request"));
        };
        fields.end()?;
        Ok(request)
    }
}

fn encode_vote_request(kind: Kind, request: &VoteRequest<TypeConfig>) -> Bytes {
    let mut out = room(64);
    put_vote(&mut out, &request.vote);
    put_some_id(&mut out, request.last_log_id.as_ref());
    out.push(u8::from(request.leadership_transfer));
    seal(kind, out)
}

fn encode_file(kind: Kind, vote: &Vote, file: &FileId) -> Bytes {
    let mut out = room(64);
    put_vote(&mut out, vote);
    put_file(&mut out, file);
    seal(kind, out)
}

impl Append {
    fn encode(&self) -> Bytes {
        let payloads: Vec<Payload> =
            self.entries.iter().map(|e| payload_to_journal(e.payload.clone())).collect();
        let bytes: usize = payloads.iter().map(|p| ENTRY_HEAD_BYTES + p.body.len()).sum();
        let mut out = room(80 + bytes);
        put_vote(&mut out, &self.vote);
        put_some_id(&mut out, self.before.as_ref());
        put_some_id(&mut out, self.committed.as_ref());
        let count = u32::try_from(payloads.len()).expect("a request has at most thousands of entries");
        out.extend_from_slice(&count.to_le_bytes());
        for (entry, payload) in self.entries.iter().zip(&payloads) {
            put_id(&mut out, &to_journal(&entry.log_id));
            out.push(payload.kind as u8);
            let len = u32::try_from(payload.body.len()).expect("entries are bounded far below 4 GiB");
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&payload.body);
        }
        seal(Kind::Append, out)
    }

    fn decode(whole: &Bytes, fields: &mut Fields<'_>) -> Result<Self, CodecError> {
        /// A slice keeps the whole buffer that it was read into; the log's cache keeps small bodies for a long time.
        fn body(whole: &Bytes, bytes: &[u8]) -> Bytes {
            if bytes.len() > COPIED_BYTES_MAX {
                whole.slice_ref(bytes)
            } else {
                Bytes::copy_from_slice(bytes)
            }
        }
        let (vote, before, committed) = (vote(fields)?, some_id(fields)?, some_id(fields)?);
        let count = fields.u32()? as usize;
        // The count is believed only as far as the bytes can bear it out.
        let mut entries = Vec::with_capacity(count.min(whole.len() / ENTRY_HEAD_BYTES));
        for _ in 0..count {
            let id = id(fields)?;
            let kind = PayloadKind::from_number(fields.u8()?)
                .ok_or(CodecError::Malformed("an unknown kind of entry"))?;
            let len = fields.u32()? as usize;
            let body = body(whole, fields.bytes(len)?);
            entries.push(entry_from_journal(&id, Payload { kind, body })?);
        }
        Ok(Self { vote, before, committed, entries })
    }
}
