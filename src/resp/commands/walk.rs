//! Walking all keys: the clients' own, and those that files are seen as.
//!
//! ```text
//! slot ──────────────────────────────────────────────► one order, the same on all nodes
//!   key     record: all file:{id}/{p} of it     key     file:__index__     key
//! ```
//!
//! Not here: the commands (`scan`). Must always hold: a file's key is told once, in the spelling of the pattern; all
//! properties of a record lie in one slot, so they come together.

use bytes::Bytes;
use metad_raft::Fatal;

use super::super::reader::Reader;
use super::elements::records_from;
use crate::meta::layout::{self, Kind};
use crate::meta::object::Key;
use crate::meta::record::Record;

const INDEX: &[u8] = b"file:__index__";
const EVENTS: &[u8] = b"meta:events";

/// What lies in a slot.
pub enum Item {
    /// A client's own key.
    Key(Bytes, Key),
    /// A file.
    Record(Bytes, Record),
    /// A name that all files have in common, and its type.
    Common(&'static [u8], &'static str),
}

impl Item {
    /// Where it is.
    pub fn slot(&self) -> u64 {
        match self {
            Item::Key(name, _) | Item::Record(name, _) => layout::slot(name),
            Item::Common(name, _) => layout::slot(name),
        }
    }

    /// Names and types of its keys that are there.
    pub fn names(&self, state: &Reader<'_>, spelling: Spelling) -> Vec<(Bytes, &'static str)> {
        match self {
            Item::Key(name, key) if key.is_live(state.clock_ms) => {
                vec![(name.clone(), key.content.type_name())]
            }
            Item::Key(..) => Vec::new(),
            Item::Record(id, record) => {
                let live = record.properties.iter().filter(|p| p.is_live(state.now_ms()));
                live.map(|p| (spelling.property(id, &p.name), "string")).collect()
            }
            Item::Common(name, kind) => vec![(spelling.common(name), *kind)],
        }
    }
}

/// At most `limit` items from a slot on, in order of their slots.
pub fn from_slot(state: &Reader<'_>, slot: u64, limit: usize) -> Result<Vec<Item>, Fatal> {
    let mut items: Vec<Item> = keys_from(state, slot, limit)?;
    items.extend(records_from(state, slot, limit)?.into_iter().map(|(id, record)| Item::Record(id, record)));
    let common = [(INDEX, "set"), (EVENTS, "stream")];
    for (name, kind) in common.into_iter().filter(|(name, _)| layout::slot(name) >= slot) {
        if state.key(name)?.is_some() {
            items.push(Item::Common(name, kind));
        }
    }
    items.sort_by_key(Item::slot);
    items.truncate(limit);
    Ok(items)
}

fn keys_from(state: &Reader<'_>, slot: u64, limit: usize) -> Result<Vec<Item>, Fatal> {
    let generation = state.generation();
    let mut from = layout::first_of(Kind::Key, generation).to_vec();
    from.extend_from_slice(&slot.to_be_bytes());
    let to = layout::end_of(Kind::Key, generation);
    let found = state.view.scan(&from, &to, limit)?.into_iter().map(|(key, stored)| {
        let name = layout::key_name(&key).ok_or_else(|| Fatal::new("a key has no name"))?;
        let key = Key::decode(&stored).map_err(|e| Fatal::with("decode a key", e))?;
        Ok(Item::Key(name, key))
    });
    found.collect()
}

/// How a client spells files' keys, known from its pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `file:{id}/{property}`
    Canonical,
    /// `/file/{id}/{property}`
    Slash,
    /// `meta-sort:file:{id}/{property}`
    Prefixed,
    /// `meta-sort:file:{id}:{property}`
    Colon,
}

impl Spelling {
    /// The spelling that a pattern asks for.
    pub fn of(pattern: &[u8]) -> Self {
        match pattern.strip_prefix(b"meta-sort:") {
            Some(rest) if rest.starts_with(b"file:") && !rest.contains(&b'/') => Self::Colon,
            Some(_) => Self::Prefixed,
            None if pattern.starts_with(b"/file/") => Self::Slash,
            None => Self::Canonical,
        }
    }

    /// What stands before the id, and between it and the property.
    fn parts(self) -> (&'static [u8], &'static [u8]) {
        match self {
            Self::Canonical => (b"file:", b"/"),
            Self::Slash => (b"/file/", b"/"),
            Self::Prefixed => (b"meta-sort:file:", b"/"),
            Self::Colon => (b"meta-sort:file:", b":"),
        }
    }

    fn property(self, id: &[u8], name: &[u8]) -> Bytes {
        let (before, between) = self.parts();
        Bytes::from([before, id, between, name].concat())
    }

    fn common(self, name: &'static [u8]) -> Bytes {
        match self {
            Self::Canonical | Self::Slash => Bytes::from_static(name),
            Self::Prefixed | Self::Colon => Bytes::from([b"meta-sort:", name].concat()),
        }
    }
}

/// The items that a pattern with a whole id can match (`file:{id}/…`): one look instead of a walk.
pub fn of_one_file(state: &Reader<'_>, pattern: &[u8]) -> Result<Option<Vec<Item>>, Fatal> {
    let (before, _) = Spelling::of(pattern).parts();
    let Some(rest) = pattern.strip_prefix(before) else { return Ok(None) };
    let Some(slash) = rest.iter().position(|b| *b == b'/') else { return Ok(None) };
    let id = &rest[..slash];
    if id.is_empty() || id.iter().any(|b| matches!(b, b'*' | b'?' | b'[' | b'\\')) {
        return Ok(None);
    }
    // Without a property behind it the same beginning is a key of the client's own.
    let own = &pattern[..before.len() + slash + 1];
    let mut items = Vec::new();
    items.extend(state.key(own)?.map(|key| Item::Key(Bytes::copy_from_slice(own), key)));
    items.extend(state.record(id)?.map(|record| Item::Record(Bytes::copy_from_slice(id), record)));
    Ok(Some(items))
}
