//! Languages as people and parsers write them, as ISO 639-3 codes: `en`, `eng`, `English` are all `eng`.
//!
//! Not here: every language there is; what is not in the table is left out rather than guessed.
//! Must always hold: codes and names are unique, so that an answer does not depend on the table's order.

/// ISO 639-3 code, ISO 639-1 code, other spellings in lower case.
const LANGUAGES: &[(&str, &str, &[&str])] = &[
    ("ara", "ar", &["arabic"]),
    ("bul", "bg", &["bulgarian"]),
    ("cat", "ca", &["catalan"]),
    ("ces", "cs", &["cze", "czech"]),
    ("dan", "da", &["danish"]),
    ("deu", "de", &["ger", "german"]),
    ("ell", "el", &["gre", "greek"]),
    ("eng", "en", &["english", "en-us", "en-gb"]),
    ("est", "et", &["estonian"]),
    ("fas", "fa", &["per", "persian"]),
    ("fin", "fi", &["finnish"]),
    ("fra", "fr", &["fre", "french", "fr-ca"]),
    ("heb", "he", &["hebrew"]),
    ("hin", "", &["hindi"]),
    ("hrv", "hr", &["croatian"]),
    ("hun", "hu", &["hungarian"]),
    ("ind", "id", &["indonesian"]),
    ("isl", "is", &["ice", "icelandic"]),
    ("ita", "it", &["italian"]),
    ("jpn", "ja", &["japanese", "jp"]),
    ("kor", "ko", &["korean"]),
    ("lav", "lv", &["latvian"]),
    ("lit", "lt", &["lithuanian"]),
    ("msa", "ms", &["may", "malay"]),
    ("nld", "nl", &["dut", "dutch", "nl-be"]),
    ("nor", "no", &["norwegian", "nob", "nb"]),
    ("pol", "pl", &["polish"]),
    ("por", "pt", &["portuguese", "pt-br", "pt-pt"]),
    ("ron", "ro", &["rum", "romanian"]),
    ("rus", "ru", &["russian"]),
    ("slk", "sk", &["slo", "slovak"]),
    ("slv", "sl", &["slovenian"]),
    ("spa", "es", &["spanish", "es-419", "es-es", "es-mx"]),
    ("srp", "sr", &["serbian"]),
    ("swe", "sv", &["swedish"]),
    ("tha", "th", &["thai"]),
    ("tur", "tr", &["turkish"]),
    ("ukr", "uk", &["ukrainian"]),
    ("vie", "vi", &["vietnamese"]),
    (
        "zho",
        "zh",
        &["chi", "chinese", "simplified chinese", "traditional chinese", "zh-cn", "zh-tw", "chs", "cht"],
    ),
];

/// The ISO 639-3 code of a language. `hi` alone is not Hindi here: behind a subtitle's name it stands for "hearing
/// impaired" as often.
pub fn code(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let found = LANGUAGES.iter().find(|(three, two, others)| {
        *three == lower || (!two.is_empty() && *two == lower) || others.contains(&lower.as_str())
    });
    found.map(|(three, _, _)| *three)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn spellings_are_unique() {
        let mut seen = BTreeSet::new();
        for (three, two, others) in LANGUAGES {
            for spelling in [three, two].into_iter().chain(*others).filter(|s| !s.is_empty()) {
                assert!(seen.insert(spelling), "{spelling} stands twice");
            }
        }
    }

    #[test]
    fn spellings_of_one_language_give_one_code() {
        for text in ["en", "ENG", "English", "en-GB"] {
            assert_eq!(code(text), Some("eng"));
        }
        assert_eq!(code("hi"), None);
        assert_eq!(code("klingon"), None);
    }
}
