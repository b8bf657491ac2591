//! Filters: what `{field:filter}` does to a value on its way into a path. A closed list.
//!
//! | filter | does |
//! |---|---|
//! | `padN`, `:00` | zeros in front, up to N digits |
//! | `trunc(N)`, `truncN` | at most N bytes, cut between graphemes |
//! | `the` | `The Mist` → `Mist, The` |
//! | `initial` | first letter behind the article; `0-9` for digits, `#` for marks |
//! | `decade` | `2003` → `2000s` |
//! | `bucket("A-F","G-M")` | the first range that holds the initial (or the number); else the initial |
//! | `first`, `join(", ")` | of several items, the first, or all |
//! | `range("-E")` | `1,2,3` → `1-E3`; items that are not consecutive are all shown |
//! | `date("%Y")` | a date by `strftime` |
//! | `lang` | ISO 639-3 or 639-2 → 639-1 (`eng` → `en`) |
//! | `upper` `lower` `title` | letter case |
//! | `dots` | blanks → dots |
//! | `ascii` | without accents |
//! | `clean` | Servarr's CleanTitle |
//! | `replace("re","x")` | linear-time regular expression |
//! | `stem` `ext` | of a file name |
//! | `bytes` | a size for people: `1500000` → `1.5 MB` |
//!
//! Not here: parsing of the braces (`template::parse`), forbidden characters (`name`).
//! Must always hold: a filter is pure; `build(print(f)) == f`.

mod apply;
mod lang;
mod words;

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::limits::{COMPONENT_BYTES_MAX, REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};

pub use apply::apply;

/// What some filters need to know of the rule set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Articles that `the` moves and `initial` skips.
    pub articles: Vec<String>,
}

impl Default for Words {
    fn default() -> Self {
        Self { articles: ["The", "A", "An"].map(str::to_owned).to_vec() }
    }
}

/// A regular expression, compared by its text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles an expression within the limits of limits.rs. Matching is linear in the text and unanchored.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > REGEX_BYTES_MAX {
            return Err(format!("the regular expression has more than {REGEX_BYTES_MAX} bytes"));
        }
        let built = RegexBuilder::new(text).size_limit(REGEX_COMPILED_BYTES_MAX).build();
        built.map(Self).map_err(|e| {
            let text = e.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        })
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// One of the closed list.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the table of the module says what each does")]
pub enum Filter {
    Pad(usize),
    Trunc(usize),
    The,
    Initial,
    Decade,
    Bucket(Vec<String>),
    First,
    Join(String),
    Range(String),
    Date(String),
    Lang,
    Upper,
    Lower,
    Title,
    Dots,
    Ascii,
    Clean,
    Replace(Pattern, String),
    Stem,
    Ext,
    Bytes,
}

/// Names of all filters, for suggestions.
pub const FILTERS: &[&str] = &[
    "pad2", "trunc", "the", "initial", "decade", "bucket", "first", "join", "range", "date", "lang", "upper",
    "lower", "title", "dots", "ascii", "clean", "replace", "stem", "ext", "bytes",
];

/// Why there is no such filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError(pub String);

/// The filter that is written `name(arguments)`.
pub fn build(name: &str, arguments: &[String]) -> Result<Filter, FilterError> {
    if let Some(filter) = numbered(name, arguments)? {
        return Ok(filter);
    }
    let filter = match (name, arguments) {
        ("the", []) => Filter::The,
        ("initial", []) => Filter::Initial,
        ("decade", []) => Filter::Decade,
        ("first", []) => Filter::First,
        ("lang", []) => Filter::Lang,
        ("upper" | "uppercase", []) => Filter::Upper,
        ("lower" | "lowercase", []) => Filter::Lower,
        ("title", []) => Filter::Title,
        ("dots", []) => Filter::Dots,
        ("ascii", []) => Filter::Ascii,
        ("clean", []) => Filter::Clean,
        ("stem", []) => Filter::Stem,
        ("ext", []) => Filter::Ext,
        ("bytes", []) => Filter::Bytes,
        ("join", [separator]) => Filter::Join(separator.clone()),
        ("range", [between]) => Filter::Range(between.clone()),
        ("date", [format]) => apply::checked_date(format)?,
        ("bucket", ranges) if !ranges.is_empty() => words::checked_buckets(ranges)?,
        ("replace", [pattern, with]) => {
            Filter::Replace(Pattern::new(pattern).map_err(FilterError)?, with.clone())
        }
        _ if FILTERS.contains(&name) || name == "pad" => {
            return Err(FilterError(format!(
                "`{name}` takes other arguments than these {}",
                arguments.len()
            )));
        }
        _ => {
            let hint = super::rule::suggestion(name, FILTERS.iter().copied());
            return Err(FilterError(format!("there is no filter `{name}`{hint}")));
        }
    };
    Ok(filter)
}

/// `pad2`, `00`, `trunc90`, `trunc(90)`.
fn numbered(name: &str, arguments: &[String]) -> Result<Option<Filter>, FilterError> {
    if !name.is_empty() && name.bytes().all(|b| b == b'0') && arguments.is_empty() {
        return Ok(Some(Filter::Pad(name.len())));
    }
    let digits = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let word = &name[..name.len() - digits.len()];
    let number = match (digits, arguments) {
        (digits, []) if !digits.is_empty() => digits,
        ("", [only]) => only,
        _ => return Ok(None),
    };
    let (most, make): (usize, fn(usize) -> Filter) = match word {
        "pad" => (16, Filter::Pad),
        "trunc" => (COMPONENT_BYTES_MAX, Filter::Trunc),
        _ => return Ok(None),
    };
    match number.parse::<usize>() {
        Ok(n) if (1..=most).contains(&n) => Ok(Some(make(n))),
        _ => Err(FilterError(format!("`{word}` takes a number from 1 to {most}, not `{number}`"))),
    }
}

/// Text in double quotes; `"` and `\` escaped.
pub fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Pad(n) => write!(f, "pad{n}"),
            Filter::Trunc(n) => write!(f, "trunc({n})"),
            Filter::The => f.write_str("the"),
            Filter::Initial => f.write_str("initial"),
            Filter::Decade => f.write_str("decade"),
            Filter::Bucket(ranges) => {
                let quoted: Vec<_> = ranges.iter().map(|r| quote(r)).collect();
                write!(f, "bucket({})", quoted.join(","))
            }
            Filter::First => f.write_str("first"),
            Filter::Join(separator) => write!(f, "join({})", quote(separator)),
            Filter::Range(between) => write!(f, "range({})", quote(between)),
            Filter::Date(format) => write!(f, "date({})", quote(format)),
            Filter::Lang => f.write_str("lang"),
            Filter::Upper => f.write_str("upper"),
            Filter::Lower => f.write_str("lower"),
            Filter::Title => f.write_str("title"),
            Filter::Dots => f.write_str("dots"),
            Filter::Ascii => f.write_str("ascii"),
            Filter::Clean => f.write_str("clean"),
            Filter::Replace(pattern, with) => write!(f, "replace({},{})", quote(pattern.text()), quote(with)),
            Filter::Stem => f.write_str("stem"),
            Filter::Ext => f.write_str("ext"),
            Filter::Bytes => f.write_str("bytes"),
        }
    }
}
