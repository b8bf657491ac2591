//! `metad scan`: make records from a folder and send them to a node, with a progress bar.
//!
//! Not here: what a record says (`crate::scan`), batching (`import`).
//! Must always hold: memory does not grow with the folder: the walk waits while batches are on their way.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::Scan;
use super::client::Client;
use super::error::{CliError, Exit};
use super::import::{Batch, Importer, Summary, verdict};
use super::output::{Output, printable};
use crate::config::{Sources, lookup};
use crate::limits::SCAN_QUEUE_EVENTS;
use crate::scan::walk::Skip;
use crate::scan::{self, Event, Line, Options, ScanError};

/// What a scan met beside the records.
#[derive(Debug, Default)]
pub struct Tally {
    records: u64,
    /// Files and folders that could not be read.
    pub unreadable: u64,
    hidden: u64,
    partial: u64,
    links: u64,
    special: u64,
    copies: u64,
    /// Id and title of the first film, for examples.
    pub example: Option<(String, String)>,
}

impl Tally {
    /// Counts an event. Words for people come back for what they should know at once.
    fn count(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Record(line) => {
                self.records += 1;
                if self.example.is_none() {
                    self.example = film(line);
                }
            }
            Event::Skipped(_, Skip::Hidden) => self.hidden += 1,
            Event::Skipped(_, Skip::Partial) => self.partial += 1,
            Event::Skipped(_, Skip::Link) => self.links += 1,
            Event::Skipped(_, Skip::Special) => self.special += 1,
            Event::Skipped(path, Skip::Copy) => {
                self.copies += 1;
                return Some(format!("{}: a copy of another file, left out", shown(path)));
            }
            Event::Failed(path, error) => {
                self.unreadable += 1;
                return Some(format!("{}: cannot be read: {error}", shown(path)));
            }
        }
        None
    }

    fn words(&self) -> String {
        let left_out = [
            (self.hidden, "hidden"),
            (self.partial, "unfinished"),
            (self.links, "links"),
            (self.special, "special"),
            (self.copies, "copies"),
            (self.unreadable, "unreadable"),
        ];
        let parts: Vec<String> =
            left_out.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let files = if self.records == 1 { "file" } else { "files" };
        if parts.is_empty() {
            format!("{} {files} scanned", self.records)
        } else {
            format!("{} {files} scanned; left out: {}", self.records, parts.join(", "))
        }
    }
}

fn film(line: &Line) -> Option<(String, String)> {
    let text = |name: &str| {
        let value = &line.properties.iter().find(|(n, _)| n == name)?.1;
        String::from_utf8(value.clone()).ok()
    };
    (text("fileType")? == "video" && text("videoType")? == "movie").then_some(())?;
    Some((line.hash_id.clone(), text("title")?))
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Runs `metad scan`.
pub async fn run(command: Scan, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let options = Options {
        root: command.dir,
        files: files_path(command.files)?,
        threads: command.threads.map_or_else(default_threads, usize::from),
    };
    if command.dry_run {
        return dry_run(&options, out);
    }
    let (summary, tally) = send(options, client, out).await?;
    if out.json {
        out.value(&summary.to_json())?;
    } else {
        out.note(format!("{}; {} properties stored", tally.words(), summary.properties));
    }
    out.flush()?;
    verdict(summary, tally.unreadable)
}

/// FILES_PATH as `serve` in the same place would have it.
fn files_path(flag: Option<String>) -> Result<PathBuf, CliError> {
    let flags = flag.map(|dir| ("files", dir)).into_iter().collect();
    let text = lookup(&Sources::current(flags), "files").map_err(super::config::refused)?;
    Ok(PathBuf::from(text.expect("the files folder has a default")))
}

/// One thread for each core; two at least, because a disk answers two questions faster than one.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8)
}

fn dry_run(options: &Options, out: &mut Output) -> Result<(), CliError> {
    let mut tally = Tally::default();
    let mut result = Ok(());
    scan::scan(options, &mut |event| {
        if let Some(words) = tally.count(&event) {
            out.note(words);
        }
        if let Event::Record(line) = event {
            result = out.line(line.encode());
        }
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .map_err(refused)?;
    result?;
    out.flush()?;
    out.note(tally.words());
    verdict(Summary { imported: tally.records, ..Summary::default() }, tally.unreadable)
}

fn refused(error: ScanError) -> CliError {
    let exit = if error.source.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Other };
    CliError::new(exit, error)
}

/// Scans a folder and sends its records.
///
/// # Errors
/// When the folder cannot be scanned or a batch cannot be sent.
pub async fn send(options: Options, client: &Client, out: &Output) -> Result<(Summary, Tally), CliError> {
    let bar = progress(&options, out).await;
    let (sender, mut events) = tokio::sync::mpsc::channel(SCAN_QUEUE_EVENTS);
    let scanner = tokio::task::spawn_blocking(move || {
        scan::scan(&options, &mut |event| match sender.blocking_send(event) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        })
    });
    let mut tally = Tally::default();
    let mut importer = Importer::new(client, out);
    let mut batch = Batch::default();
    while let Some(event) = events.recv().await {
        bar.inc(1);
        if let Some(words) = tally.count(&event) {
            bar.suspend(|| out.note(words));
        }
        if let Event::Record(line) = event {
            batch.push(tally.records, line.encode().as_bytes());
        }
        if batch.is_full() {
            importer.send(std::mem::take(&mut batch)).await?;
        }
    }
    scanner.await.expect("the scanner does not panic").map_err(refused)?;
    if !batch.is_empty() {
        importer.send(batch).await?;
    }
    bar.finish_and_clear();
    Ok((importer.summary(), tally))
}

/// A bar on a terminal, nothing elsewhere. Counting first is cheap beside hashing and gives a true estimate.
async fn progress(options: &Options, out: &Output) -> ProgressBar {
    if !out.may_draw() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let root = options.root.clone();
    let total =
        tokio::task::spawn_blocking(move || scan::count(&root)).await.expect("the walk does not panic");
    let style =
        ProgressStyle::with_template("{bar:30} {percent:>3} %  {pos}/{len} files  {per_sec}  {eta} left")
            .expect("a constant template");
    ProgressBar::new(total).with_style(style)
}
