//! Entity tags and lists of them, as they stand in conditional headers.
//!
//! Not here: what a condition means (`guard` for writes, `content` for files). Must always hold: a tag may contain commas;
//! a weak tag is equal to nothing in a strong comparison.
//!
//! Source: RFC 9110 §8.8.3, §13.1.

use axum::http::{HeaderMap, HeaderName};

/// One tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'h> {
    /// It begins with `W/`.
    pub weak: bool,
    /// What is between the quotes.
    pub opaque: &'h str,
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tags<'h> {
    /// `*`.
    Any,
    /// A list. What is no tag is left out: it could equal nothing.
    List(Vec<Tag<'h>>),
}

impl<'h> Tag<'h> {
    /// The tag at the beginning of a text, and what follows it.
    fn split(text: &'h str) -> Option<(Self, &'h str)> {
        let (weak, rest) = text.strip_prefix("W/").map_or((false, text), |rest| (true, rest));
        let (opaque, rest) = rest.strip_prefix('"')?.split_once('"')?;
        Some((Self { weak, opaque }, rest))
    }

    /// The whole text as one tag.
    pub fn parse(text: &'h str) -> Option<Self> {
        Self::split(text.trim()).filter(|(_, rest)| rest.is_empty()).map(|(tag, _)| tag)
    }

    /// Strong comparison with a strong tag.
    pub fn equals_strongly(&self, opaque: &str) -> bool {
        !self.weak && self.opaque == opaque
    }
}

impl<'h> Tags<'h> {
    /// All tags of a header, over all its lines; `None` when it is not there.
    pub fn of(headers: &'h HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut lines =
            headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("").trim()).peekable();
        lines.peek()?;
        let mut tags = Vec::new();
        for line in lines {
            if line == "*" {
                return Some(Self::Any);
            }
            add_tags(line, &mut tags);
        }
        Some(Self::List(tags))
    }

    /// Whether one of them equals the strong tag in a strong comparison. `*` matches whatever is there.
    pub fn match_strongly(&self, opaque: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.equals_strongly(opaque)),
        }
    }

    /// The same in a weak comparison.
    pub fn match_weakly(&self, opaque: &str) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => tags.iter().any(|tag| tag.opaque == opaque),
        }
    }
}

fn add_tags<'h>(mut line: &'h str, tags: &mut Vec<Tag<'h>>) {
    while !line.is_empty() {
        line = line.trim_start_matches([' ', '\t', ',']);
        match Tag::split(line) {
            Some((tag, rest)) => {
                tags.push(tag);
                line = rest;
            }
            // Not a tag: on to the next comma.
            None => line = line.split_once(',').map_or("", |(_, rest)| rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::IF_MATCH;

    fn tags(value: &str) -> Vec<(bool, String)> {
        let headers = HeaderMap::from_iter([(IF_MATCH, value.parse().unwrap())]);
        match Tags::of(&headers, &IF_MATCH).unwrap() {
            Tags::Any => panic!("no star here"),
            Tags::List(tags) => tags.iter().map(|t| (t.weak, t.opaque.to_owned())).collect(),
        }
    }

    #[test]
    fn lists_hold_commas_in_tags_weak_tags_and_rubbish() {
        let expected = [(false, "a,b"), (true, "c"), (false, "")].map(|(w, t)| (w, t.to_owned()));
        assert_eq!(tags(r#""a,b", W/"c",  bare, "", "open"#), expected);
        assert_eq!(tags("bare"), []);
    }
}
