//! Sanitising one value: what is left of it can stand anywhere in a path component.
//!
//! Not here: what only matters for a whole component (edges, reserved names, length): `component`.
//! Must always hold: the result has no separator, no control character and no invisible character that could hide or
//! reorder others; sanitising twice changes nothing.

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::{Blanks, Charset, Colon, NameRules, to_ascii};

/// Appends the sanitised `value`; `false`, and nothing appended, when no visible character is left.
pub fn push(rules: &NameRules, out: &mut String, value: &str) -> bool {
    if is_plain(rules, value) {
        out.push_str(value);
        return true;
    }
    let start = out.len();
    map_characters(rules, out, value);
    if rules.charset == Charset::Ascii && !out[start..].is_ascii() {
        let ascii = to_ascii(&out[start..]);
        out.truncate(start);
        // The transliteration may bring forbidden characters back ("»" and "…" are written with several).
        map_characters(rules, out, &ascii);
    }
    compose(out, start);
    let kept = match rules.blanks {
        Blanks::Collapse => collapse(&out[start..]),
        Blanks::Keep => None,
    };
    if let Some(text) = kept {
        out.truncate(start);
        out.push_str(&text);
    }
    if out[start..].bytes().all(|b| b == b' ') {
        out.truncate(start);
    }
    out.len() > start
}

/// The fast path: printable ASCII without anything to change, and not only blanks.
fn is_plain(rules: &NameRules, value: &str) -> bool {
    let bytes = value.as_bytes();
    let collapse = rules.blanks == Blanks::Collapse;
    let edge = |b: Option<&u8>| b.is_none_or(|b| *b == b' ');
    if edge(bytes.first()) || (collapse && edge(bytes.last())) {
        return false;
    }
    let mut blank = false;
    for &byte in bytes {
        if !PLAIN[byte as usize] || (collapse && blank && byte == b' ') {
            return false;
        }
        blank = byte == b' ';
    }
    true
}

/// Bytes that every character set keeps as they are.
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        table[byte] = !matches!(byte as u8, b'<' | b'>' | b':' | b'"' | b'/' | b'\\' | b'|' | b'?' | b'*');
        byte += 1;
    }
    table
};

/// Replaces and removes characters one by one.
fn map_characters(rules: &NameRules, out: &mut String, value: &str) {
    let portable = rules.charset != Charset::Posix;
    let mut chars = value.chars().peekable();
    // A joiner is only written once the next kept character shows that it joins two non-ASCII characters.
    let mut joiner = None;
    let mut before = None;
    while let Some(c) = chars.next() {
        let mapped = match c {
            '\u{200c}' | '\u{200d}' => {
                joiner = Some(c);
                continue;
            }
            '/' => Some('-'),
            '\\' if portable => Some('-'),
            ':' if portable => {
                colon(rules.colon, out, chars.peek() == Some(&' '), &mut before);
                joiner = None;
                continue;
            }
            '<' | '>' | '"' | '|' | '?' | '*' if portable => None,
            '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' => Some(' '),
            c if is_hidden(c) => None,
            c if c.is_whitespace() => Some(' '),
            c => Some(c),
        };
        let Some(c) = mapped else { continue };
        if let (Some(joiner), Some(before)) = (joiner.take(), before)
            && joins(before)
            && joins(c)
        {
            out.push(joiner);
        }
        out.push(c);
        before = Some(c);
    }
}

fn colon(colon: Colon, out: &mut String, blank_follows: bool, before: &mut Option<char>) {
    let text = match colon {
        Colon::Smart if blank_follows => " -",
        Colon::Smart | Colon::Dash => "-",
        Colon::Remove => return,
    };
    out.push_str(text);
    *before = Some('-');
}

/// Whether a zero-width joiner beside `c` has a visible effect: in emoji sequences and in non-Latin scripts.
fn joins(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace()
}

/// Control characters, and invisible ones that could make two names look alike or turn text around.
/// Source: Unicode TR 36 §2.5 (bidirectional text spoofing), UAX 9 (explicit directional controls).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffb}')
        || (c as u32) & 0xfffe == 0xfffe
}

/// Brings `out[start..]` into NFC.
pub fn compose(out: &mut String, start: usize) {
    if out[start..].is_ascii() || is_nfc_quick(out[start..].chars()) == IsNormalized::Yes {
        return;
    }
    let composed: String = out[start..].nfc().collect();
    out.truncate(start);
    out.push_str(&composed);
}

/// The text with single blanks and none at its ends; `None` when it is so already.
pub fn collapse(text: &str) -> Option<String> {
    if !text.contains("  ") && !text.starts_with(' ') && !text.ends_with(' ') {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    Some(out)
}
