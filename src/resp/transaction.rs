//! Transactions: queued on the connection, run as one log entry.
//!
//! ```text
//! WATCH k ─► version of k          MULTI ─► queue          EXEC ─► one entry: guards, operations, marks for reads
//! ```
//!
//! A queued read becomes a mark in the entry; this node reads at the mark while it applies it (`meta::lookers`).
//!
//! Not here: commands outside (`executor`). Must always hold: all of a transaction happens at one index, or nothing; a
//! command that cannot be queued spoils the whole of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::codec::{Reply, Request, Span};
use super::command::{Row, Run, Shape, Step};
use super::door::{Door, seed};
use super::error::{self, Refusal};
use super::reader::{ReadFn, Reader, refusal_of};
use super::session::{Local, Session};
use crate::codec::Blob;
use crate::limits;
use crate::meta::lookers::{Looker, Moment};
use crate::meta::op::{Guard, Op};
use crate::meta::response::{Reject, Response};
use crate::meta::view::View;

/// A command that waits for EXEC.
struct Queued {
    row: &'static Row,
    buffer: Bytes,
    spans: Vec<Span>,
}

/// The commands between MULTI and EXEC.
#[derive(Default)]
pub struct Queue {
    commands: Vec<Queued>,
    bytes: usize,
    /// A command could not be queued: EXEC will refuse.
    pub spoiled: bool,
}

impl Queue {
    /// Queues a command.
    pub fn push(&mut self, row: &'static Row, request: &Request<'_>) -> Result<(), Refusal> {
        let (buffer, spans) = request.to_owned_parts();
        self.bytes += buffer.len() + spans.len() * size_of::<Span>();
        let full = self.commands.len() >= limits::RESP_QUEUED_COMMANDS_MAX;
        if full || self.bytes > limits::RESP_QUEUED_BYTES_MAX {
            self.spoiled = true;
            return Err(Refusal::fixed("ERR the transaction is too large"));
        }
        self.commands.push(Queued { row, buffer, spans });
        Ok(())
    }

    /// How many commands wait.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

/// A reply of the transaction, in the order of its commands.
enum Part {
    /// The answer of the next operation.
    Op(Shape),
    /// What was read at this mark.
    Read(u32),
    /// Known already.
    Refused(Refusal),
    /// Known already.
    Known(fn(&mut Reply)),
    /// Answered by this node alone, when all others are.
    Local(fn(&mut Local<'_>, &Request<'_>, &mut Reply), usize),
}

/// A read and its arguments.
struct Reading {
    run: ReadFn,
    buffer: Bytes,
    spans: Vec<Span>,
}

/// A transaction ready to be handed over.
pub struct Transaction {
    queue: Queue,
    parts: Vec<Part>,
    ops: Vec<Op>,
    readings: Vec<Reading>,
    guards: Vec<Guard>,
    ticket: u64,
    writes: bool,
    overdue: Arc<AtomicBool>,
}

/// What was read at each mark, as bytes of replies.
type Seen = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

impl Transaction {
    /// Turns queued commands into operations and marks.
    pub fn new(queue: Queue, watched: Vec<(Bytes, u64)>) -> Self {
        let guards = watched.into_iter().map(|(key, version)| Guard::KeyVersion { key: Blob(key), version });
        let guards = guards.collect();
        let mut made = Self {
            queue: Queue::default(),
            parts: Vec::new(),
            ops: Vec::new(),
            readings: Vec::new(),
            guards,
            ticket: seed(),
            writes: false,
            overdue: Arc::default(),
        };
        for (at, queued) in queue.commands.iter().enumerate() {
            let part = made.part(at, queued);
            made.parts.push(part);
        }
        made.queue = queue;
        made
    }

    fn part(&mut self, at: usize, queued: &Queued) -> Part {
        let request = Request::new(&queued.buffer, &queued.spans);
        match queued.row.run {
            Run::Local(run) => Part::Local(run, at),
            Run::Read(run) => self.mark(run, queued),
            Run::Write(run) => match run(&request) {
                Ok(Step::Write(op, shape)) => {
                    self.writes = true;
                    self.ops.push(op);
                    Part::Op(shape)
                }
                Ok(Step::Read(run)) => self.mark(run, queued),
                Ok(Step::Known(answer)) => Part::Known(answer),
                Err(refusal) => Part::Refused(refusal),
            },
            // UNWATCH: what was watched is forgotten by EXEC anyway.
            Run::Control(_) => Part::Known(Reply::ok),
            Run::Container(_) => Part::Refused(error::wrong_arity(queued.row.name)),
        }
    }

    fn mark(&mut self, run: ReadFn, queued: &Queued) -> Part {
        let part = self.readings.len() as u32;
        self.readings.push(Reading { run, buffer: queued.buffer.clone(), spans: queued.spans.clone() });
        self.ops.push(Op::Look { ticket: self.ticket, part });
        Part::Read(part)
    }

    /// Whether anything of it has to go through the log: reads alone need one fresh look.
    pub fn needs_log(&self) -> bool {
        self.writes || !self.guards.is_empty()
    }

    /// Makes the looker that answers the reads, and where the answers will be.
    pub fn looker(&mut self, door: &Arc<Door>, resp3: bool) -> (Looker, Seen) {
        let seen: Seen = Arc::new(Mutex::new(vec![None; self.readings.len()]));
        let readings = std::mem::take(&mut self.readings);
        let (answers, door) = (Arc::clone(&seen), Arc::clone(door));
        let (overdue, mut held) = (Arc::clone(&self.overdue), 0);
        let looker = move |part: u32, view: &dyn View, moment: Moment| {
            let Some(reading) = readings.get(part as usize) else { return };
            // Also when it begins again: what was held is replaced.
            held = if part == 0 { 0 } else { held };
            let mut reply = Reply::default();
            reply.speak(resp3);
            if held > limits::RESP_EXEC_ANSWER_BYTES_MAX {
                reply.error(ANSWERS_TOO_LARGE);
                answers.lock()[part as usize] = Some(reply.as_slice().to_vec());
                return;
            }
            let reader = Reader::new(view, moment, door.clock.now_ms(), seed);
            let request = Request::new(&reading.buffer, &reading.spans);
            if let Err(stop) = (reading.run)(&reader, &request, &mut reply) {
                reply.truncate(0);
                reply.error(&refusal_of(stop).0);
            }
            held += reply.len();
            overdue.fetch_or(reader.met_overdue(), Ordering::Relaxed);
            answers.lock()[part as usize] = Some(reply.as_slice().to_vec());
        };
        (Box::new(looker), seen)
    }

    /// Whether its reads met a key whose time has passed by the clock and not in the log.
    pub fn met_overdue(&self) -> bool {
        self.overdue.load(Ordering::Relaxed)
    }

    /// The ticket of its marks.
    pub fn ticket(&self) -> u64 {
        self.ticket
    }

    /// How many marks there are.
    pub fn marks(&self) -> u32 {
        self.ops.iter().filter(|op| matches!(op, Op::Look { .. })).count() as u32
    }

    /// The one operation that does it all.
    pub fn take_op(&mut self) -> Op {
        Op::Atomic { guards: std::mem::take(&mut self.guards), ops: std::mem::take(&mut self.ops) }
    }

    /// Writes EXEC's reply.
    pub fn answer(
        self,
        response: Response,
        seen: &Seen,
        door: &Door,
        session: &mut Session,
        reply: &mut Reply,
    ) {
        let responses = match response {
            Response::Rejected(Reject::Precondition) => return reply.null_array(),
            Response::Rejected(reject) => return reply.error(&error::of_reject(&reject).0),
            Response::List(responses) => responses,
            _ => Vec::new(),
        };
        let mut responses = responses.into_iter();
        reply.array(self.parts.len());
        let mut seen = seen.lock();
        for part in self.parts {
            match part {
                Part::Op(shape) => match responses.next() {
                    Some(response) => shape.write(response, reply),
                    None => reply.error(LOST),
                },
                Part::Read(mark) => {
                    // A mark's own answer says nothing.
                    responses.next();
                    match seen.get_mut(mark as usize).and_then(Option::take) {
                        Some(bytes) => reply.raw(&bytes),
                        None => reply.error(LOST),
                    }
                }
                Part::Refused(refusal) => reply.error(&refusal.0),
                Part::Known(answer) => answer(reply),
                Part::Local(run, at) => {
                    let queued = &self.queue.commands[at];
                    let mut local = Local { session: &mut *session, door };
                    run(&mut local, &Request::new(&queued.buffer, &queued.spans), reply);
                }
            }
        }
    }
}

/// The other answers of the transaction hold as much as may be held.
const ANSWERS_TOO_LARGE: &str = "ERR the answers of the transaction are too large, and this one was left out";

/// The entry came with a snapshot, or a leader change had it sent twice: what it did is certain, what it read is not known.
const LOST: &str = "INDOUBT the transaction was applied and this answer of it is lost";
