//! A hash or a set on its way through one operation.
//!
//! Not here: what the operations mean (`hash`, `set`). Must always hold: the header's count is the number of elements;
//! an emptied collection has no key; a collection that did not change keeps its modification index.

use bytes::Bytes;
use metad_raft::Fatal;

use super::keyspace;
use super::tx::Tx;
use crate::meta::layout;
use crate::meta::object::{self, Content, Key};
use crate::meta::response::Reject;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A hash.
    Hash,
    /// A set.
    Set,
}

impl Sort {
    fn content(self, count: u64) -> Content {
        match self {
            Sort::Hash => Content::Hash { fields: count },
            Sort::Set => Content::Set { members: count },
        }
    }

    /// How many elements the content has; `None` when it is of another type.
    fn count(self, content: &Content) -> Option<u64> {
        match (self, content) {
            (Sort::Hash, Content::Hash { fields }) => Some(*fields),
            (Sort::Set, Content::Set { members }) => Some(*members),
            (Sort::Hash | Sort::Set, _) => None,
        }
    }
}

/// An open collection; close it to keep what was changed.
pub struct Collection {
    name: Bytes,
    sort: Sort,
    old: Option<Key>,
    object: u64,
    count: u64,
    changed: bool,
}

impl Collection {
    /// Opens a key's collection; an absent one is empty.
    pub fn open(tx: &Tx<'_>, name: &Bytes, sort: Sort) -> Result<Result<Self, Reject>, Fatal> {
        let old = keyspace::find(tx, name)?;
        let count = match &old {
            Some(key) => sort.count(&key.content),
            None => Some(0),
        };
        let Some(count) = count else { return Ok(Err(Reject::WrongType)) };
        let object = old.as_ref().map_or(0, |key| key.object);
        Ok(Ok(Self { name: name.clone(), sort, old, object, count, changed: false }))
    }

    /// How many elements it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value of a field, empty for a member.
    pub fn get(&self, tx: &Tx<'_>, name: &[u8]) -> Result<Option<Bytes>, Fatal> {
        object::member(tx, tx.core.counters.generation, self.object, name)
    }

    /// Puts a field or member; answers whether it is new.
    pub fn put(&mut self, tx: &mut Tx<'_>, name: &[u8], value: &[u8]) -> Result<bool, Fatal> {
        if self.object == 0 {
            self.object = keyspace::new_object(tx);
        }
        let element = layout::member(tx.core.counters.generation, self.object, name);
        let new = !keyspace::put_element(tx, element, Some(object::encode_element(value)))?;
        self.count += u64::from(new);
        // Writing a field again is a change, adding a member again is none.
        self.changed |= new || self.sort == Sort::Hash;
        Ok(new)
    }

    /// Removes a field or member; answers whether it was there.
    pub fn remove(&mut self, tx: &mut Tx<'_>, name: &[u8]) -> Result<bool, Fatal> {
        let element = layout::member(tx.core.counters.generation, self.object, name);
        let known = keyspace::put_element(tx, element, None)?;
        self.count -= u64::from(known);
        self.changed |= known;
        Ok(known)
    }

    /// At most `limit` elements from slot `from` on, in the order of slots.
    pub fn page(&self, tx: &Tx<'_>, from: u64, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        object::members(tx, tx.core.counters.generation, self.object, from, limit)
    }

    /// All elements. The caller has seen that they are few enough.
    pub fn all(&self, tx: &Tx<'_>) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
        self.page(tx, 0, usize::try_from(self.count).expect("counts of elements fit") + 1)
    }

    /// Settles the header.
    pub fn close(self, tx: &mut Tx<'_>) -> Result<(), Fatal> {
        if !self.changed {
            return Ok(());
        }
        if self.count == 0 {
            return match &self.old {
                Some(old) => keyspace::erase(tx, &self.name, old),
                None => Ok(()),
            };
        }
        let expire_ms = self.old.as_ref().map_or(0, |old| old.expire_ms);
        let content = self.sort.content(self.count);
        keyspace::write(tx, &self.name, Key { expire_ms, mod_index: 0, object: self.object, content })
    }
}
