//! Lines of an import: cut out of the body's pieces and parsed without copying what needs no copy.
//!
//! Not here: where they go (`import`). Must always hold: a line is never longer in memory than its limit; line numbers
//! count from 1 and count empty lines, as editors do.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use data_encoding::BASE64;
use serde::Deserialize;

use super::body::{Properties, check_value};
use super::error::ApiError;
use super::query::{check_id, check_property};
use crate::codec::Blob;
use crate::limits::IMPORT_LINE_BYTES_MAX;

/// Cuts pieces into lines.
#[derive(Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// Bytes of the buffer that are known to hold no end of line.
    searched: usize,
    /// Number of the last line that was cut.
    number: u64,
    /// The present line is over the limit: its bytes are thrown away as they come.
    skipping: bool,
}

/// A line's number and its bytes, or what is wrong with it as a whole.
pub(super) type Cut = (u64, Result<Bytes, String>);

impl Lines {
    /// Takes the next piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line that is not empty.
    pub fn next(&mut self) -> Option<Cut> {
        loop {
            let Some(end) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') else {
                self.searched = self.buffer.len();
                self.forget_overlong();
                return None;
            };
            let line = self.buffer.split_to(self.searched + end).freeze();
            self.buffer.advance(1);
            self.searched = 0;
            if let Some(cut) = self.cut(line) {
                return Some(cut);
            }
        }
    }

    /// The last line, when the body does not end with an end of line.
    pub fn finish(mut self) -> Option<Cut> {
        let rest = self.buffer.split().freeze();
        self.cut(rest)
    }

    fn cut(&mut self, line: Bytes) -> Option<Cut> {
        self.number += 1;
        if std::mem::take(&mut self.skipping) || line.len() > IMPORT_LINE_BYTES_MAX {
            let text = format!("the line is longer than {IMPORT_LINE_BYTES_MAX} bytes");
            return Some((self.number, Err(text)));
        }
        let is_empty = line.iter().all(u8::is_ascii_whitespace);
        (!is_empty).then_some((self.number, Ok(line)))
    }

    fn forget_overlong(&mut self) {
        if self.buffer.len() > IMPORT_LINE_BYTES_MAX {
            self.skipping = true;
            self.buffer.clear();
            self.searched = 0;
        }
    }
}

/// A parsed line, as an operation takes it.
#[derive(Debug)]
pub(super) struct ParsedLine {
    /// hashId.
    pub id: Blob,
    /// Names and values.
    pub properties: Vec<(Blob, Blob)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    hash_id: Cow<'a, str>,
    #[serde(borrow, default)]
    metadata: Properties<'a>,
    #[serde(borrow, default)]
    metadata_base64: Properties<'a>,
}

/// Parses and checks one line.
pub(super) fn parse_line(line: &Bytes) -> Result<ParsedLine, String> {
    let raw: Raw<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    check(raw, line).map_err(|e| e.message().to_owned())
}

fn check(raw: Raw<'_>, line: &Bytes) -> Result<ParsedLine, ApiError> {
    check_id(&raw.hash_id)?;
    let mut properties = raw.metadata.into_blobs(line)?;
    for (name, encoded) in raw.metadata_base64.0 {
        check_property(&name)?;
        let value = BASE64.decode(encoded.as_bytes());
        let value = value.map_err(|e| ApiError::bad("bad_base64", format!("the value of {name:?}: {e}")))?;
        check_value(&name, value.len())?;
        properties.push((name.into_owned().into_bytes().into(), value.into()));
    }
    Ok(ParsedLine { id: raw.hash_id.into_owned().into_bytes().into(), properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_all(pieces: &[&str]) -> Vec<Cut> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for piece in pieces {
            lines.push(piece.as_bytes());
            out.extend(std::iter::from_fn(|| lines.next()));
        }
        out.extend(lines.finish());
        out
    }

    #[test]
    fn lines_are_the_same_however_the_body_is_cut() {
        let text = "a\n\nbc\r\n  \nlast";
        let whole = cut_all(&[text]);
        let numbers: Vec<_> = whole.iter().map(|(n, l)| (*n, l.clone().unwrap())).collect();
        let expected = [(1, "a"), (3, "bc\r"), (5, "last")].map(|(n, l)| (n, Bytes::from(l)));
        assert_eq!(numbers, expected);
        for at in 0..text.len() {
            assert_eq!(cut_all(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
    }

    #[test]
    fn an_overlong_line_is_one_refusal_and_the_next_line_goes_on() {
        let long = "x".repeat(IMPORT_LINE_BYTES_MAX / 2 + 1);
        let cuts = cut_all(&["{}\n", &long, &long, "yy\nok\n"]);
        let summary: Vec<_> = cuts.iter().map(|(n, line)| (*n, line.is_ok())).collect();
        assert_eq!(summary, [(1, true), (2, false), (3, true)]);
    }

    #[test]
    fn values_share_the_memory_of_their_line_unless_they_hold_escapes() {
        let line = Bytes::from_static(br#"{"hashId":"h","metadata":{"plain":"value","escaped":"a\nb"}}"#);
        let parsed = parse_line(&line).unwrap();
        let lies_within = |blob: &Blob| line.as_ptr_range().contains(&blob.as_ptr());
        assert!(lies_within(&parsed.properties[0].1));
        assert!(!lies_within(&parsed.properties[1].1));
        assert_eq!(&*parsed.properties[1].1, b"a\nb");
    }

    #[test]
    fn what_is_not_a_string_is_refused_and_named() {
        for (line, word) in [
            (r#"{"hashId":"h","metadata":{"year":2024}}"#, "expected a string"),
            (r#"{"hashId":"","metadata":{}}"#, "empty"),
            (r#"{"metadata":{}}"#, "hashId"),
            (r#"{"hashId":"h","metadata":[]}"#, "an object of strings"),
            (r#"{"hashId":"h","metadata":{"":"x"}}"#, "empty"),
            (r#"{"hashId":"h","metadataBase64":{"a":"!"}}"#, "\"a\""),
            (r#"{"hashId":"h"#, "EOF"),
        ] {
            let message = parse_line(&Bytes::from(line)).unwrap_err();
            assert!(message.contains(word), "{line}: {message}");
        }
    }
}
