//! Doors → services → meta → base → log: who may name whom.
//!
//! The compiler keeps layers between crates only; inside the root crate nobody keeps them by good will, so this plays
//! the compiler's part.
//!
//! Not here: visibility of single items. Must always hold: a new folder under `src/` has to be given a layer before it
//! compiles into a green tree; test code is free to look around.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Source, is_word};
use crate::tree::Place;

/// Layers from the bottom up. A room may name the rooms of lower layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Log,
    Base,
    Meta,
    Services,
    Doors,
    /// Sees everything; seen by nobody but the commands that start a node or work on one that does not run.
    Node,
    /// Documents: sees nothing, is seen by nobody.
    Docs,
}

/// Every room of the house and its layer, also those that are still to be built.
const ROOMS: [(&str, Layer); 21] = [
    ("resp", Layer::Doors),
    ("http", Layer::Doors),
    ("webdav", Layer::Doors),
    ("fuse", Layer::Doors),
    ("cli", Layer::Doors),
    ("vfs", Layer::Services),
    ("discovery", Layer::Services),
    ("flock", Layer::Services),
    ("mesh", Layer::Services),
    ("scan", Layer::Services),
    ("meta", Layer::Meta),
    ("config", Layer::Base),
    ("telemetry", Layer::Base),
    ("clock", Layer::Base),
    ("limits", Layer::Base),
    ("codec", Layer::Base),
    (LOG, Layer::Log),
    ("node", Layer::Node),
    ("docs", Layer::Docs),
    // The crate under another name: `metad::cli` in main.rs.
    ("lib", Layer::Node),
    ("main", Layer::Node),
];

/// How the log crate is spelled in code.
const LOG: &str = "metad_raft";

/// The commands that start a node of their own or work on one that does not run; every other command speaks HTTP to a running one.
const STARTERS: [&str; 3] = ["serve", "demo", "offline"];

fn layer(room: &str) -> Option<Layer> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

/// One room named by another.
#[derive(Debug)]
struct Use {
    from: String,
    to: String,
    place: String,
    starter: bool,
}

/// Every room that the file names outside its tests.
fn uses(source: &Source, module: &[String]) -> Vec<Use> {
    let from = module.first().map_or("lib", String::as_str);
    let starter = from == "cli" && module.get(1).is_some_and(|m| STARTERS.contains(&m.as_str()));
    let mut out = Vec::new();
    for i in (0..source.len()).filter(|i| !source.in_test(*i)) {
        let named = match source.token(i) {
            "crate" if source.token(i + 1) == "::" => heads(source, i + 2),
            "super" => beyond_the_root(source, i, module.len()),
            LOG => vec![LOG.to_owned()],
            _ => Vec::new(),
        };
        out.extend(named.into_iter().map(|to| Use {
            from: from.into(),
            to,
            place: source.place(i),
            starter,
        }));
    }
    out
}

/// The first names after `crate::`: one word, or the heads of a `{…}` group.
fn heads(source: &Source, at: usize) -> Vec<String> {
    if source.token(at) != "{" {
        return vec![source.token(at).to_owned()];
    }
    let end = source.closing(at);
    let (mut out, mut i, mut expected) = (Vec::new(), at + 1, true);
    while i < end {
        match source.token(i) {
            "{" => i = source.closing(i),
            "," => expected = true,
            word if expected => {
                out.push(word.to_owned());
                expected = false;
            }
            _ => {}
        }
        i += 1;
    }
    out
}

/// What a chain of `super::` reaches when it leads to the crate's root.
fn beyond_the_root(source: &Source, at: usize, depth: usize) -> Vec<String> {
    if at >= 2 && source.token(at - 1) == "::" && source.token(at - 2) == "super" {
        return Vec::new();
    }
    let mut supers = 0;
    while source.is(at + 2 * supers, &["super", "::"]) {
        supers += 1;
    }
    let depth = depth + source.inline_modules(at).len();
    if supers < depth || supers == 0 { Vec::new() } else { heads(source, at + 2 * supers) }
}

/// Why one room may not name another; `None` when it may.
fn objection(use_: &Use) -> Option<String> {
    let (from, to) = (use_.from.as_str(), use_.to.as_str());
    if from == to || matches!(to, "self" | "super") {
        return None;
    }
    let Some(above) = layer(from) else {
        return Some(format!("{from} has no layer; give it one in tests/tidy/layers.rs"));
    };
    let Some(below) = layer(to) else {
        let hint = if is_word(to) { "" } else { " (no globs of the crate's root)" };
        return Some(format!("{from} names {to}, which has no layer{hint}"));
    };
    match (above, below) {
        (Layer::Node, _) => None,
        (Layer::Doors, Layer::Node) if to == "node" && use_.starter => None,
        (Layer::Docs, _) | (_, Layer::Docs | Layer::Node) => Some(format!("{from} must not name {to}")),
        (Layer::Base, Layer::Base) => None,
        (above, below) if below < above => None,
        (above, below) if below == above => Some(format!("{from} looks sideways at {to} ({above:?})")),
        (above, below) => Some(format!("{from} ({above:?}) looks up at {to} ({below:?})")),
    }
}

fn all_uses(sources: &[Source], places: &BTreeMap<String, Place>) -> Vec<Use> {
    let ours = |s: &&Source| places.get(&s.path).is_some_and(|p| p.crate_root == "src/lib.rs" && !p.test);
    sources.iter().filter(ours).flat_map(|s| uses(s, &places[&s.path].module)).collect()
}

/// Base modules may help each other as long as it is clear which one is lower.
fn base_cycles(uses: &[Use]) -> Vec<String> {
    let is_base = |room: &str| layer(room) == Some(Layer::Base);
    let mut edges: BTreeSet<(String, String)> = uses
        .iter()
        .filter(|u| u.from != u.to && is_base(&u.from) && is_base(&u.to))
        .map(|u| (u.from.clone(), u.to.clone()))
        .collect();
    // Rooms that nobody below needs are taken away from the bottom up; what cannot be taken away is a cycle.
    loop {
        let starts: BTreeSet<_> = edges.iter().map(|(from, _)| from.clone()).collect();
        let before = edges.len();
        edges.retain(|(_, to)| starts.contains(to));
        if edges.len() == before {
            return edges.into_iter().map(|(a, b)| format!("cycle in base: {a} names {b}")).collect();
        }
    }
}

/// `raft/` knows no metadata, and its consensus library stays in one folder.
fn apart(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    for i in 0..source.len() {
        let word = source.token(i);
        if word.starts_with("openraft") && !source.path.starts_with("raft/src/consensus/") {
            out.push(format!("{}: openraft stays under raft/src/consensus/", source.place(i)));
        }
        let of_ours = word == "metad" || (word == LOG && !source.path.starts_with("raft/"));
        let from_below = source.path.starts_with("raft/") || source.path.starts_with("jepsen/");
        if of_ours && from_below && source.token(i + 1) == "::" {
            out.push(format!("{}: {word} is not to be known here", source.place(i)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{none, tree};

    #[test]
    fn rooms_look_down_never_up_never_sideways() {
        let sources = tree::sources();
        let uses = all_uses(sources, &tree::places(sources));
        assert!(!uses.is_empty(), "the scanner found no use at all");
        let mut findings: Vec<_> =
            uses.iter().filter_map(|u| Some(format!("{}: {}", u.place, objection(u)?))).collect();
        findings.extend(base_cycles(&uses));
        none(&findings);
    }

    #[test]
    fn every_folder_of_the_house_has_a_layer() {
        let sources = tree::sources();
        let rooms: BTreeSet<_> = tree::places(sources)
            .into_values()
            .filter(|p| p.crate_root == "src/lib.rs" && !p.test)
            .filter_map(|p| p.module.into_iter().next())
            .collect();
        none(&rooms.into_iter().filter(|r| layer(r).is_none()).collect::<Vec<_>>());
    }

    #[test]
    fn raft_and_jepsen_stay_apart() {
        none(&tree::sources().iter().flat_map(apart).collect::<Vec<_>>());
    }

    #[test]
    fn main_only_dispatches() {
        let sources = tree::sources();
        let main = sources.iter().find(|s| s.path == "src/main.rs").expect("there is a main.rs");
        let rooms = (0..main.len()).filter(|i| main.is(*i, &["metad", "::"])).map(|i| main.token(i + 2));
        assert_eq!(rooms.collect::<BTreeSet<_>>(), BTreeSet::from(["cli"]));
    }

    fn objections(path: &str, module: &[&str], text: &str) -> Vec<String> {
        let module: Vec<_> = module.iter().map(|m| (*m).to_owned()).collect();
        uses(&Source::new(path, text), &module).iter().filter_map(objection).collect()
    }

    #[test]
    fn a_look_up_or_sideways_is_seen_however_it_is_spelled() {
        for (module, bad) in [
            (vec!["meta"], "use crate::http::Router;"),
            (vec!["meta"], "use crate::{codec, vfs::{tree}};"),
            (vec!["http", "data"], "fn f() { crate::fuse::mount(); }"),
            (vec!["http", "data"], "use super::super::fuse;"),
            (vec!["vfs"], "use super::scan::walk;"),
            (vec!["vfs", "tree"], "mod inner { use super::super::super::mesh::Peer; }"),
            (vec!["config"], "use crate::meta;"),
            (vec!["http"], "use crate::node::Node;"),
            (vec!["cli", "scan"], "use crate::node::Node;"),
            (vec!["meta"], "use crate::*;"),
            (vec!["attic"], "use crate::limits;"),
        ] {
            assert_eq!(objections("x.rs", &module, bad).len(), 1, "{module:?}: {bad}");
        }
    }

    #[test]
    fn a_look_down_is_free_and_so_are_tests_comments_and_strings() {
        for (module, good) in [
            (vec!["http"], "use crate::{limits, meta::service, vfs};"),
            (vec!["http", "data"], "use super::error; use super::super::meta;"),
            (vec!["cli", "serve"], "use crate::node::Node;"),
            (vec!["cli", "scan"], "use crate::scan; use crate::config;"),
            (vec!["node"], "use crate::{cli, http, meta};"),
            (vec!["meta"], "use metad_raft::StateMachine;"),
            (vec!["meta"], "// crate::http\nconst S: &str = \"crate::http\";"),
            (vec!["meta"], "#[cfg(test)]\nmod tests { use crate::http; }"),
            (vec!["config"], "use crate::limits;"),
        ] {
            assert_eq!(objections("x.rs", &module, good), Vec::<String>::new(), "{module:?}: {good}");
        }
    }

    #[test]
    fn a_cycle_in_base_is_seen() {
        let mut found = uses(&Source::new("x.rs", "use crate::limits;"), &["config".to_owned()]);
        assert!(base_cycles(&found).is_empty());
        found.extend(uses(&Source::new("x.rs", "use crate::config;"), &["limits".to_owned()]));
        assert_eq!(base_cycles(&found).len(), 2);
    }

    #[test]
    fn a_leak_between_the_crates_is_seen() {
        for (path, bad) in [
            ("src/meta/mod.rs", "use openraft::Raft;"),
            ("raft/src/noop.rs", "use openraft_rt::X;"),
            ("raft/src/noop.rs", "use metad::meta;"),
            ("jepsen/src/lib.rs", "use metad_raft::Status;"),
        ] {
            assert_eq!(apart(&Source::new(path, bad)).len(), 1, "{path}: {bad}");
        }
        assert!(apart(&Source::new("raft/src/consensus/node.rs", "use openraft::Raft;")).is_empty());
    }
}
