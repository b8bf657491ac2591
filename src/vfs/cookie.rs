//! Directory cookies: where a listing goes on after an entry.
//!
//! Not here: the map from cookie to entry (`tree_node`).
//! Must always hold: a cookie depends on the names in the directory and on nothing else, so it survives changes,
//! restarts and another node; 0, 1 and 2 are never given (beginning, `.`, `..`); it is positive as a signed 64-bit
//! number, because the kernel's offset is one.
//!
//! A cookie is a 62-bit hash of the entry's comparison key ([`key`]). When two keys of one directory hash to the same
//! number, the smaller key keeps it and the other takes the next free one: a function of the set of keys.

use std::borrow::Cow;

use caseless::Caseless;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use xxhash_rust::xxh3::xxh3_64;

/// Cookies are smaller than this, but for the few that a clash moved up.
const COOKIE_MASK: u64 = (1 << 62) - 1;
/// The first number that an entry may have.
const FIRST: u64 = 3;

/// The form under which names are compared: case-folded NFC. Two names with one key cannot live in one directory,
/// because Windows, macOS and SMB clients would see one file.
///
/// Source: design D12; Unicode 15, 3.13 D145 (canonical caseless matching).
pub fn key(name: &str) -> Cow<'_, str> {
    if !name.is_ascii() {
        return Cow::Owned(name.nfc().default_case_fold().nfc().collect());
    }
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// The name in Unicode normal form C, which is how the tree keeps and shows it.
pub fn nfc(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || is_nfc(name) { Cow::Borrowed(name) } else { Cow::Owned(name.nfc().collect()) }
}

/// The cookie that a key has when no other key of the directory has the same. `bits` is 62, and less in tests that
/// want clashes.
pub fn cookie(key: &str, bits: u32) -> u64 {
    (xxh3_64(key.as_bytes()) & COOKIE_MASK & ((1 << bits) - 1)).max(FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_clients_cannot_tell_apart_have_one_key() {
        for (a, b) in
            [("Face-Off.MKV", "face-off.mkv"), ("Am\u{e9}lie", "AME\u{301}LIE"), ("Straße", "STRASSE")]
        {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        assert_ne!(key("a"), key("b"));
    }

    #[test]
    fn cookies_leave_room_for_the_beginning_and_the_dots() {
        for n in 0..1000 {
            let c = cookie(&n.to_string(), 2);
            assert_eq!(c, FIRST);
            let c = cookie(&n.to_string(), 62);
            assert!((FIRST..=COOKIE_MASK).contains(&c));
        }
    }
}
