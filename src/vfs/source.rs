//! The one opener for all file bytes, beneath FILES_PATH only.
//!
//! `filePath` is data that any client can set, so it is resolved at use and never trusted:
//! ```text
//! relative          watch/a.mkv          → FILES/watch/a.mkv
//! absolute, below   /files/watch/a.mkv   → FILES/watch/a.mkv     (FILES is /files)
//! absolute, other   /watch/a.mkv         → FILES/watch/a.mkv
//! with `..`, NUL, nothing left           → does not exist
//! ```
//!
//! Not here: which file a path of the tree means (`tree_fs`), reading (doors).
//! Must always hold: the kernel itself (`openat2` with RESOLVE_BENEATH) sees to it that no symbolic link leaves
//! FILES_PATH; links that stay inside work; nothing but a regular file is ever handed out, and no open waits for a
//! writer of a pipe.
//!
//! Source: design D15; research/upstream.md §3.2 and §6.4 C6; openat2(2).

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use crate::limits::SOURCE_PATH_BYTES_MAX;

/// Why a file's bytes cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such file, or a `filePath` that no file can have.
    #[error("no such file beneath FILES_PATH")]
    NotThere,
    /// A symbolic link leads out of FILES_PATH.
    #[error("the path leads out of FILES_PATH")]
    Outside,
    /// A directory, a pipe, a device.
    #[error("not a regular file")]
    NotAFile,
    /// FILES_PATH itself is not there: a volume that is not mounted.
    #[error("FILES_PATH {path} cannot be opened: {source}")]
    NoRoot {
        /// FILES_PATH.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anything else that the system said.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// The files below FILES_PATH.
#[derive(Clone, Debug)]
pub struct Source {
    root: PathBuf,
}

/// How the component-wise fallback and `openat2` open what they find. O_NONBLOCK keeps the open of a pipe from waiting
/// and means nothing to regular files.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Source {
    /// Files below `root`. It need not be there yet: a volume may be mounted later.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// FILES_PATH.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path beneath FILES_PATH that a stored `filePath` means; `None` when no file can have it.
    pub fn relative(&self, stored: &[u8]) -> Option<Vec<u8>> {
        if stored.contains(&0) || stored.len() > SOURCE_PATH_BYTES_MAX {
            return None;
        }
        let given = components(stored);
        if given.contains(&&b".."[..]) {
            return None;
        }
        let root = components(self.root.as_os_str().as_encoded_bytes());
        let below = match given.strip_prefix(root.as_slice()) {
            Some(below) if stored.starts_with(b"/") && self.root.is_absolute() => below,
            Some(_) | None => &given,
        };
        (!below.is_empty()).then(|| below.join(&b'/'))
    }

    /// Opens the regular file that a stored `filePath` means, and gives its size in bytes. Blocks as long as the disk
    /// does: callers give it a deadline.
    pub fn open(&self, stored: &[u8]) -> Result<(File, u64), SourceError> {
        let relative = self.relative(stored).ok_or(SourceError::NotThere)?;
        let root = self.open_root()?;
        let fd = match beneath(&root, &relative) {
            Err(Errno::NOSYS) => step_by_step(root, &relative),
            other => other,
        };
        regular(fd.map_err(refusal)?)
    }

    /// Whether the file is there and can be opened; the reason if not.
    pub fn check(&self, stored: &[u8]) -> Result<u64, SourceError> {
        self.open(stored).map(|(_, size)| size)
    }

    fn open_root(&self) -> Result<OwnedFd, SourceError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, &self.root, flags, Mode::empty()).map_err(|errno| SourceError::NoRoot {
            path: self.root.display().to_string(),
            source: errno.into(),
        })
    }
}

/// Opens with the kernel's own guard.
fn beneath(root: impl AsFd, relative: &[u8]) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root.as_fd(), relative, OPEN, Mode::empty(), resolve) {
            // Something was renamed while the kernel checked a `..` of a link: ask again, as openat2(2) says.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Opens one component after the other and follows no link at all: for kernels before 5.6 and for sandboxes that refuse
/// `openat2`.
fn step_by_step(root: OwnedFd, relative: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut at = root;
    let parts = components(relative);
    let (last, dirs) = parts.split_last().ok_or(Errno::NOENT)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for dir in dirs {
        at = openat(&at, *dir, flags, Mode::empty())?;
    }
    openat(&at, *last, OPEN | OFlags::NOFOLLOW, Mode::empty())
}

fn regular(fd: OwnedFd) -> Result<(File, u64), SourceError> {
    let stat = fstat(&fd).map_err(std::io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(SourceError::NotAFile);
    }
    Ok((File::from(fd), u64::try_from(stat.st_size).unwrap_or(0)))
}

/// What an error of an open means. Loops of links and too long names are paths that no file can have.
fn refusal(errno: Errno) -> SourceError {
    match errno {
        Errno::XDEV => SourceError::Outside,
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG => SourceError::NotThere,
        Errno::NXIO | Errno::ISDIR | Errno::NODEV => SourceError::NotAFile,
        other => SourceError::Io(other.into()),
    }
}

/// The components of a path, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<&[u8]> {
    path.split(|b| *b == b'/').filter(|c| !c.is_empty() && *c != b".").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    /// FILES with a file, a directory, a pipe, and links that stay, leave and loop.
    fn library() -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        std::fs::create_dir_all(files.join("watch/sub")).unwrap();
        std::fs::write(files.join("watch/a.mkv"), b"bytes").unwrap();
        std::fs::write(dir.path().join("secret"), b"secret").unwrap();
        symlink("../a.mkv", files.join("watch/sub/inside")).unwrap();
        symlink("../../secret", files.join("watch/outside")).unwrap();
        symlink(dir.path().join("secret"), files.join("watch/absolute")).unwrap();
        symlink("..", files.join("up")).unwrap();
        symlink("loop", files.join("loop")).unwrap();
        rustix::fs::mknodat(CWD, files.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let source = Source::new(files);
        (dir, source)
    }

    fn text(opened: Result<(File, u64), SourceError>) -> String {
        let (mut file, size) = opened.unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(size, text.len() as u64);
        text
    }

    #[test]
    fn file_path_is_relative_or_absolute_or_absolute_under_files() {
        let (_dir, source) = library();
        let under = source.root().join("watch/a.mkv");
        for stored in
            [&b"watch/a.mkv"[..], b"/watch/a.mkv", b"./watch//a.mkv", under.as_os_str().as_encoded_bytes()]
        {
            assert_eq!(text(source.open(stored)), "bytes");
        }
    }

    #[test]
    fn a_path_that_could_leave_does_not_exist() {
        let (_dir, source) = library();
        let long = [b'a'; SOURCE_PATH_BYTES_MAX + 1];
        for stored in [
            &b"../secret"[..],
            b"watch/../../secret",
            b"/..",
            b"",
            b"/",
            b".",
            b"watch/a.mkv\0",
            b"none",
            b"watch/a.mkv/b",
            b"loop",
            &long,
            &long[..300],
        ] {
            let found = source.open(stored);
            assert!(matches!(found, Err(SourceError::NotThere)), "{}: {found:?}", stored.escape_ascii());
        }
        let root = source.root().as_os_str().as_encoded_bytes();
        assert!(matches!(source.open(root), Err(SourceError::NotThere)));
    }

    #[test]
    fn links_inside_work_and_links_out_are_refused() {
        let (_dir, source) = library();
        assert_eq!(text(source.open(b"watch/sub/inside")), "bytes");
        for stored in [&b"watch/outside"[..], b"watch/absolute", b"up/secret"] {
            let found = source.open(stored);
            assert!(matches!(found, Err(SourceError::Outside)), "{}: {found:?}", stored.escape_ascii());
        }
    }

    #[test]
    fn directories_and_pipes_are_no_files_and_never_block() {
        let (_dir, source) = library();
        for stored in [&b"watch"[..], b"pipe"] {
            assert!(matches!(source.open(stored), Err(SourceError::NotAFile)), "{}", stored.escape_ascii());
        }
    }

    #[test]
    fn the_fallback_follows_no_link_at_all() {
        let (_dir, source) = library();
        let open = |path: &[u8]| step_by_step(source.open_root().unwrap(), path);
        assert!(open(b"watch/a.mkv").is_ok());
        for link in [&b"watch/sub/inside"[..], b"watch/outside", b"up/secret", b"loop"] {
            assert!(open(link).is_err(), "{}", link.escape_ascii());
        }
    }

    #[test]
    fn a_missing_files_path_is_told_at_open() {
        let source = Source::new("/nonexistent/files");
        assert!(matches!(source.open(b"a"), Err(SourceError::NoRoot { .. })));
    }
}
