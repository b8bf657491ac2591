//! Golden scripts: events in, tree out. The stories are in `testscripts/tree/`.
//!
//! Not here: random changes (`tree_tests`), the rule language: the placer below only knows enough to tell the stories.
//! Must always hold: a script gives the same output on every machine.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use goldenscript::{Command, Context};

use super::attr::live_text;
use super::builder::{Change, ChangeKind, Placer, Wish};
use super::filesystem::{Filesystem, NodeKind};
use super::properties::PropertySet;
use super::rule::Explanation;
use super::source::Source;
use super::tree_fs::VirtualTree;
use super::tree_projection::{Follow, adopt, follow, scan};
use crate::meta::op::{Op, RecordOp};
use crate::meta::record::{EventId, Header, Property, Record, Value};

/// Templates such as `Movies/{title}/{title}.mkv`, one per view; a view applies when all its fields are there.
struct Templates(Vec<String>);

impl Placer for Templates {
    fn place(&self, record: &Record, now_ms: u64) -> Vec<Wish> {
        let labels = ["edition", "version"].iter().filter_map(|l| live_text(record, l, now_ms));
        let labels: Vec<String> = labels.map(str::to_owned).collect();
        let paths = self.0.iter().filter_map(|template| {
            let mut path = template.clone();
            for field in fields(template) {
                path = path.replace(&format!("{{{field}}}"), live_text(record, &field, now_ms)?);
            }
            Some(path)
        });
        let wish = |path: String| Wish {
            suffix_len: if path.ends_with(".mkv") { 4 } else { 0 },
            path,
            labels: labels.clone(),
        };
        paths.map(wish).collect()
    }

    fn properties(&self) -> PropertySet {
        let always = ["edition", "version", "filePath", "size", "fileSize", "mtime"].map(str::to_owned);
        PropertySet::new(self.0.iter().flat_map(|t| fields(t)).chain(always))
    }

    fn explain(&self, _record: &Record, _now_ms: u64) -> Explanation {
        Explanation { views: Vec::new() }
    }
}

fn fields(template: &str) -> Vec<String> {
    template.split('{').skip(1).filter_map(|p| Some(p.split_once('}')?.0.to_owned())).collect()
}

/// A node in small: records, their counter, and the builder over them.
struct Runner {
    records: Vec<(String, Record)>,
    counter: u64,
    /// Version of the rules.
    rules: u64,
    now_ms: u64,
    tree: Arc<VirtualTree>,
    follow: Follow,
}

impl Runner {
    fn new() -> Self {
        let tree = Arc::new(VirtualTree::new(Source::new("/files")));
        let placer = Arc::new(Templates(vec!["{title}.mkv".into()]));
        let follow = follow(placer, Arc::clone(&tree));
        Self { records: Vec::new(), counter: 1, rules: 0, now_ms: 1_000_000, tree, follow }
    }

    fn record(&mut self, id: &str) -> &mut Record {
        let at = match self.records.iter().position(|(i, _)| i == id) {
            Some(at) => at,
            None => {
                self.counter += 1;
                let header = Header { inode: self.counter, ..Header::default() };
                self.records.push((id.into(), Record { header, ..Record::default() }));
                self.records.len() - 1
            }
        };
        &mut self.records[at].1
    }

    /// Writes properties in one entry of the log; `moves` says that the naming order moves to the back.
    fn write(&mut self, id: &str, properties: &[(String, Option<String>)], moves: bool) {
        self.now_ms += 10_000;
        self.counter += 1;
        let (now_ms, order) = (self.now_ms, self.counter);
        let event = EventId { ms: now_ms, seq: 0 };
        let record = self.record(id);
        if moves || record.header.order == 0 {
            (record.header.order, record.header.order_ms) = (order, now_ms);
            record.pin = None;
        }
        record.header.event = event;
        for (name, value) in properties {
            let value = value.clone().map_or(Value::Deleted, |v| Value::Inline(Bytes::from(v)));
            let name = Bytes::from(name.clone());
            record.put(Property { name, event, mod_index: order, expire_ms: 0, value });
        }
        let after = Arc::new(record.clone());
        for (name, value) in properties {
            let kind = if value.is_some() { ChangeKind::Set } else { ChangeKind::Del };
            let (id, property) = (id.as_bytes(), name.as_bytes());
            self.follow.process(&Change { event, kind, id, property, record: Some(&after) }, now_ms);
        }
    }

    fn pin(&mut self) -> Result<(), Box<dyn Error>> {
        for op in self.tree.unpinned(usize::MAX) {
            let Op::Record(RecordOp::Pin { id, rules, links, .. }) = op else { return Err("no pin".into()) };
            let record = self.record(std::str::from_utf8(&id)?);
            let before = record.pin.take().map(|pin| *pin).unwrap_or_default();
            record.pin = Some(Box::new(before.renewed(rules, links)));
            let record = Arc::new(record.clone());
            self.follow.sync(&id, Some(&record), self.now_ms);
        }
        Ok(())
    }

    fn commit(&mut self) -> String {
        let diff = self.follow.update().commit(self.counter);
        let mut out = String::new();
        let read = self.tree.read();
        for (dir, names) in &diff.dirs {
            let path = read.dir_slot(*dir).map_or("(gone)".into(), |d| read.dir_path(d));
            for name in names.removed.keys() {
                writeln!(out, "- {path} {name}").expect("writing to a string");
            }
            for name in names.added.keys() {
                writeln!(out, "+ {path} {name}").expect("writing to a string");
            }
        }
        // Directories come in the order of their inode numbers, which says nothing to a reader.
        let mut lines: Vec<&str> = out.lines().collect();
        lines.sort_unstable_by_key(|l| (&l[2..], &l[..1]));
        lines.join("\n")
    }

    fn show(&self, path: &str, out: &mut String) {
        let mut entries = Vec::new();
        let attr =
            self.tree.resolve(if path.is_empty() { "/" } else { path }).expect("listed paths are there");
        let read = self.tree.read_dir(attr.inode, 0, &mut |e| {
            entries.push(e.clone());
            true
        });
        read.expect("directories can be read");
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let below = format!("{path}/{}", entry.name);
            let (mtime, links) = (entry.attr.mtime_ms / 1000, entry.attr.links);
            match entry.attr.kind {
                NodeKind::Directory => {
                    writeln!(out, "{below}/ mtime={mtime} links={links}").expect("writing to a string");
                    self.show(&below, out);
                }
                NodeKind::File => {
                    let (inode, size) = (entry.attr.inode, entry.attr.size);
                    writeln!(out, "{below} inode={inode} size={size} mtime={mtime} links={links}")
                        .expect("writing to a string");
                }
            }
        }
    }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let mut out = String::new();
        match command.name.as_str() {
            // set ID name=value…: naming properties, so the order moves to the back.
            // note ID name=value…: other properties, so it stays.
            name @ ("set" | "note") => {
                let id = args.next_pos().ok_or("which record?")?.to_owned();
                let mut properties = Vec::new();
                while let Some((name, value)) = args.next_key() {
                    properties.push((name.to_owned(), Some(value.to_owned())));
                }
                self.write(&id, &properties, name == "set");
            }
            "del" => {
                let id = args.next_pos().ok_or("which record?")?.to_owned();
                let properties: Vec<_> = args
                    .by_ref()
                    .filter_map(|a| {
                        if let goldenscript::Argument::Positional(p) = a {
                            Some((p.clone(), None))
                        } else {
                            None
                        }
                    })
                    .collect();
                self.write(&id, &properties, false);
            }
            "drop" => {
                let id = args.next_pos().ok_or("which record?")?;
                self.records.retain(|(i, _)| i != id);
                self.follow.sync(id.as_bytes(), None, self.now_ms);
            }
            "rules" => {
                let mut views = Vec::new();
                while let Some(view) = args.next_pos() {
                    views.push(view.to_owned());
                }
                self.rules += 1;
                let mut scan = scan(Arc::new(Templates(views)), self.rules);
                for (id, record) in &self.records {
                    scan.scan(id.as_bytes(), record, self.now_ms);
                }
                let diff = adopt(&mut self.follow, scan, self.counter);
                writeln!(out, "{} names changed", diff.names())?;
            }
            // What the pinner does: every file that holds its place only for now is pinned.
            "pin" => self.pin()?,
            "commit" => out = self.commit(),
            "tree" => self.show("", &mut out),
            "stats" => {
                let stats = self.tree.stats();
                writeln!(
                    out,
                    "files={} directories={} size={}",
                    stats.file_count, stats.directory_count, stats.total_size
                )?;
                writeln!(out, "categories={:?}", stats.categories)?;
                writeln!(out, "{:?}", self.follow.stats())?;
            }
            "resolve" => {
                let attr = self.tree.resolve(args.next_pos().ok_or("which path?")?)?;
                writeln!(out, "{attr:?}")?;
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_next()?;
        Ok(out)
    }
}

test_each_file::test_each_path! { in "src/vfs/testscripts/tree" as stories => run_script }

fn run_script(path: &std::path::Path) {
    goldenscript::run(&mut Runner::new(), path).expect("the script's output is the recorded one");
}
