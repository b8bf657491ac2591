//! openraft's log on our journal.
//!
//! Not here: the flushing (see `commit`), the bytes (see `journal::record`).
//! Must always hold, as openraft's trait demands:
//! * entries are readable once `append` returns, and acknowledged only once they are on the disk;
//! * a vote is on the disk before `save_vote` returns, and never overtakes entries or is overtaken by them;
//! * there is no hole in the log, ever.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{OptionalSend, RaftTypeConfig};

use super::commit::{Committer, Waiter};
use super::types::{
    Entry, LogId, TypeConfig, Vote, entry_from_journal, from_journal, payload_to_journal, to_journal,
    vote_from_journal, vote_to_journal,
};
use crate::faults::{Faults, Step};
use crate::journal::Journal;
use crate::journal::record::RECORD_OVERHEAD_BYTES;
use crate::room::Room;

/// A reader hands out about this many bytes at a time, and at least one entry: it is what one append to a follower carries.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// The log store; clones share the journal.
#[derive(Clone)]
pub(crate) struct LogStore {
    committer: Arc<Committer>,
    room: Arc<Room>,
    faults: Arc<dyn Faults>,
}

impl LogStore {
    pub(crate) fn new(committer: Arc<Committer>, room: Arc<Room>, faults: Arc<dyn Faults>) -> Self {
        Self { committer, room, faults }
    }

    /// Syncs the journal and closes it.
    #[cfg(test)]
    pub(crate) async fn close(&self) -> io::Result<()> {
        self.committer.flushed().await?;
        self.committer.close();
        Ok(())
    }

    fn read(&self, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
        self.committer.with(|journal| read(journal, from, to, bytes_max))
    }
}

fn read(journal: &Journal, from: u64, to: u64, bytes_max: usize) -> io::Result<Vec<Entry>> {
    let (mut entries, mut bytes) = (Vec::new(), 0_usize);
    if from >= to {
        return Ok(entries);
    }
    for found in journal.read(from, to) {
        let (id, payload) = found?;
        bytes = bytes.saturating_add(payload.body.len());
        // The one that would be too much stays for the next request: together they may not fit a frame of the lane.
        if !entries.is_empty() && bytes > bytes_max {
            break;
        }
        entries.push(entry_from_journal(&id, payload).map_err(io::Error::other)?);
    }
    Ok(entries)
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let from = match range.start_bound() {
            Bound::Included(i) => *i,
            Bound::Excluded(i) => i + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(i) => i + 1,
            Bound::Excluded(i) => *i,
            Bound::Unbounded => u64::MAX,
        };
        self.read(from, to, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end, READ_BYTES_MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        self.committer.with(|journal| Ok(journal.vote().map(|v| vote_from_journal(&v))))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        self.committer.with(|journal| {
            let last_purged_log_id = journal.purged().map(|id| from_journal(&id));
            Ok(LogState { last_purged_log_id, last_log_id: journal.last().map(|id| from_journal(&id)) })
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.faults.before(Step::JournalVote)?;
        self.committer.with(|journal| journal.save_vote(vote_to_journal(vote)))?;
        self.committer.flushed().await
    }

    /// Never flushed by itself: it rides with the next append, and is only a hint at start.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let Some(committed) = committed else { return Ok(()) };
        self.committer.with(|journal| journal.save_committed(to_journal(&committed)))
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.committer.with(|journal| Ok(journal.committed().map(|id| from_journal(&id))))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = <TypeConfig as RaftTypeConfig>::Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.faults.before(Step::JournalWrite)?;
        let mut bytes = 0;
        let records = entries.into_iter().map(|e| {
            let payload = payload_to_journal(e.payload);
            bytes += (RECORD_OVERHEAD_BYTES + payload.body.len()) as u64;
            (to_journal(&e.log_id), payload)
        });
        let last = self.committer.with(|journal| {
            journal.append(records)?;
            Ok(journal.last().map_or(0, |l| l.index))
        })?;
        self.room.spent(bytes);
        self.committer.after_flush(Waiter::Entries(last, callback));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        self.faults.before(Step::JournalTruncate)?;
        self.committer.with(|journal| journal.truncate(last_log_id.map_or(0, |l| l.index + 1)))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        self.faults.before(Step::JournalPurge)?;
        self.committer.with(|journal| journal.purge(to_journal(&log_id)))
    }
}
