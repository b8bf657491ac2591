//! What an operation answers: equal on every node, because it is computed by apply.
//!
//! Not here: status codes and protocol texts (doors).
//! Must always hold: variants are only appended; a refusal is a response, never an error that stops anything.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use super::cluster::ClusterReject;
use super::stream::{Entry, StreamId};
use crate::codec::Blob;

/// The result of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub enum Response {
    /// Done, nothing to tell.
    Done,
    /// How many things were changed, or a number that was computed.
    Count(i64),
    /// Whether something changed.
    Flag(bool),
    /// A value.
    Value(Blob),
    /// There is nothing.
    Nil,
    /// Several results in order, of an atomic group or of a command with several answers.
    List(Vec<Response>),
    /// A deterministic "no": nothing was changed.
    Rejected(Reject),
    /// The id of a stream's entry, or a cursor.
    Id(StreamId),
    /// Ids of a stream's entries.
    Ids(Vec<StreamId>),
    /// Entries of a stream.
    Entries(Vec<Entry>),
    /// What a request with a key did, now or when it came first.
    Once {
        /// Index of the entry that applied it.
        index: u64,
        /// Whether it had been applied before.
        replayed: bool,
        /// One response per operation; `None` when all of them were `Done`.
        responses: Option<Vec<Response>>,
    },
}

impl Response {
    /// What a session keeps of it for a hand-over that is repeated: the ids of entries stand for them.
    pub fn kept(&self) -> Self {
        match self {
            Response::Entries(entries) => Response::Ids(entries.iter().map(|entry| entry.id).collect()),
            Response::List(items) => Response::List(items.iter().map(Response::kept).collect()),
            Response::Once { index, replayed, responses } => Response::Once {
                index: *index,
                replayed: *replayed,
                responses: responses.as_ref().map(|list| list.iter().map(Response::kept).collect()),
            },
            other => other.clone(),
        }
    }
}

/// Why an operation was refused. Every node refuses it alike.
#[derive(Clone, Debug, PartialEq, Eq, Encode, BorrowDecode, thiserror::Error)]
#[bincode(decode_context = "Bytes")]
pub enum Reject {
    /// A guard of the atomic group did not hold.
    #[error("the precondition does not hold")]
    Precondition,
    /// The record would have more properties than the limit.
    #[error("the record would have more than {limit} properties")]
    TooManyProperties {
        /// The limit.
        limit: u32,
    },
    /// The feature level asked for is lower than the present one.
    #[error("feature level {asked} is lower than the present {present}")]
    FeatureLevel {
        /// What was asked for.
        asked: u32,
        /// What is in force.
        present: u32,
    },
    /// The key holds a value of another type.
    #[error("the key holds the wrong kind of value")]
    WrongType,
    /// The value is not a decimal integer of 64 bits.
    #[error("the value is not an integer or out of range")]
    NotInteger,
    /// The value is not a decimal number.
    #[error("the value is not a valid float")]
    NotFloat,
    /// The result would not fit.
    #[error("the increment or decrement would overflow")]
    Overflow,
    /// The key is absent.
    #[error("no such key")]
    NoSuchKey,
    /// The string would be too long.
    #[error("the string would exceed {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: u64,
    },
    /// The operation would touch too many elements in one step.
    #[error("more than {limit} elements in one operation")]
    TooManyElements {
        /// The limit.
        limit: u64,
    },
    /// The cluster's book refused the change.
    #[error(transparent)]
    Cluster(#[from] ClusterReject),
    /// The id of a new entry, or the last id to set, is not above what is there.
    #[error("the id is equal or smaller than the stream's top item")]
    IdTooSmall,
    /// No entry has the id 0-0.
    #[error("the id must be greater than 0-0")]
    IdZero,
    /// The last possible id was given.
    #[error("the stream has exhausted the last possible id")]
    IdsExhausted,
    /// XSETID: the last id would be below the highest deleted one.
    #[error("the id is smaller than the highest deleted id")]
    IdBelowDeleted,
    /// XSETID: fewer entries would have been added than are there.
    #[error("the number of added entries is smaller than the stream's length")]
    AddedBelowLength,
    /// There is a group of that name.
    #[error("the consumer group exists already")]
    BusyGroup,
    /// There is no such stream or no such group.
    #[error("no such key or consumer group")]
    NoGroup {
        /// Which of the operation's streams, from 0.
        stream: u32,
    },
    /// Another request has used the key of a request before.
    #[error("the key was used for another request before")]
    KeyReused,
    /// A member cannot apply entries of the feature level asked for.
    #[error("feature level {asked} is not known to node {id}, which goes up to {max}: upgrade it first")]
    FeatureUnknown {
        /// What was asked for.
        asked: u32,
        /// The member.
        id: u64,
        /// The highest level that it knows.
        max: u32,
    },
    /// The key is a spelling of a property that can only be read.
    #[error("this spelling of the key can only be read: write file:{{id}}/{{property}}")]
    ReadOnlySpelling,
}
