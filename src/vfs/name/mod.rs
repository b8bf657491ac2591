//! Names: what a path component may look like, and when two names are one.
//!
//! ```text
//!   value ──► push_value ──► raw path ──► finish ──► legal path
//!            per value: no separators,      per component: blanks, dots,
//!            no forbidden characters        reserved names, length
//! ```
//!
//! Not here: where values come from (`field`), what joins them (`template`), collisions (`tree`).
//! Must always hold: a finished component is legal on Linux (all character sets), and on Windows and SMB
//! (`portable`, `ascii`); `/` in a value never makes a folder; every function is pure and idempotent.

mod ascii;
mod component;
mod value;

use caseless::default_case_fold_str;
use unicode_normalization::UnicodeNormalization;

pub use ascii::to_ascii;
pub use component::cut;
pub use value::collapse;

/// Which characters a name may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// What Linux, Windows and SMB all accept.
    #[default]
    Portable,
    /// What Linux accepts: anything but `/` and control characters.
    Posix,
    /// Portable, and nothing outside ASCII: letters lose their accents, the rest becomes `_`.
    Ascii,
}

/// What becomes of a colon in a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colon {
    /// `": "` → `" - "`, any other `":"` → `"-"`.
    #[default]
    Smart,
    /// `":"` → `"-"`.
    Dash,
    /// The colon goes away, as in the old system.
    Remove,
}

/// What becomes of several blanks in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blanks {
    /// They become one.
    #[default]
    Collapse,
    /// They stay, as in the old system.
    Keep,
}

/// How names are made legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// Characters that may stay.
    pub charset: Charset,
    /// What becomes of colons.
    pub colon: Colon,
    /// What becomes of several blanks.
    pub blanks: Blanks,
    /// Longest component in bytes of UTF-8.
    pub bytes_max: usize,
}

/// The default leaves room for `.forced.eng.srt` and `-thumb.jpg` beside the longest name.
pub const NAME_BYTES_DEFAULT: usize = 230;

impl Default for NameRules {
    fn default() -> Self {
        Self {
            charset: Charset::default(),
            colon: Colon::default(),
            blanks: Blanks::default(),
            bytes_max: NAME_BYTES_DEFAULT,
        }
    }
}

impl NameRules {
    /// Appends a value to a raw path with everything gone that could not be in a component. Answers whether anything
    /// but blanks was left of it; if not, `out` is as before.
    pub fn push_value(&self, out: &mut String, value: &str) -> bool {
        value::push(self, out, value)
    }

    /// Appends one finished component made of a stem and its suffix (`.eng.srt`; empty when there is none) to `out`.
    /// Answers the byte position in `out` where the suffix begins.
    pub fn push_component(&self, out: &mut String, stem: &str, suffix: &str) -> usize {
        component::push(self, out, stem, suffix)
    }

    /// The sanitised text of a value, for labels and tests.
    pub fn value(&self, value: &str) -> String {
        let mut out = String::with_capacity(value.len());
        self.push_value(&mut out, value);
        out
    }

    /// The finished form of one component.
    pub fn component(&self, raw: &str) -> String {
        let mut out = String::with_capacity(raw.len());
        self.push_component(&mut out, raw, "");
        out
    }
}

/// The form in which names are compared: clients of SMB and macOS see `A` and `a`, and both Unicode spellings of `é`,
/// as one name. Casefold of NFC.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    let composed: String = name.nfc().collect();
    default_case_fold_str(&composed)
}

/// Where the extension of a file name begins (the position of its dot): letters and digits only, at most ten, and
/// something in front of it.
pub fn extension_at(name: &str) -> Option<usize> {
    let dot = name.rfind('.')?;
    let extension = &name[dot + 1..];
    let usual = (1..=10).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    (usual && dot > 0).then_some(dot)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const FORBIDDEN: &[char] = &['<', '>', ':', '"', '/', '\\', '|', '?', '*'];

    fn all_rules() -> Vec<NameRules> {
        let mut all = Vec::new();
        for charset in [Charset::Portable, Charset::Posix, Charset::Ascii] {
            for (colon, blanks) in
                [(Colon::Smart, Blanks::Collapse), (Colon::Dash, Blanks::Keep), (Colon::Remove, Blanks::Keep)]
            {
                for bytes_max in [32, NAME_BYTES_DEFAULT] {
                    all.push(NameRules { charset, colon, blanks, bytes_max });
                }
            }
        }
        all
    }

    /// What Windows, SMB and Linux refuse in a name.
    /// Source: <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>.
    fn illegal(name: &str, rules: &NameRules) -> Option<&'static str> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Some("not a component");
        }
        if name.len() > rules.bytes_max {
            return Some("too long");
        }
        if name.chars().any(char::is_control) {
            return Some("control character");
        }
        if rules.charset == Charset::Posix {
            return None;
        }
        if name.contains(FORBIDDEN) {
            return Some("forbidden character");
        }
        if name.ends_with(['.', ' ']) || name.starts_with(' ') {
            return Some("blank or dot at the edge");
        }
        let base = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
        let numbered = |p: &str| {
            base.strip_prefix(p).is_some_and(|d| {
                d.chars().count() == 1 && d.chars().all(|c| "123456789\u{b9}\u{b2}\u{b3}".contains(c))
            })
        };
        if ["CON", "PRN", "AUX", "NUL"].contains(&base.as_str()) || numbered("COM") || numbered("LPT") {
            return Some("reserved device");
        }
        (rules.charset == Charset::Ascii && !name.is_ascii()).then_some("not ASCII")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn every_component_is_legal_whatever_the_value(text in any::<String>(), suffix in "(\\.[a-zA-Z0-9. ]{0,12})?") {
            for rules in all_rules() {
                let value = rules.value(&text);
                let mut name = String::new();
                let at = rules.push_component(&mut name, &value, &suffix);
                prop_assert_eq!(illegal(&name, &rules), None, "{:?} from {:?}", name, text);
                prop_assert!(name.is_char_boundary(at) && at > 0);
            }
        }

        #[test]
        fn sanitising_twice_changes_nothing(text in "[ -~\\u{80}-\\u{a0}\\u{200b}-\\u{200f}e\\u{301}\\u{4e00}\\u{1f468}\\u{202e}]{0,24}") {
            for rules in all_rules() {
                let once = rules.value(&text);
                prop_assert_eq!(rules.value(&once), once.clone(), "value of {:?}", text);
                let name = rules.component(&once);
                prop_assert_eq!(rules.component(&name), name.clone(), "component of {:?}", text);
            }
        }

        #[test]
        fn names_that_differ_in_case_or_spelling_fold_to_one(text in "[a-zA-Zäöüß\\u{e9} ]{0,20}") {
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(fold(&decomposed), fold(&text));
            prop_assert_eq!(fold(&text.to_lowercase()), fold(&text));
        }
    }

    #[test]
    fn the_tricky_names_of_the_issue_come_out_legal() {
        let rules = NameRules::default();
        for (value, name) in [
            ("../../etc", "..-..-etc"),
            ("Face/Off", "Face-Off"),
            ("CON.", "CON_"),
            ("con.mkv", "con_.mkv"),
            ("COM¹", "COM¹_"),
            ("Mission: Impossible", "Mission - Impossible"),
            ("Re:Zero", "Re-Zero"),
            ("..", "_"),
            ("a\tb\u{0}c\u{85}d", "a bcd"),
            ("gpj.\u{202e}exe", "gpj.exe"),
            ("e\u{301}", "\u{e9}"),
            ("👨\u{200d}👩\u{200d}👧", "👨\u{200d}👩\u{200d}👧"),
            ("a\u{200d}b", "ab"),
            ("Who?", "Who"),
        ] {
            assert_eq!(rules.component(&rules.value(value)), name, "{value:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_graphemes_and_keeps_its_suffix() {
        let rules = NameRules { bytes_max: 32, ..NameRules::default() };
        let mut out = String::new();
        let at = rules.push_component(&mut out, &"👨\u{200d}👩\u{200d}👧".repeat(9), ".mkv");
        assert_eq!(out, "👨\u{200d}👩\u{200d}👧.mkv");
        assert_eq!(&out[at..], ".mkv");
    }
}
