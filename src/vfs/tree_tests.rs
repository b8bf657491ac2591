//! The tree against a plain model, under random changes.
//!
//! Not here: stories (`tree_scripts`).
//! Must always hold: the model is written the slow, obvious way: ask the files one by one in order of rank.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::attr::Facts;
use super::builder::Wish;
use super::cookie::key;
use super::tree::{HashBits, Tree};
use super::tree_name::{candidate, folder_asked, folder_candidate, pack_labels};
use super::tree_node::{Node, ROOT};
use crate::meta::op::{Op, RecordOp};
use crate::meta::pin::{LinkPin, Pin};

const FULL: HashBits = HashBits { cookie: 62, inode: 63 };
/// So few numbers that clashes are the rule.
const NARROW: HashBits = HashBits { cookie: 2, inode: 5 };

/// One file as the tree is told of it.
#[derive(Clone, Debug)]
struct Put {
    id: u8,
    facts: Facts,
    wishes: Vec<Wish>,
    pins: Vec<LinkPin>,
}

/// The set of files: what the tree must be a function of.
type State = BTreeMap<u8, Put>;

fn apply(tree: &mut Tree, put: &Put) {
    tree.place(&[put.id], b"source", put.facts, &put.wishes, &put.pins);
}

fn build<'p>(puts: impl Iterator<Item = &'p Put>, bits: HashBits) -> Tree {
    let mut tree = Tree::with_bits(bits);
    puts.for_each(|put| apply(&mut tree, put));
    tree.finish();
    tree
}

/// Everything that a reader can see, in text.
fn dump(tree: &Tree) -> String {
    let mut out = String::new();
    let mut todo = vec![ROOT];
    while let Some(dir) = todo.pop() {
        let inode = tree.dirs[dir].inode;
        out.push_str(&format!("{} {:?}\n", tree.dir_path(dir), tree.attr_of(inode)));
        let read = tree.read_dir(inode, 0, &mut |entry| {
            out.push_str(&format!("  {entry:?}\n"));
            true
        });
        assert_eq!(read, Ok(()));
        let children = tree.dirs[dir].children.all();
        todo.extend(children.into_iter().rev().filter_map(|(_, c)| match c.node() {
            Node::Dir(sub) => Some(sub),
            Node::File(_) => None,
        }));
    }
    out.push_str(&format!("{:?} {:?}", tree.totals(), tree.categories()));
    out
}

/// Paths of every file and times of every directory, the obvious way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    paths: BTreeMap<u8, Vec<String>>,
    dirs: BTreeMap<String, u32>,
}

/// Path of a directory as the rules call it, in comparison form.
type Folded = Vec<String>;

/// One link of a file.
struct Wanted {
    dir: Folded,
    /// The name that each directory of the path is asked to have.
    spelled: Vec<String>,
    wish: Wish,
    from: u16,
}

/// Files in order of rank, each with its links.
type Ranked<'p> = [(&'p Put, Vec<Wanted>)];

impl Model {
    fn of(state: &State) -> Self {
        let mut ranked: Vec<&Put> = state.values().collect();
        ranked.sort_by_key(|p| (p.facts.order, p.facts.inode));
        let links: Vec<_> = ranked.into_iter().map(|p| (p, links_of(p))).collect();
        let (mut model, mut shown, mut taken) = (Model::default(), BTreeMap::new(), BTreeSet::new());
        let mut names = Vec::new();
        for (put, links) in &links {
            for link in links {
                make_dirs(link, &mut shown, &mut taken);
                names.push((put.id, &link.dir, name_of(put, link, &mut taken)));
            }
            model.paths.insert(put.id, Vec::new());
        }
        for (id, dir, name) in names {
            let path = [show(&shown, dir), vec![name]].concat().join("/");
            model.paths.get_mut(&id).unwrap().push(format!("/{path}"));
        }
        model.dirs = times(&links, &shown);
        model
    }
}

/// A file's wishes, at most one in each directory, as its pins make them.
fn links_of(put: &Put) -> Vec<Wanted> {
    let mut links: Vec<Wanted> = Vec::new();
    for wish in &put.wishes {
        let dir = folded_dir(&wish.path);
        if links.iter().all(|link| link.dir != dir) {
            let pin = put.pins.get(links.len()).cloned().unwrap_or_default();
            let path = if pin.folder.is_empty() { &wish.path } else { &format!("{}/", pin.folder) };
            let spelled: Vec<String> = path.split('/').take(dir.len()).map(str::to_owned).collect();
            links.push(Wanted { dir, spelled, wish: wish.clone(), from: pin.candidate });
        }
    }
    links
}

fn folded_dir(path: &str) -> Folded {
    let mut dir: Folded = path.split('/').map(|c| key(c).into_owned()).collect();
    dir.pop();
    dir
}

/// Gives each directory of a path that is new the first free one of its names.
fn make_dirs(link: &Wanted, shown: &mut BTreeMap<Folded, String>, taken: &mut BTreeSet<Vec<String>>) {
    for (depth, spelled) in link.spelled.iter().enumerate() {
        let (parent, dir) = (&link.dir[..depth], &link.dir[..=depth]);
        if !shown.contains_key(dir) {
            let (base, from) = folder_asked(spelled, &dir[depth]).unwrap();
            let mut names = (from..).map(|k| folder_candidate(base, k).into_owned());
            let name = names.find(|name| taken.insert([parent, &[key(name).into_owned()]].concat()));
            shown.insert(dir.to_vec(), name.unwrap());
        }
    }
}

fn show(shown: &BTreeMap<Folded, String>, dir: &[String]) -> Vec<String> {
    (1..=dir.len()).map(|depth| shown[&dir[..depth]].clone()).collect()
}

fn name_of(put: &Put, link: &Wanted, taken: &mut BTreeSet<Vec<String>>) -> String {
    let clean = link.wish.path.rsplit('/').next().unwrap();
    let labels = pack_labels(link.wish.labels.iter().map(String::as_str));
    (link.from..)
        .map(|k| candidate(clean, link.wish.suffix_len, &labels, &[put.id], k).into_owned())
        .find(|name| taken.insert([&link.dir[..], &[key(name).into_owned()]].concat()))
        .unwrap()
}

fn times(links: &Ranked<'_>, shown: &BTreeMap<Folded, String>) -> BTreeMap<String, u32> {
    let all: Vec<(&Vec<String>, u32)> =
        links.iter().flat_map(|(p, l)| l.iter().map(|l| (&l.dir, p.facts.order_s))).collect();
    let birth = |dir: &[String]| all.iter().filter(|(d, _)| d.starts_with(dir)).map(|(_, s)| *s).min();
    let mut found = BTreeMap::new();
    for dir in shown.keys().map(Vec::as_slice).chain([&[][..]]) {
        let direct = all.iter().filter(|(d, _)| d.as_slice() == dir).map(|(_, s)| *s);
        let subs = shown.keys().filter(|s| s.len() == dir.len() + 1 && s.starts_with(dir));
        let newest = direct.chain(subs.filter_map(|s| birth(s))).max();
        found.insert(format!("/{}", show(shown, dir).join("/")), newest.unwrap_or(0));
    }
    found
}

/// The same out of a tree.
fn model_of_tree(tree: &Tree, state: &State) -> Model {
    let paths = state.keys().map(|id| (*id, tree.paths_of(&[*id]))).collect();
    let dirs = tree.walk_dirs().into_iter().map(|d| (tree.dir_path(d), tree.dirs[d].newest_s)).collect();
    Model { paths, dirs }
}

/// Paths that collide with names, folders, labels and spellings of each other.
fn hostile_path() -> impl Strategy<Value = String> {
    let dir =
        ["A", "a", "B", "x.mkv", "x - l.mkv", "\u{c9}", "e\u{301}", "a [folder]", "A [FOLDER] [folder]"];
    let name = ["x.mkv", "X.MKV", "x - l.mkv", "a", "b", "\u{e9}", "A [folder]", "b [folder 2]"];
    let dir = prop::sample::select(dir.to_vec());
    (prop::collection::vec(dir, 0..3), prop::sample::select(name.to_vec())).prop_map(|(mut parts, name)| {
        parts.push(name);
        parts.join("/")
    })
}

/// Paths where no folder can have the name of a file.
fn tame_path() -> impl Strategy<Value = String> {
    let dir = prop::sample::select(vec!["A", "a", "B"]);
    let name = prop::sample::select(vec!["x.mkv", "X.mkv", "x - l.mkv", "y.mkv"]);
    (prop::collection::vec(dir, 0..2), name).prop_map(|(mut parts, name)| {
        parts.push(name);
        parts.join("/")
    })
}

fn put(path: impl Strategy<Value = String>) -> impl Strategy<Value = Put> {
    let labels = prop::collection::vec(prop::sample::select(vec!["l", "L", "m"]), 0..3);
    let wish = (path, labels).prop_map(|(path, labels)| Wish {
        suffix_len: if path.ends_with(['v', 'V']) { 4 } else { 0 },
        path: super::cookie::nfc(&path).into_owned(),
        labels: labels.into_iter().map(str::to_owned).collect(),
    });
    let pin = prop_oneof![4 => Just(None), 1 => (0u16..4, 0u16..3).prop_map(Some)];
    let pins = prop::collection::vec(pin, 0..3);
    (0u8..12, 0u64..40, 0u32..6, 0u64..3, prop::collection::vec(wish, 0..3), pins).prop_map(
        |(id, order, order_s, size, wishes, pins)| {
            let facts = Facts { inode: 100 + u64::from(id), order, order_s, size, mtime_s: order_s };
            let mut put = Put { id, facts, wishes, pins: Vec::new() };
            let pin = |(link, pin): (&Wanted, &Option<(u16, u16)>)| {
                let (respelt, candidate) = pin.unwrap_or_default();
                let dir = link.wish.path.rsplit_once('/').filter(|_| respelt > 0).map_or("", |(dir, _)| dir);
                let names = dir.split('/').filter(|name| !name.is_empty()).map(str::to_ascii_uppercase);
                let names = names.map(|name| folder_candidate(&name, respelt - 1).into_owned());
                LinkPin { folder: names.collect::<Vec<_>>().join("/"), candidate }
            };
            put.pins = links_of(&put).iter().zip(&pins).map(pin).collect();
            put
        },
    )
}

/// Puts every pin into the state that the tree asks for, a few at a time.
fn pin_all(tree: &mut Tree, state: &mut State) {
    for round in 0.. {
        let ops = tree.unpinned(3, 7);
        if ops.is_empty() {
            return;
        }
        assert!(round < 100, "pins do not come to an end");
        for op in ops {
            let Op::Record(RecordOp::Pin { id, order, rules, links }) = op else { panic!("{op:?}") };
            let put = state.get_mut(&id[0]).unwrap();
            assert_eq!((order, rules), (put.facts.order, 7));
            let before = Pin { rules: 7, links: std::mem::take(&mut put.pins) };
            put.pins = before.renewed(rules, links).links;
            let put = put.clone();
            apply(tree, &put);
        }
    }
}

/// Directories that have a list.
fn contested(tree: &Tree) -> Vec<String> {
    let dirs = tree.walk_dirs().into_iter();
    let found: Vec<u32> = dirs.filter(|dir| tree.dirs[*dir].contested).collect();
    assert_eq!(found.len(), tree.spellings.len(), "lists of directories that are no more");
    found.into_iter().map(|dir| tree.dir_path(dir)).collect()
}

/// A put, or the removal of a file.
fn steps(path: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<(bool, Put)>> {
    prop::collection::vec((prop::bool::weighted(0.75), put(path)), 1..60)
}

fn step(tree: &mut Tree, state: &mut State, there: bool, put: &Put) {
    if there {
        apply(tree, put);
        state.insert(put.id, put.clone());
    } else {
        assert_eq!(tree.remove(&[put.id]), state.remove(&put.id).is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Design D12: names, spellings, times are a pure function of the set of files.
    #[test]
    fn the_tree_is_what_asking_the_files_in_order_of_rank_gives(steps in steps(hostile_path())) {
        let (mut tree, mut state) = (Tree::default(), State::new());
        for (there, put) in &steps {
            step(&mut tree, &mut state, *there, put);
            tree.finish();
            prop_assert_eq!(model_of_tree(&tree, &state), Model::of(&state));
        }
    }

    /// The same for all that a reader sees, cookies and inode numbers included, when hashes clash all the time.
    #[test]
    fn the_tree_does_not_depend_on_the_order_of_arrival(
        steps in steps(hostile_path()),
        narrow in any::<bool>(),
    ) {
        let bits = if narrow { NARROW } else { FULL };
        let (mut tree, mut state) = (Tree::with_bits(bits), State::new());
        for (there, put) in &steps {
            step(&mut tree, &mut state, *there, put);
        }
        tree.finish();
        prop_assert_eq!(dump(&tree), dump(&build(state.values(), bits)));
        prop_assert_eq!(dump(&tree), dump(&build(state.values().rev(), bits)));
        let again = build(state.values(), bits);
        prop_assert_eq!(&tree.waiting.len(), &again.waiting.len());
        prop_assert_eq!(contested(&tree), contested(&again));
    }

    /// Design D12: adding a file never moves another one, be it with a folder that has the name of a file or with a name
    /// that a folder has.
    #[test]
    fn a_new_file_moves_no_other(steps in steps(hostile_path()), new in put(hostile_path())) {
        let (mut tree, mut state) = (Tree::default(), State::new());
        for (there, put) in &steps {
            step(&mut tree, &mut state, *there, put);
        }
        let new = Put { id: 200, facts: Facts { inode: 300, order: 1000, ..new.facts }, ..new };
        tree.finish();
        let before = model_of_tree(&tree, &state).paths;
        apply(&mut tree, &new);
        prop_assert_eq!(&model_of_tree(&tree, &state).paths, &before);
        tree.remove(&[200]);
        prop_assert_eq!(&model_of_tree(&tree, &state).paths, &before);
    }

    /// Changing or removing a file lets others move up to names they were refused, and never down.
    #[test]
    fn a_change_never_costs_another_file_its_name(steps in steps(tame_path()), changed in put(tame_path())) {
        let (mut tree, mut state) = (Tree::default(), State::new());
        for (there, put) in &steps {
            step(&mut tree, &mut state, *there, put);
        }
        let held = |tree: &Tree| -> BTreeMap<(u8, usize), u16> {
            let files = state.keys().filter(|id| **id != changed.id).filter_map(|id| Some((*id, tree.file_slot(&[*id])?)));
            files.flat_map(|(id, f)| tree.links(f).into_iter().enumerate().map(move |(n, l)| ((id, n), l.held))).collect()
        };
        let before = held(&tree);
        apply(&mut tree, &Put { facts: Facts { order: 1000, ..changed.facts }, ..changed.clone() });
        for (link, now) in held(&tree) {
            prop_assert!(now <= before[&link], "{link:?} went from {} to {now}", before[&link]);
        }
    }

    /// Issue 2: once pins have settled, whatever happens to a file moves no other one, at any depth, be the names those of
    /// files or of folders.
    #[test]
    fn a_change_or_a_removal_moves_no_other_file_once_pins_have_settled(steps in steps(hostile_path())) {
        let (mut tree, mut state) = (Tree::default(), State::new());
        for (n, (there, put)) in steps.iter().enumerate() {
            let facts = Facts { order: n as u64 + 1, ..put.facts };
            let put = Put { facts, pins: Vec::new(), ..put.clone() };
            let before = model_of_tree(&tree, &state).paths;
            step(&mut tree, &mut state, *there, &put);
            let after = model_of_tree(&tree, &state).paths;
            for (id, paths) in before.iter().filter(|(id, _)| **id != put.id) {
                prop_assert_eq!(paths, &after[id], "{:?} moved {}", put, id);
            }
            pin_all(&mut tree, &mut state);
            prop_assert_eq!(&model_of_tree(&tree, &state).paths, &after);
        }
        tree.finish();
        prop_assert_eq!(dump(&tree), dump(&build(state.values().rev(), FULL)));
    }

    /// The same for hostile paths: pinning moves nothing by itself and comes to an end.
    #[test]
    fn pins_move_nothing_and_come_to_an_end(steps in steps(hostile_path())) {
        let (mut tree, mut state) = (Tree::default(), State::new());
        for (there, put) in &steps {
            step(&mut tree, &mut state, *there, put);
        }
        tree.finish();
        let before = dump(&tree);
        pin_all(&mut tree, &mut state);
        tree.finish();
        prop_assert_eq!(dump(&tree), before);
        prop_assert!(tree.is_settled());
    }

    /// A batch's diff is the difference between the trees before and after it.
    #[test]
    fn a_diff_is_the_difference_of_two_trees(first in steps(hostile_path()), batch in steps(hostile_path())) {
        let (mut tree, mut state) = (Tree::default(), State::new());
        for (there, put) in &first {
            step(&mut tree, &mut state, *there, put);
        }
        tree.finish();
        let before = build(state.values(), FULL);
        tree.record();
        for (there, put) in &batch {
            step(&mut tree, &mut state, *there, put);
        }
        let diff = tree.finish();
        let wanted = Tree::compare(&before, &tree);
        prop_assert_eq!(&diff.dirs, &wanted.dirs);
        prop_assert!(diff.changed.is_superset(&wanted.changed), "{:?} {:?}", diff.changed, wanted.changed);
    }

    /// Research §7.4: who pages through a changing directory sees each entry that stays exactly once.
    #[test]
    fn paging_sees_every_entry_that_stays_exactly_once(
        first in steps(tame_path()),
        changes in steps(tame_path()),
        page in 1usize..4,
    ) {
        let (mut tree, mut state) = (Tree::default(), State::new());
        for (there, put) in &first {
            step(&mut tree, &mut state, *there, put);
        }
        let names = |tree: &Tree| -> BTreeSet<String> {
            let mut all = BTreeSet::new();
            tree.read_dir(1, 0, &mut |e| all.insert(e.name.to_string())).unwrap();
            all
        };
        let mut stayed = names(&tree);
        let (mut seen, mut cookie, mut changes) = (Vec::new(), 0, changes.iter());
        loop {
            let mut left = page;
            let from = seen.len();
            tree.read_dir(1, cookie, &mut |e| {
                seen.push(e.name.to_string());
                cookie = e.cookie;
                left -= 1;
                left > 0
            }).unwrap();
            if seen.len() == from {
                break;
            }
            if let Some((there, put)) = changes.next() {
                step(&mut tree, &mut state, *there, put);
                stayed = stayed.intersection(&names(&tree)).cloned().collect();
            }
        }
        for name in stayed {
            prop_assert_eq!(seen.iter().filter(|n| **n == name).count(), 1, "{}", name);
        }
    }
}
