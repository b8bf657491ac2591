//! The answers of one member to another, a pair of functions for each.
//!
//! Not here: the requests, and the table of all fields (see `frame`). Must always hold: an answer to something else is refused.

use bytes::Bytes;
use openraft::raft::{AppendEntriesResponse, TransferLeaderError, VoteResponse};

use super::frame::{Have, ReadIndex, VERSION, flag, put_some_id, put_vote, room, seal, some_id, vote};
use crate::codec::{self, CodecError, Fields, Kind};
use crate::consensus::types::{TypeConfig, Vote};

fn body(kind: Kind, bytes: &[u8]) -> Result<Fields<'_>, CodecError> {
    let (found, body) = codec::open(VERSION, bytes)?;
    if found != kind as u8 {
        return Err(CodecError::Malformed("an answer to something else"));
    }
    Ok(Fields::new(body))
}

fn unknown<T>(_: u8) -> Result<T, CodecError> {
    Err(CodecError::Malformed("an unknown answer"))
}

pub(crate) fn append(answer: &AppendEntriesResponse<TypeConfig>) -> Bytes {
    let mut out = room(32);
    match answer {
        AppendEntriesResponse::Success => out.push(0),
        AppendEntriesResponse::PartialSuccess(upto) => {
            out.push(1);
            put_some_id(&mut out, upto.as_ref());
        }
        AppendEntriesResponse::Conflict => out.push(2),
        AppendEntriesResponse::HigherVote(vote) => {
            out.push(3);
            put_vote(&mut out, vote);
        }
    }
    seal(Kind::AppendAnswer, out)
}

pub(crate) fn to_append(bytes: &[u8]) -> Result<AppendEntriesResponse<TypeConfig>, CodecError> {
    let mut fields = body(Kind::AppendAnswer, bytes)?;
    let answer = match fields.u8()? {
        0 => AppendEntriesResponse::Success,
        1 => AppendEntriesResponse::PartialSuccess(some_id(&mut fields)?),
        2 => AppendEntriesResponse::Conflict,
        3 => AppendEntriesResponse::HigherVote(vote(&mut fields)?),
        other => return unknown(other),
    };
    fields.end()?;
    Ok(answer)
}

pub(crate) fn vote_of(answer: &VoteResponse<TypeConfig>) -> Bytes {
    let mut out = room(64);
    put_vote(&mut out, &answer.vote);
    out.push(u8::from(answer.vote_granted));
    put_some_id(&mut out, answer.last_log_id.as_ref());
    seal(Kind::VoteAnswer, out)
}

pub(crate) fn to_vote(bytes: &[u8]) -> Result<VoteResponse<TypeConfig>, CodecError> {
    let mut fields = body(Kind::VoteAnswer, bytes)?;
    let (vote, granted) = (vote(&mut fields)?, flag(&mut fields)?);
    let answer = VoteResponse::new(vote, some_id(&mut fields)?, granted);
    fields.end()?;
    Ok(answer)
}

pub(crate) fn transfer(answer: &Result<(), TransferLeaderError<TypeConfig>>) -> Bytes {
    let mut out = room(64);
    match answer {
        Ok(()) => out.push(0),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            out.push(1);
            put_vote(&mut out, expected);
            put_vote(&mut out, actual);
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            out.push(2);
            put_some_id(&mut out, expected.as_ref());
            put_some_id(&mut out, actual.as_ref());
        }
    }
    seal(Kind::TransferAnswer, out)
}

pub(crate) fn to_transfer(bytes: &[u8]) -> Result<Result<(), TransferLeaderError<TypeConfig>>, CodecError> {
    let mut fields = body(Kind::TransferAnswer, bytes)?;
    let answer = match fields.u8()? {
        0 => Ok(()),
        1 => {
            let (expected, actual) = (vote(&mut fields)?, vote(&mut fields)?);
            Err(TransferLeaderError::VoteChanged { expected, actual })
        }
        2 => {
            let (expected, actual) = (some_id(&mut fields)?, some_id(&mut fields)?);
            Err(TransferLeaderError::LogNotFlushed { expected, actual })
        }
        other => return unknown(other),
    };
    fields.end()?;
    Ok(answer)
}

pub(crate) fn have(answer: Have) -> Bytes {
    let mut out = room(32);
    match answer {
        Have::Upto(offset) => {
            out.push(0);
            out.extend_from_slice(&offset.to_le_bytes());
        }
        Have::HigherVote(vote) => {
            out.push(1);
            put_vote(&mut out, &vote);
        }
        Have::Unknown => out.push(2),
    }
    seal(Kind::Have, out)
}

pub(crate) fn to_have(bytes: &[u8]) -> Result<Have, CodecError> {
    let mut fields = body(Kind::Have, bytes)?;
    let answer = match fields.u8()? {
        0 => Have::Upto(fields.u64()?),
        1 => Have::HigherVote(vote(&mut fields)?),
        2 => Have::Unknown,
        other => return unknown(other),
    };
    fields.end()?;
    Ok(answer)
}

/// `None`: the file has to be offered again.
pub(crate) fn install(answer: Option<&Vote>) -> Bytes {
    let mut out = room(32);
    match answer {
        Some(vote) => {
            out.push(0);
            put_vote(&mut out, vote);
        }
        None => out.push(2),
    }
    seal(Kind::InstallAnswer, out)
}

pub(crate) fn to_install(bytes: &[u8]) -> Result<Option<Vote>, CodecError> {
    let mut fields = body(Kind::InstallAnswer, bytes)?;
    let answer = match fields.u8()? {
        0 => Some(vote(&mut fields)?),
        2 => None,
        other => return unknown(other),
    };
    fields.end()?;
    Ok(answer)
}

pub(crate) fn read_index(answer: ReadIndex) -> Bytes {
    let mut out = room(16);
    match answer {
        ReadIndex::Index(index) => {
            out.push(0);
            out.extend_from_slice(&index.to_le_bytes());
        }
        ReadIndex::NotLeader(leader) => {
            out.extend_from_slice(&[1, u8::from(leader.is_some())]);
            out.extend(leader.iter().flat_map(|id| id.to_le_bytes()));
        }
        ReadIndex::Unknown => out.push(2),
    }
    seal(Kind::ReadIndexAnswer, out)
}

pub(crate) fn to_read_index(bytes: &[u8]) -> Result<ReadIndex, CodecError> {
    let mut fields = body(Kind::ReadIndexAnswer, bytes)?;
    let answer = match fields.u8()? {
        0 => ReadIndex::Index(fields.u64()?),
        1 if flag(&mut fields)? => ReadIndex::NotLeader(Some(fields.u64()?)),
        1 => ReadIndex::NotLeader(None),
        2 => ReadIndex::Unknown,
        other => return unknown(other),
    };
    fields.end()?;
    Ok(answer)
}
