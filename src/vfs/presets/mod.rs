//! Rule sets that come with metad.
//!
//! Not here: the language they are written in (`rule`).
//! Must always hold: every preset parses without warnings and shows every record exactly once, in one view at `/`.

use super::rule::RuleSet;

/// Names and texts of all presets; the first is the default.
pub const PRESETS: &[(&str, &str)] =
    &[("jellyfin", include_str!("jellyfin.toml")), ("upstream", include_str!("upstream.toml"))];

impl RuleSet {
    /// The preset called `name`.
    pub fn preset(name: &str) -> Option<RuleSet> {
        let (_, text) = PRESETS.iter().find(|(known, _)| *known == name)?;
        Some(RuleSet::parse(text).expect("presets parse: a test reads each of them"))
    }
}

impl Default for RuleSet {
    /// The preset `jellyfin`.
    fn default() -> Self {
        RuleSet::preset("jellyfin").expect("the default preset is in the table")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn record(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(';').map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).collect()
    }

    fn path(preset: &str, text: &str) -> String {
        let rules = RuleSet::preset(preset).unwrap();
        let placed = rules.place(&record(text));
        assert_eq!(placed.len(), 1, "every record is shown exactly once");
        placed[0].path.clone()
    }

    #[test]
    fn every_preset_parses_without_warnings_and_prints_itself() {
        for (name, _) in PRESETS {
            let rules = RuleSet::preset(name).unwrap();
            assert_eq!(rules.warnings(), [], "{name}");
            assert_eq!(RuleSet::parse(&rules.to_string()).unwrap().to_string(), rules.to_string(), "{name}");
        }
    }

    #[test]
    fn the_default_layout_is_what_jellyfin_documents() {
        for (fields, expected) in [
            (
                "filePath=m/inception.mkv;title=Inception;year=2010",
                "Movies/Inception (2010)/Inception (2010).mkv",
            ),
            (
                "filePath=a.mkv;title=Heat;movieYear=1995;version=2160p;edition=Director's Cut",
                "Movies/Heat (1995)/Heat (1995) - Director's Cut - 2160p.mkv",
            ),
            ("filePath=b.mkv;title=Show;season=1;episode=[1,2]", "TV/Show/Season 01/Show - S01E01-E02.mkv"),
            (
                "filePath=b.en.srt;title=Show;season=0;episode=3;subtitleLanguage=eng;flags=forced",
                "TV/Show/Season 00/Show - S00E03.en.forced.srt",
            ),
            (
                "filePath=x/making of.mkv;title=Heat;year=1995;extra=true",
                "Movies/Heat (1995)/extras/making of.mkv",
            ),
            (
                "filePath=c.mkv;titles/jpn=とらドラ!;title=Toradora;anime=true;episode=1",
                "Anime/Toradora/Season 01/Toradora - S01E01.mkv",
            ),
            (
                "filePath=h.flac;title=Heaven;artist=Talking Heads;album=Stop Making Sense;year=1984;disc=1;track=3/16",
                "Music/Talking Heads/Stop Making Sense (1984)/1-03 - Heaven.flac",
            ),
            ("filePath=/files/watch/readme", "Unsorted/readme"),
            ("filePath=/", "Unsorted/_"),
            ("filePath=a/poster.jpg", "Images/poster.jpg"),
        ] {
            assert_eq!(path("jellyfin", fields), expected, "{fields}");
        }
    }

    #[test]
    fn the_old_layout_gives_the_old_paths() {
        for (fields, expected) in [
            (
                "filePath=a.mkv;title=Mission: Impossible;movieYear=1996;version=1080p BluRay",
                "Movies/Mission Impossible (1996)/Mission Impossible (1996) 1080p BluRay.mkv",
            ),
            (
                "filePath=a.srt;originalTitle=Show;season=01;episode=2;subtitleLanguage=eng",
                "TV Shows/Show/S01/Show S01E02.eng.srt",
            ),
            (
                "filePath=a.mkv;title=Show;season=1;episode=2;extra=true",
                "TV Shows/Show/extra/Show S01E02.mkv",
            ),
            ("filePath=a.mkv;title=Show;season=1", "Unsorted/a.mkv"),
            ("filePath=a.mkv;extra=true", "Unsorted/a.mkv"),
            ("filePath=p.jpg;fileType=document", "Images/p.jpg"),
        ] {
            assert_eq!(path("upstream", fields), expected, "{fields}");
        }
    }
}
