//! The intake: where proposals wait for the next write, and where back-pressure is decided.
//!
//! Not here: the journal. Must always hold:
//! * a refusal is decided before the proposal is queued, so `Busy`, `TooLarge` and `NoSpace` mean "not applied";
//! * calls leave in the order in which they came, and the entries of a call stay together;
//! * at most one write is under way: whoever finds none starts it, everybody else waits for the next.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::options::Options;
use crate::error::ReplicateError;
use crate::replicator::Proposal;

/// The answers to one call, one per proposal.
pub(crate) type Answers = Vec<Result<u64, ReplicateError>>;

/// One call of `replicate` that has entries to write.
pub(crate) struct Call {
    /// The accepted entries, in order.
    pub entries: Vec<Bytes>,
    /// Accepted proposals hold `Ok` here, with the index yet to come.
    answers: Answers,
    reply: oneshot::Sender<Answers>,
}

impl Call {
    /// The entries were applied at `first` and following. A caller that went away is not an error.
    pub(crate) fn done(mut self, first: u64) {
        for (index, answer) in (first..).zip(self.answers.iter_mut().flatten()) {
            *answer = index;
        }
        let _ = self.reply.send(self.answers);
    }

    /// The entries will never be acknowledged.
    pub(crate) fn refuse(mut self, error: &ReplicateError) {
        for answer in self.answers.iter_mut().filter(|a| a.is_ok()) {
            *answer = Err(error.clone());
        }
        let _ = self.reply.send(self.answers);
    }
}

/// What became of an offer.
pub(crate) enum Offered {
    /// Everything was refused.
    Refused(Answers),
    /// The answers will come; `start_write` when the caller must start the write.
    Waiting { answers: oneshot::Receiver<Answers>, start_write: bool },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    Closed,
}

struct State {
    gate: Gate,
    writing: bool,
    queue: VecDeque<Call>,
    bytes: usize,
    entries: usize,
}

/// The queue in front of the journal.
pub(crate) struct Intake {
    entry_bytes_max: usize,
    queue_bytes_max: usize,
    queue_entries_max: usize,
    state: Mutex<State>,
    idle: Condvar,
}

impl Intake {
    pub(crate) fn new(options: &Options) -> Self {
        let state = State { gate: Gate::Open, writing: false, queue: VecDeque::new(), bytes: 0, entries: 0 };
        Self {
            entry_bytes_max: options.entry_bytes_max,
            queue_bytes_max: options.queue_bytes_max,
            queue_entries_max: options.queue_entries_max,
            state: Mutex::new(state),
            idle: Condvar::new(),
        }
    }

    /// Queues what the limits allow. `full` says that the disk has no room.
    pub(crate) fn offer(&self, batch: Vec<Proposal>, full: bool) -> Offered {
        let mut state = self.state.lock();
        let (mut answers, mut entries) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let mut refusal = match state.gate {
            Gate::Closed => Some(ReplicateError::Stopped),
            Gate::Open if full => Some(ReplicateError::NoSpace),
            Gate::Open => None,
        };
        for proposal in batch {
            let bytes = proposal.ops.len();
            if bytes > self.entry_bytes_max {
                answers.push(Err(ReplicateError::TooLarge { bytes, limit: self.entry_bytes_max }));
                continue;
            }
            if refusal.is_none() && !self.fits(&state, bytes) {
                // Once one proposal of a batch had to go, those behind it go too: a batch is never reordered.
                refusal = Some(ReplicateError::Busy);
            }
            match &refusal {
                Some(error) => answers.push(Err(error.clone())),
                None => {
                    state.bytes += bytes;
                    state.entries += 1;
                    entries.push(proposal.ops);
                    answers.push(Ok(0));
                }
            }
        }
        if entries.is_empty() {
            return Offered::Refused(answers);
        }
        let (reply, waiting) = oneshot::channel();
        state.queue.push_back(Call { entries, answers, reply });
        let start_write = !std::mem::replace(&mut state.writing, true);
        Offered::Waiting { answers: waiting, start_write }
    }

    fn fits(&self, state: &State, bytes: usize) -> bool {
        // One entry always fits an empty queue, whatever the limits say.
        state.entries == 0
            || (state.bytes + bytes <= self.queue_bytes_max && state.entries < self.queue_entries_max)
    }

    /// The calls of the next write, at least one and about `bytes_max`; `None` ends the writing.
    pub(crate) fn take(&self, bytes_max: usize) -> Option<Vec<Call>> {
        let mut state = self.state.lock();
        let (mut calls, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max {
            let Some(call) = state.queue.pop_front() else { break };
            bytes += call.entries.iter().map(Bytes::len).sum::<usize>();
            state.entries -= call.entries.len();
            calls.push(call);
        }
        state.bytes -= bytes;
        if calls.is_empty() {
            state.writing = false;
            self.idle.notify_all();
            return None;
        }
        Some(calls)
    }

    /// Refuses new proposals and waits until those that were queued have been answered.
    pub(crate) fn drain(&self) {
        let mut state = self.state.lock();
        state.gate = Gate::Closed;
        while state.writing {
            self.idle.wait(&mut state);
        }
    }

    /// Refuses new proposals and gives up on the queued ones; they were never written.
    pub(crate) fn abort(&self) -> VecDeque<Call> {
        let mut state = self.state.lock();
        state.gate = Gate::Closed;
        state.writing = false;
        (state.bytes, state.entries) = (0, 0);
        self.idle.notify_all();
        std::mem::take(&mut state.queue)
    }

    /// Whether proposals are taken.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().gate == Gate::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intake(change: impl FnOnce(&mut Options)) -> Intake {
        let mut options = Options::new("unused");
        change(&mut options);
        Intake::new(&options)
    }

    fn batch(sizes: &[usize]) -> Vec<Proposal> {
        sizes.iter().map(|n| Proposal { ops: Bytes::from(vec![0; *n]) }).collect()
    }

    #[test]
    fn the_first_offer_starts_the_write_and_the_others_wait_for_the_next() {
        let intake = intake(|_| ());
        let starts = |offered| matches!(offered, Offered::Waiting { start_write: true, .. });
        assert!(starts(intake.offer(batch(&[1]), false)));
        assert!(!starts(intake.offer(batch(&[1, 2]), false)));
        let taken = intake.take(1024).unwrap();
        assert_eq!(taken.iter().map(|c| c.entries.len()).collect::<Vec<_>>(), [1, 2]);
        assert!(!starts(intake.offer(batch(&[1]), false)));
        assert_eq!(intake.take(1024).unwrap().len(), 1);
        assert!(intake.take(1024).is_none());
        assert!(starts(intake.offer(batch(&[1]), false)));
    }

    #[test]
    fn a_batch_is_cut_where_the_queue_is_full_and_never_reordered() {
        let intake = intake(|o| (o.entry_bytes_max, o.queue_bytes_max) = (10, 12));
        let Offered::Waiting { answers: mut waiting, .. } = intake.offer(batch(&[6, 11, 6, 6, 0]), false)
        else {
            panic!("nothing was accepted")
        };
        for call in intake.take(1024).unwrap() {
            call.done(5);
        }
        let busy = Err(ReplicateError::Busy);
        let too_large = Err(ReplicateError::TooLarge { bytes: 11, limit: 10 });
        assert_eq!(waiting.try_recv().unwrap(), [Ok(5), too_large, Ok(6), busy.clone(), busy]);
    }

    #[test]
    fn a_closed_intake_and_a_full_disk_refuse_everything() {
        let intake = intake(|_| ());
        let refusal = |offered| match offered {
            Offered::Refused(answers) => answers,
            Offered::Waiting { .. } => panic!("accepted"),
        };
        assert_eq!(refusal(intake.offer(batch(&[1]), true)), [Err(ReplicateError::NoSpace)]);
        intake.drain();
        assert_eq!(refusal(intake.offer(batch(&[1]), true)), [Err(ReplicateError::Stopped)]);
    }
}
