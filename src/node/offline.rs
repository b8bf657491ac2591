//! Data directories of nodes that do not run: a new cluster out of a snapshot file, or out of the last survivor.
//!
//! Not here: words for people (`cli`). Must always hold: nothing is changed without the directory's lock; what a directory
//! held stays until its successor is complete and on the disk; the new cluster has an id of its own, so that nodes of the old
//! one are strangers to it.
//!
//! Source: design D12, D18; research "Operations", section 5.4; hashicorp/raft's `RecoverCluster`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metad_raft::offline::{NewLog, SnapshotFileError, Survivor, begin, replay, write_file};
use metad_raft::{Fatal, StartError, StateMachine};
use serde_json::json;

use super::lock::DataDirLock;
use super::{NodeError, data_dir_error, switch};
use crate::config::Mode;
use crate::meta::machine::MetaMachine;
use crate::meta::snapshot_file::{Contents, NewState};
use crate::meta::store::shelf::{DiskShelf, replace_file};

/// Why nothing was restored or recovered.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The snapshot file cannot be used. Nothing was changed.
    #[error("{path} {source}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: SnapshotFileError,
    },
    /// The directory is not empty. Nothing was changed.
    #[error(
        "{0} is not empty, and a restore never overwrites: choose a directory that is empty or not there yet"
    )]
    NotEmpty(String),
    /// The directory or its log cannot be used.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl From<StartError> for OfflineError {
    fn from(error: StartError) -> Self {
        Self::Node(error.into())
    }
}

impl From<Fatal> for OfflineError {
    fn from(fatal: Fatal) -> Self {
        Self::Node(fatal.into())
    }
}

/// A cluster that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub cluster_id: String,
    /// Index at which its log begins.
    pub index: u64,
    /// What it begins with, as the old cluster counted.
    pub contents: Contents,
}

/// Begins a new cluster of one node with the state of a snapshot file, in a new directory.
///
/// # Errors
/// When the file is damaged, the directory is used, or the disk fails.
pub fn restore(file: &Path, data_dir: &Path, mode: Mode, now_ms: u64) -> Result<Begun, OfflineError> {
    let (state, contents) = open(file, now_ms)?;
    if is_used(data_dir).map_err(|e| data_dir_error(data_dir, e))? {
        return Err(OfflineError::NotEmpty(data_dir.display().to_string()));
    }
    let _lock = DataDirLock::take(data_dir)?;
    let new = switch::filling(data_dir);
    let begun = fill(&new, state, contents, mode)?;
    let moved = || {
        // The identity first: a node that has one and no log refuses to start.
        for part in ["node.json", "log"] {
            std::fs::rename(new.join(part), data_dir.join(part))?;
        }
        std::fs::remove_dir_all(&new)?;
        switch::sync(data_dir)
    };
    moved().map_err(|e| data_dir_error(data_dir, e))?;
    Ok(begun)
}

/// Whether a directory holds anything but what a restore that was cut short left.
fn is_used(data_dir: &Path) -> std::io::Result<bool> {
    let listed = match std::fs::read_dir(data_dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        listed => listed?,
    };
    let unfinished = switch::filling(data_dir).exists() && !data_dir.join("log").exists();
    for entry in listed {
        let name = entry?.file_name();
        let ours = ["LOCK", "recover.tmp", "node.json"].iter().any(|part| name == *part);
        // A crash right after the lock leaves nothing but the lock; a new filesystem brings its own folder.
        if !(name == "lost+found" || name == "LOCK" || unfinished && ours) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn open(file: &Path, now_ms: u64) -> Result<(NewState, Contents), OfflineError> {
    let path = file.display().to_string();
    NewState::open(file, now_ms).map_err(|source| OfflineError::File { path, source })
}

/// Fills a directory with a new log and identity.
fn fill(new: &Path, mut state: NewState, contents: Contents, mode: Mode) -> Result<Begun, OfflineError> {
    let fault = |e| data_dir_error(new, e);
    match std::fs::remove_dir_all(new.join("log")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fault(e).into()),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(new).map_err(fault)?;
    let cluster_id = super::identity::new_cluster_id().map_err(fault)?;
    let kind = if mode == Mode::Noop { NewLog::NoOp } else { NewLog::Raft { id: NODE_ID } };
    begin(&new.join("log"), kind, &mut state)?;
    let file = json!({
        "version": 1,
        "id": NODE_ID,
        "cluster_id": cluster_id,
        "stage": "started",
        "incarnation": incarnation(&cluster_id),
        "founder": true,
        "seeds": [],
    });
    replace_file(&new.join("node.json"), format!("{file:#}\n").as_bytes()).map_err(fault)?;
    replace_file(&new.join("cluster"), cluster_id.as_bytes()).map_err(fault)?;
    Ok(Begun { index: state.index(), cluster_id, contents })
}

/// The id of the first node of a cluster.
const NODE_ID: u64 = 1;

/// A number for the new data directory, as random as the cluster's id.
fn incarnation(cluster_id: &str) -> u64 {
    cluster_id.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(NODE_ID)
}

/// The last survivor of a cluster, replayed beside its data directory, which is still what it was.
pub struct Recovery {
    data_dir: PathBuf,
    /// What its log holds.
    pub survivor: Survivor,
    /// What its state would be.
    pub contents: Contents,
    state: NewState,
    _lock: DataDirLock,
}

impl Recovery {
    /// Replays the node's whole log into a state beside it. Entries whose commit nobody can confirm any more are part of it.
    ///
    /// # Errors
    /// When a process holds the directory, it is no cluster member's, or its log is damaged.
    pub fn prepare(data_dir: &Path, now_ms: u64) -> Result<Self, OfflineError> {
        if !data_dir.join("log").is_dir() {
            let (dir, reason) = (data_dir.display().to_string(), "it holds no node".to_owned());
            return Err(StartError::Refused { dir, reason }.into());
        }
        let lock = DataDirLock::take(data_dir)?;
        let new = switch::filling(data_dir);
        match std::fs::remove_dir_all(&new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(data_dir_error(data_dir, e).into());
            }
            Ok(()) | Err(_) => {}
        }
        let machine = MetaMachine::open(Box::new(DiskShelf::new(&new.join("state"))?))?;
        let machine = Arc::new(machine);
        let survivor = replay(&data_dir.join("log"), Arc::clone(&machine) as Arc<dyn StateMachine>)?;
        let whole = new.join("whole.snapshot");
        write_file(&whole, &mut *machine.snapshot()?)?;
        machine.close()?;
        let (state, contents) = open(&whole, now_ms)?;
        Ok(Self { data_dir: data_dir.to_path_buf(), survivor, contents, state, _lock: lock })
    }

    /// Begins the new cluster; the node's old log is kept in the directory that is returned.
    ///
    /// # Errors
    /// When the disk fails; until the new log is complete the old one is what counts.
    pub fn run(self) -> Result<(Begun, PathBuf), OfflineError> {
        let Self { data_dir, state, contents, .. } = self;
        let new = switch::filling(&data_dir);
        let begun = fill(&new, state, contents, Mode::Raft)?;
        let switched = || {
            std::fs::remove_dir_all(new.join("state"))?;
            std::fs::remove_file(new.join("whole.snapshot"))?;
            switch::commit(&data_dir)
        };
        let kept = switched().map_err(|e| data_dir_error(&data_dir, e))?;
        Ok((begun, kept))
    }

    /// Leaves everything as it was.
    ///
    /// # Errors
    /// When what was made beside it cannot be removed.
    pub fn give_up(self) -> Result<(), OfflineError> {
        let removed = std::fs::remove_dir_all(switch::filling(&self.data_dir));
        Ok(removed.map_err(|e| data_dir_error(&self.data_dir, e))?)
    }
}
