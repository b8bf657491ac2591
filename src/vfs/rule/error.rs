//! Errors of a rules file: where, what, and what was probably meant.
//!
//! Not here: templates and filters, which report offsets (`template::parse`).
//! Must always hold: every error names its place as a path of keys, and as line and column when the text is at hand.

use std::fmt;

use strsim::damerau_levenshtein;

/// A place in a text, both counted from one; the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Position {
    /// The place of a byte offset.
    pub fn of(text: &str, offset: usize) -> Self {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        Self { line, column: before[line_start..].chars().count() + 1 }
    }
}

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleErrorKind {
    /// No TOML, or no JSON.
    Syntax,
    /// A key that means nothing here.
    UnknownKey,
    /// A value of the wrong type, or outside its limits.
    Value,
    /// A key that must be there.
    MissingKey,
    /// A template that does not parse.
    Template,
    /// A condition that does not parse.
    Condition,
    /// More of something than limits.rs allows.
    Limit,
}

/// One mistake in a rules file, or one thing that looks like a mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// What kind of mistake.
    pub kind: RuleErrorKind,
    /// Keys that lead to it: `view[0].rule[2].path`; empty for the whole file.
    pub path: String,
    /// Where it stands.
    pub position: Option<Position>,
    /// What is wrong, in words, with a suggestion where there is one.
    pub message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Position { line, column }) = self.position {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All mistakes of a rules file, in the order in which they stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct RuleErrors(pub Vec<RuleError>);

/// `; did you mean "x"?` for the nearest known word, if one is near enough to be a slip of the finger.
pub fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    }
}

/// The known word nearest to `word`: at most a third of its letters away, and not equal.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no slips, and the distance costs the product of both lengths.
    if word.chars().count() > 64 {
        return None;
    }
    let most = (word.chars().count() / 3).clamp(1, 3);
    let near = known.into_iter().map(|known| (damerau_levenshtein(word, known), known));
    near.filter(|(distance, _)| (1..=most).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}
