//! Inline commands: a line of words, as typed into telnet.
//!
//! Not here: where a line ends. Must always hold: a word is never longer than what was written for it, so words are
//! unquoted in place.
//!
//! Source: `sdssplitargs` of Redis.

use super::request::Span;

/// Splits `line[from..to]` into words, unquoted in place; `None` when quotes are not balanced.
pub fn split(line: &mut [u8], from: usize, to: usize, words: &mut Vec<Span>) -> Option<()> {
    let mut at = from;
    loop {
        while at < to && is_space(line[at]) {
            at += 1;
        }
        if at >= to {
            return Some(());
        }
        let start = at;
        let end;
        (at, end) = word(line, at, to)?;
        words.push(Span::new(start, end));
    }
}

/// Unquotes the word at `at`; answers where reading goes on and where the word ends.
fn word(line: &mut [u8], mut at: usize, to: usize) -> Option<(usize, usize)> {
    let (mut out, mut quote) = (at, None);
    while at < to {
        let byte = line[at];
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, _) if is_space(byte) => break,
            (Some(b'"'), b'\\') if at + 1 < to => {
                let (decoded, used) = escape(&line[at + 1..to]);
                line[out] = decoded;
                (out, at) = (out + 1, at + used);
            }
            (Some(b'\''), b'\\') if line.get(at + 1) == Some(&b'\'') && at + 1 < to => {
                line[out] = b'\'';
                (out, at) = (out + 1, at + 1);
            }
            (Some(open), _) if open == byte => {
                // Nothing but a space may follow a closing quote.
                if at + 1 < to && !is_space(line[at + 1]) {
                    return None;
                }
                return Some((at + 1, out));
            }
            _ => {
                line[out] = byte;
                out += 1;
            }
        }
        at += 1;
    }
    quote.is_none().then_some((at, out))
}

/// What stands behind a backslash in double quotes, and how many bytes of it were used.
fn escape(rest: &[u8]) -> (u8, usize) {
    let hex = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    match rest {
        [b'x', high, low, ..] if hex(*high).is_some() && hex(*low).is_some() => {
            (hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0), 3)
        }
        [b'n', ..] => (b'\n', 1),
        [b'r', ..] => (b'\r', 1),
        [b't', ..] => (b'\t', 1),
        [b'b', ..] => (0x08, 1),
        [b'a', ..] => (0x07, 1),
        [other, ..] => (*other, 1),
        [] => (b'\\', 0),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<Vec<u8>>> {
        let mut line = line.as_bytes().to_vec();
        let (len, mut spans) = (line.len(), Vec::new());
        split(&mut line, 0, len, &mut spans)?;
        Some(spans.iter().map(|span| line[span.range()].to_vec()).collect())
    }

    #[test]
    fn words_are_split_and_unquoted_as_redis_does() {
        let expect = |line: &str, expected: &[&[u8]]| {
            assert_eq!(
                words(line).unwrap(),
                expected.iter().map(|w| w.to_vec()).collect::<Vec<_>>(),
                "{line}"
            );
        };
        expect("  set  a b ", &[b"set", b"a", b"b"]);
        expect(r#"set "a b" 'c\'d'"#, &[b"set", b"a b", b"c'd"]);
        expect(r#"x "\x41\n\q\\" "" y"#, &[b"x", b"A\nq\\", b"", b"y"]);
        expect(r#"a"b c""#, &[b"ab c"]);
        expect("", &[]);
    }

    #[test]
    fn unbalanced_quotes_are_refused() {
        for line in [r#"a "b"#, "a 'b", r#"a "b"c"#, r#"a 'b'c"#, r#"""""#] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
