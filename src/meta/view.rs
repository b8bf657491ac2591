//! `View`: reading the state, whoever holds it.
//!
//! Not here: writing. Must always hold: a view answers with one state, not with a mixture of two.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use metad_raft::Fatal;

/// A readable state.
pub trait View {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal>;

    /// At most `limit` pairs with `from <= key < to`, in key order. Fewer only when there are no more.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal>;

    /// The same from the other end: the highest keys of the range, highest first.
    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal>;
}

/// Scans a layer of changes over an older view. Where changes hide a whole page of older pairs it reads on: a short
/// page would look like the end, and where the page breaks depends on what the store has already.
pub fn scan_over<T>(
    newer: &BTreeMap<Bytes, T>,
    value: impl Fn(&T) -> Option<Bytes>,
    older: impl Fn(&[u8], usize) -> Result<Vec<(Bytes, Bytes)>, Fatal>,
    (from, to): (&[u8], &[u8]),
    limit: usize,
) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
    let limit = limit.max(1);
    let mut from = Bytes::copy_from_slice(from);
    let mut out = Vec::new();
    while from.as_ref() < to {
        let page = older(&from, limit)?;
        let next = (page.len() >= limit).then(|| page.last().map(|(key, _)| successor(key))).flatten();
        let changes = newer.range::<[u8], _>((Bound::Included(from.as_ref()), Bound::Excluded(to)));
        out.extend(merge(changes.map(|(k, t)| (k.clone(), value(t))), page, limit));
        match next {
            Some(next) if out.len() < limit => from = next,
            Some(_) | None => break,
        }
    }
    out.truncate(limit);
    Ok(out)
}

/// Scans a layer of changes over an older view from its end. `older` is asked for pairs below a key.
pub fn scan_over_back<T>(
    newer: &BTreeMap<Bytes, T>,
    value: impl Fn(&T) -> Option<Bytes>,
    older: impl Fn(&[u8], usize) -> Result<Vec<(Bytes, Bytes)>, Fatal>,
    (from, to): (&[u8], &[u8]),
    limit: usize,
) -> Result<Vec<(Bytes, Bytes)>, Fatal> {
    let limit = limit.max(1);
    let mut to = Bytes::copy_from_slice(to);
    let mut out = Vec::new();
    while from < to.as_ref() {
        let page = older(&to, limit)?;
        // A full page was cut off: what lies below its last key comes with the next one.
        let cut = (page.len() >= limit).then(|| page.last().map(|(key, _)| key.clone())).flatten();
        let low = cut.as_ref().map_or(from, |key| key.as_ref());
        let mut page = page.into_iter().peekable();
        let changes = newer.range::<[u8], _>((Bound::Included(low), Bound::Excluded(to.as_ref())));
        for (key, changed) in changes.rev() {
            if out.len() >= limit {
                break;
            }
            while let Some(pair) = page.next_if(|(k, _)| k > key) {
                out.push(pair);
            }
            page.next_if(|(k, _)| k == key);
            out.extend(value(changed).map(|value| (key.clone(), value)));
        }
        out.extend(page);
        match cut {
            Some(cut) if out.len() < limit => to = cut,
            Some(_) | None => break,
        }
    }
    out.truncate(limit);
    Ok(out)
}

/// The key right after `key`.
pub fn successor(key: &[u8]) -> Bytes {
    Bytes::from([key, &[0]].concat())
}

/// Puts newer changes over older pairs: both in key order, a change without a value hides the pair.
///
/// `older` was cut off after `limit` pairs; nothing beyond its last key may be taken from the changes then.
fn merge(
    newer: impl Iterator<Item = (Bytes, Option<Bytes>)>,
    older: Vec<(Bytes, Bytes)>,
    limit: usize,
) -> Vec<(Bytes, Bytes)> {
    let horizon = (older.len() >= limit).then(|| older.last().map(|(key, _)| key.clone())).flatten();
    let mut older = older.into_iter().peekable();
    let mut out = Vec::new();
    for (key, value) in newer {
        // What lies beyond a full page is not looked at: the layer of changes may be far longer than a page.
        if out.len() >= limit || horizon.as_ref().is_some_and(|last| key > *last) {
            break;
        }
        while let Some(pair) = older.next_if(|(k, _)| *k < key) {
            out.push(pair);
        }
        older.next_if(|(k, _)| *k == key);
        out.extend(value.map(|value| (key, value)));
    }
    out.extend(older);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn newer_changes_replace_hide_and_join_older_pairs() {
        let older = vec![(b("a"), b("1")), (b("c"), b("3")), (b("e"), b("5"))];
        let newer =
            vec![(b("b"), Some(b("2"))), (b("c"), Some(b("33"))), (b("e"), None), (b("f"), Some(b("6")))];
        let merged = merge(newer.into_iter(), older, 10);
        assert_eq!(merged, [(b("a"), b("1")), (b("b"), b("2")), (b("c"), b("33")), (b("f"), b("6"))]);
    }

    #[test]
    fn a_page_of_hidden_pairs_is_not_the_end() {
        let older: BTreeMap<Bytes, Bytes> = (0..9u8).map(|n| (Bytes::from(vec![n]), b("old"))).collect();
        let newer: BTreeMap<Bytes, Option<Bytes>> = (0..7u8).map(|n| (Bytes::from(vec![n]), None)).collect();
        let scan = |limit| {
            let read = |from: &[u8], limit| {
                let from = Bytes::copy_from_slice(from);
                Ok(older.range(from..).take(limit).map(|(k, v)| (k.clone(), v.clone())).collect())
            };
            scan_over(&newer, Option::clone, read, (&[], &[9]), limit).unwrap()
        };
        for limit in 1..4 {
            assert_eq!(scan(limit)[0].0.as_ref(), [7], "limit {limit}");
        }
        assert_eq!(scan(9).len(), 2);
    }

    #[test]
    fn from_the_end_is_the_same_the_other_way_round() {
        let older: BTreeMap<Bytes, Bytes> =
            (0..40u8).filter(|n| n % 3 != 0).map(|n| (Bytes::from(vec![n]), b("old"))).collect();
        let newer: BTreeMap<Bytes, Option<Bytes>> = (0..40u8)
            .filter(|n| n % 2 == 0)
            .map(|n| (Bytes::from(vec![n]), (n % 8 == 0).then(|| b("new"))))
            .collect();
        let range = |from: &[u8], to: &[u8]| {
            let bounds = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
            older.range(bounds.0..bounds.1).map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
        };
        for (from, to) in [(0, 40), (5, 33), (8, 9), (7, 7)] {
            let (from, to) = (&[from][..], &[to][..]);
            let up = |from: &[u8], limit| Ok(range(from, to).into_iter().take(limit).collect());
            let down = |to: &[u8], limit| Ok(range(from, to).into_iter().rev().take(limit).collect());
            let mut all = scan_over(&newer, Option::clone, up, (from, to), 100).unwrap();
            all.reverse();
            for limit in 1..30 {
                let back = scan_over_back(&newer, Option::clone, down, (from, to), limit).unwrap();
                assert_eq!(back, all[..all.len().min(limit)], "limit {limit}");
            }
        }
    }

    #[test]
    fn nothing_is_taken_from_beyond_a_cut_off() {
        let older = vec![(b("a"), b("1")), (b("c"), b("3"))];
        let newer = vec![(b("b"), Some(b("2"))), (b("d"), Some(b("4")))];
        let merged = merge(newer.into_iter(), older, 2);
        assert_eq!(merged, [(b("a"), b("1")), (b("b"), b("2")), (b("c"), b("3"))]);
    }
}
