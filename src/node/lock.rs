//! The data directory's lock: one process at a time, from before the first file is touched.
//!
//! Not here: the log's own lock, which guards its folder against tools. Must always hold: whoever does not have the lock
//! has changed nothing; a killed process leaves no lock behind, because the kernel lets go of it.

use std::fs::{File, OpenOptions};
use std::path::Path;

use metad_raft::StartError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::filesystem::{self, Medium};
use super::{NodeError, data_dir_error, switch};

/// The lock, held while it lives.
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Makes the directory if it is missing, takes its lock, and ends a `recover` that a crash cut short.
    pub fn take(data_dir: &Path) -> Result<Self, NodeError> {
        std::fs::create_dir_all(data_dir).map_err(|e| data_dir_error(data_dir, e))?;
        let medium = filesystem::medium(data_dir).map_err(|e| data_dir_error(data_dir, e))?;
        if let Some(reason) = filesystem::refusal(medium) {
            return Err(NodeError::Log(StartError::Refused { dir: data_dir.display().to_string(), reason }));
        }
        if medium == Medium::Fuse {
            tracing::warn!(dir = %data_dir.display(), "the data directory is on FUSE, whose fsync may promise nothing");
        }
        let path = data_dir.join("LOCK");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| data_dir_error(data_dir, e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                switch::finish(data_dir).map_err(|e| data_dir_error(data_dir, e))?;
                Ok(Self { _file: file })
            }
            Err(Errno::WOULDBLOCK) => {
                Err(NodeError::Log(StartError::Locked { dir: data_dir.display().to_string() }))
            }
            Err(errno) => Err(data_dir_error(data_dir, errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_refused_before_it_touches_anything() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDirLock::take(dir.path()).unwrap();
        let refused = DataDirLock::take(dir.path()).err().unwrap();
        assert!(refused.to_string().contains("in use by another process"), "{refused}");
        drop(first);
        DataDirLock::take(dir.path()).unwrap();
    }
}
