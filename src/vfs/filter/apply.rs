//! Applying filters to values.
//!
//! Not here: the longer text work (`words`), language codes (`lang`).
//! Must always hold: nothing panics on any value; a filter that cannot make sense of a value answers nothing, and the
//! next alternative is tried.

use std::borrow::Cow;

use jiff::civil::Date;

use super::{Filter, FilterError, Words, lang, words};
use crate::vfs::field::Value;
use crate::vfs::name::{extension_at, to_ascii};

/// The value after the filter; nothing when the filter found nothing in it.
pub fn apply<'a>(filter: &Filter, value: Value<'a>, known: &Words) -> Option<Value<'a>> {
    match (filter, &value) {
        // Most values are one: nothing to choose from and nothing to join.
        (Filter::First | Filter::Range(_), Value::Number(_)) => return Some(value),
        (Filter::Pad(width), Value::Number(n)) => return Some(Value::Text(padded(*n, *width))),
        _ => {}
    }
    match filter {
        Filter::Pad(width) => value.map(|text| Some(pad(text, *width))),
        Filter::Trunc(bytes) => value.map(|text| Some(trunc(text, *bytes))),
        Filter::The => value.map(|text| Some(words::article_last(text, &known.articles))),
        Filter::Initial => value.map(|text| words::initial(&text, &known.articles).map(Cow::Owned)),
        Filter::Decade => value.map(|text| decade(&text).map(Cow::Owned)),
        Filter::Bucket(ranges) => {
            value.map(|text| words::bucket(&text, ranges, &known.articles).map(Cow::Owned))
        }
        Filter::First => {
            value.items().into_iter().next().map(|first| Value::Text(Cow::Owned(first.into_owned())))
        }
        Filter::Join(separator) => Some(Value::Text(Cow::Owned(value.items().join(separator)))),
        Filter::Range(between) => Some(Value::Text(Cow::Owned(range(&value, between)))),
        Filter::Date(format) => value.map(|text| date(&text, format).map(Cow::Owned)),
        Filter::Lang => value.map(|text| Some(lang::two_letters(text))),
        Filter::Upper => value.map(|text| Some(Cow::Owned(text.to_uppercase()))),
        Filter::Lower => value.map(|text| Some(Cow::Owned(text.to_lowercase()))),
        Filter::Title => value.map(|text| Some(Cow::Owned(words::title_case(&text)))),
        Filter::Dots => value.map(|text| Some(Cow::Owned(words::dots(&text)))),
        Filter::Ascii => value.map(|text| Some(Cow::Owned(to_ascii(&text)))),
        Filter::Clean => value.map(|text| Some(Cow::Owned(words::clean(&text)))),
        Filter::Replace(pattern, with) => {
            value.map(|text| Some(Cow::Owned(pattern.0.replace_all(&text, with.as_str()).into_owned())))
        }
        Filter::Stem => value.map(|text| {
            let len = extension_at(&text).unwrap_or(text.len());
            Some(keep(text, len))
        }),
        Filter::Ext => value.map(|text| extension_at(&text).map(|at| Cow::Owned(text[at + 1..].to_owned()))),
        Filter::Bytes => value.map(|text| size(&text).map(Cow::Owned)),
    }
}

fn padded<'a>(number: u64, width: usize) -> Cow<'a, str> {
    Cow::Owned(format!("{number:0width$}"))
}

fn pad(text: Cow<'_, str>, width: usize) -> Cow<'_, str> {
    let len = text.chars().count();
    if len >= width { text } else { Cow::Owned(format!("{}{text}", "0".repeat(width - len))) }
}

/// The first `len` bytes.
fn keep(text: Cow<'_, str>, len: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..len]),
        Cow::Owned(mut text) => {
            text.truncate(len);
            Cow::Owned(text)
        }
    }
}

fn trunc(text: Cow<'_, str>, bytes: usize) -> Cow<'_, str> {
    if text.len() <= bytes {
        return text;
    }
    let len = text[..crate::vfs::name::cut(&text, bytes)].trim_end().len();
    keep(text, len)
}

/// Items shown from the first to the last when they count up without a gap, all of them otherwise.
fn range(value: &Value<'_>, between: &str) -> String {
    if let Value::Text(text) = value
        && text.bytes().all(|b| b.is_ascii_digit())
    {
        return text.clone().into_owned();
    }
    let shown: Vec<String> = value.items().into_iter().map(Cow::into_owned).collect();
    let numbers: Option<Vec<u64>> = shown.iter().map(|text| text.parse().ok()).collect();
    match numbers {
        Some(numbers) => crate::vfs::field::range(shown, &numbers, between),
        None => shown.join(between),
    }
}

/// The four digits in front of a year or date.
fn leading_year(text: &str) -> Option<u32> {
    let digits = text.trim().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

fn decade(text: &str) -> Option<String> {
    leading_year(text).map(|year| format!("{}s", year / 10 * 10))
}

/// `YYYY-MM-DD` in front of a text; a bare year is the first of January.
fn parse_date(text: &str) -> Option<Date> {
    let text = text.trim();
    if let Some(date) = text.get(..10).and_then(|d| d.replace(['/', '.'], "-").parse().ok()) {
        return Some(date);
    }
    let year = leading_year(text).filter(|_| text.len() == 4)?;
    Date::new(i16::try_from(year).ok()?, 1, 1).ok()
}

fn date(text: &str, format: &str) -> Option<String> {
    use std::fmt::Write as _;
    let mut out = String::new();
    write!(out, "{}", parse_date(text)?.strftime(format)).ok()?;
    Some(out)
}

/// A format that prints any date; anything else is an error when the rules are read, not when a file is placed.
pub fn checked_date(format: &str) -> Result<Filter, FilterError> {
    if date("2020-04-02", format).is_none() {
        return Err(FilterError(format!("`{format}` is no strftime format for a date")));
    }
    Ok(Filter::Date(format.to_owned()))
}

/// Decimal units, one place: what file managers show.
fn size(text: &str) -> Option<String> {
    let bytes: u64 = text.trim().parse().ok()?;
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return Some(format!("{bytes} B"));
    }
    // Tenths of a unit in whole numbers: the same on every machine.
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < units.len() {
        tenths /= 1000;
        unit += 1;
    }
    Some(format!("{}.{} {}", tenths / 10, tenths % 10, units[unit]))
}
