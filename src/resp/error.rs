//! Error replies: every refusal in Redis's words.
//!
//! Not here: protocol errors (`codec`). Must always hold: an error says whether the write was applied: `INDOUBT` is
//! unknown, everything else is a definite no; each refusal of the service and of apply has an answer here.
//!
//! Source: research/redis-facade.md §1.5, §8; redis-server 7.0.

use std::borrow::Cow;

use metad_raft::Fatal;

use crate::meta::response::Reject;
use crate::meta::service::{AppliedState, ServiceError};

/// An error reply: code and text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub Cow<'static, str>);

impl Refusal {
    /// One whose text is made.
    pub fn of(text: impl Into<String>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// One whose text is fixed.
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

/// The key holds another type.
pub const WRONG_TYPE: Refusal =
    Refusal::fixed("WRONGTYPE Operation against a key holding the wrong kind of value");
/// The arguments make no sense together.
pub const SYNTAX: Refusal = Refusal::fixed("ERR syntax error");
/// Not an integer.
pub const NOT_INTEGER: Refusal = Refusal::fixed("ERR value is not an integer or out of range");
/// Not a float.
pub const NOT_FLOAT: Refusal = Refusal::fixed("ERR value is not a valid float");
/// No such key.
pub const NO_SUCH_KEY: Refusal = Refusal::fixed("ERR no such key");
/// Where a number must not be negative.
pub const NOT_POSITIVE: Refusal = Refusal::fixed("ERR value is out of range, must be positive");
/// The connection has to log in first.
pub const NO_AUTH: Refusal = Refusal::fixed("NOAUTH Authentication required.");
/// The node is starting.
pub const LOADING: Refusal = Refusal::fixed("LOADING Redis is loading the dataset in memory");
/// The node stops, and the command did not happen.
pub const STOPPING: Refusal = Refusal::fixed("CLUSTERDOWN the node is stopping");
/// A transaction that cannot run.
pub const EXEC_ABORT: Refusal = Refusal::fixed("EXECABORT Transaction discarded because of previous errors.");
/// A time to live for a file's metadata.
pub const FILES_STAY: Refusal = Refusal::fixed("ERR keys of files do not expire");
/// A spelling of a property that can only be read.
pub const READ_ONLY_SPELLING: Refusal =
    Refusal::fixed("ERR this spelling of the key can only be read: write file:{id}/{property}");

/// `wrong number of arguments` for a command, or `parent|sub`.
pub fn wrong_arity(command: &str) -> Refusal {
    Refusal::of(format!("ERR wrong number of arguments for '{command}' command"))
}

/// Why a read or a piece of a command ends without an answer.
#[derive(Debug)]
pub enum Stop {
    /// The client hears this.
    Refused(Refusal),
    /// The node's state cannot be read: it is about to stop.
    Fault(Fatal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Stop::Refused(refusal)
    }
}

impl From<Fatal> for Stop {
    fn from(fault: Fatal) -> Self {
        Stop::Fault(fault)
    }
}

/// The service's refusal of a read.
pub fn of_read(error: &ServiceError) -> Refusal {
    of_service(error, "the read was not answered in time")
}

/// The service's refusal of a hand-over.
pub fn of_write(error: &ServiceError) -> Refusal {
    match error.applied() {
        AppliedState::Unknown => Refusal::fixed(
            "INDOUBT the outcome of the write is not known: it may have been applied, or may be applied yet",
        ),
        AppliedState::No => of_service(error, "the write was not handed over in time; it was not applied"),
    }
}

fn of_service(error: &ServiceError, late: &'static str) -> Refusal {
    match error {
        ServiceError::NoLeader => Refusal::fixed("CLUSTERDOWN No raft leader"),
        ServiceError::TimedOut { .. } => Refusal::of(format!("CLUSTERDOWN {late}")),
        ServiceError::Busy => Refusal::fixed("BUSY too many requests in flight"),
        ServiceError::TooLarge { bytes, limit } => {
            Refusal::of(format!("ERR the command takes {bytes} bytes, more than the limit of {limit}"))
        }
        ServiceError::NoSpace => Refusal::fixed("OOM no space left on the data volume"),
        ServiceError::Stopped { .. } => STOPPING,
    }
}

/// What apply refused.
pub fn of_reject(reject: &Reject) -> Refusal {
    match reject {
        Reject::WrongType => WRONG_TYPE,
        Reject::NotInteger => NOT_INTEGER,
        Reject::NotFloat => NOT_FLOAT,
        Reject::Overflow => Refusal::fixed("ERR increment or decrement would overflow"),
        Reject::NoSuchKey => NO_SUCH_KEY,
        Reject::TooLong { .. } => {
            Refusal::fixed("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
        }
        Reject::TooManyElements { limit } => {
            Refusal::of(format!("ERR more than {limit} elements in one operation"))
        }
        Reject::IdTooSmall => {
            Refusal::fixed("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        }
        Reject::IdZero => Refusal::fixed("ERR The ID specified in XADD must be greater than 0-0"),
        Reject::IdsExhausted => {
            Refusal::fixed("ERR The stream has exhausted the last possible ID, unable to add more items")
        }
        Reject::IdBelowDeleted => {
            Refusal::fixed("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
        }
        Reject::AddedBelowLength => Refusal::fixed(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ),
        Reject::BusyGroup => Refusal::fixed("BUSYGROUP Consumer Group name already exists"),
        Reject::NoGroup { .. } => Refusal::fixed("NOGROUP No such key or consumer group"),
        Reject::Precondition
        | Reject::TooManyProperties { .. }
        | Reject::FeatureLevel { .. }
        | Reject::FeatureUnknown { .. }
        | Reject::KeyReused
        | Reject::ReadOnlySpelling
        | Reject::Cluster(_) => Refusal::of(format!("ERR {reject}")),
    }
}
