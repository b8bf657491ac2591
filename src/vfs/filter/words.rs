//! Text work for filters: articles, initials, buckets, letter case, clean titles.
//!
//! Not here: which filter calls what (`apply`).
//! Must always hold: pure functions of the text and the rule set's articles.

use std::borrow::Cow;

use super::{Filter, FilterError};
use crate::vfs::name::to_ascii;

/// The article in front of a text, if it has one that stands as a word.
fn article<'t>(text: &'t str, articles: &[String]) -> Option<(&'t str, &'t str)> {
    articles.iter().find_map(|article| {
        let head = text.get(..article.len()).filter(|head| head.eq_ignore_ascii_case(article))?;
        let rest = text[article.len()..].strip_prefix(' ')?.trim_start();
        (!rest.is_empty()).then_some((head, rest))
    })
}

/// `The Mist` → `Mist, The`.
pub fn article_last<'a>(text: Cow<'a, str>, articles: &[String]) -> Cow<'a, str> {
    match article(&text, articles) {
        Some((article, rest)) => Cow::Owned(format!("{rest}, {article}")),
        None => text,
    }
}

/// The letter under which a library would shelve the text: `0-9` for a digit, `#` for a mark.
pub fn initial(text: &str, articles: &[String]) -> Option<String> {
    let text = text.trim();
    let text = article(text, articles).map_or(text, |(_, rest)| rest);
    let c = text.chars().find(|c| c.is_alphanumeric()).or(text.chars().next())?;
    let plain = to_ascii(&c.to_string());
    let first = plain.chars().next().unwrap_or(c);
    Some(match first {
        '0'..='9' => "0-9".to_owned(),
        first if first.is_ascii_alphabetic() => first.to_ascii_uppercase().to_string(),
        _ if c.is_alphabetic() => c.to_uppercase().collect(),
        _ => "#".to_owned(),
    })
}

/// A bucket is `A-F`, `1990-1999` or a single word; both ends belong to it.
fn bounds(range: &str) -> (&str, &str) {
    range.split_once('-').map_or((range, range), |(from, to)| (from.trim(), to.trim()))
}

/// Ranges with two ends that can be compared.
pub fn checked_buckets(ranges: &[String]) -> Result<Filter, FilterError> {
    for range in ranges {
        let (from, to) = bounds(range);
        if from.is_empty() || to.is_empty() {
            return Err(FilterError(format!("`{range}` is no range; write `A-F` or `1990-1999`")));
        }
    }
    Ok(Filter::Bucket(ranges.to_vec()))
}

/// The first range that holds the text's number or initial; the initial when there is none.
pub fn bucket(text: &str, ranges: &[String], articles: &[String]) -> Option<String> {
    let initial = initial(text, articles)?;
    let number: Option<u64> = text.trim().parse().ok();
    let holds = |range: &&String| {
        let (from, to) = bounds(range);
        match (number, from.parse::<u64>(), to.parse::<u64>()) {
            (Some(number), Ok(from), Ok(to)) if to > 9 => (from..=to).contains(&number),
            _ if initial == "0-9" => range.as_str() == "0-9",
            _ => {
                let key = initial.to_lowercase();
                from.to_lowercase() <= key && key <= to.to_lowercase()
            }
        }
    };
    Some(ranges.iter().find(holds).cloned().unwrap_or(initial))
}

/// Each word with a capital first letter; the rest of the word stays (`NASA`, `McCoy`).
pub fn title_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at_start = true;
    for c in text.chars() {
        if at_start && c.is_alphanumeric() {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        at_start = c.is_whitespace() || matches!(c, '-' | '(' | '[');
    }
    out
}

/// Blanks become dots, as in release names; several marks in a row become one dot.
pub fn dots(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || c == '.').filter(|w| !w.is_empty()).collect();
    words.join(".")
}

/// Servarr's CleanTitle: no brackets, no marks that stand alone or end a word, `&` spelled out.
/// Source: Sonarr, `FileNameBuilder.CleanTitle`.
pub fn clean(text: &str) -> String {
    let text = text.replace('&', "and").replace(['/', '\\'], " ");
    let chars: Vec<char> = text.chars().filter(|c| !"()[]{}".contains(*c)).collect();
    let mut out = String::with_capacity(text.len());
    for (at, &c) in chars.iter().enumerate() {
        let blank = |c: Option<&char>| c.is_none_or(|c| c.is_whitespace());
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let alone = blank(before) && blank(chars.get(at + 1)) && ",<>;:'\"|`’~!?@$%^*-_=".contains(c);
        let contracts = "'`’:?,".contains(c) && ends_word(&chars[at + 1..]);
        if !alone && !contracts {
            out.push(c);
        }
    }
    crate::vfs::name::collapse(&out).unwrap_or(out)
}

/// Whether only a contraction's end (`'s`, `'ve`) is left of the word.
fn ends_word(rest: &[char]) -> bool {
    let word: String = rest.iter().take_while(|c| !c.is_whitespace()).collect();
    matches!(word.to_ascii_lowercase().as_str(), "" | "s" | "m" | "t" | "ve" | "ll" | "d" | "re")
}
