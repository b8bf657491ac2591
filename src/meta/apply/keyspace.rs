//! Generic keys as apply handles them: finding, writing and erasing a key, expiry, and sweeping up after deletion.
//!
//! Not here: what the operations mean (`key`, `text`, …), the stored forms (`meta::object`).
//! Must always hold: every key with an expiry has exactly one entry in the expiry index; an element belongs to an object
//! that a key leads to or that is doomed; deleting costs one write, however large the object: the entries that
//! follow sweep its elements away, each a bounded number and never fewer than it creates.

use bytes::Bytes;
use metad_raft::Fatal;

use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::feed::KeyFate;
use crate::meta::group::{self, GroupState};
use crate::meta::key_op::Expiry;
use crate::meta::layout::{self, Kind};
use crate::meta::object::{self, Content, Key};
use crate::meta::view::View;

/// Removes keys whose time has come, at most [`limits::EXPIRED_KEYS_PER_ENTRY`].
pub fn expire_due(tx: &mut Tx<'_>) -> Result<(), Fatal> {
    if tx.core.keys.expiring == 0 {
        return Ok(());
    }
    let counters = &tx.core.counters;
    let from = layout::first_of(Kind::Expiry, counters.generation);
    let to = layout::expiry(counters.generation, counters.now_ms.saturating_add(1), b"");
    for (moment, _) in tx.scan(&from, &to, limits::EXPIRED_KEYS_PER_ENTRY)? {
        let name = layout::expiring(&moment).ok_or_else(|| Fatal::new("an expiry has no key"))?;
        let key = stored(tx, &name)?.ok_or_else(|| Fatal::new("a key that expires is missing"))?;
        doom(tx, key.object)?;
        unlink(tx, &name, &key, KeyFate::Expired)?;
    }
    Ok(())
}

/// Removes elements of doomed objects, lowest object first.
pub fn sweep(tx: &mut Tx<'_>) -> Result<(), Fatal> {
    let generation = tx.core.counters.generation;
    let mut budget = limits::SWEPT_ELEMENTS_PER_ENTRY + tx.created;
    while tx.core.keys.doomed > 0 && budget > 0 {
        let (from, to) =
            (layout::first_of(Kind::Doomed, generation), layout::end_of(Kind::Doomed, generation));
        let doomed = tx.scan(&from, &to, 1)?.pop();
        let (mark, value) = doomed.ok_or_else(|| Fatal::new("a doomed object is missing"))?;
        let object =
            layout::doomed_object(&mark).ok_or_else(|| Fatal::new("a doomed object has no number"))?;
        let (from, to) =
            (layout::elements(generation, object).freeze(), layout::elements_end(generation, object));
        let elements = tx.scan(&from, &to, budget)?;
        if elements.len() < budget {
            tx.replace(mark, Some(&value), None);
            tx.core.keys.doomed -= 1;
        }
        budget -= elements.len();
        for (key, value) in elements {
            if layout::is_group(&key) {
                let group: GroupState = group::decode(&value)?;
                doom(tx, group.object)?;
            }
            tx.replace(key, Some(&value), None);
        }
    }
    Ok(())
}

/// A key that is there at the log's time. An expired one that nobody removed yet is absent.
pub fn find(tx: &Tx<'_>, name: &[u8]) -> Result<Option<Key>, Fatal> {
    object::read(tx, tx.core.counters.generation, tx.core.counters.now_ms, name)
}

/// A key as it is stored, expired or not.
fn stored(tx: &Tx<'_>, name: &[u8]) -> Result<Option<Key>, Fatal> {
    object::read(tx, tx.core.counters.generation, 0, name)
}

/// Writes a key; what it held under another object is doomed. Its modification index is the present entry.
pub fn write(tx: &mut Tx<'_>, name: &Bytes, mut key: Key) -> Result<(), Fatal> {
    let old = stored(tx, name)?;
    key.mod_index = tx.index();
    let expire_ms = old.as_ref().map_or(0, |old| old.expire_ms);
    move_expiry(tx, name, expire_ms, key.expire_ms)?;
    match &old {
        Some(old) if old.object != key.object => doom(tx, old.object)?,
        Some(_) => {}
        None => tx.core.keys.keys += 1,
    }
    tx.touch_key(name, KeyFate::Written);
    tx.put(layout::key(tx.core.counters.generation, name), Some(key.encode()))
}

/// Removes a key with all that it holds.
pub fn erase(tx: &mut Tx<'_>, name: &Bytes, key: &Key) -> Result<(), Fatal> {
    doom(tx, key.object)?;
    release(tx, name, key)
}

/// Removes a key and leaves its object alone: another key leads to it.
pub fn release(tx: &mut Tx<'_>, name: &Bytes, key: &Key) -> Result<(), Fatal> {
    unlink(tx, name, key, KeyFate::Deleted)
}

fn unlink(tx: &mut Tx<'_>, name: &Bytes, key: &Key, fate: KeyFate) -> Result<(), Fatal> {
    tx.touch_key(name, fate);
    move_expiry(tx, name, key.expire_ms, 0)?;
    tx.core.keys.keys -= 1;
    tx.put(layout::key(tx.core.counters.generation, name), None)
}

fn move_expiry(tx: &mut Tx<'_>, name: &Bytes, from_ms: u64, to_ms: u64) -> Result<(), Fatal> {
    if from_ms == to_ms {
        return Ok(());
    }
    let generation = tx.core.counters.generation;
    if from_ms != 0 {
        tx.put(layout::expiry(generation, from_ms, name), None)?;
        tx.core.keys.expiring -= 1;
    }
    if to_ms != 0 {
        tx.put(layout::expiry(generation, to_ms, name), Some(Bytes::new()))?;
        tx.core.keys.expiring += 1;
    }
    Ok(())
}

/// Marks an object: the entries that follow sweep its elements away.
pub fn doom(tx: &mut Tx<'_>, object: u64) -> Result<(), Fatal> {
    if object == 0 {
        return Ok(());
    }
    tx.core.keys.doomed += 1;
    tx.put(layout::doomed(tx.core.counters.generation, object), Some(Bytes::new()))
}

/// The id of a new object.
pub fn new_object(tx: &mut Tx<'_>) -> u64 {
    let object = tx.core.keys.next_object;
    tx.core.keys.next_object += 1;
    object
}

/// Writes or removes one element; answers whether it was there.
pub fn put_element(tx: &mut Tx<'_>, key: Bytes, value: Option<Bytes>) -> Result<bool, Fatal> {
    let old = tx.get(&key)?;
    let known = old.is_some();
    if old != value {
        tx.created += usize::from(!known);
        tx.replace(key, old.as_deref(), value);
    }
    Ok(known)
}

/// The moment of an expiry, `None` when it has passed: the key is to be deleted.
pub fn moment(tx: &Tx<'_>, expiry: Expiry) -> Option<u64> {
    let now_ms = tx.core.counters.now_ms;
    let at = match expiry {
        Expiry::At(ms) => ms,
        Expiry::In(ms) => now_ms.saturating_add_signed(ms),
    };
    (at > now_ms).then_some(at)
}

/// A string's bytes, `None` when the key holds something else.
pub fn text(tx: &Tx<'_>, key: &Key) -> Result<Option<Bytes>, Fatal> {
    object::text(tx, tx.core.counters.generation, key)
}

/// Stores the bytes of a string under the object of its old value, chunks that stay the same untouched. Answers the
/// object and the content for the key's header.
pub fn store_text(tx: &mut Tx<'_>, old: Option<&Key>, bytes: &Bytes) -> Result<(u64, Content), Fatal> {
    if bytes.len() <= limits::INLINE_BYTES {
        return Ok((0, Content::Text(Blob(bytes.clone()))));
    }
    let generation = tx.core.counters.generation;
    let (object, had) = match old {
        Some(Key { object, content: Content::LongText { len }, .. }) => (*object, object::chunks(*len)),
        Some(_) | None => (new_object(tx), 0),
    };
    let len = bytes.len() as u64;
    for (number, part) in (0..).zip(bytes.chunks(limits::CHUNK_BYTES)) {
        // A copy: the chunk must not keep a whole log entry in memory.
        let part = Some(Bytes::copy_from_slice(part));
        put_element(tx, layout::text_chunk(generation, object, number), part)?;
    }
    for number in object::chunks(len)..had {
        put_element(tx, layout::text_chunk(generation, object, number), None)?;
    }
    Ok((object, Content::LongText { len }))
}

/// Copies all elements of an object to a new one. The caller has seen that they are few enough.
pub fn copy_elements(tx: &mut Tx<'_>, object: u64) -> Result<u64, Fatal> {
    if object == 0 {
        return Ok(0);
    }
    let generation = tx.core.counters.generation;
    let copy = new_object(tx);
    let (mut from, to) =
        (layout::elements(generation, object).freeze(), layout::elements_end(generation, object));
    loop {
        let page = View::scan(tx, &from, &to, limits::SCAN_PAGE_KEYS)?;
        let Some((last, _)) = page.last() else { return Ok(copy) };
        from = crate::meta::view::successor(last);
        for (key, value) in page {
            let value = if layout::is_group(&key) {
                let state: GroupState = group::decode(&value)?;
                let object = copy_elements(tx, state.object)?;
                group::encode(&GroupState { object, ..state })
            } else {
                value
            };
            put_element(tx, layout::in_object(&key, copy), Some(value))?;
        }
    }
}

/// How many elements the groups of a stream have, counted until they are too many for one operation.
pub fn group_elements(tx: &Tx<'_>, owner: u64) -> Result<u64, Fatal> {
    let (mut elements, mut after) = (0, None);
    while elements <= limits::OPERATION_ELEMENTS_MAX {
        let page =
            group::page(tx, tx.core.counters.generation, owner, after.as_deref(), limits::SCAN_PAGE_KEYS)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        // A pending entry is one element of the group's and one of its consumer's.
        elements += page.iter().map(|(_, state)| 1 + state.consumers + 2 * state.pending).sum::<u64>();
    }
    Ok(elements)
}

/// Moves the groups of a stream to its new object; what lies below them stays where it is.
pub fn move_groups(tx: &mut Tx<'_>, old: u64, new: u64) -> Result<(), Fatal> {
    let generation = tx.core.counters.generation;
    let (from, to) = (layout::group(generation, old, b""), layout::groups_end(generation, old));
    loop {
        let page = tx.scan(&from, &to, limits::SCAN_PAGE_KEYS)?;
        if page.is_empty() {
            return Ok(());
        }
        for (key, value) in page {
            let moved = layout::in_object(&key, new);
            tx.replace(key, Some(&value), None);
            put_element(tx, moved, Some(value))?;
        }
    }
}
