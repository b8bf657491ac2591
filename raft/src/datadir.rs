//! The directory of a replicator: its layout, its lock, and the file that says what it is.
//!
//! Not here: what the files inside `log/` and `snapshots/` hold (see `journal` and `snapshot`), nor the state
//! machine's own directory.
//! Must always hold:
//! * one process at a time holds a directory, from before the first read until after the last write;
//! * a directory of another format, or of another kind of node, is refused before anything in it changes.
//!
//! ```text
//! DIR/LOCK          held with flock(2) by the running process
//! DIR/VERSION       what wrote this directory (see below); written last when a directory is created
//! DIR/log/          the journal: r-<offset>.wal
//! DIR/snapshots/    <index>.snapshot, the newest two; *.part is one on its way from another node, and goes on after a
//!                   restart; *.tmp is a leftover and is deleted at start
//! ```
//!
//! `VERSION` is text, three lines: `format = 1`, `kind = noop` or `raft`, `id = <32 hexadecimal digits>`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::error::{Fatal, StartError};
use crate::journal::record::Identity;
use crate::random;

/// The newest layout that this build writes and reads.
const FORMAT: u32 = 1;

/// What kind of replicator a directory belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// One node, a local journal.
    NoOp,
    /// A member of a cluster, perhaps of one.
    Raft,
}

impl NodeKind {
    fn name(self) -> &'static str {
        match self {
            NodeKind::NoOp => "noop",
            NodeKind::Raft => "raft",
        }
    }
}

/// A locked directory; the lock goes with the value.
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates what is missing and takes the lock.
    pub(crate) fn open(root: &Path) -> Result<Self, StartError> {
        let cannot = |what: &str, e: io::Error| Fatal::with(format!("cannot {what} {}", root.display()), e);
        for dir in [root.to_path_buf(), log_dir(root), snapshot_dir(root)] {
            fs::create_dir_all(dir).map_err(|e| cannot("create", e))?;
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("LOCK"))
            .map_err(|e| cannot("lock", e))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { root: root.to_path_buf(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::Locked { dir: root.display().to_string() }),
            Err(e) => Err(cannot("lock", e.into()).into()),
        }
    }

    /// The journal's directory.
    pub(crate) fn log(&self) -> PathBuf {
        log_dir(&self.root)
    }

    /// The snapshots' directory.
    pub(crate) fn snapshots(&self) -> PathBuf {
        snapshot_dir(&self.root)
    }

    /// The directory as words, for errors.
    pub(crate) fn name(&self) -> String {
        self.root.display().to_string()
    }

    /// Reads `VERSION`: `None` when there is none yet, the journal's identity when it fits, else a refusal.
    pub(crate) fn identity(&self, kind: NodeKind) -> Result<Option<Identity>, StartError> {
        let path = self.root.join("VERSION");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(e) => return Err(Fatal::with(format!("cannot read {}", path.display()), e).into()),
        };
        parse_version(&text, kind).map(Some).map_err(|reason| self.refused(reason))
    }

    /// Writes `VERSION`, the last step of creating a directory.
    pub(crate) fn set_identity(&self, kind: NodeKind, identity: Identity) -> Result<(), StartError> {
        let text = version_text(kind, identity);
        let path = self.root.join("VERSION");
        write_whole(&path, text.as_bytes())
            .map_err(|e| Fatal::with(format!("cannot write {}", path.display()), e).into())
    }

    /// A refusal of this directory.
    pub(crate) fn refused(&self, reason: impl Into<String>) -> StartError {
        StartError::Refused { dir: self.name(), reason: reason.into() }
    }

    /// Damage in this directory.
    pub(crate) fn damaged(&self, reason: impl Into<String>) -> StartError {
        StartError::Damaged { dir: self.name(), reason: reason.into() }
    }
}

fn log_dir(root: &Path) -> PathBuf {
    root.join("log")
}

/// Where the snapshots of a directory lie.
pub(crate) fn snapshot_dir(root: &Path) -> PathBuf {
    root.join("snapshots")
}

fn version_text(kind: NodeKind, identity: Identity) -> String {
    let id: String = identity.0.iter().map(|b| format!("{b:02x}")).collect();
    format!("format = {FORMAT}\nkind = {}\nid = {id}\n", kind.name())
}

fn parse_version(text: &str, kind: NodeKind) -> Result<Identity, String> {
    let field = |name: &str| {
        let value = text.lines().find_map(|l| l.strip_prefix(name)?.trim_start().strip_prefix('='));
        value.map(str::trim).ok_or_else(|| {
            format!("its VERSION file has no `{name}`; restore that file or choose another directory")
        })
    };
    let format = field("format")?;
    match format.parse::<u32>() {
        Ok(FORMAT) => {}
        Ok(newer) if newer > FORMAT => {
            return Err(format!(
                "it has format {newer} and this build reads {FORMAT}; run the metad that wrote it, or a newer one"
            ));
        }
        _ => return Err(format!("its format `{format}` is unknown; choose another directory")),
    }
    let found = field("kind")?;
    if found != kind.name() {
        return Err(format!(
            "it belongs to a node of mode `{found}`, and this one is `{}`; start with --mode {found} or choose \
             another directory",
            kind.name()
        ));
    }
    parse_identity(field("id")?).ok_or_else(|| "the id in its VERSION file is damaged".to_string())
}

fn parse_identity(hex: &str) -> Option<Identity> {
    if hex.len() != 32 || !hex.is_ascii() {
        return None;
    }
    let mut id = [0; 16];
    for (i, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(Identity(id))
}

/// Draws the identity of a new journal. The kernel's generator; nothing replicated depends on it.
pub(crate) fn draw_identity() -> Result<Identity, Fatal> {
    random::draw().map(Identity).map_err(|e| Fatal::with("cannot read /dev/urandom", e))
}

/// Writes a small file whole: a crash leaves the old one or the new one.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let tmp = path.with_extension("tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&tmp, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Free bytes of the filesystem that holds `dir`, for an unprivileged process.
pub(crate) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Identity = Identity([0xab; 16]);

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(StartError::Locked { .. })));
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn the_version_file_is_pinned() {
        assert_eq!(
            version_text(NodeKind::NoOp, ID),
            "format = 1\nkind = noop\nid = abababababababababababababababab\n"
        );
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        assert_eq!(held.identity(NodeKind::NoOp).unwrap(), None);
        held.set_identity(NodeKind::NoOp, ID).unwrap();
        assert_eq!(held.identity(NodeKind::NoOp).unwrap(), Some(ID));
    }

    #[test]
    fn another_version_or_kind_is_refused_with_what_to_do() {
        let refused = |text: &str| parse_version(text, NodeKind::NoOp).unwrap_err();
        assert!(refused("format = 2\nkind = noop\nid = 00\n").contains("run the metad that wrote it"));
        assert!(refused("format = 1\nkind = raft\n").contains("start with --mode raft"));
        assert!(refused("format = x\n").contains("unknown"));
        assert!(refused("").contains("choose another directory"));
        assert!(refused("format = 1\nkind = noop\nid = 12\n").contains("damaged"));
    }
}
