//! `Range`: which parts of a file are asked for.
//!
//! Not here: sending them (`stream`). Must always hold: parts lie inside the file, are sorted, and neither overlap nor
//! touch; a hundred tiny ranges cannot make a hundred parts.
//!
//! Source: RFC 9110 §14.1.2, §14.2, §15.3.7; §17.15 on many small ranges.

use crate::limits::HTTP_RANGES_MAX;

/// A part of a file, never empty but for an empty file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// First byte.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
}

impl Part {
    /// The value of `Content-Range`.
    pub fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.start + self.len - 1)
    }
}

/// What a `Range` header comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ranged {
    /// It does not count: the whole file.
    Whole,
    /// One part.
    One(Part),
    /// Several parts.
    Many(Vec<Part>),
    /// 416, and why.
    Refused(&'static str),
}

/// Chooses the parts of a file of `size` bytes.
pub(super) fn select(header: &str, size: u64) -> Ranged {
    let Some((unit, specs)) = header.split_once('=') else {
        return Ranged::Refused("the Range header is malformed");
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        // A unit that nobody knows is ignored, as the RFC demands.
        return Ranged::Whole;
    }
    let specs = specs.split(',').map(|s| s.trim_matches([' ', '\t'])).filter(|s| !s.is_empty());
    let mut parts = Vec::new();
    let mut given = 0;
    for spec in specs {
        given += 1;
        match parse(spec, size) {
            Err(Malformed) => return Ranged::Refused("the Range header is malformed"),
            Ok(Spec::Everything) => return Ranged::Whole,
            Ok(Spec::Outside) => {}
            Ok(Spec::Inside(part)) => parts.push(part),
        }
    }
    match (given, parts.len()) {
        (0, _) => Ranged::Refused("the Range header is malformed"),
        (_, 0) => Ranged::Refused("no requested range lies inside the file"),
        (_, _) => joined(parts),
    }
}

/// Not a range.
struct Malformed;

enum Spec {
    Inside(Part),
    Outside,
    /// The end of an empty file: satisfiable, and no `Content-Range` could say so.
    Everything,
}

fn parse(spec: &str, size: u64) -> Result<Spec, Malformed> {
    let (first, last) = spec.split_once('-').ok_or(Malformed)?;
    if first.is_empty() {
        return Ok(match (number(last)?, size) {
            (0, _) => Spec::Outside,
            (_, 0) => Spec::Everything,
            (suffix, _) => {
                let len = suffix.min(size);
                Spec::Inside(Part { start: size - len, len })
            }
        });
    }
    let start = number(first)?;
    let end = if last.is_empty() { u64::MAX } else { number(last)? };
    if end < start {
        return Err(Malformed);
    }
    if start >= size {
        return Ok(Spec::Outside);
    }
    Ok(Spec::Inside(Part { start, len: end.min(size - 1) - start + 1 }))
}

/// Decimal digits only; more than fit mean "beyond every file".
fn number(text: &str) -> Result<u64, Malformed> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Malformed);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

fn joined(mut parts: Vec<Part>) -> Ranged {
    parts.sort_by_key(|part| part.start);
    let mut joined: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        match joined.last_mut() {
            Some(last) if part.start <= last.start + last.len => {
                last.len = last.len.max(part.start + part.len - last.start);
            }
            _ => joined.push(part),
        }
    }
    match joined.len() {
        1 => Ranged::One(joined[0]),
        n if n > HTTP_RANGES_MAX => Ranged::Refused("too many ranges"),
        _ => Ranged::Many(joined),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn parts(header: &str, size: u64) -> Vec<(u64, u64)> {
        match select(header, size) {
            Ranged::One(part) => vec![(part.start, part.len)],
            Ranged::Many(parts) => parts.iter().map(|p| (p.start, p.len)).collect(),
            other => panic!("{header}: {other:?}"),
        }
    }

    #[test]
    fn what_the_rfc_shows() {
        assert_eq!(parts("bytes=0-499", 10_000), [(0, 500)]);
        assert_eq!(parts("bytes=500-999", 10_000), [(500, 500)]);
        assert_eq!(parts("bytes=-500", 10_000), [(9500, 500)]);
        assert_eq!(parts("bytes=9500-", 10_000), [(9500, 500)]);
        assert_eq!(parts("bytes=0-0,-1", 10_000), [(0, 1), (9999, 1)]);
        assert_eq!(parts("bytes= 0-999, 4500-5499, -1000", 10_000), [(0, 1000), (4500, 1000), (9000, 1000)]);
        assert_eq!(parts("bytes=500-600,601-999", 10_000), [(500, 500)]);
        assert_eq!(parts("bytes=500-700,601-999", 10_000), [(500, 500)]);
        assert_eq!(parts("BYTES=0-", 1), [(0, 1)]);
        assert_eq!(parts("bytes=-5", 3), [(0, 3)]);
        assert_eq!(parts("bytes=0-99999999999999999999999", 3), [(0, 3)]);
    }

    #[test]
    fn what_cannot_be_given_is_refused_and_foreign_units_are_ignored() {
        for header in [
            "bytes=3-",
            "bytes=5-2",
            "bytes=-0",
            "bytes=",
            "bytes",
            "bytes=a-b",
            "bytes=1",
            "bytes=+1-2",
            "bytes=0-1,x",
            "bytes=--1",
            "bytes=99999999999999999999999-",
        ] {
            assert!(matches!(select(header, 3), Ranged::Refused(_)), "{header}");
        }
        assert_eq!(select("lines=1-2", 3), Ranged::Whole);
        assert_eq!(select("bytes=-5", 0), Ranged::Whole);
        assert!(matches!(select("bytes=0-", 0), Ranged::Refused(_)));
    }

    #[test]
    fn a_hundred_ranges_are_refused_unless_they_join() {
        let apart: Vec<String> = (0..100).map(|i| format!("{}-{}", i * 10, i * 10)).collect();
        assert_eq!(select(&format!("bytes={}", apart.join(",")), 10_000), Ranged::Refused("too many ranges"));
        let touching: Vec<String> = (0..100).map(|i| format!("{i}-{i}")).collect();
        assert_eq!(parts(&format!("bytes={}", touching.join(",")), 10_000), [(0, 100)]);
    }

    /// What the slow, obvious way selects: the set of byte positions.
    fn model(specs: &[(Option<u64>, Option<u64>)], size: u64) -> BTreeSet<u64> {
        let bytes = |spec: &(Option<u64>, Option<u64>)| match *spec {
            (Some(first), Some(last)) => (first..=last).filter(|b| *b < size).collect::<Vec<_>>(),
            (Some(first), None) => (first..size).collect(),
            (None, Some(suffix)) => (size.saturating_sub(suffix)..size).collect(),
            (None, None) => Vec::new(),
        };
        specs.iter().flat_map(bytes).collect()
    }

    fn spec() -> impl Strategy<Value = (Option<u64>, Option<u64>)> {
        prop_oneof![
            (0u64..60, 0u64..60).prop_map(|(a, b)| (Some(a.min(b)), Some(a.max(b)))),
            (0u64..60).prop_map(|a| (Some(a), None)),
            (0u64..60).prop_map(|a| (None, Some(a))),
        ]
    }

    proptest! {
        #[test]
        fn parts_are_the_bytes_that_a_plain_model_selects(
            specs in proptest::collection::vec(spec(), 1..8),
            size in 1u64..50,
        ) {
            let text = |n: Option<u64>| n.map_or_else(String::new, |n| n.to_string());
            let words: Vec<String> =
                specs.iter().map(|(a, b)| format!("{}-{}", text(*a), text(*b))).collect();
            let expected = model(&specs, size);
            let found: Vec<Part> = match select(&format!("bytes={}", words.join(",")), size) {
                Ranged::One(part) => vec![part],
                Ranged::Many(parts) => parts,
                Ranged::Refused(_) => Vec::new(),
                Ranged::Whole => vec![Part { start: 0, len: size }],
            };
            let covered: BTreeSet<u64> = found.iter().flat_map(|p| p.start..p.start + p.len).collect();
            prop_assert_eq!(covered, expected);
            prop_assert!(found.windows(2).all(|w| w[0].start + w[0].len < w[1].start), "{:?}", found);
        }
    }
}
