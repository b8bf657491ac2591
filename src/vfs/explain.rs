//! Why a file is where it is: the whole story of one hashId, for people.
//!
//! Not here: how it is shown (`cli`, `http`).
//! Must always hold: what is told is what the tree shows, read under one lock; only the check of the source file
//! touches the disk, after the lock.

use super::attr::{Facts, source_path};
use super::builder::Placer;
use super::rule::Explanation;
use super::tree::Tree;
use super::tree_claim::Refusal;
use super::tree_fs::VirtualTree;
use crate::meta::record::{Record, Value};

/// One place of a file in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceStory {
    /// The path it has.
    pub path: String,
    /// The name that the rules wanted.
    pub wanted: String,
    /// Better names that it did not get, best first, and who has them.
    pub refused: Vec<Refusal>,
}

/// The source file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStory {
    /// `filePath` as stored; what is not UTF-8 is replaced.
    pub stored: String,
    /// Where that is beneath FILES_PATH; `None` when no file can have it.
    pub beneath_files: Option<String>,
    /// The file's real size in bytes, or why it cannot be opened.
    pub found: Result<u64, String>,
}

/// Why a file is where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStory {
    /// Live properties with text values, sorted by name.
    pub fields: Vec<(String, String)>,
    /// What the rules said, view by view.
    pub rules: Explanation,
    /// Inode, naming order, size and times.
    pub facts: Facts,
    /// Where the tree has it.
    pub places: Vec<PlaceStory>,
    /// The source file; `None` when the record has no `filePath` and so is no file.
    pub source: Option<SourceStory>,
}

/// Tells the story of a record at the log's time `now_ms`. Opens the source file: callers give it a deadline.
pub fn explain(
    tree: &VirtualTree,
    placer: &dyn Placer,
    id: &[u8],
    record: &Record,
    now_ms: u64,
) -> FileStory {
    let places = tree.read().places_of(id);
    FileStory {
        fields: fields_of(record, now_ms),
        rules: placer.explain(record, now_ms),
        facts: Facts::of(record, now_ms),
        places,
        source: source_path(record, now_ms).map(|stored| source_of(tree, stored)),
    }
}

fn fields_of(record: &Record, now_ms: u64) -> Vec<(String, String)> {
    let live = record.properties.iter().filter(|p| p.is_live(now_ms));
    live.filter_map(|p| match &p.value {
        Value::Inline(bytes) => Some((lossy(&p.name), lossy(bytes))),
        Value::Chunked { .. } | Value::Deleted => None,
    })
    .collect()
}

fn source_of(tree: &VirtualTree, stored: &[u8]) -> SourceStory {
    let source = tree.source();
    SourceStory {
        stored: lossy(stored),
        beneath_files: source.relative(stored).map(|path| lossy(&path)),
        found: source.check(stored).map_err(|error| error.to_string()),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Tree {
    /// All places of a file with the names that it was refused there.
    pub fn places_of(&self, id: &[u8]) -> Vec<PlaceStory> {
        let Some(file) = self.file_slot(id) else { return Vec::new() };
        let paths = self.paths_of(id);
        let links = self.links(file);
        links
            .iter()
            .zip(paths)
            .map(|(link, path)| PlaceStory {
                path,
                wanted: self.name_and_labels(file, link.dir).0.to_owned(),
                refused: self.refusals(file, link.dir),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::{EventId, Header, Property};
    use crate::vfs::rule::RuleSet;
    use crate::vfs::source::Source;
    use crate::vfs::tree_claim::Holder;
    use crate::vfs::tree_projection::{adopt, follow, scan};
    use bytes::Bytes;
    use std::sync::Arc;

    fn record(order: u64, properties: &[(&'static str, &'static str)]) -> Record {
        let header = Header { inode: 100 + order, order, ..Header::default() };
        let mut record = Record { header, ..Record::default() };
        for (name, value) in properties {
            let value = Value::Inline(Bytes::from_static(value.as_bytes()));
            let name = Bytes::from_static(name.as_bytes());
            record.put(Property { name, event: EventId::default(), mod_index: 1, expire_ms: 0, value });
        }
        record
    }

    #[test]
    fn the_story_names_the_rule_the_collision_and_the_missing_file() {
        let rules: Arc<RuleSet> = Arc::new(
            RuleSet::parse(
                "version = 1\n[[view]]\nname = ''\n[[view.rule]]\nname = 'film'\npath = 'Movies/{title}.{extension}'\n",
            )
            .unwrap(),
        );
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("b.mkv"), b"12345").unwrap();
        let tree = Arc::new(VirtualTree::new(Source::new(files.path())));
        let mut follow = follow(rules.clone(), Arc::clone(&tree));
        let first = record(1, &[("title", "Brazil"), ("filePath", "a.mkv")]);
        let second = record(2, &[("title", "Brazil"), ("filePath", "b.mkv")]);
        let mut scan = scan(rules.clone(), 1);
        scan.scan(b"first", &first, 0);
        scan.scan(b"second", &second, 0);
        adopt(&mut follow, scan, 7);

        let story = explain(&tree, &*rules, b"second", &second, 0);
        assert_eq!(story.rules.views[0].rule.as_deref(), Some("film"));
        assert_eq!(story.places.len(), 1);
        let place = &story.places[0];
        assert_eq!(place.wanted, "Brazil.mkv");
        assert_eq!(
            place.refused,
            [Refusal { name: "Brazil.mkv".into(), holder: Holder::File("first".into()) }]
        );
        assert!(
            place.path.starts_with("/Movies/Brazil [") && place.path.ends_with("].mkv"),
            "{}",
            place.path
        );
        let source = story.source.unwrap();
        assert_eq!((source.beneath_files.as_deref(), source.found), (Some("b.mkv"), Ok(5)));
        assert!(explain(&tree, &*rules, b"first", &first, 0).source.unwrap().found.is_err());
    }
}
