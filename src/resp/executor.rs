//! Running the commands of a batch: consecutive writes become one hand-over, all reads share one barrier.
//!
//! ```text
//! SET SET SET GET PING SET      ─►  [SET SET SET] hand-over   GET from the state   PING   [SET] hand-over
//! ```
//!
//! Not here: the socket (`connection`), what commands mean (`commands`). Must always hold: a read sees the writes that stand
//! before it in the pipeline; a reply is written when everything before it has one; a barrier was asked for after the
//! reads arrived that it serves, and a write of the same batch that was applied is as good as one, because its entry
//! came after everything that was acknowledged before the batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::codec::{Reply, Request};
use super::command::{Control, LOADING, NO_AUTH, NO_MULTI, Row, Run, Shape, Step};
use super::command_table;
use super::door::{self, Door};
use super::error::{self, Refusal, Stop};
use super::reader::{ReadFn, Reader, refusal_of};
use super::session::{Local, Session};
use super::transaction::{Queue, Transaction};
use crate::limits;
use crate::meta::lookers::Moment;
use crate::meta::op::{Op, SystemOp};
use crate::meta::response::Response;
use crate::meta::service::{Consistency, ReadOptions, WriteOptions};
use crate::meta::state::Head;

/// What has to happen before a command can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The writes before it are handed over and answered.
    Flush,
    /// The state is made fresh.
    Fresh,
    /// The log's time moves on: a key that is overdue by the clock was met.
    Tick,
    /// The output is sent: there is a lot of it.
    Send,
    /// The queued commands run; that is all of this command.
    Exec,
}

/// A reply that waits for the hand-over.
enum Slot {
    /// The next operation's.
    Op(Shape),
    /// Known already.
    Refused(Refusal),
    /// Known already.
    Known(fn(&mut Reply)),
}

/// Runs one connection's commands.
pub struct Executor {
    door: Arc<Door>,
    /// The connection's session.
    pub session: Session,
    /// Its output.
    pub reply: Reply,
    ops: Vec<Op>,
    slots: Vec<Slot>,
    /// What the operations take in the log, in bytes.
    weight: usize,
    /// Whether the state is fresh enough for this batch's reads, once that was asked for.
    fresh: Option<Result<(), Refusal>>,
    /// Whether the log's time was moved on for this command.
    ticked: bool,
}

impl Executor {
    /// An executor for a new connection.
    pub fn new(door: Arc<Door>, session: Session) -> Self {
        let reply = Reply::default();
        Self {
            door,
            session,
            reply,
            ops: Vec::new(),
            slots: Vec::new(),
            weight: 0,
            fresh: None,
            ticked: false,
        }
    }

    /// A new batch begins: what was fresh is so no longer.
    pub fn begin(&mut self) {
        self.fresh = None;
    }

    /// Runs a command, or says what has to happen before.
    pub fn run(&mut self, request: &Request<'_>) -> Result<(), Wait> {
        if self.reply.len() > limits::RESP_OUTPUT_BYTES {
            return Err(Wait::Send);
        }
        let row = match command_table::find(request) {
            Ok(row) => row,
            Err(refusal) => return self.spoil(refusal),
        };
        if !self.session.authenticated && row.flags & NO_AUTH == 0 {
            return self.refuse(error::NO_AUTH);
        }
        if self.door.service().is_none() && row.flags & LOADING == 0 {
            return self.spoil(error::LOADING);
        }
        if self.door.is_stopping() && row.flags & LOADING == 0 {
            return self.spoil(error::STOPPING);
        }
        if self.session.queue.is_some() && !is_immediate(row) && !matches!(row.name, "quit" | "reset") {
            return self.queue(row, request);
        }
        let result = match row.run {
            Run::Local(run) => self.local(run, request),
            Run::Read(run) => match super::files::admits(row, request) {
                Ok(()) => self.read(run, request),
                Err(refusal) => self.refuse(refusal),
            },
            Run::Write(run) => self.write(row, run, request),
            Run::Control(control) => self.control(control, row, request),
            Run::Container(_) => self.refuse(error::wrong_arity(row.name)),
        };
        if result.is_ok() {
            self.ticked = false;
        }
        result
    }

    /// Name and time of the batch's last command, for CLIENT LIST.
    pub fn note(&self, request: &Request<'_>, commands: usize) {
        let name = command_table::find(request).map_or("NULL", |row| row.name);
        self.session.client.change(|facts| (facts.command, facts.active) = (name, Instant::now()));
        self.door.counts.commands.fetch_add(commands as u64, Ordering::Relaxed);
    }

    fn refuse(&mut self, refusal: Refusal) -> Result<(), Wait> {
        self.door.counts.errors.fetch_add(1, Ordering::Relaxed);
        match self.slots.is_empty() {
            true => self.reply.error(&refusal.0),
            false => self.slots.push(Slot::Refused(refusal)),
        }
        Ok(())
    }

    /// A command that cannot run: a transaction that it belongs to cannot either.
    fn spoil(&mut self, refusal: Refusal) -> Result<(), Wait> {
        if let Some(queue) = &mut self.session.queue {
            queue.spoiled = true;
        }
        self.refuse(refusal)
    }

    fn queue(&mut self, row: &'static Row, request: &Request<'_>) -> Result<(), Wait> {
        if row.flags & NO_MULTI != 0 {
            return self.spoil(Refusal::fixed("ERR Command not allowed inside a transaction"));
        }
        if let Err(refusal) = super::files::admits(row, request) {
            return self.spoil(refusal);
        }
        let Some(queue) = &mut self.session.queue else { return Ok(()) };
        match queue.push(row, request) {
            Ok(()) => {
                let queued = Some(queue.len());
                self.session.client.change(|facts| facts.queued = queued);
                self.reply.simple("QUEUED");
                Ok(())
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn control(&mut self, control: Control, row: &Row, request: &Request<'_>) -> Result<(), Wait> {
        if !self.slots.is_empty() {
            return Err(Wait::Flush);
        }
        let inside = self.session.queue.is_some();
        match control {
            Control::Multi if inside => self.refuse(Refusal::fixed("ERR MULTI calls can not be nested")),
            Control::Multi => {
                self.session.queue = Some(Queue::default());
                self.session.client.change(|facts| facts.queued = Some(0));
                self.reply.ok();
                Ok(())
            }
            Control::Exec if !inside => self.refuse(Refusal::fixed("ERR EXEC without MULTI")),
            Control::Exec => Err(Wait::Exec),
            Control::Discard if !inside => self.refuse(Refusal::fixed("ERR DISCARD without MULTI")),
            Control::Discard => {
                self.leave();
                self.reply.ok();
                Ok(())
            }
            Control::Watch if inside => self.refuse(Refusal::fixed("ERR WATCH inside MULTI is not allowed")),
            Control::Watch => match super::files::admits(row, request) {
                Ok(()) => self.watch(request),
                Err(refusal) => self.refuse(refusal),
            },
            Control::Unwatch => {
                self.session.watched.clear();
                self.session.client.change(|facts| facts.watching = 0);
                self.reply.ok();
                Ok(())
            }
        }
    }

    /// The end of a transaction, however it ended.
    fn leave(&mut self) -> (Option<Queue>, Vec<(Bytes, u64)>) {
        self.session.client.change(|facts| (facts.queued, facts.watching) = (None, 0));
        (self.session.queue.take(), std::mem::take(&mut self.session.watched))
    }

    /// Notes the versions of keys.
    fn watch(&mut self, request: &Request<'_>) -> Result<(), Wait> {
        if self.session.watched.len() + request.len() > limits::RESP_WATCHED_KEYS_MAX {
            return self.refuse(Refusal::fixed("ERR too many watched keys"));
        }
        let begin = self.reply.len();
        let mut found = Vec::new();
        let note = |reader: &Reader<'_>, request: &Request<'_>, reply: &mut Reply| {
            for at in 1..request.len() {
                let key = reader.key(request.arg(at))?.filter(|key| key.is_live(reader.clock_ms));
                let name = Bytes::copy_from_slice(request.arg(at));
                found.push((name, key.map_or(0, |key| key.mod_index)));
            }
            reply.ok();
            Ok(())
        };
        self.fresh_enough()?;
        if let Some(Err(refusal)) = self.fresh.clone() {
            return self.refuse(refusal);
        }
        self.look(note, request, begin);
        self.session.watched.extend(found);
        let watching = self.session.watched.len();
        self.session.client.change(|facts| facts.watching = watching);
        Ok(())
    }

    fn fresh_enough(&self) -> Result<(), Wait> {
        if self.fresh.is_none() { Err(Wait::Fresh) } else { Ok(()) }
    }

    /// Runs the queued commands.
    pub async fn exec(&mut self) {
        let (queue, watched) = self.leave();
        let Some(queue) = queue else { return };
        if queue.spoiled {
            return self.reply.error(&error::EXEC_ABORT.0);
        }
        if self.door.is_stopping() {
            return self.reply.error(&error::STOPPING.0);
        }
        let Some(service) = self.door.service().cloned() else {
            return self.reply.error(&error::LOADING.0);
        };
        let mut transaction = Transaction::new(queue, watched);
        let (mut looker, seen) = transaction.looker(&self.door, self.reply.is_resp3());
        let outcome = if transaction.needs_log() {
            let ticket = transaction.ticket();
            let registered = service.lookers().register(ticket, looker);
            let deadline = Instant::now() + self.door.options.request_timeout;
            let written = service.write(vec![transaction.take_op()], WriteOptions { deadline }).await;
            drop(registered);
            self.fresh = None;
            let first = |written: crate::meta::service::Written| written.responses.into_iter().next();
            written.map(|written| first(written).unwrap_or(Response::Done)).map_err(|e| error::of_write(&e))
        } else {
            self.freshen().await;
            let marks = transaction.marks();
            let mut look = || {
                service.look(&mut |view, head| {
                    let moment = moment_of(head);
                    (0..marks).for_each(|mark| looker(mark, view, moment));
                    Ok(())
                })
            };
            let mut looked = look();
            if transaction.met_overdue() {
                self.tick().await;
                looked = look();
                self.ticked = false;
            }
            let fresh = self.fresh.clone().unwrap_or(Ok(()));
            let answers = Response::List(vec![Response::Done; marks as usize]);
            fresh.and(looked.map(|()| answers).map_err(|e| error::of_read(&e)))
        };
        match outcome {
            Ok(response) => {
                transaction.answer(response, &seen, &self.door, &mut self.session, &mut self.reply);
            }
            Err(refusal) => self.reply.error(&refusal.0),
        }
    }

    fn local(
        &mut self,
        run: fn(&mut Local<'_>, &Request<'_>, &mut Reply),
        request: &Request<'_>,
    ) -> Result<(), Wait> {
        if !self.slots.is_empty() {
            return Err(Wait::Flush);
        }
        let mut local = Local { session: &mut self.session, door: &self.door };
        run(&mut local, request, &mut self.reply);
        Ok(())
    }

    fn read(&mut self, run: ReadFn, request: &Request<'_>) -> Result<(), Wait> {
        if !self.slots.is_empty() {
            return Err(Wait::Flush);
        }
        match &self.fresh {
            None => return Err(Wait::Fresh),
            Some(Err(refusal)) => {
                let refusal = refusal.clone();
                return self.refuse(refusal);
            }
            Some(Ok(())) => {}
        }
        let begin = self.reply.len();
        let overdue = self.look(run, request, begin);
        if overdue && !self.ticked {
            self.reply.truncate(begin);
            return Err(Wait::Tick);
        }
        Ok(())
    }

    /// Answers from the state; whether a key was met that is overdue.
    fn look(
        &mut self,
        mut run: impl FnMut(&Reader<'_>, &Request<'_>, &mut Reply) -> Result<(), Stop>,
        request: &Request<'_>,
        begin: usize,
    ) -> bool {
        let Some(service) = self.door.service() else { return false };
        let (clock_ms, seed) = (self.door.clock.now_ms(), door::seed);
        let reply = &mut self.reply;
        let mut overdue = false;
        let mut refused = None;
        let looked = service.look(&mut |view, head| {
            let reader = Reader::new(view, moment_of(head), clock_ms, seed);
            if let Err(stop) = run(&reader, request, reply) {
                refused = Some(refusal_of(stop));
            }
            overdue = reader.met_overdue();
            Ok(())
        });
        let refused = refused.or_else(|| looked.err().map(|e| error::of_read(&e)));
        if let Some(refusal) = refused {
            self.reply.truncate(begin);
            self.reply.error(&refusal.0);
            self.door.counts.errors.fetch_add(1, Ordering::Relaxed);
        }
        overdue
    }

    fn write(
        &mut self,
        row: &'static Row,
        run: fn(&Request<'_>) -> Result<Step, Refusal>,
        request: &Request<'_>,
    ) -> Result<(), Wait> {
        match super::files::admits(row, request).and_then(|()| run(request)) {
            Ok(Step::Write(op, shape)) => {
                let weight = op.weight();
                if !fits(self.ops.len(), self.weight, weight) {
                    return Err(Wait::Flush);
                }
                self.weight += weight;
                self.ops.push(op);
                self.slots.push(Slot::Op(shape));
                Ok(())
            }
            Ok(Step::Read(run)) => self.read(run, request),
            Ok(Step::Known(answer)) => {
                self.slots.push(Slot::Known(answer));
                Ok(())
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Does what a command has to wait for; sending is the connection's business.
    pub async fn wait(&mut self, wait: Wait) {
        match wait {
            Wait::Flush => self.flush().await,
            Wait::Fresh => self.freshen().await,
            Wait::Tick => self.tick().await,
            Wait::Exec => self.exec().await,
            Wait::Send => {}
        }
    }

    /// Hands over the writes that wait and writes the replies of everything up to here.
    pub async fn flush(&mut self) {
        if self.slots.is_empty() {
            return;
        }
        let ops = std::mem::take(&mut self.ops);
        self.weight = 0;
        let outcome = match (ops.is_empty(), self.door.service()) {
            (true, _) => Ok(Vec::new()),
            (false, None) => Err(error::LOADING),
            (false, Some(service)) => {
                let deadline = Instant::now() + self.door.options.request_timeout;
                let written = service.write(ops, WriteOptions { deadline }).await;
                written.map(|written| written.responses).map_err(|e| error::of_write(&e))
            }
        };
        let failure = outcome.as_ref().err().cloned();
        if failure.is_none() {
            self.fresh = Some(Ok(()));
        }
        let mut responses = outcome.unwrap_or_default().into_iter();
        for slot in self.slots.drain(..) {
            match slot {
                Slot::Refused(refusal) => self.reply.error(&refusal.0),
                Slot::Known(answer) => answer(&mut self.reply),
                Slot::Op(shape) => match (&failure, responses.next()) {
                    (Some(refusal), _) => self.reply.error(&refusal.0),
                    (None, Some(response)) => shape.write(response, &mut self.reply),
                    (None, None) => self.reply.error("INDOUBT the write was applied and its answer is lost"),
                },
            }
        }
    }

    async fn freshen(&mut self) {
        let Some(service) = self.door.service() else {
            self.fresh = Some(Err(error::LOADING));
            return;
        };
        let deadline = Instant::now() + self.door.options.request_timeout;
        let options = ReadOptions { consistency: Consistency::Linearizable, min_index: 0, deadline };
        self.fresh = Some(service.freshen(options).await.map_err(|e| error::of_read(&e)));
    }

    /// Moves the log's time on, once for a command. Should that fail, the answer is that of the log's present time.
    async fn tick(&mut self) {
        self.ticked = true;
        let Some(service) = self.door.service() else { return };
        let deadline = Instant::now() + self.door.options.request_timeout;
        let tick = vec![Op::System(SystemOp::Tick)];
        if let Err(error) = service.write(tick, WriteOptions { deadline }).await {
            tracing::debug!(%error, "the log's time could not be moved on for a read");
        }
    }
}

/// Whether one more operation goes into a hand-over of `ops` operations and `weight` bytes; a large one goes alone, so that
/// none is refused for its company.
fn fits(ops: usize, weight: usize, more: usize) -> bool {
    ops == 0 || (ops < limits::RESP_BATCH_COMMANDS_MAX && weight + more <= limits::RESP_HAND_OVER_BYTES)
}

/// Whether a command runs at once also after MULTI.
fn is_immediate(row: &Row) -> bool {
    matches!(row.run, Run::Control(control) if control != Control::Unwatch)
}

fn moment_of(head: &Head) -> Moment {
    Moment::of(&head.counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_would_succeed_alone_is_not_refused_for_its_company() {
        let small = limits::RESP_HAND_OVER_BYTES - 1;
        assert!(fits(0, 0, limits::ENTRY_BYTES_MAX));
        assert!(fits(1, small, 1) && !fits(1, small, 2));
        assert!(!fits(limits::RESP_BATCH_COMMANDS_MAX, 0, 1));
    }
}
