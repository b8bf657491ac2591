//! Names that a file may have in a directory, best first.
//!
//! ```text
//! 0            Brazil (1985).mkv                    the clean name
//! 1 ..= L      Brazil (1985) - Final Cut.mkv        one per label (edition, version, resolution)
//! then         Brazil (1985) [1f8a03c2].mkv         8, 12, … 32 hex digits of a hash of hashId
//! then         Brazil (1985) [1f8a…-2].mkv          the same with a number: the list has no end
//! ```
//!
//! A folder whose name an older file has is called `Brazil [folder]`, `Brazil [folder 2]`, ….
//!
//! Not here: which candidate a file gets (`tree_claim`).
//! Must always hold: a candidate is a function of (clean name, labels, hashId) alone; every one is a legal component of
//! at most 255 bytes of UTF-8, and keeps the suffix (`.mkv`, `.en.srt`).
//!
//! Source: design D12; the ` - label` form is Jellyfin's grammar for versions of one film.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_128;

use super::cookie;
use super::tree_node::LABEL_END;
use crate::limits::NAME_BYTES_MAX;

/// Hex digits of the first hash suffix, and how many each further one adds.
const HASH_DIGITS: [usize; 7] = [8, 12, 16, 20, 24, 28, 32];

/// Candidate `k` for a file. The last `suffix_len` bytes of `clean` stay last. `labels` is as in a file's block: each
/// label and its end.
pub(super) fn candidate<'a>(
    clean: &'a str,
    suffix_len: usize,
    labels: &[u8],
    id: &[u8],
    k: u16,
) -> Cow<'a, str> {
    if k == 0 {
        return Cow::Borrowed(clean);
    }
    let mut left = usize::from(k) - 1;
    for label in labels.split(|b| *b == LABEL_END).filter(|l| !l.is_empty()) {
        if left == 0 {
            return Cow::Owned(marked(clean, suffix_len, &format!(" - {}", String::from_utf8_lossy(label))));
        }
        left -= 1;
    }
    let hash = format!("{:032x}", xxh3_128(id));
    let mark = match HASH_DIGITS.get(left) {
        Some(digits) => format!(" [{}]", &hash[..*digits]),
        None => format!(" [{hash}-{}]", left - HASH_DIGITS.len() + 2),
    };
    Cow::Owned(marked(clean, suffix_len, &mark))
}

/// What stands behind the name of a folder that had to yield.
const FOLDER_MARK: &str = " [folder";

/// Candidate `k` for a folder that is spelled `base`.
pub(super) fn folder_candidate(base: &str, k: u16) -> Cow<'_, str> {
    match k {
        0 => Cow::Borrowed(base),
        1 => Cow::Owned(marked(base, 0, &format!("{FOLDER_MARK}]"))),
        k => Cow::Owned(marked(base, 0, &format!("{FOLDER_MARK} {k}]"))),
    }
}

/// Which candidate of which spelling a name is, for the folder that the rules call `wish_key` in comparison form;
/// `None` when it is none. It is how a pin is read, and the contrary of [`folder_candidate`].
pub(super) fn folder_asked<'n>(name: &'n str, wish_key: &str) -> Option<(&'n str, u16)> {
    if cookie::key(name) == wish_key {
        return Some((name, 0));
    }
    let (base, mark) = name.rsplit_once(FOLDER_MARK)?;
    let k = match mark.strip_suffix(']')? {
        "" => 1,
        number => number.strip_prefix(' ')?.parse().ok().filter(|k| *k > 1)?,
    };
    let base_key = cookie::key(base);
    // A name near the limit was cut, by as much as makes a whole character.
    let cut = name.len() > NAME_BYTES_MAX - 4 && wish_key.starts_with(&*base_key);
    (base_key == wish_key || cut).then_some((base, k))
}

/// Labels as they stand in a file's block. Empty ones, repeated ones and those that would not leave room for a name
/// are left out. Dots and blanks at the end go away: a file without a suffix would end with them, which Windows and SMB
/// do not take.
pub(super) fn pack_labels<'l>(labels: impl Iterator<Item = &'l str>) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut seen: Vec<Cow<'_, str>> = Vec::new();
    for label in labels {
        let label = legal(label.trim().trim_end_matches(|c: char| c == '.' || c.is_whitespace()));
        let fits = (1..=NAME_BYTES_MAX / 2).contains(&label.len()) && packed.len() < NAME_BYTES_MAX * 4;
        if fits && label != "_" && !seen.contains(&label) {
            packed.extend_from_slice(label.as_bytes());
            packed.push(LABEL_END);
            seen.push(label);
        }
    }
    packed
}

/// A component that is safe whatever it was: NFC, no separator, no NUL, not empty, not `.` or `..`, not too long. The
/// rules give legal names already; the tree does not depend on it.
pub(super) fn legal(component: &str) -> Cow<'_, str> {
    let name = cookie::nfc(component);
    let name = if name.bytes().any(|b| b == 0 || b == b'/') {
        Cow::Owned(name.replace(['\0', '/'], "-"))
    } else {
        name
    };
    if name.is_empty() || name == "." || name == ".." {
        Cow::Borrowed("_")
    } else if name.len() > NAME_BYTES_MAX {
        Cow::Owned(marked(&name, 0, ""))
    } else {
        name
    }
}

/// `name` with `mark` in front of its suffix; the stem is cut, or a hopelessly long suffix dropped, where the whole
/// would be too long.
fn marked(name: &str, suffix_len: usize, mark: &str) -> String {
    let suffix_len = if suffix_len + mark.len() < NAME_BYTES_MAX { suffix_len } else { 0 };
    let (stem, suffix) = name.split_at(name.len() - suffix_len);
    let mut end = stem.len().min(NAME_BYTES_MAX.saturating_sub(mark.len() + suffix.len()));
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{mark}{suffix}", &stem[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_label_leaves_no_dot_or_blank_at_the_end_of_a_name() {
        let packed = pack_labels(["Cut. .", "...", " . "].into_iter());
        assert_eq!(candidate("Brazil", 0, &packed, b"id", 1), "Brazil - Cut");
        assert!(
            candidate("Brazil", 0, &packed, b"id", 2).starts_with("Brazil ["),
            "of the others nothing is left"
        );
    }

    fn names(clean: &str, labels: &[&str], count: u16) -> Vec<String> {
        let packed = pack_labels(labels.iter().copied());
        (0..count).map(|k| candidate(clean, 4, &packed, b"id", k).into_owned()).collect()
    }

    #[test]
    fn labels_come_before_hashes_and_the_list_has_no_end() {
        let found = names("Brazil (1985).mkv", &["Final Cut", "", "Final Cut", "1080p"], 12);
        assert_eq!(
            found[..3],
            ["Brazil (1985).mkv", "Brazil (1985) - Final Cut.mkv", "Brazil (1985) - 1080p.mkv"]
        );
        assert_eq!(found[3], format!("Brazil (1985) [{}].mkv", &format!("{:032x}", xxh3_128(b"id"))[..8]));
        assert_eq!(found[10], format!("Brazil (1985) [{:032x}-2].mkv", xxh3_128(b"id")));
    }

    #[test]
    fn components_that_would_leave_the_directory_are_defused() {
        for (given, kept) in [("..", "_"), (".", "_"), ("", "_"), ("a/b\0c", "a-b-c"), ("e\u{301}", "\u{e9}")]
        {
            assert_eq!(legal(given), kept);
        }
    }

    proptest! {
        #[test]
        fn every_candidate_is_a_legal_component(name in "\\PC{1,300}", label in "\\PC{0,200}", k in 0u16..20) {
            let clean = legal(&name).into_owned();
            let packed = pack_labels(std::iter::once(label.as_str()));
            let suffix_len = (0..=clean.len() / 2).rev().find(|s| clean.is_char_boundary(clean.len() - s)).unwrap();
            let found = candidate(&clean, suffix_len, &packed, name.as_bytes(), k);
            prop_assert!(found.len() <= NAME_BYTES_MAX && !found.is_empty());
            prop_assert!(!found.contains(['/', '\0']) && found != "." && found != "..");
        }

        #[test]
        fn a_folder_is_told_from_each_of_its_names(wish in "[a-zA-Z\u{c9} ]{1,10}( \\[folder( 2)?\\])?|[\\PC]{240,300}", k in 0u16..20) {
            let wish = legal(&wish).into_owned();
            let name = folder_candidate(&wish, k).into_owned();
            prop_assert!(name.len() <= NAME_BYTES_MAX);
            let asked = folder_asked(&name, &cookie::key(&wish));
            let (base, from) = asked.expect("it is one of its names");
            prop_assert_eq!(from, k);
            prop_assert_eq!(&*folder_candidate(base, from), &*name);
            prop_assert!(k == 0 || folder_asked(&wish, &cookie::key(&name)).is_none());
        }

        #[test]
        fn candidates_of_one_file_differ(name in "[a-z.]{1,300}", a in 0u16..20, b in 0u16..20) {
            let clean = legal(&name).into_owned();
            let of = |k| candidate(&clean, 0, b"", b"i", k);
            prop_assert_eq!(of(a) == of(b), a == b);
        }
    }
}
