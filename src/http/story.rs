//! The story of a file as JSON: fields, rules tried, places, source.
//!
//! Not here: telling it (`vfs::explain`). Must always hold: every part of the story is shown.

use serde_json::{Value, json};

use crate::vfs::explain::{FileStory, PlaceStory, SourceStory};
use crate::vfs::rule::{Outcome, ViewExplanation};
use crate::vfs::tree_claim::Holder;

/// The whole story.
pub(super) fn told(hash: &str, story: &FileStory) -> Value {
    json!({
        "hashId": hash,
        "paths": story.places.iter().map(|place| place.path.as_str()).collect::<Vec<_>>(),
        "places": story.places.iter().map(place).collect::<Vec<_>>(),
        "views": story.rules.views.iter().map(view).collect::<Vec<_>>(),
        "source": story.source.as_ref().map(source),
        "inode": story.facts.inode,
        "order": story.facts.order,
        "size": story.facts.size,
        "mtime": super::health::rfc3339(u64::from(story.facts.mtime_s) * 1000),
        "fields": story.fields.iter().map(|(n, v)| (n.clone(), json!(v))).collect::<serde_json::Map<_, _>>(),
    })
}

fn place(place: &PlaceStory) -> Value {
    let refused = place
        .refused
        .iter()
        .map(|r| json!({"name": r.name, "holder": holder(&r.holder), "free": r.holder == Holder::Nobody}));
    json!({"path": place.path, "wanted": place.wanted, "refused": refused.collect::<Vec<_>>()})
}

/// hashId of the file that has a name; null for a folder, and where nobody has it any more.
fn holder(holder: &Holder) -> Option<&str> {
    match holder {
        Holder::File(id) => Some(id),
        Holder::Folder | Holder::Nobody => None,
    }
}

fn view(view: &ViewExplanation) -> Value {
    let fields = view.fields.iter();
    let fields = fields.map(|f| json!({"field": f.field, "value": f.value, "source": f.source}));
    let tried = view.tried.iter().map(|t| json!({"rule": t.rule, "outcome": outcome(&t.outcome)}));
    json!({
        "view": if view.view.is_empty() { "/" } else { &view.view },
        "rule": view.rule,
        "path": view.path,
        "tried": tried.collect::<Vec<_>>(),
        "fields": fields.collect::<Vec<_>>(),
    })
}

fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Disabled => "disabled".to_owned(),
        Outcome::Refused(condition) => format!("does not hold: {condition}"),
        Outcome::Missing(field) => format!("needs {field}"),
        Outcome::Placed => "placed".to_owned(),
    }
}

fn source(source: &SourceStory) -> Value {
    let (size, problem) = match &source.found {
        Ok(size) => (Some(size), None),
        Err(problem) => (None, Some(problem)),
    };
    json!({
        "filePath": source.stored,
        "beneathFiles": source.beneath_files,
        "exists": problem.is_none(),
        "size": size,
        "problem": problem,
    })
}
