//! Golden scripts: what every replicator promises, and what the local journal alone does.
//!
//! Not here: several members. Must always hold: a script names no implementation; an index is printed as the number of proposals
//! up to it, because a cluster's log has entries of its own in between.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::faults::Step;
use metad_raft::{
    Entry, NoOpReplicator, PosixMetadataReplicator, Proposal, RaftReplicator, StateMachine as _, consensus,
};
use test_each_file::test_each_path;
use tokio::runtime::Runtime;

use crate::disk::{Disk, options, photograph};
use crate::machine::Toy;

test_each_path! { in "raft/tests/scripts/any" as any_noop => run_noop }
test_each_path! { in "raft/tests/scripts/noop" as noop => run_noop }
test_each_path! { in "raft/tests/scripts/any" as any_raft => run_raft }

fn run_raft(path: &Path) {
    let make = |dir: &Path, disk: &Arc<Disk>, settings: &Settings| -> Box<dyn PosixMetadataReplicator> {
        let mut options = consensus::Options::new(dir);
        options.faults = disk.clone();
        (options.reserve_bytes, options.tail_entries) = (1024, 2);
        // openraft wants a number to which it can add.
        options.snapshot_entries = settings.snapshot_entries.min(u64::from(u32::MAX));
        options.entry_bytes_max = settings.entry_bytes_max;
        Box::new(RaftReplicator::new(options))
    };
    goldenscript::run(&mut Runner::new(Box::new(make)), path).unwrap();
}

fn run_noop(path: &Path) {
    let make = |dir: &Path, disk: &Arc<Disk>, settings: &Settings| -> Box<dyn PosixMetadataReplicator> {
        let mut options = options(dir, disk);
        options.snapshot_entries = settings.snapshot_entries;
        options.entry_bytes_max = settings.entry_bytes_max;
        options.tail_entries = 2;
        Box::new(NoOpReplicator::new(options))
    };
    goldenscript::run(&mut Runner::new(Box::new(make)), path).unwrap();
}

/// What a script can do. Words in brackets are optional.
#[derive(goldenscript::Command)]
enum Command {
    /// Sets what the next start uses.
    Set {
        #[arg(key)]
        snapshot_entries: Option<u64>,
        #[arg(key)]
        entry_bytes_max: Option<usize>,
    },
    /// Starts a replicator on the directory, with the machine as its last life left it.
    Start,
    /// Stops it.
    Stop,
    /// kill -9: goes on from what the kernel has, with what the machine had stored.
    Crash,
    /// Proposes its arguments in one call.
    Propose(Vec<(String, String)>),
    /// Proposes one entry of so many bytes.
    ProposeBytes(usize),
    /// Lets the machine store what it applied.
    Store,
    /// Loses the machine's files.
    LoseMachine,
    /// Reads behind a barrier.
    Read,
    /// The picture that the replicator publishes.
    Status,
    /// Waits until a snapshot at this index is durable.
    AwaitSnapshot(u64),
    /// The next time that the journal is written, the disk fails.
    FailWrite(String),
    /// Free bytes on the disk.
    Free(u64),
    /// The machine fails from now on.
    BreakMachine,
}

struct Settings {
    snapshot_entries: u64,
    entry_bytes_max: usize,
}

type Make = Box<dyn Fn(&Path, &Arc<Disk>, &Settings) -> Box<dyn PosixMetadataReplicator>>;

struct Runner {
    make: Make,
    runtime: Runtime,
    dirs: Vec<tempfile::TempDir>,
    disk: Arc<Disk>,
    settings: Settings,
    toy: Toy,
    replicator: Option<Box<dyn PosixMetadataReplicator>>,
    stopped: bool,
    /// Indexes of all proposals that were answered or applied.
    proposals: BTreeSet<u64>,
}

impl Runner {
    fn new(make: Make) -> Self {
        Self {
            make,
            runtime: Runtime::new().unwrap(),
            dirs: vec![tempfile::tempdir().unwrap()],
            disk: Disk::new(),
            settings: Settings { snapshot_entries: u64::MAX, entry_bytes_max: 1024 },
            toy: Toy::default(),
            replicator: None,
            stopped: false,
            proposals: BTreeSet::new(),
        }
    }

    fn dir(&self) -> &Path {
        self.dirs.last().unwrap().path()
    }

    fn running(&self) -> Result<&dyn PosixMetadataReplicator, Box<dyn Error>> {
        Ok(&**self.replicator.as_ref().ok_or("not started")?)
    }

    fn start(&mut self) -> Result<String, Box<dyn Error>> {
        let replicator = (self.make)(self.dir(), &self.disk, &self.settings);
        self.toy = Toy::after_crash(self.toy.stored());
        let started = self.runtime.block_on(replicator.start(Arc::new(self.toy.clone())));
        (self.replicator, self.stopped) = (Some(replicator), false);
        started?;
        let (discards, installs) = self.toy.rebuilds();
        let replayed: Vec<u64> = self.applied_proposals().collect();
        self.proposals.extend(&replayed);
        let replayed: Vec<u64> = replayed.into_iter().map(|index| self.number(index)).collect();
        Ok(format!("replayed {replayed:?}, discarded {discards}, installed {installs}\n{}", self.status()?))
    }

    fn applied_proposals(&self) -> impl Iterator<Item = u64> {
        let ops = |e: Entry| matches!(e, Entry::Ops { .. }).then(|| e.index());
        self.toy.entries(0).into_iter().filter_map(ops)
    }

    /// The number of proposals up to an index.
    fn number(&self, index: u64) -> u64 {
        self.proposals.range(..=index).count() as u64
    }

    fn crash(&mut self) -> String {
        let next = tempfile::tempdir().unwrap();
        photograph(self.dir(), next.path());
        let stored = self.toy.stored();
        self.replicator = None;
        self.toy = Toy::after_crash(stored);
        self.dirs.push(next);
        String::new()
    }

    fn propose(&mut self, batch: Vec<Proposal>) -> Result<String, Box<dyn Error>> {
        let mut out = String::new();
        for answer in self.runtime.block_on(self.running()?.replicate(batch)) {
            match answer {
                Ok(index) => {
                    self.proposals.insert(index);
                    writeln!(out, "{}", self.number(index))?;
                }
                Err(e) => writeln!(out, "{e:?}: {e}")?,
            }
        }
        Ok(out)
    }

    fn read(&self) -> Result<String, Box<dyn Error>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let index = self.runtime.block_on(self.running()?.read_barrier(deadline))?;
        let pairs: Vec<_> = self.toy.state().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        Ok(format!("at {}: {}\n", self.number(index), pairs.join(" ")))
    }

    fn status(&self) -> Result<String, Box<dyn Error>> {
        let s = self.running()?.status().borrow().clone();
        let failure = s.failure.map(|f| format!(", failure: {f}")).unwrap_or_default();
        let role = if self.stopped { "Stopped".to_string() } else { format!("{:?}", s.role) };
        let [last, committed, applied, snapshot] =
            [s.last_log_index, s.committed_index, s.applied_index, s.snapshot_index].map(|i| self.number(i));
        Ok(format!(
            "{role}, last {last}, committed {committed}, applied {applied}, snapshot {snapshot}{failure}\n"
        ))
    }

    fn await_snapshot(&self, index: u64) -> Result<String, Box<dyn Error>> {
        let mut status = self.running()?.status();
        self.runtime.block_on(status.wait_for(|s| s.snapshot_index >= index))?;
        self.status()
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut output = String::new();
        match command {
            Command::Set { snapshot_entries, entry_bytes_max } => {
                self.settings.snapshot_entries = snapshot_entries.unwrap_or(self.settings.snapshot_entries);
                self.settings.entry_bytes_max = entry_bytes_max.unwrap_or(self.settings.entry_bytes_max);
            }
            Command::Start => output = self.start()?,
            Command::Stop => {
                self.runtime.block_on(self.running()?.stop());
                self.stopped = true;
            }
            Command::Crash => output = self.crash(),
            Command::Propose(entries) => {
                let batch =
                    entries.iter().map(|(k, v)| Proposal { ops: format!("{k}={v}").into() }).collect();
                output = self.propose(batch)?;
            }
            Command::ProposeBytes(n) => {
                output = self.propose(vec![Proposal { ops: "x".repeat(*n).into() }])?;
            }
            Command::Store => output = format!("stored up to {}\n", self.number(self.toy.store())),
            Command::LoseMachine => self.toy.discard()?,
            Command::Read => output = self.read()?,
            Command::Status => output = self.status()?,
            Command::AwaitSnapshot(index) => output = self.await_snapshot(*index)?,
            Command::FailWrite(kind) => {
                let kind = match kind.as_str() {
                    "full" => io::ErrorKind::StorageFull,
                    _ => io::ErrorKind::Other,
                };
                self.disk.fail_next(Step::JournalWrite, kind);
            }
            Command::Free(bytes) => self.disk.set_free(*bytes),
            Command::BreakMachine => self.toy.break_down(),
        }
        Ok(output)
    }
}
