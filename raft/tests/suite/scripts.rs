//! Golden scripts for the promises that every replicator keeps.
//!
//! Not here: promises of one implementation alone. Must always hold: a script names no implementation, so that the next
//! one runs the same files.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metad_raft::faults::Step;
use metad_raft::{NoOpReplicator, PosixMetadataReplicator, Proposal, StateMachine as _};
use test_each_file::test_each_path;
use tokio::runtime::Runtime;

use crate::disk::{Disk, options, photograph};
use crate::machine::Toy;

test_each_path! { in "raft/tests/scripts" as noop => run_noop }

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
        self.replicator = Some(replicator);
        started?;
        let (discards, installs) = self.toy.rebuilds();
        Ok(format!(
            "replayed {:?}, discarded {discards}, installed {installs}\n{}",
            self.toy.history(),
            self.status()?
        ))
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

    fn propose(&self, batch: Vec<Proposal>) -> Result<String, Box<dyn Error>> {
        let mut out = String::new();
        for answer in self.runtime.block_on(self.running()?.replicate(batch)) {
            match answer {
                Ok(index) => writeln!(out, "{index}")?,
                Err(e) => writeln!(out, "{e:?}: {e}")?,
            }
        }
        Ok(out)
    }

    fn read(&self) -> Result<String, Box<dyn Error>> {
        let deadline = Instant::now() + Duration::from_secs(60);
        let index = self.runtime.block_on(self.running()?.read_barrier(deadline))?;
        let pairs: Vec<_> = self.toy.state().into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        Ok(format!("at {index}: {}\n", pairs.join(" ")))
    }

    fn status(&self) -> Result<String, Box<dyn Error>> {
        let s = self.running()?.status().borrow().clone();
        let failure = s.failure.map(|f| format!(", failure: {f}")).unwrap_or_default();
        Ok(format!(
            "{:?}, last {}, committed {}, applied {}, snapshot {}{failure}\n",
            s.role, s.last_log_index, s.committed_index, s.applied_index, s.snapshot_index
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
            Command::Stop => self.runtime.block_on(self.running()?.stop()),
            Command::Crash => output = self.crash(),
            Command::Propose(entries) => {
                let batch =
                    entries.iter().map(|(k, v)| Proposal { ops: format!("{k}={v}").into() }).collect();
                output = self.propose(batch)?;
            }
            Command::ProposeBytes(n) => {
                output = self.propose(vec![Proposal { ops: "x".repeat(*n).into() }])?;
            }
            Command::Store => output = format!("stored up to {}\n", self.toy.store()),
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
