//! The journal: entries on disk, in order, each with a checksum. One binding to the crate raft-log for this crate.
//!
//! Not here: who proposes and who applies, or when to flush; that is each replicator's business.
//! Must always hold:
//! * records reach the disk in the order in which they were given, votes and entries alike;
//! * an error of the writer is final: nothing is ever written after it;
//! * a tail that a crash cut short is dropped on open, any other damage is refused;
//! * entries are contiguous from the purge point to the end.

pub(crate) mod record;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use raft_log::RaftLog;
use raft_log::api::raft_log_writer::RaftLogWriter;

use crate::error::{Fatal, StartError};
use record::{Identity, LogId, Payload, Vote};

/// Chunk files are closed at this size in bytes: the open one bounds what the writer keeps in memory, and whole files
/// are what a purge can delete.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;
/// Entries kept in memory beside the open chunk, in bytes: reads of the tail come from here.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Buffer of the sequential read at open, in bytes.
const READ_BUFFER_BYTES: usize = 1024 * 1024;

/// The types of raft-log, filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalTypes;

impl raft_log::Types for JournalTypes {
    type LogId = LogId;
    type LogPayload = Payload;
    type Vote = Vote;
    type Callback = OnFlushed;
    type UserData = Identity;

    fn log_index(log_id: &LogId) -> u64 {
        log_id.index
    }

    fn payload_size(payload: &Payload) -> u64 {
        payload.body.len() as u64
    }
}

type Then = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What to do when a flush is done, called exactly once on the journal's writer thread.
///
/// A writer that died drops its requests unanswered; the drop then stands for the error.
pub(crate) struct OnFlushed(Option<Then>);

impl OnFlushed {
    pub(crate) fn new(then: impl FnOnce(io::Result<()>) + Send + 'static) -> Self {
        Self(Some(Box::new(then)))
    }
}

impl raft_log::Callback for OnFlushed {
    fn send(mut self, result: io::Result<()>) {
        if let Some(then) = self.0.take() {
            then(result);
        }
    }
}

impl Drop for OnFlushed {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then(Err(stopped()));
        }
    }
}

/// The error of everything that was asked of a writer that has ended.
pub(crate) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the writer of the journal stopped")
}

/// An open journal.
pub(crate) struct Journal {
    log: RaftLog<JournalTypes>,
}

impl Journal {
    /// Opens or creates the journal in `dir`, which exists and is locked by the caller.
    pub(crate) fn open(dir: &Path) -> Result<Self, StartError> {
        let log = RaftLog::open(Arc::new(config(dir))).map_err(|e| refusal(dir, e))?;
        let journal = Self { log };
        journal.check_contiguous(dir)?;
        Ok(journal)
    }

    /// The number this journal was created with, `None` for a new one.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.log.log_state().user_data
    }

    /// Names a new journal.
    pub(crate) fn set_identity(&mut self, identity: Identity) -> io::Result<()> {
        self.log.save_user_data(Some(identity)).map(drop)
    }

    /// The last entry that was purged, `None` when none was.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.log.log_state().purged().copied()
    }

    /// The last entry, or the last purged one when there are none.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.log.log_state().last().copied()
    }

    /// Bytes of all chunk files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.log.on_disk_size()
    }

    /// Adds entries in memory; they are readable at once and durable after the next flush.
    pub(crate) fn append(&mut self, entries: impl IntoIterator<Item = (LogId, Payload)>) -> io::Result<()> {
        self.log.append(entries).map(drop)
    }

    /// Writes what was added; `then` runs once it is in the kernel, or with `sync` on the disk.
    pub(crate) fn flush(&mut self, sync: bool, then: OnFlushed) -> io::Result<()> {
        self.log.flush(sync, Some(then))
    }

    /// Writes what was added and waits until it is on the disk. Not to be called on the journal's thread.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let (done, wait) = mpsc::sync_channel(1);
        let then = OnFlushed::new(move |result| {
            // The receiver waits right below.
            let _ = done.send(result);
        });
        self.flush(true, then)?;
        wait.recv().unwrap_or_else(|_| Err(stopped()))
    }

    /// The vote that was saved last.
    pub(crate) fn vote(&self) -> Option<Vote> {
        self.log.log_state().vote().copied()
    }

    /// Adds a vote; it never goes back.
    pub(crate) fn save_vote(&mut self, vote: Vote) -> io::Result<()> {
        self.log.save_vote(vote).map(drop)
    }

    /// The commit point that was saved last, a hint that may be old.
    pub(crate) fn committed(&self) -> Option<LogId> {
        self.log.log_state().committed().copied()
    }

    /// Adds a commit point. One that is past the end of this log, or behind the last one, is left out: it says nothing.
    pub(crate) fn save_committed(&mut self, committed: LogId) -> io::Result<()> {
        if Some(committed) > self.last() || Some(committed) < self.committed() {
            return Ok(());
        }
        self.log.commit(committed).map(drop)
    }

    /// Drops entries from `index` on. Committed ones are never dropped: that is an error.
    pub(crate) fn truncate(&mut self, index: u64) -> io::Result<()> {
        if self.last().is_none_or(|last| last.index < index) {
            return Ok(());
        }
        self.log.truncate(index).map(drop)
    }

    /// Drops entries up to and including `upto`. Files go after the next flush with `sync`.
    pub(crate) fn purge(&mut self, upto: LogId) -> io::Result<()> {
        self.log.purge(upto).map(drop)
    }

    /// Entries `from..to`, in order.
    pub(crate) fn read(&self, from: u64, to: u64) -> impl Iterator<Item = io::Result<(LogId, Payload)>> + '_ {
        self.log.read(from, to)
    }

    /// The chunk file that is being written.
    pub(crate) fn open_chunk_path(&self) -> String {
        self.log.config().wal.chunk_path(self.log.stat().open_chunk.chunk_id)
    }

    /// Why the writer ended. Only for a writer that has [`stopped`]: one that is alive would be waited for.
    pub(crate) fn writer_error(&self) -> Option<io::Error> {
        self.log.wait_worker_idle().err()
    }

    fn check_contiguous(&self, dir: &Path) -> Result<(), StartError> {
        let first = self.purged().map_or(0, |p| p.index + 1);
        let Some(last) = self.last().filter(|l| Some(*l) != self.purged()) else { return Ok(()) };
        let found = match self.read(first, last.index + 1).next() {
            Some(entry) => Some(entry.map_err(|e| refusal(dir, e))?.0.index),
            None => None,
        };
        // A journal that never purged may start at any index; its first entry is the one it was created with.
        let whole = found == Some(first) || (self.purged().is_none() && found == Some(1));
        if whole {
            return Ok(());
        }
        let reason = match found {
            Some(found) => format!("entries {first} to {} are missing", found - 1),
            None => format!("entries {first} to {} are missing", last.index),
        };
        Err(StartError::Damaged { dir: dir.display().to_string(), reason })
    }
}

fn config(dir: &Path) -> raft_log::Config {
    let mut config = raft_log::Config::new(dir.display());
    config.wal.chunk_max_size = Some(CHUNK_BYTES);
    config.wal.read_buffer_size = Some(READ_BUFFER_BYTES);
    // Group commit is done above: one flush is in flight, so waiting for a second one only adds latency.
    config.wal.flush_batch_wait = Some(std::time::Duration::ZERO);
    // Flushes are started from the writer's own callbacks, which must never wait for the writer.
    config.wal.flush_queue_max_bytes = Some(usize::MAX);
    config.log_cache_capacity = Some(CACHE_BYTES);
    config
}

/// Tells damage from a fault of the moment.
fn refusal(dir: &Path, error: io::Error) -> StartError {
    let dir = dir.display().to_string();
    match error.kind() {
        io::ErrorKind::WouldBlock => StartError::Locked { dir },
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotFound
        | io::ErrorKind::StorageFull
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::QuotaExceeded => Fatal::with(format!("cannot open the log in {dir}"), error).into(),
        _ => StartError::Damaged { dir, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use record::PayloadKind;

    fn entry(index: u64, body: &'static [u8]) -> (LogId, Payload) {
        let id = LogId { term: 1, node: 2, index };
        (id, Payload { kind: PayloadKind::Ops, body: Bytes::from_static(body) })
    }

    /// One record of each kind that a journal without consensus writes.
    fn write_sample(dir: &Path) {
        let mut journal = Journal::open(dir).unwrap();
        journal.set_identity(Identity([7; 16])).unwrap();
        journal.append([entry(1, b"first"), entry(2, b""), entry(3, b"third")]).unwrap();
        journal.purge(entry(1, b"").0).unwrap();
        journal.sync().unwrap();
    }

    #[test]
    fn every_record_is_pinned() {
        let dir = tempfile::tempdir().unwrap();
        write_sample(dir.path());
        let bytes = std::fs::read(dir.path().join("r-00_000_000_000_000_000_000.wal")).unwrap();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("golden/chunk-v1.hex").trim());
    }

    /// One record of each kind that only a member of a cluster writes: votes, the log's own entries, a commit point, a truncation.
    fn write_member_sample(dir: &Path) {
        let mut journal = Journal::open(dir).unwrap();
        journal.set_identity(Identity([7; 16])).unwrap();
        let id = |index| LogId { term: 3, node: 2, index };
        let payload = |kind, body: &'static [u8]| Payload { kind, body: Bytes::from_static(body) };
        journal.save_vote(Vote { term: 3, node: 2, committed: false }).unwrap();
        journal.save_vote(Vote { term: 3, node: 2, committed: true }).unwrap();
        let membership = payload(PayloadKind::Membership, &[0; 8]);
        let blank = payload(PayloadKind::Blank, b"");
        journal
            .append([(id(0), membership), (id(1), blank), (id(2), payload(PayloadKind::Ops, b"ops"))])
            .unwrap();
        journal.save_committed(id(1)).unwrap();
        journal.truncate(2).unwrap();
        journal.sync().unwrap();
    }

    #[test]
    fn every_record_of_a_member_is_pinned_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        write_member_sample(dir.path());
        let bytes = std::fs::read(dir.path().join("r-00_000_000_000_000_000_000.wal")).unwrap();
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("golden/member-v1.hex").trim());
        let journal = Journal::open(dir.path()).unwrap();
        let id = |index| LogId { term: 3, node: 2, index };
        assert_eq!(journal.vote(), Some(Vote { term: 3, node: 2, committed: true }));
        assert_eq!((journal.committed(), journal.last()), (Some(id(1)), Some(id(1))));
        let kinds: Vec<_> = journal.read(0, 2).map(|e| e.unwrap().1.kind).collect();
        assert_eq!(kinds, [PayloadKind::Membership, PayloadKind::Blank]);
    }

    #[test]
    fn a_journal_gives_back_what_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        write_sample(dir.path());
        let journal = Journal::open(dir.path()).unwrap();
        assert_eq!(journal.identity(), Some(Identity([7; 16])));
        assert_eq!(journal.purged().unwrap().index, 1);
        assert_eq!(journal.last().unwrap(), entry(3, b"").0);
        let read: Vec<_> = journal.read(2, 4).map(Result::unwrap).collect();
        assert_eq!(read, [entry(2, b""), entry(3, b"third")]);
    }

    #[test]
    fn a_missing_chunk_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        let large = Bytes::from(vec![0; CHUNK_BYTES / 2]);
        for index in 1..=5 {
            let id = LogId { term: 1, node: 2, index };
            journal.append([(id, Payload { kind: PayloadKind::Ops, body: large.clone() })]).unwrap();
        }
        journal.sync().unwrap();
        drop(journal);
        std::fs::remove_file(dir.path().join("r-00_000_000_000_000_000_000.wal")).unwrap();
        let refused = Journal::open(dir.path()).map(drop).unwrap_err();
        assert!(matches!(&refused, StartError::Damaged { .. }), "{refused}");
    }
}
