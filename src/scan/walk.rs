//! The walk: every regular file beneath a folder, sorted, without what is no library content.
//!
//! Not here: what a file is. Must always hold: links are never followed, so the walk stays in the folder and ends.

use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// Why something was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Its name starts with a dot, or it is a helper folder of a NAS or of an operating system.
    Hidden,
    /// A download or copy that is still going on, by its name.
    Partial,
    /// A symbolic link: its target is scanned where it lies, if it lies in the folder.
    Link,
    /// A device, pipe or socket.
    Special,
    /// Byte for byte a copy of a file that was scanned before.
    Copy,
}

/// One thing that the walk met.
#[derive(Debug)]
pub enum Entry {
    /// A regular file.
    File(PathBuf),
    /// Something that was left out.
    Skipped(PathBuf, Skip),
    /// Something that could not be read.
    Failed(PathBuf, io::Error),
}

/// Folders and files that NAS systems and operating systems put among media.
const HELPERS: &[&str] = &[
    "@eaDir",
    "#recycle",
    "@Recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "Thumbs.db",
    "desktop.ini",
];

/// Endings of files that are still being written.
const PARTIAL_ENDINGS: &[&str] = &[
    ".part",
    ".partial",
    ".crdownload",
    ".!qb",
    ".!ut",
    ".tmp",
    ".temp",
    ".aria2",
    ".download",
    ".filepart",
    ".nzbget",
];

/// Walks `root`, sorted by name in each folder.
pub fn walk(root: &Path) -> impl Iterator<Item = Entry> {
    let mut walker = WalkDir::new(root).follow_links(false).sort_by_file_name().min_depth(1).into_iter();
    std::iter::from_fn(move || {
        loop {
            let met = match walker.next()? {
                Ok(entry) => entry,
                Err(error) => return Some(failure(error)),
            };
            let is_dir = met.file_type().is_dir();
            match skip(&met) {
                Some(why) => {
                    if is_dir {
                        walker.skip_current_dir();
                    }
                    return Some(Entry::Skipped(met.into_path(), why));
                }
                None if is_dir => {}
                None => return Some(Entry::File(met.into_path())),
            }
        }
    })
}

fn failure(error: walkdir::Error) -> Entry {
    let path = error.path().map(Path::to_path_buf).unwrap_or_default();
    let error =
        error.into_io_error().unwrap_or_else(|| io::Error::other("a link leads back to its own folder"));
    Entry::Failed(path, error)
}

fn skip(entry: &DirEntry) -> Option<Skip> {
    let name = entry.file_name().to_string_lossy();
    let kind = entry.file_type();
    if name.starts_with('.') || HELPERS.contains(&name.as_ref()) {
        return Some(Skip::Hidden);
    }
    if kind.is_symlink() {
        return Some(Skip::Link);
    }
    if kind.is_dir() {
        return None;
    }
    if !kind.is_file() {
        return Some(Skip::Special);
    }
    let lower = name.to_lowercase();
    PARTIAL_ENDINGS.iter().any(|e| lower.ends_with(e)).then_some(Skip::Partial)
}
