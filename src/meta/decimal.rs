//! Decimal numbers for INCRBYFLOAT: exact, so that every node and every machine gets the same digits.
//!
//! Not here: binary floating point. Must always hold: a number is a multiple of 10⁻¹⁷ (the digits that Redis prints)
//! below 10²⁰ in size; what it prints, it reads.
//!
//! Source: <https://redis.io/docs/latest/commands/incrbyfloat/>.

use bincode::{Decode, Encode};

/// Digits after the point.
const PLACES: u32 = 17;
/// One, in units of the last place.
const ONE: i128 = 10i128.pow(PLACES);
/// Numbers are smaller than this.
const LIMIT: i128 = ONE * 10i128.pow(20);
/// Digits that a number can have before the point or after it; more are read and make no difference.
const DIGITS_MAX: i64 = 400;

/// A decimal number, in units of 10⁻¹⁷.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Decimal(i128);

impl Decimal {
    /// Zero.
    pub const ZERO: Decimal = Decimal(0);

    /// Reads `-12.5e3` and the like. Digits beyond the 17th place are rounded, half away from zero. `None` for what is
    /// no number, for infinity and for what is too large.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (negative, text) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        let e = text.iter().position(|b| matches!(b, b'e' | b'E'));
        let (mantissa, exponent) = match e {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let point = mantissa.iter().position(|b| *b == b'.');
        let (whole, fraction) = match point {
            Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
            None => (mantissa, &mantissa[..0]),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let units = scale(whole, fraction, exponent)?;
        (units < LIMIT).then_some(Self(if negative { -units } else { units }))
    }

    /// The sum; `None` when it is too large.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = self.0.checked_add(other.0)?;
        (sum.abs() < LIMIT).then_some(Self(sum))
    }
}

fn exponent(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse::<i64>().ok().map(|e| e.clamp(-DIGITS_MAX, DIGITS_MAX))
}

/// The digits as units of the last place, the point moved by `exponent`.
fn scale(whole: &[u8], fraction: &[u8], exponent: i64) -> Option<i128> {
    let places = (whole.len() as i64).checked_add(exponent)?.checked_add(i64::from(PLACES))?;
    let mut units: i128 = 0;
    let mut read = 0;
    for digit in whole.iter().chain(fraction) {
        if !digit.is_ascii_digit() {
            return None;
        }
        let value = i128::from(digit - b'0');
        if read < places {
            units = units.checked_mul(10)?.checked_add(value)?;
        } else if read == places && value >= 5 {
            units = units.checked_add(1)?;
        }
        read += 1;
    }
    while read < places && units != 0 {
        units = units.checked_mul(10)?;
        read += 1;
    }
    Some(units)
}

impl std::fmt::Display for Decimal {
    /// No exponent, no zeros at the end, no point without digits after it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.0.abs() / ONE, self.0.abs() % ONE);
        if self.0 < 0 {
            f.write_str("-")?;
        }
        write!(f, "{whole}")?;
        if fraction == 0 {
            return Ok(());
        }
        let digits = format!("{fraction:017}");
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_print_as_redis_prints_them() {
        let cases = [
            ("10.50", "10.5"),
            ("5.0e3", "5000"),
            ("-0", "0"),
            (".5", "0.5"),
            ("3.", "3"),
            ("1e-17", "0.00000000000000001"),
            ("4e-18", "0"),
            ("5e-18", "0.00000000000000001"),
            ("-2.0e2", "-200"),
            ("99999999999999999999.9", "99999999999999999999.9"),
        ];
        for (text, expected) in cases {
            assert_eq!(Decimal::parse(text.as_bytes()).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "e5", "1e", "1 ", " 1", "0x10", "inf", "nan", "1.2.3", "1e20", "1e400"] {
            assert_eq!(Decimal::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_tenth_three_times_is_three_tenths() {
        let tenth = Decimal::parse(b"0.1").unwrap();
        let sum = tenth.checked_add(tenth).unwrap().checked_add(tenth).unwrap();
        assert_eq!(sum.to_string(), "0.3");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(units in -LIMIT + 1..LIMIT) {
            let number = Decimal(units);
            prop_assert_eq!(Decimal::parse(number.to_string().as_bytes()), Some(number));
        }
    }
}
