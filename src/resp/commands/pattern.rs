//! Glob patterns as Redis understands them: `*`, `?`, `[a-c]`, `[^x]`, `\x`.
//!
//! Not here: regular expressions. Must always hold: the time is bounded by pattern × text: a star is tried again from the
//! last one only.
//!
//! Source: `stringmatchlen` of Redis.

/// Whether the whole text matches.
pub fn matches(pattern: &[u8], text: &[u8], ignore_case: bool) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not match: one byte further in the text.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        let step = match text.get(t) {
            Some(byte) => one(&pattern[p.min(pattern.len())..], *byte, ignore_case),
            None if p == pattern.len() => return true,
            None => return false,
        };
        match (step, star) {
            (Some(used), _) => (p, t) = (p + used, t + 1),
            (None, Some((after, from))) => {
                (p, t) = (after, from + 1);
                star = Some((after, from + 1));
            }
            (None, None) => return false,
        }
    }
}

/// Whether the pattern begins with something that matches the byte; how long that is.
fn one(pattern: &[u8], byte: u8, ignore_case: bool) -> Option<usize> {
    let fold = |b: u8| if ignore_case { b.to_ascii_lowercase() } else { b };
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => set(rest, byte, fold).map(|used| used + 1),
        [b'\\', escaped, ..] => (fold(*escaped) == fold(byte)).then_some(2),
        [literal, ..] => (fold(*literal) == fold(byte)).then_some(1),
    }
}

/// The same for what stands behind a bracket; an open one ends with the pattern.
fn set(pattern: &[u8], byte: u8, fold: impl Fn(u8) -> u8) -> Option<usize> {
    let negated = pattern.first() == Some(&b'^');
    let (mut at, mut found) = (usize::from(negated), false);
    let byte = fold(byte);
    loop {
        match &pattern[at.min(pattern.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= fold(*escaped) == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                let (from, to) = (fold(*from.min(to)), fold(*from.max(to)));
                found |= (from..=to).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= fold(*literal) == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}

/// The part of a pattern that every match begins with.
pub fn literal_prefix(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|b| matches!(b, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..end.unwrap_or(pattern.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        let yes = |p: &str, t: &str| assert!(matches(p.as_bytes(), t.as_bytes(), false), "{p} {t}");
        let no = |p: &str, t: &str| assert!(!matches(p.as_bytes(), t.as_bytes(), false), "{p} {t}");
        yes("*", "");
        yes("h?llo", "hallo");
        no("h?llo", "hllo");
        yes("h[^e]llo", "hallo");
        no("h[^e]llo", "hello");
        yes("h[a-b]llo", "hbllo");
        yes("h[b-a]llo", "hallo");
        yes("a*b*c", "aXbYbZc");
        no("a*b*c", "aXbYbZ");
        yes("\\*", "*");
        no("\\*", "x");
        yes("[\\]]", "]");
        yes("file:*/title", "file:a/b/title");
        no("", "a");
        yes("", "");
        assert!(matches(b"ABC*", b"abcd", true));
        assert_eq!(literal_prefix(b"file:x/*"), b"file:x/");
    }

    #[test]
    fn many_stars_take_bounded_time() {
        let pattern = b"*a".repeat(50);
        let text = vec![b'a'; 5_000];
        assert!(matches(&pattern, &text, false));
        assert!(!matches(&[&pattern[..], b"b"].concat(), &text, false));
    }
}
