//! What a command is: its row of the table, and the ways in which it can be run.
//!
//! Not here: the commands (`commands`), the order of running (`executor`). Must always hold: a row is the only place
//! that says a command's name, arity, flags and keys; a write becomes a typed operation before anything is handed over.

use bytes::Bytes;

use super::codec::{Reply, Request};
use super::error::{Refusal, of_reject};
use super::reader::ReadFn;
use super::session::Local;
use crate::meta::op::Op;
use crate::meta::response::Response;

/// Writes what an operation answered.
pub type ShapeFn = fn(Response, &mut Reply);

/// How an operation's response becomes a reply. A plain one never sees a refusal of apply; a named one words it itself.
pub enum Shape {
    /// By the response alone.
    Plain(ShapeFn),
    /// By the response and names that the request gave.
    Named(Vec<Bytes>, fn(&[Bytes], Response, &mut Reply)),
}

impl Shape {
    /// Writes the reply.
    pub fn write(&self, response: Response, reply: &mut Reply) {
        match (self, response) {
            (Shape::Plain(_), Response::Rejected(reject)) => reply.error(&of_reject(&reject).0),
            (Shape::Plain(shape), response) => shape(response, reply),
            (Shape::Named(names, shape), response) => shape(names, response, reply),
        }
    }
}

/// What a write command turns into.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives for a moment on the stack; a box would cost every write"
)]
pub enum Step {
    /// An operation for the log.
    Write(Op, Shape),
    /// Nothing to write after all: these arguments only read.
    Read(ReadFn),
    /// The answer is known from the arguments.
    Known(fn(&mut Reply)),
}

/// How a command runs, and with it where: here, from the state, or through the log.
#[derive(Clone, Copy)]
pub enum Run {
    /// Answered by this node alone, at once; it never waits for the log.
    Local(fn(&mut Local<'_>, &Request<'_>, &mut Reply)),
    /// From the state, as fresh as the connection asks for.
    Read(ReadFn),
    /// Through the log.
    Write(fn(&Request<'_>) -> Result<Step, Refusal>),
    /// By the executor itself: it concerns the order of running.
    Control(Control),
    /// By its subcommands.
    Container(&'static [Row]),
}

/// Commands that the executor runs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// MULTI.
    Multi,
    /// EXEC.
    Exec,
    /// DISCARD.
    Discard,
    /// WATCH.
    Watch,
    /// UNWATCH.
    Unwatch,
}

/// Where a command's keys are among its arguments, as COMMAND tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// From `first` to `last` (from the end when negative), every `step`.
    Range {
        /// First key; the name is 0.
        first: i32,
        /// Last key.
        last: i32,
        /// Distance of two keys.
        step: i32,
    },
    /// As many as the argument at `at` says, right behind it; a destination may stand in front.
    Counted {
        /// Where the number is.
        at: usize,
        /// Where another key is, 0 for none.
        destination: usize,
    },
    /// The first half of what follows the word STREAMS.
    Streams,
}

impl Keys {
    /// One key.
    pub const ONE: Keys = Keys::Range { first: 1, last: 1, step: 1 };
    /// Two keys.
    pub const TWO: Keys = Keys::Range { first: 1, last: 2, step: 1 };
    /// Nothing but keys.
    pub const ALL: Keys = Keys::Range { first: 1, last: -1, step: 1 };
    /// Keys and values.
    pub const PAIRS: Keys = Keys::Range { first: 1, last: -1, step: 2 };
    /// The key behind a subcommand.
    pub const SECOND: Keys = Keys::Range { first: 2, last: 2, step: 1 };

    /// Calls `visit` with the place of each key; `false` when the arguments do not say.
    pub fn visit(self, request: &Request<'_>, mut visit: impl FnMut(usize)) -> bool {
        match self {
            Keys::None => {}
            Keys::Range { first, last, step } => {
                let len = request.len() as i32;
                let last = if last < 0 { len + last } else { last };
                (first..=last.min(len - 1)).step_by(step.max(1) as usize).for_each(|at| visit(at as usize));
            }
            Keys::Counted { at, destination } => {
                if destination > 0 {
                    visit(destination);
                }
                let count = super::codec::unsigned(request.arg(at)).unwrap_or(0) as usize;
                if count == 0 || count > request.len().saturating_sub(at + 1) {
                    return false;
                }
                (at + 1..=at + count).for_each(visit);
            }
            Keys::Streams => {
                let Some(word) = (1..request.len()).find(|at| request.is(*at, "streams")) else {
                    return false;
                };
                let rest = request.len() - word - 1;
                if rest == 0 || !rest.is_multiple_of(2) {
                    return false;
                }
                (word + 1..=word + rest / 2).for_each(visit);
            }
        }
        true
    }

    /// First key, last key and step as COMMAND tells them.
    pub fn triple(self) -> (i32, i32, i32) {
        match self {
            Keys::None => (0, 0, 0),
            Keys::Range { first, last, step } => (first, last, step),
            Keys::Counted { destination: 0, .. } | Keys::Streams => (0, 0, 0),
            Keys::Counted { destination, .. } => (destination as i32, destination as i32, 1),
        }
    }
}

/// A set of flags of a command.
pub type Flags = u32;

/// It may change keys.
pub const WRITE: Flags = 1;
/// It never changes keys.
pub const READONLY: Flags = 1 << 1;
/// It may need more memory.
pub const DENYOOM: Flags = 1 << 2;
/// For administrators.
pub const ADMIN: Flags = 1 << 3;
/// About publishing.
pub const PUBSUB: Flags = 1 << 4;
/// Not for scripts.
pub const NOSCRIPT: Flags = 1 << 5;
/// Its keys are found by looking at the arguments.
pub const MOVABLEKEYS: Flags = 1 << 6;
/// Answered while the node is starting.
pub const LOADING: Flags = 1 << 7;
/// Answered by a node that is behind.
pub const STALE: Flags = 1 << 8;
/// Its cost does not grow with the data.
pub const FAST: Flags = 1 << 9;
/// Allowed before AUTH.
pub const NO_AUTH: Flags = 1 << 10;
/// It may wait for others.
pub const BLOCKING: Flags = 1 << 11;
/// Not inside MULTI.
pub const NO_MULTI: Flags = 1 << 12;
/// Answered while a script runs.
pub const ALLOW_BUSY: Flags = 1 << 13;
/// Not shown by MONITOR and the slow log.
pub const SKIP_MONITOR: Flags = 1 << 14;
/// Not in the slow log.
pub const SKIP_SLOWLOG: Flags = 1 << 15;

/// The names of flags, in the order in which redis-server lists them.
pub const FLAG_NAMES: [(Flags, &str); 16] = [
    (WRITE, "write"),
    (READONLY, "readonly"),
    (DENYOOM, "denyoom"),
    (ADMIN, "admin"),
    (PUBSUB, "pubsub"),
    (NOSCRIPT, "noscript"),
    (BLOCKING, "blocking"),
    (LOADING, "loading"),
    (STALE, "stale"),
    (SKIP_MONITOR, "skip_monitor"),
    (SKIP_SLOWLOG, "skip_slowlog"),
    (FAST, "fast"),
    (NO_AUTH, "no_auth"),
    (MOVABLEKEYS, "movablekeys"),
    (NO_MULTI, "no_multi"),
    (ALLOW_BUSY, "allow_busy"),
];

/// Groups of commands, as COMMAND DOCS names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The connection itself.
    Connection,
    /// The node.
    Server,
    /// Keys of any type.
    Generic,
    /// Strings.
    String,
    /// Hashes.
    Hash,
    /// Sets.
    Set,
    /// Streams.
    Stream,
    /// Transactions.
    Transactions,
    /// Lists.
    List,
    /// Sorted sets.
    SortedSet,
    /// Bits of strings.
    Bitmap,
    /// Publishing and subscribing.
    PubSub,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Generic => "generic",
            Group::String => "string",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::Stream => "stream",
            Group::Transactions => "transactions",
            Group::List => "list",
            Group::SortedSet => "sorted-set",
            Group::Bitmap => "bitmap",
            Group::PubSub => "pubsub",
        }
    }
}

/// One command.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its name in lower case; `parent|sub` for a subcommand.
    pub name: &'static str,
    /// Number of arguments, the name included; at least so many when negative.
    pub arity: i32,
    /// What it is and does.
    pub flags: Flags,
    /// Where its keys are.
    pub keys: Keys,
    /// What it belongs to.
    pub group: Group,
    /// How it runs.
    pub run: Run,
    /// One line for COMMAND DOCS and the documents.
    pub summary: &'static str,
    /// What it answers in RESP3, for the documents.
    pub reply: &'static str,
}

impl Row {
    /// A row; the rest of the table reads like one.
    #[expect(clippy::too_many_arguments, reason = "a row of a table has its columns")]
    pub const fn new(
        name: &'static str,
        arity: i32,
        flags: Flags,
        keys: Keys,
        group: Group,
        run: Run,
        reply: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { name, arity, flags, keys, group, run, summary, reply }
    }

    /// Whether a request has as many arguments as the command takes.
    pub fn takes(&self, arguments: usize) -> bool {
        match self.arity {
            exact @ 0.. => arguments == exact as usize,
            least => arguments >= least.unsigned_abs() as usize,
        }
    }

    /// Where it runs, for the documents.
    pub fn place(&self) -> &'static str {
        match self.run {
            Run::Local(_) => "node",
            Run::Read(_) => "state",
            Run::Write(_) => "log",
            Run::Control(_) => "connection",
            Run::Container(_) => "by subcommand",
        }
    }

    /// The name without its container's.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('|').map_or(self.name, |(_, sub)| sub)
    }
}
