//! Integers as Redis reads and writes them.
//!
//! Not here: decimals. Must always hold: what has a plus sign, zeros in front or anything around is no integer.

/// A 64-bit integer; `None` for everything that Redis would refuse.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let value = digits_of(digits)?;
    match negative {
        false => i64::try_from(value).ok(),
        true if value == 0 => None,
        true if value <= i64::MAX as u64 + 1 => Some((value as i64).wrapping_neg()),
        true => None,
    }
}

/// A 64-bit number without a sign.
pub fn unsigned(text: &[u8]) -> Option<u64> {
    digits_of(text)
}

fn digits_of(digits: &[u8]) -> Option<u64> {
    match digits {
        [b'0'] => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let step = |value: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    };
    digits.iter().try_fold(0u64, step)
}

/// Appends a number in decimal.
pub fn write_decimal(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0u8; 20];
    let (mut at, mut rest) = (digits.len(), number.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_redis_does() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("", None),
            ("-", None),
            ("1e3", None),
        ] {
            assert_eq!(integer(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned(b"18446744073709551616"), None);
    }

    #[test]
    fn what_is_written_is_what_the_standard_library_writes() {
        for number in [0, 7, -7, 10, 99, 100, i64::MAX, i64::MIN, 1_234_567_890] {
            let mut out = Vec::new();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
