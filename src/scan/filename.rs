//! What the name of a video or a subtitle says, under the property names of the old system.
//!
//! The crate `hunch` (a port of guessit) does the reading. Around it stands what a library's own names need: provider
//! ids in brackets, subtitles' languages and flags, and repairs of readings that are known to be wrong.
//!
//! Not here: music (`music`), facts (`facts`). Must always hold: several values stand with `|` between them (multi-episode files
//! have `1|2`); numbers are decimal; what is not sure is left out.

use std::sync::LazyLock;

use hunch::{HunchResult, Property};
use regex::Regex;

use super::language;

/// `[tmdbid-754]`, `{tmdb-754}`, `[imdbid=tt0119094]`, `[tvdbid-81189]`.
static PROVIDER_ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)[\[{](tmdb|imdb|tvdb|anidb)(?:id)?[-=](tt\d+|\d+)[\]}]").expect("a constant expression")
});

/// Words between a subtitle's stem and its extension that are no language.
const SUBTITLE_FLAGS: &[&str] = &["forced", "sdh", "cc", "hi", "default", "foreign"];

/// The properties that the path beneath the scanned folder gives.
pub fn properties(relative: &str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for id in PROVIDER_ID.captures_iter(relative.rsplit('/').next().unwrap_or(relative)) {
        found.push((provider(&id[1]), id[2].to_lowercase()));
    }
    let bare = plain(&PROVIDER_ID.replace_all(relative, ""));
    let input = subtitle_suffix(&bare, &mut found);
    let read = hunch::hunch(&input);
    identity(&read, &input, &mut found);
    release(&read, &input, &mut found);
    if relative.split('/').rev().skip(1).any(|folder| folder.eq_ignore_ascii_case("anime")) {
        found.push(("anime", "true".to_owned()));
    }
    found.retain(|(_, value)| !value.is_empty());
    found
}

/// The path with blanks for what the parser takes as an end of the name: control characters and `\\`; without a dash in
/// front of the name, which it takes for a separator.
fn plain(path: &str) -> String {
    let blanked: String = path.chars().map(|c| if c.is_control() || c == '\\' { ' ' } else { c }).collect();
    match blanked.rsplit_once('/') {
        Some((folders, name)) => format!("{folders}/{}", name.trim_start_matches(['-', ' '])),
        None => blanked.trim_start_matches(['-', ' ']).to_owned(),
    }
}

fn provider(name: &str) -> &'static str {
    match name.to_lowercase().as_str() {
        "tmdb" => "tmdbid",
        "imdb" => "imdbid",
        "tvdb" => "tvdbid",
        _ => "anidbid",
    }
}

/// Takes `.en.forced` off a subtitle's name; the parser would read it as a part of the title.
fn subtitle_suffix(input: &str, found: &mut Vec<(&'static str, String)>) -> String {
    let Some((stem, extension)) = input.rsplit_once('.') else { return input.to_owned() };
    if super::facts::file_type(std::path::Path::new(input)) != "subtitle" {
        return input.to_owned();
    }
    let mut stem = stem;
    let mut flags = Vec::new();
    let mut spoken = None;
    while let Some((rest, last)) = stem.rsplit_once('.') {
        let word = last.to_lowercase();
        if SUBTITLE_FLAGS.contains(&word.as_str()) {
            flags.insert(0, word);
        } else if spoken.is_none() && language::code(&word).is_some() {
            spoken = language::code(&word);
        } else {
            break;
        }
        stem = rest;
    }
    found.extend(spoken.map(|code| ("subtitleLanguage", code.to_owned())));
    found.push(("flags", flags.join("|")));
    format!("{stem}.{extension}")
}

/// Which film or episode it is.
fn identity(read: &HunchResult, input: &str, found: &mut Vec<(&'static str, String)>) {
    let own = own_title(read, input);
    let title = own.as_deref().or(read.title()).unwrap_or_default();
    let season = read.first(Property::Season);
    // A dated programme's day is no episode number.
    let episodes =
        if read.date().is_some() && season.is_none() { Vec::new() } else { read.all(Property::Episode) };
    let is_show = season.is_some() || !episodes.is_empty() || read.is_episode();
    // A title that is a year ("2012") is read as the year too.
    let years = read.all(Property::Year);
    let year = years.iter().find(|y| years.len() == 1 || **y != title).copied();
    found.push(("title", title.to_owned()));
    found.push(("videoType", if is_show { "tvshow" } else { "movie" }.to_owned()));
    if let Some(year) = year.filter(|_| read.date().is_none()) {
        found.push((year_property(is_show, year, input), year.to_owned()));
    }
    found.extend(season.map(|s| ("season", s.to_owned())));
    found.push(("episode", episodes.join("|")));
    let others = [
        ("absolute", Property::AbsoluteEpisode),
        ("episodeTitle", Property::EpisodeTitle),
        ("aired", Property::Date),
        ("part", Property::Part),
        ("cd", Property::Cd),
        ("disc", Property::Disc),
    ];
    found.extend(others.iter().filter_map(|(name, p)| read.first(*p).map(|v| (*name, v.to_owned()))));
    // "Final" and "Pilot" are words of titles and of editions, not marks of bonus material.
    let is_bonus = read.is_extra() && !matches!(read.episode_details(), Some("Final" | "Pilot"));
    if is_bonus || read.other().contains(&"Extras") {
        found.push(("extra", "true".to_owned()));
    }
}

/// The title in a film's own name, where the parser preferred a folder's name to a title in small letters. A name with a
/// year is whole; one without ("inc-1080p.mkv") may be a short form of its folder's.
fn own_title(read: &HunchResult, input: &str) -> Option<String> {
    let (folders, name) = input.rsplit_once('/')?;
    let from_folder = read.title() == folders.rsplit('/').next() && read.is_movie();
    let alone = from_folder.then(|| hunch::hunch(name))?;
    alone.year().and(alone.title()).map(str::to_owned)
}

/// A film's year is `movieYear`. A show's is `seriesYear` when a folder carries it; the year in the name of one episode
/// says when that episode ran, and a folder made from it would split the show.
fn year_property(is_show: bool, year: &str, input: &str) -> &'static str {
    let in_a_folder =
        input.rsplit_once('/').is_some_and(|(folders, _)| folders.contains(&format!("({year})")));
    match (is_show, in_a_folder) {
        (false, _) => "movieYear",
        (true, true) => "seriesYear",
        (true, false) => "year",
    }
}

/// Which release of it the file is.
fn release(read: &HunchResult, input: &str, found: &mut Vec<(&'static str, String)>) {
    let quality: Vec<&str> = [read.screen_size(), read.source()].into_iter().flatten().collect();
    found.push(("version", quality.join(" ")));
    let texts = [
        ("resolution", read.screen_size()),
        ("source", read.source()),
        ("releaseGroup", read.release_group()),
        ("video/codec", read.video_codec()),
        ("audio/codec", read.audio_codec()),
        ("audio/channels", read.audio_channels()),
    ];
    found.extend(texts.into_iter().filter_map(|(name, value)| value.map(|v| (name, v.to_owned()))));
    let plain = input.replace(['.', '_'], " ").to_lowercase();
    let final_cut = plain.contains("final cut").then_some("Final Cut");
    found.extend(read.edition().or(final_cut).map(|e| ("edition", e.to_owned())));
    let spoken: Vec<&str> = read.languages().into_iter().filter_map(language::code).collect();
    found.push(("languages", spoken.join("|")));
    if !found.iter().any(|(name, _)| *name == "subtitleLanguage") {
        found.extend(
            read.subtitle_language()
                .and_then(language::code)
                .map(|code| ("subtitleLanguage", code.to_owned())),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The properties as one line, sorted.
    fn read(relative: &str) -> String {
        let mut found = properties(relative);
        found.sort();
        found.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn films_have_title_year_and_release() {
        assert_eq!(
            read("Inception (2010)/Inception.2010.1080p.BluRay.x264-SPARKS.mkv"),
            "movieYear=2010, releaseGroup=SPARKS, resolution=1080p, source=Blu-ray, title=Inception, \
             version=1080p Blu-ray, video/codec=H.264, videoType=movie"
        );
        assert_eq!(
            read("Face Off (1997) [tmdbid-754]/Face Off (1997) [tmdbid-754].mkv"),
            "movieYear=1997, title=Face Off, tmdbid=754, videoType=movie"
        );
        assert_eq!(read("2012 (2009)/2012.2009.mkv"), "movieYear=2009, title=2012, videoType=movie");
        assert!(
            read("Blade.Runner.1982.Final.Cut.2160p.mkv").starts_with("edition=Final Cut, movieYear=1982")
        );
    }

    #[test]
    fn episodes_keep_every_number() {
        assert_eq!(
            read("Planet Earth (2006)/Season 01/Planet Earth - S01E01-E02 - From Pole to Pole.mkv"),
            "episode=1|2, episodeTitle=From Pole to Pole, season=1, seriesYear=2006, \
             title=Planet Earth, videoType=tvshow"
        );
        assert!(read("Doctor.Who.2005.S02E01.mkv").ends_with("videoType=tvshow, year=2005"));
        assert!(read("Planet Earth/Season 00/Planet Earth - S00E01 - Making of.mkv").contains("season=0"));
        assert_eq!(
            read("The.Daily.Show.2020.04.02.Alicia.Keys.mkv"),
            "aired=2020-04-02, episodeTitle=Alicia Keys, title=The Daily Show, videoType=tvshow"
        );
    }

    #[test]
    fn anime_is_known_by_its_folder() {
        let found = read("Anime/[SubsPlease] Toradora! - 05 (1080p) [ABCD1234].mkv");
        assert!(found.starts_with("anime=true, episode=5, releaseGroup=SubsPlease"), "{found}");
    }

    #[test]
    fn subtitles_have_a_language_and_flags() {
        assert_eq!(
            read("Inception.2010.en.forced.srt"),
            "flags=forced, movieYear=2010, subtitleLanguage=eng, title=Inception, videoType=movie"
        );
        assert_eq!(
            read("Planet Earth - S01E01 - Pilot.pt-BR.srt"),
            "episode=1, episodeTitle=Pilot, season=1, subtitleLanguage=por, title=Planet Earth, videoType=tvshow"
        );
        assert_eq!(
            read("It.srt"),
            "title=It, videoType=movie",
            "a title that is a language code stays a title"
        );
    }
}
