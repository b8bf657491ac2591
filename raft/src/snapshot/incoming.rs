//! A snapshot that comes from another node, piece by piece, and goes on after a broken connection or a restart.
//!
//! Not here: who sends it and when (see `consensus::network`).
//! Must always hold: a file gets its final name only after every byte of it was checked and is on the disk; a piece never goes
//! into another file than the one it was cut from; one file is on its way at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::SnapshotStore;
use super::format::{SnapshotError, SnapshotReader, whole_bytes};
use crate::faults::Step;
use crate::state_machine::Applied;

const SUFFIX: &str = "part";

/// Why a received file was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    /// The bytes are not those of a snapshot. The part file is gone.
    #[error("the received snapshot is damaged: {0}")]
    Damaged(#[from] SnapshotError),
    /// This node's disk.
    #[error("cannot store the received snapshot: {0}")]
    Io(#[from] io::Error),
}

/// A snapshot on its way.
pub(crate) struct Incoming {
    store: Arc<SnapshotStore>,
    path: PathBuf,
    file: File,
    have: u64,
    len: u64,
}

impl Incoming {
    /// Begins or goes on with the file called `name`, which has `len` bytes. Every other part file is deleted.
    ///
    /// What was left by an earlier life of this process counts only as far as its checksums hold.
    pub(crate) fn open(store: &Arc<SnapshotStore>, name: &str, len: u64) -> io::Result<Self> {
        let _busy = store.open_for_writing()?;
        let path = store.dir.join(name).with_extension(SUFFIX);
        for entry in fs::read_dir(&store.dir)? {
            let other = entry?.path();
            if other != path && other.extension().is_some_and(|e| e == SUFFIX) {
                fs::remove_file(other)?;
            }
        }
        store.faults.before(Step::SnapshotCreate)?;
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let have = whole_bytes(BufReader::new(&mut file)).min(len);
        file.set_len(have)?;
        Ok(Self { store: store.clone(), path, file, have, len })
    }

    /// The bytes that are there: the next piece begins here.
    pub(crate) fn have(&self) -> u64 {
        self.have
    }

    /// Takes a piece if it is the next one; returns what is there now.
    pub(crate) fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<u64> {
        let _busy = self.store.open_for_writing()?;
        if offset == self.have && self.have + bytes.len() as u64 <= self.len {
            self.store.faults.before(Step::SnapshotBlock)?;
            self.file.write_all_at(bytes, offset)?;
            self.have += bytes.len() as u64;
        }
        Ok(self.have)
    }

    /// Checks every byte, makes the file durable and gives it its final name; returns what it contains.
    pub(crate) fn finish(mut self) -> Result<Applied, ReceiveError> {
        let store = self.store.clone();
        let _busy = store.open_for_writing()?;
        let applied = match self.check() {
            Ok(applied) => applied,
            Err(error) => {
                // The error that counts is the damage; a leftover is replaced by the next transfer.
                let _ = fs::remove_file(&self.path);
                return Err(error.into());
            }
        };
        self.store.faults.before(Step::SnapshotSync)?;
        self.file.sync_all()?;
        self.store.publish(&self.path, applied.index)?;
        Ok(applied)
    }

    fn check(&mut self) -> Result<Applied, SnapshotError> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = SnapshotReader::new(BufReader::with_capacity(256 * 1024, &mut self.file))?;
        while reader.next_block()?.is_some() {}
        Ok(reader.summary().applied.clone())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::Fatal;
    use crate::faults::NoFaults;
    use crate::state_machine::SnapshotSource;

    struct Blocks(u64);

    impl SnapshotSource for Blocks {
        fn applied(&self) -> Applied {
            Applied { index: 9, mark: Bytes::from_static(b"mark") }
        }
        fn state_hash(&self) -> [u8; 16] {
            [1; 16]
        }
        fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
            self.0 = self.0.saturating_sub(1);
            Ok((self.0 > 0).then(|| Bytes::from(vec![7; 1000])))
        }
    }

    fn store(dir: &tempfile::TempDir) -> Arc<SnapshotStore> {
        Arc::new(SnapshotStore::open(dir.path().to_path_buf(), Arc::new(NoFaults)).unwrap())
    }

    /// A snapshot of about ten blocks, as bytes.
    fn sample() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        store(&dir).write(&mut Blocks(11), &|| false).unwrap();
        fs::read(dir.path().join(format!("{:020}.snapshot", 9))).unwrap()
    }

    #[test]
    fn a_transfer_goes_on_where_it_was_cut_and_forgets_what_does_not_fit_its_checksum() {
        let (dir, bytes) = (tempfile::tempdir().unwrap(), sample());
        let (store, len) = (store(&dir), bytes.len() as u64);
        let mut first = Incoming::open(&store, "a", len).unwrap();
        assert_eq!(first.put(0, &bytes[..5000]).unwrap(), 5000);
        assert_eq!(first.put(4000, &bytes[4000..6000]).unwrap(), 5000, "a piece out of order was taken");
        drop(first);
        let mut second = Incoming::open(&store, "a", len).unwrap();
        let have = second.have() as usize;
        assert!(have > 3000 && have <= 5000, "{have}");
        assert_eq!(second.put(have as u64, &bytes[have..]).unwrap(), len);
        assert_eq!(second.finish().unwrap().index, 9);
        assert_eq!(store.list().unwrap(), [9]);
        assert_eq!(store.outgoing(9).unwrap().1, len);
    }

    #[test]
    fn damage_is_found_before_the_file_gets_its_name_and_another_file_takes_its_place() {
        let (dir, mut bytes) = (tempfile::tempdir().unwrap(), sample());
        let (store, len) = (store(&dir), bytes.len() as u64);
        bytes[2000] ^= 1;
        let mut damaged = Incoming::open(&store, "a", len).unwrap();
        damaged.put(0, &bytes).unwrap();
        assert!(matches!(damaged.finish(), Err(ReceiveError::Damaged(_))));
        assert_eq!(store.list().unwrap(), [] as [u64; 0]);
        let mut abandoned = Incoming::open(&store, "a", len).unwrap();
        abandoned.put(0, &bytes[..2000]).unwrap();
        assert_eq!(Incoming::open(&store, "b", len).unwrap().have(), 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
