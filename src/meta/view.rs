//! `View`: reading the state, whoever holds it.
//!
//! Not here: writing. Must always hold: a view answers with one state, not with a mixture of two.

use bytes::Bytes;
use metad_raft::Fatal;

/// A readable state.
pub trait View {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fatal>;

    /// At most `limit` pairs with `from <= key < to`, in key order.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fatal>;
}

/// Puts newer changes over older pairs: both in key order, a change without a value hides the pair.
///
/// `older` was cut off after `limit` pairs; nothing beyond its last key may be taken from the changes then.
pub fn merge(
    newer: impl Iterator<Item = (Bytes, Option<Bytes>)>,
    older: Vec<(Bytes, Bytes)>,
    limit: usize,
) -> Vec<(Bytes, Bytes)> {
    let horizon = (older.len() >= limit).then(|| older.last().map(|(key, _)| key.clone())).flatten();
    let mut older = older.into_iter().peekable();
    let mut out = Vec::new();
    for (key, value) in newer {
        if horizon.as_ref().is_some_and(|last| key > *last) {
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
    fn nothing_is_taken_from_beyond_a_cut_off() {
        let older = vec![(b("a"), b("1")), (b("c"), b("3"))];
        let newer = vec![(b("b"), Some(b("2"))), (b("d"), Some(b("4")))];
        let merged = merge(newer.into_iter(), older, 2);
        assert_eq!(merged, [(b("a"), b("1")), (b("b"), b("2")), (b("c"), b("3"))]);
    }
}
