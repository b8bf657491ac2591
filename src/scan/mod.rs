//! `scan`: a folder of media files becomes metadata records, so that a newcomer needs nothing else.
//!
//! ```text
//! walk (sorted) ─► blocks ─► threads: midhash + name ─► in walk order: duplicate ids, facts ─► records
//! ```
//!
//! Not here: where records go (`cli/scan.rs` sends or prints them).
//! Must always hold: the same folder gives the same records in the same order, whatever the number of threads; a file
//! that cannot be read is reported and never stops the others; no file is written or followed out of the folder.

pub mod facts;
pub mod filename;
pub mod language;
pub mod line;
pub mod midhash;
pub mod music;
pub mod walk;

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use line::Line;
use midhash::Cid;
use walk::Entry;

use crate::limits::SCAN_BLOCK_FILES;

/// What to scan, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder to walk.
    pub root: PathBuf,
    /// FILES_PATH: `filePath` is written relative to it for files beneath it, else absolute.
    pub files: PathBuf,
    /// Threads that read and hash, at least 1.
    pub threads: usize,
}

/// What a scan tells while it runs, in walk order.
#[derive(Debug)]
pub enum Event {
    /// A file's record.
    Record(Line),
    /// A file that is no library content, and why.
    Skipped(PathBuf, walk::Skip),
    /// A file or folder that could not be read.
    Failed(PathBuf, std::io::Error),
}

/// The folder cannot be scanned at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot scan {}: {source}", .root.display())]
pub struct ScanError {
    /// The folder as given.
    pub root: PathBuf,
    /// The operating system's words.
    pub source: std::io::Error,
}

/// The number of entries that a scan of `root` will report, for a progress bar.
pub fn count(root: &Path) -> u64 {
    walk::walk(root).count() as u64
}

/// Scans a folder and reports to `sink`, which may stop the scan by breaking.
///
/// # Errors
/// When the folder itself is missing, is no folder, or cannot be read.
pub fn scan(options: &Options, sink: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<(), ScanError> {
    let failed = |source| ScanError { root: options.root.clone(), source };
    let root = options.root.canonicalize().map_err(failed)?;
    std::fs::read_dir(&root).map_err(failed)?;
    // FILES_PATH need not exist where the scan runs; then no file lies beneath it.
    let files = options.files.canonicalize().unwrap_or_else(|_| options.files.clone());
    let mut seen = BTreeSet::new();
    let mut entries = walk::walk(&root);
    loop {
        let block: Vec<Entry> = entries.by_ref().take(SCAN_BLOCK_FILES).collect();
        if block.is_empty() {
            return Ok(());
        }
        let hashed = hash_block(&root, &block, options.threads);
        for (entry, cid) in block.into_iter().zip(hashed) {
            let event = match entry {
                Entry::Skipped(path, why) => Event::Skipped(path, why),
                Entry::Failed(path, error) => Event::Failed(path, error),
                Entry::File(path) => match cid.expect("every file of a block was hashed") {
                    Ok(facts) => record(&files, path, facts, &mut seen),
                    Err(error) => Event::Failed(path, error),
                },
            };
            if sink(event).is_break() {
                return Ok(());
            }
        }
    }
}

/// What reading a file gave.
struct Hashed {
    midhash: Cid,
    stat: facts::Stat,
    named: Vec<(&'static str, String)>,
}

type HashResult = Option<std::io::Result<Hashed>>;

/// Hashes the files of a block on several threads; the answers keep the block's order.
fn hash_block(root: &Path, block: &[Entry], threads: usize) -> Vec<HashResult> {
    let answers: Vec<OnceLock<std::io::Result<Hashed>>> = block.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, block.len()) {
            scope.spawn(|| {
                while let Some((entry, answer)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    block.get(at).zip(answers.get(at))
                } {
                    if let Entry::File(path) = entry {
                        answer.set(hash_file(root, path)).map_err(drop).expect("each file is taken once");
                    }
                }
            });
        }
    });
    answers.into_iter().map(OnceLock::into_inner).collect()
}

fn hash_file(root: &Path, path: &Path) -> std::io::Result<Hashed> {
    let mut file = File::open(path)?;
    let stat = facts::Stat::of(&file.metadata()?);
    let midhash = midhash::midhash256(&mut file, stat.size)?;
    Ok(Hashed { midhash, stat, named: named(root, path) })
}

/// What the path beneath the scanned folder says about the content.
fn named(root: &Path, path: &Path) -> Vec<(&'static str, String)> {
    let relative = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    match facts::file_type(path) {
        "video" | "subtitle" => filename::properties(&relative),
        "audio" => music::properties(&relative),
        _ => Vec::new(),
    }
}

/// The record of a file. The second file with one midhash gets its full SHA-256 as id: the midhash reads only a sample.
fn record(files: &Path, path: PathBuf, hashed: Hashed, seen: &mut BTreeSet<Cid>) -> Event {
    let midhash = hashed.midhash.to_string();
    let id = if seen.insert(hashed.midhash) {
        midhash.clone()
    } else {
        match File::open(&path).and_then(|mut f| midhash::sha2_256(&mut f)) {
            // A third copy has the second one's full hash: no id is left for it.
            Ok(full) if !seen.insert(full.clone()) => return Event::Skipped(path, walk::Skip::Copy),
            Ok(full) => full.to_string(),
            Err(error) => return Event::Failed(path, error),
        }
    };
    let mut properties = facts::facts(files, &path, &hashed.stat);
    properties.push(("cid_midhash256".into(), midhash.into_bytes()));
    properties.extend(hashed.named.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())));
    properties.sort();
    Event::Record(Line { hash_id: id, properties })
}

#[cfg(test)]
mod tests;
