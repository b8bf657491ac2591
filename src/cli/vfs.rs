//! `metad vfs`: look into the virtual tree.
//!
//! Not here: how the tree is made. Must always hold: names are sorted by bytes, as the tree itself is.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::args::Vfs;
use super::client::{Call, Client, segment};
use super::error::{CliError, Exit};
use super::output::{Output, printable};

/// Runs a command of `vfs`.
pub async fn run(command: Vfs, client: &Client, out: &mut Output) -> Result<(), CliError> {
    match command {
        Vfs::Ls { path } => ls(&absolute(&path), client, out).await,
        Vfs::Tree { path, depth } => tree(&absolute(&path), depth.unwrap_or(usize::MAX), client, out).await,
        Vfs::Explain { hash } => explain(&hash, client, out).await,
    }
}

/// `Movies/` and `/Movies` are one folder.
fn absolute(path: &str) -> String {
    format!("/{}", path.trim_matches('/'))
}

async fn ls(path: &str, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let mut answer =
        client.json(&Call::json(Method::POST, "/api/fuse/readdir", &json!({ "path": path }))).await?;
    if out.json {
        return out.value(&answer);
    }
    let mut names = strings(answer["entries"].take())?;
    names.sort();
    names.iter().try_for_each(|name| out.line(printable(name)))
}

fn strings(list: Value) -> Result<Vec<String>, CliError> {
    match list {
        Value::Array(items) => Ok(items.into_iter().filter_map(|i| i.as_str().map(str::to_owned)).collect()),
        _ => Err(CliError::new(Exit::Other, "the node answered without a list")),
    }
}

async fn tree(path: &str, depth: usize, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let mut answer = client.json(&Call::new(Method::GET, "/api/fuse/files")).await?;
    let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
    let mut files = strings(answer["files"].take())?;
    files.retain(|f| f.starts_with(&prefix));
    if files.is_empty() && path != "/" {
        return Err(CliError::new(Exit::NotFound, format!("{path} is no folder of the virtual tree"))
            .fix("metad vfs ls /"));
    }
    files.sort();
    if out.json {
        return out.value(&json!({ "path": path, "files": files }));
    }
    let mut root = Folder::default();
    for file in &files {
        root.insert(&file[prefix.len()..]);
    }
    out.line(printable(path))?;
    root.show("", depth, out)?;
    out.note(format!("{} files", files.len()));
    Ok(())
}

/// A folder of the tree; a file is a folder without entries.
#[derive(Default)]
struct Folder {
    entries: BTreeMap<String, Folder>,
}

impl Folder {
    fn insert(&mut self, path: &str) {
        let mut at = self;
        for name in path.split('/') {
            at = at.entries.entry(name.to_owned()).or_default();
        }
    }

    fn show(&self, indent: &str, depth: usize, out: &mut Output) -> Result<(), CliError> {
        if depth == 0 {
            return Ok(());
        }
        let last = self.entries.len().saturating_sub(1);
        for (at, (name, entry)) in self.entries.iter().enumerate() {
            let (branch, below) = if at == last { ("└── ", "    ") } else { ("├── ", "│   ") };
            out.line(format!("{indent}{branch}{}", printable(name)))?;
            entry.show(&format!("{indent}{below}"), depth - 1, out)?;
        }
        Ok(())
    }
}

async fn explain(hash: &str, client: &Client, out: &mut Output) -> Result<(), CliError> {
    let answer = client.json(&Call::new(Method::GET, format!("/v1/vfs/explain/{}", segment(hash)))).await?;
    if out.json { out.value(&answer) } else { show_value("", &answer, out) }
}

/// A JSON value as indented lines: one per member, lists as `- ` items.
pub fn show_value(indent: &str, value: &Value, out: &mut Output) -> Result<(), CliError> {
    let deeper = format!("{indent}  ");
    match value {
        Value::Object(members) => members.iter().try_for_each(|(name, member)| match scalar(member) {
            Some(text) => out.line(format!("{indent}{}: {text}", printable(name))),
            None => {
                out.line(format!("{indent}{}:", printable(name)))?;
                show_value(&deeper, member, out)
            }
        }),
        Value::Array(items) => items.iter().try_for_each(|item| match scalar(item) {
            Some(text) => out.line(format!("{indent}- {text}")),
            None => {
                out.line(format!("{indent}-"))?;
                show_value(&deeper, item, out)
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.line(format!("{indent}{}", scalar(value).unwrap_or_default()))
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(printable(text)),
        Value::Null => Some("–".to_owned()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) if items.is_empty() => Some("none".to_owned()),
        Value::Object(members) if members.is_empty() => Some("none".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}
