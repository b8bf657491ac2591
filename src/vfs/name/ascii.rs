//! Transliteration to ASCII: letters lose their accents, a few get their usual spelling, the rest becomes `_`.
//!
//! Not here: which character set a rule set wants (`NameRules`).
//! Must always hold: the result is ASCII; ASCII comes back unchanged.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The text in ASCII. Runs of characters without a spelling become one `_`.
pub fn to_ascii(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.nfkd() {
        if c.is_ascii() {
            out.push(c);
        } else if let Some(spelling) = spelling(c) {
            out.push_str(spelling);
        } else if !is_combining_mark(c) && !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}

/// Letters and marks that no decomposition takes to ASCII, as Europeans write them without the letter.
fn spelling(c: char) -> Option<&'static str> {
    Some(match c {
        'Æ' => "AE",
        'æ' => "ae",
        'Ø' => "O",
        'ø' => "o",
        'Œ' => "OE",
        'œ' => "oe",
        'ß' => "ss",
        'ẞ' => "SS",
        'Đ' | 'Ð' => "D",
        'đ' | 'ð' => "d",
        'Þ' => "Th",
        'þ' => "th",
        'Ł' => "L",
        'ł' => "l",
        'ı' => "i",
        'Ħ' => "H",
        'ħ' => "h",
        '‘' | '’' | 'ʼ' | '′' => "'",
        '“' | '”' | '„' | '«' | '»' | '″' => "'",
        '–' | '—' | '−' | '‐' | '‑' => "-",
        '×' => "x",
        '·' | '•' => "-",
        '€' => "EUR",
        '£' => "GBP",
        '©' => "(c)",
        '®' => "(r)",
        _ => return None,
    })
}
