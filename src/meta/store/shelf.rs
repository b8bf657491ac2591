//! Shelves: where state stores lie, and how one replaces another in one step.
//!
//! ```text
//! state/CURRENT    the number of the directory in use, replaced by rename
//! state/<n>/       a sled database
//! state/DIRTY      the host's boot id while the database is open
//! ```
//!
//! Not here: what is in them. Must always hold: a crash at any moment leaves the old store or the new one; a store that
//! was open when the power went is thrown away, because sled 0.34 does not survive that (design D3).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metad_raft::Fatal;
use parking_lot::Mutex;

use super::StateStore;
use super::memory::MemoryStore;
use super::sled::SledStore;

/// A store that is being filled to replace the one in use.
pub struct Fresh {
    /// The empty store.
    pub store: Arc<dyn StateStore>,
    number: u64,
}

/// Where stores lie.
pub trait Shelf: Send + Sync {
    /// Opens the store in use, or an empty one.
    fn open(&self) -> Result<Arc<dyn StateStore>, Fatal>;

    /// An empty store beside the one in use.
    fn fresh(&self) -> Result<Fresh, Fatal>;

    /// Makes a fresh store the one in use, durably, and removes the others.
    fn switch(&self, fresh: Fresh) -> Result<Arc<dyn StateStore>, Fatal>;

    /// Marks a clean end: the store in use was flushed and will not be written again.
    fn close(&self) -> Result<(), Fatal>;
}

/// Stores in a directory.
pub struct DiskShelf {
    dir: PathBuf,
}

fn fault<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Fatal + 'a {
    move |e| Fatal::with(format!("{what} {}", path.display()), e)
}

impl DiskShelf {
    /// A shelf in `dir`, which is created when it is missing.
    pub fn new(dir: &Path) -> Result<Self, Fatal> {
        fs::create_dir_all(dir).map_err(fault("create", dir))?;
        Ok(Self { dir: dir.to_path_buf() })
    }

    fn current(&self) -> Result<u64, Fatal> {
        let path = self.dir.join("CURRENT");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|e| Fatal::with(format!("read {}", path.display()), e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(fault("read", &path)(e)),
        }
    }

    fn store_dir(&self, number: u64) -> PathBuf {
        self.dir.join(number.to_string())
    }

    /// Throws the store away when it was open while the host went down.
    fn drop_after_power_loss(&self, number: u64) -> Result<(), Fatal> {
        let marker = self.dir.join("DIRTY");
        match fs::read_to_string(&marker) {
            Ok(boot) if boot == boot_id() => Ok(()),
            Ok(_) => {
                tracing::warn!(
                    "the host went down while the state store was open: it is rebuilt from the log"
                );
                remove_dir(&self.store_dir(number))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(fault("read", &marker)(e)),
        }
    }

    fn remove_others(&self, keep: u64) -> Result<(), Fatal> {
        for entry in fs::read_dir(&self.dir).map_err(fault("list", &self.dir))? {
            let path = entry.map_err(fault("list", &self.dir))?.path();
            let number = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u64>().ok());
            if number.is_some_and(|n| n != keep) {
                remove_dir(&path)?;
            }
        }
        Ok(())
    }
}

fn remove_dir(path: &Path) -> Result<(), Fatal> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(fault("remove", path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Identity of the host's present boot; empty where the system has none, which counts as always the same.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Replaces a small file: temporary file, fsync, rename, fsync of the directory.
pub fn replace_file(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

impl Shelf for DiskShelf {
    fn open(&self) -> Result<Arc<dyn StateStore>, Fatal> {
        let number = self.current()?;
        self.remove_others(number)?;
        self.drop_after_power_loss(number)?;
        let marker = self.dir.join("DIRTY");
        replace_file(&marker, boot_id().as_bytes()).map_err(fault("write", &marker))?;
        let dir = self.store_dir(number);
        match SledStore::open(&dir) {
            Ok(store) => Ok(Arc::new(store)),
            Err(fault) => {
                // A view of the log is rebuilt, not repaired.
                tracing::warn!(%fault, "the state store cannot be opened: it is rebuilt from the log");
                remove_dir(&dir)?;
                Ok(Arc::new(SledStore::open(&dir)?))
            }
        }
    }

    fn fresh(&self) -> Result<Fresh, Fatal> {
        let number = self.current()? + 1;
        let dir = self.store_dir(number);
        remove_dir(&dir)?;
        Ok(Fresh { store: Arc::new(SledStore::open(&dir)?), number })
    }

    fn switch(&self, fresh: Fresh) -> Result<Arc<dyn StateStore>, Fatal> {
        fresh.store.flush()?;
        let path = self.dir.join("CURRENT");
        replace_file(&path, fresh.number.to_string().as_bytes()).map_err(fault("write", &path))?;
        self.remove_others(fresh.number)?;
        Ok(fresh.store)
    }

    fn close(&self) -> Result<(), Fatal> {
        let marker = self.dir.join("DIRTY");
        match fs::remove_file(&marker) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(fault("remove", &marker)(e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Stores in RAM, for tests: what a machine leaves behind is found by the next one on the same shelf.
#[derive(Default)]
pub struct MemoryShelf(Mutex<Arc<MemoryStore>>);

impl Shelf for MemoryShelf {
    fn open(&self) -> Result<Arc<dyn StateStore>, Fatal> {
        Ok(Arc::clone(&*self.0.lock()) as Arc<dyn StateStore>)
    }

    fn fresh(&self) -> Result<Fresh, Fatal> {
        let store = Arc::new(MemoryStore::default());
        Ok(Fresh { store, number: 0 })
    }

    fn switch(&self, fresh: Fresh) -> Result<Arc<dyn StateStore>, Fatal> {
        let copy = MemoryStore::default();
        let pairs = fresh.store.scan(&[], &[0xff], usize::MAX)?;
        let batch: Vec<_> = pairs.into_iter().map(|(k, v)| (k, Some(v))).collect();
        copy.write(&batch)?;
        *self.0.lock() = Arc::new(copy);
        self.open()
    }

    fn close(&self) -> Result<(), Fatal> {
        Ok(())
    }
}
