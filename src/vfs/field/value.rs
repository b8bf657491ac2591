//! The value of a field: text, a number, or several of either.
//!
//! Not here: how a value is found (`derive`), how it is made fit for a name (`name`).
//! Must always hold: a list is never empty.

use std::borrow::Cow;

use crate::limits::VALUE_ITEMS_MAX;

/// A value on its way from a record to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A whole number.
    Number(u64),
    /// Several numbers, in the order given.
    Numbers(Vec<u64>),
    /// Several texts, in the order given.
    List(Vec<Cow<'a, str>>),
}

impl<'a> Value<'a> {
    /// A view of the same value that borrows its text.
    pub fn view(&self) -> Value<'_> {
        match self {
            Value::Text(text) => Value::Text(Cow::Borrowed(text)),
            Value::Number(n) => Value::Number(*n),
            Value::Numbers(all) => Value::Numbers(all.clone()),
            Value::List(all) => Value::List(all.iter().map(|t| Cow::Borrowed(&**t)).collect()),
        }
    }

    /// The value as one text: consecutive numbers as a range, other items joined by a comma.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Number(n) => Cow::Owned(n.to_string()),
            Value::Numbers(all) => Cow::Owned(range(all.iter().map(ToString::to_string).collect(), all, "-")),
            Value::List(all) => Cow::Owned(all.join(", ")),
        }
    }

    /// Its items as texts. A text is cut into items: JSON array, else at `|`, else at commas.
    pub fn items(&self) -> Vec<Cow<'_, str>> {
        match self {
            Value::Text(text) => split(text),
            Value::Number(n) => vec![Cow::Owned(n.to_string())],
            Value::Numbers(all) => all.iter().map(|n| Cow::Owned(n.to_string())).collect(),
            Value::List(all) => all.iter().map(|t| Cow::Borrowed(&**t)).collect(),
        }
    }

    /// Each item changed by `change`; items for which it answers nothing drop out.
    pub fn map(self, mut change: impl FnMut(Cow<'a, str>) -> Option<Cow<'a, str>>) -> Option<Value<'a>> {
        match self {
            Value::Text(text) => change(text).map(Value::Text),
            Value::Number(n) => change(Cow::Owned(n.to_string())).map(Value::Text),
            Value::Numbers(all) => {
                list(all.into_iter().filter_map(|n| change(Cow::Owned(n.to_string()))).collect())
            }
            Value::List(all) => list(all.into_iter().filter_map(change).collect()),
        }
    }
}

/// A value of these items, if there is any.
pub fn list(items: Vec<Cow<'_, str>>) -> Option<Value<'_>> {
    (!items.is_empty()).then_some(Value::List(items))
}

/// `1-E3` for consecutive numbers (first and last shown with `between`), every item otherwise.
pub fn range(shown: Vec<String>, numbers: &[u64], between: &str) -> String {
    let consecutive = numbers.windows(2).all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    match (shown.as_slice(), consecutive) {
        ([first, .., last], true) => format!("{first}{between}{last}"),
        _ => shown.join(between),
    }
}

/// Cuts text into its items. Empty items drop out; what is no list is one item.
/// Source: the writers of the old system use `|`; its readers also take JSON arrays and commas.
pub fn split(text: &str) -> Vec<Cow<'_, str>> {
    let trimmed = text.trim();
    if trimmed.starts_with('[')
        && let Ok(items) = serde_json::from_str::<Vec<serde_json::Value>>(trimmed)
    {
        let texts = items.into_iter().filter_map(|item| match item {
            serde_json::Value::String(text) => Some(Cow::<str>::Owned(text)),
            serde_json::Value::Number(n) => Some(Cow::Owned(n.to_string())),
            serde_json::Value::Bool(b) => Some(Cow::Owned(b.to_string())),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        });
        return texts.filter(|t| !t.trim().is_empty()).take(VALUE_ITEMS_MAX).collect();
    }
    let separator = if trimmed.contains('|') { '|' } else { ',' };
    trimmed
        .split(separator)
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .take(VALUE_ITEMS_MAX)
        .map(Cow::Borrowed)
        .collect()
}

/// Whole numbers: `3`, `03`, `1,2`, `1|2`, `[1,2]`, `["1","2"]`, `1-3`. Anything else is no number at all.
pub fn numbers(text: &str) -> Option<Value<'static>> {
    let text = text.trim();
    if let Some(number) = whole(text) {
        return Some(Value::Number(number));
    }
    let mut all = Vec::new();
    for item in split(text) {
        match item.split_once('-') {
            Some((from, to)) => {
                let (from, to) = (whole(from.trim())?, whole(to.trim())?);
                if from > to || to - from >= VALUE_ITEMS_MAX as u64 {
                    return None;
                }
                all.extend(from..=to);
            }
            None => all.push(whole(&item)?),
        }
        if all.len() > VALUE_ITEMS_MAX {
            return None;
        }
    }
    match all.as_slice() {
        [] => None,
        [only] => Some(Value::Number(*only)),
        _ => Some(Value::Numbers(all)),
    }
}

/// Digits only, at most nine of them: no sign, no fraction, nothing that a writer of garbage would produce.
pub fn whole(text: &str) -> Option<u64> {
    let digits = (1..=9).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}
