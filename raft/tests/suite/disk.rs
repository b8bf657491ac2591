//! A disk as a test wants it: full, failing, or photographed before every step.
//!
//! Not here: production. Must always hold: a photograph is what kill -9 at that moment would leave.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metad_raft::faults::{Faults, Step};
use metad_raft::noop::Options;
use parking_lot::Mutex;

type Hook = Box<dyn Fn(Step) + Send + Sync>;

/// The seam, scripted.
pub struct Disk {
    fail: Mutex<Vec<(Step, io::ErrorKind)>>,
    free: AtomicU64,
    hook: Mutex<Option<Hook>>,
}

impl Disk {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { fail: Mutex::default(), free: AtomicU64::new(u64::MAX), hook: Mutex::default() })
    }

    /// The next time that `step` comes, it fails.
    pub fn fail_next(&self, step: Step, kind: io::ErrorKind) {
        self.fail.lock().push((step, kind));
    }

    pub fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Ordering::Relaxed);
    }

    pub fn before_each(&self, hook: impl Fn(Step) + Send + Sync + 'static) {
        *self.hook.lock() = Some(Box::new(hook));
    }
}

impl Faults for Disk {
    fn before(&self, step: Step) -> io::Result<()> {
        if let Some(hook) = &*self.hook.lock() {
            hook(step);
        }
        let mut fail = self.fail.lock();
        match fail.iter().position(|(s, _)| *s == step) {
            Some(at) => Err(fail.remove(at).1.into()),
            None => Ok(()),
        }
    }

    fn free_bytes(&self, reported: u64) -> u64 {
        reported.min(self.free.load(Ordering::Relaxed))
    }
}

/// Options for a test: no reserve on the real disk, small snapshots when asked for.
pub fn options(dir: &Path, disk: &Arc<Disk>) -> Options {
    let mut options = Options::new(dir);
    options.reserve_bytes = 1024;
    options.faults = disk.clone();
    options
}

/// Copies a directory as it was at one moment, into an empty one.
///
/// A crash leaves one moment's files. A copy takes time, and a log that goes on writing, renaming and purging meanwhile
/// would leave a mixture that no crash can: such a copy is thrown away and made again.
pub fn photograph(from: &Path, to: &Path) {
    loop {
        let before = listing(from);
        let whole = copy(from, to).is_ok();
        if whole && before.is_ok() && before.ok() == listing(from).ok() {
            return;
        }
        fs::remove_dir_all(to).unwrap();
    }
}

/// Copies all files; fails when one goes away meanwhile.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Every file below a directory with its size and the time of its last change; fails when one goes away meanwhile.
fn listing(dir: &Path) -> io::Result<Vec<(PathBuf, u64, i64, i64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            found.extend(listing(&entry.path())?);
        } else {
            found.push((entry.path(), meta.len(), meta.mtime(), meta.mtime_nsec()));
        }
    }
    found.sort();
    Ok(found)
}

/// The files of a directory whose names end in `suffix`, sorted.
pub fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.to_string_lossy().ends_with(suffix));
    found.sort();
    found
}
