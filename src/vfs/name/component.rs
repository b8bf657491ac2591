//! Finishing one path component: edges, reserved names, length.
//!
//! Not here: characters inside a value (`value`).
//! Must always hold: the result is a legal name of at most `bytes_max` bytes and never empty; the suffix survives the cut.

use unicode_segmentation::UnicodeSegmentation;

use super::value::{collapse, compose};
use super::{Blanks, Charset, NameRules};

/// A suffix longer than this is no extension and is cut like the rest of the name.
const SUFFIX_BYTES_MAX: usize = 24;

/// Appends the component; answers where its suffix begins.
pub fn push(rules: &NameRules, out: &mut String, stem: &str, suffix: &str) -> usize {
    let start = out.len();
    if is_plain(rules, stem, suffix) {
        out.push_str(stem);
        out.push_str(suffix);
        return start + stem.len();
    }
    let suffix = tidy(rules, suffix, rules.bytes_max);
    if suffix.len() > SUFFIX_BYTES_MAX.min(rules.bytes_max / 2) {
        out.push_str(&finish_stem(rules, &format!("{stem}{suffix}"), rules.bytes_max));
        return out.len();
    }
    let stem = finish_stem(rules, stem, rules.bytes_max - suffix.len());
    out.push_str(&stem);
    out.push_str(&suffix);
    start + stem.len()
}

/// The fast path: ASCII that needs nothing.
fn is_plain(rules: &NameRules, stem: &str, suffix: &str) -> bool {
    let (first, last) = (stem.as_bytes().first(), stem.as_bytes().last());
    let edge = |b: Option<&u8>| b.is_none_or(|b| matches!(b, b' ' | b'.'));
    let end_is_edge = !suffix.is_empty() && edge(suffix.as_bytes().last());
    stem.len() > 4
        && stem.len() + suffix.len() <= rules.bytes_max
        && suffix.len() <= SUFFIX_BYTES_MAX
        && !edge(first)
        && !edge(last)
        && !end_is_edge
        && stem.is_ascii()
        && suffix.is_ascii()
        && !has_double_blank(stem)
        && !suffix.contains(' ')
        && reserved_len(stem).is_none()
}

fn has_double_blank(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair == b"  ")
}

/// A stem of at most `bytes_max` bytes that is legal in front of any suffix.
fn finish_stem(rules: &NameRules, stem: &str, bytes_max: usize) -> String {
    let mut stem = tidy(rules, stem, bytes_max);
    if rules.charset != Charset::Posix
        && let Some(len) = reserved_len(&stem)
    {
        stem.insert(len, '_');
        stem = tidy(rules, &stem, bytes_max);
    }
    if stem.is_empty() || stem == "." || stem == ".." { "_".to_owned() } else { stem }
}

/// NFC, blanks, cut, edges. Cutting can uncover a new edge, so edges come last.
fn tidy(rules: &NameRules, text: &str, bytes_max: usize) -> String {
    let mut out = text.to_owned();
    compose(&mut out, 0);
    if rules.blanks == Blanks::Collapse
        && let Some(collapsed) = collapse(&out)
    {
        out = collapsed;
    }
    if rules.charset != Charset::Posix {
        out.drain(..out.len() - out.trim_start_matches(' ').len());
    }
    if out.len() > bytes_max {
        let end = cut(&out, bytes_max);
        out.truncate(end);
    }
    let edges: &[char] = if rules.charset == Charset::Posix { &[] } else { &[' ', '.'] };
    out.truncate(out.trim_end_matches(edges).len());
    if rules.blanks == Blanks::Collapse {
        out.truncate(out.trim_end_matches(' ').len());
    }
    out
}

/// The last grapheme boundary at or before `bytes_max`; a character boundary when one grapheme alone is longer.
pub fn cut(text: &str, bytes_max: usize) -> usize {
    if text.len() <= bytes_max {
        return text.len();
    }
    let grapheme = text.grapheme_indices(true).map(|(at, _)| at).take_while(|at| *at <= bytes_max).last();
    match grapheme {
        Some(at) if at > 0 => at,
        _ => (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0),
    }
}

/// Length of the reserved device name that a component starts with, if it does: the name is reserved with any
/// extension, and blanks before the dot do not help.
/// Source: <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>.
fn reserved_len(name: &str) -> Option<usize> {
    let base = name.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let upper = |prefix: &str| base.get(..3).is_some_and(|b| b.eq_ignore_ascii_case(prefix));
    let rest = base.get(3..)?;
    let plain = rest.is_empty() && ["CON", "PRN", "AUX", "NUL"].iter().any(|p| upper(p));
    let digit =
        matches!(rest, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "\u{b9}" | "\u{b2}" | "\u{b3}");
    let numbered = digit && (upper("COM") || upper("LPT"));
    let console = base.eq_ignore_ascii_case("CONIN$") || base.eq_ignore_ascii_case("CONOUT$");
    (plain || numbered || console).then_some(base.len())
}
