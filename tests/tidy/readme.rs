//! The documents against the code: what they name is there, their tables are derived, every room of the house is named.
//!
//! Not here: whether the words are good. Must always hold: a table that can be derived from the code is compared with it.

use std::collections::BTreeSet;

/// Paths that a Markdown text names in backticks or links, as far as they look like files of ours.
fn named_paths(text: &str) -> BTreeSet<String> {
    let ours = ["src/", "raft/", "jepsen/", "tests/", "scripts/", ".ci/"];
    let is_path =
        |word: &&str| ours.iter().any(|o| word.starts_with(o)) && !word.contains(['*', '{', '…', ' ']);
    text.split(['`', '(', ')', '"', ' ', '\n'])
        .filter(is_path)
        .map(|p| p.trim_end_matches(['.', ',']).to_owned())
        .collect()
}

/// Folders and files directly under `src/` that the text does not name.
fn unnamed_rooms(text: &str, files: &[String]) -> Vec<String> {
    let named = named_paths(text);
    let room = |path: &String| {
        let rest = path.strip_prefix("src/")?;
        Some(match rest.split_once('/') {
            Some((folder, _)) => format!("src/{folder}/"),
            None => path.clone(),
        })
    };
    let rooms: BTreeSet<_> = files.iter().filter_map(room).collect();
    rooms
        .into_iter()
        .filter(|r| !named.contains(r))
        .map(|r| format!("README.md does not say what {r} is"))
        .collect()
}

/// A table that is derived from the code: its document, the name of its markers, and what makes it.
type Table = (&'static str, &'static str, fn() -> String);
const TABLES: [Table; 5] = [
    ("src/docs/compatibility.md", "routes", routes),
    ("src/docs/compatibility.md", "redis", metad::resp::markdown_table),
    ("README.md", "commands", metad::cli::markdown_table),
    ("README.md", "settings", metad::config::settings::markdown_table),
    ("src/docs/operations.md", "metrics", metad::telemetry::Metrics::markdown_table),
];

/// The routes of the HTTP door, in the order of its own table.
fn routes() -> String {
    let row =
        |r: metad::http::RouteDoc| format!("| {} | `{} {}` | {} |\n", r.group, r.method, r.path, r.summary);
    let rows = metad::http::documented().into_iter().map(row);
    std::iter::once("| group | route | what it does |\n|---|---|---|\n".to_owned()).chain(rows).collect()
}

/// The text with the lines between a table's markers replaced; `None` when the markers are not there.
fn with_table(text: &str, name: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n{}\n\n{end}{after}", table.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{none, tree};

    fn readme() -> String {
        tree::read("README.md").expect("README.md is text")
    }

    #[test]
    fn what_the_documents_name_is_there() {
        let files = tree::files();
        let mut found = Vec::new();
        for document in files.iter().filter(|p| p.ends_with(".md")) {
            for path in named_paths(&tree::read(document).expect("documents are text")) {
                if !tree::root().join(&path).exists() {
                    found.push(format!("{document}: names {path}, which is not there"));
                }
            }
        }
        none(&found);
    }

    /// `UPDATE_GOLDENFILES=1` writes the tables, as it records golden scripts.
    #[test]
    fn the_tables_of_the_documents_are_those_of_the_code() {
        let mut behind = Vec::new();
        for (document, name, table) in TABLES {
            let text = tree::read(document).unwrap();
            let derived = with_table(&text, name, &table());
            if derived.as_deref() == Some(&text) {
                continue;
            }
            match derived {
                Some(derived) if std::env::var_os("UPDATE_GOLDENFILES").is_some() => {
                    std::fs::write(tree::root().join(document), derived).unwrap();
                }
                _ => behind.push(format!("{document}: the table {name} is behind the code: scripts/fix.sh")),
            }
        }
        none(&behind);
    }

    #[test]
    fn the_readme_says_what_every_room_is() {
        none(&unnamed_rooms(&readme(), &tree::files()));
    }

    #[test]
    fn an_outdated_table_is_seen() {
        let text = "a\n<!-- t: begin -->\n\n| x |\n\n<!-- t: end -->\nb";
        assert_eq!(with_table(text, "t", "| x |\n").as_deref(), Some(text));
        assert_ne!(with_table(text, "t", "| y |\n").as_deref(), Some(text));
        assert_eq!(with_table(text, "u", ""), None);
    }

    #[test]
    fn paths_are_recognised() {
        let text = "See `src/meta/`, [x](scripts/test.sh) and src/lib.rs. Not `cargo test` or `src/{a,b}`.";
        let expected = ["scripts/test.sh", "src/lib.rs", "src/meta/"].map(str::to_owned);
        assert_eq!(named_paths(text), BTreeSet::from(expected));
    }

    #[test]
    fn a_room_without_a_name_is_seen() {
        let files = ["src/meta/a.rs", "src/vfs/b.rs", "src/lib.rs"].map(str::to_owned);
        assert_eq!(
            unnamed_rooms("`src/meta/` `src/lib.rs`", &files),
            ["README.md does not say what src/vfs/ is"]
        );
    }
}
