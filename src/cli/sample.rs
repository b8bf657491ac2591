//! The sample library of `metad demo`: films, a series with specials, anime, music, subtitles, and names that hurt.
//!
//! Not here: the demo itself. Must always hold: every file has a content of its own, so that no two share an id; big files
//! are sparse and cost no disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Paths of the library. The ending decides size and content.
const FILES: &[&str] = &[
    "Movies/Inception (2010)/Inception.2010.1080p.BluRay.x264-SPARKS.mkv",
    "Movies/Inception (2010)/Inception.2010.2160p.UHD.BluRay.HEVC-GRP.mkv",
    "Movies/Inception (2010)/Inception.2010.en.srt",
    "Movies/Inception (2010)/Inception.2010.en.forced.srt",
    "Movies/Inception (2010)/poster.jpg",
    "Movies/Blade Runner (1982)/Blade.Runner.1982.Final.Cut.1080p.BluRay.mkv",
    "Movies/Blade Runner (1982)/Blade.Runner.1982.Theatrical.DVD.avi",
    "Movies/Amélie (2001)/Amélie.2001.FRENCH.720p.WEB-DL.mkv",
    "Movies/Amélie (2001)/Amélie.2001.fr.srt",
    "Movies/Face Off (1997) [tmdbid-754]/Face Off (1997) [tmdbid-754].mkv",
    "Movies/2012 (2009)/2012.2009.1080p.mkv",
    "Movies/1917.2019.1080p.mp4",
    "Movies/Heat.1995.cd1.avi",
    "Movies/Heat.1995.cd2.avi",
    "Movies/S.W.A.T. (2003)/S.W.A.T..2003.720p.mkv",
    "Movies/千と千尋の神隠し (2001).mkv",
    "Movies/Æon Flux (2005).mkv",
    "Movies/M (1931).mkv",
    "Movies/Solaris.1972.mkv",
    "Movies/Solaris.2002.mkv",
    "Shows/Planet Earth (2006)/Season 01/Planet Earth - S01E01-E02 - From Pole to Pole.mkv",
    "Shows/Planet Earth (2006)/Season 01/Planet Earth - S01E01-E02 - From Pole to Pole.en.srt",
    "Shows/Planet Earth (2006)/Season 01/Planet.Earth.S01E03.720p.WEB-DL.mkv",
    "Shows/Planet Earth (2006)/Season 01/Planet.Earth.S01E04.720p.WEB-DL.mkv",
    "Shows/Planet Earth (2006)/Season 01/Planet.Earth.S01E04.1080p.BluRay.mkv",
    "Shows/Planet Earth (2006)/Season 01/Planet.Earth.S01E05.720p.WEB-DL.mkv",
    "Shows/Planet Earth (2006)/Season 00/Planet Earth - S00E01 - Making of.mkv",
    "Shows/Planet Earth (2006)/Season 00/Planet Earth - S00E02 - The Future.mkv",
    "Shows/The Daily Show/The.Daily.Show.2020.04.02.Alicia.Keys.mkv",
    "Shows/The Daily Show/The.Daily.Show.2020.04.03.mkv",
    "Shows/Dark/Dark.S01E01.GERMAN.1080p.NF.WEB-DL.mkv",
    "Shows/Dark/Dark.S01E02.GERMAN.1080p.NF.WEB-DL.mkv",
    "Shows/Dark/Dark.S01E02.GERMAN.1080p.NF.WEB-DL.de.srt",
    "Shows/Mr. Robot/Season 1/Mr. Robot - 1x01 - eps1.0_hellofriend.mov.mkv",
    "Anime/Cowboy Bebop/[Group] Cowboy Bebop - 01 (1080p) [A1B2C3D4].mkv",
    "Anime/Cowboy Bebop/[Group] Cowboy Bebop - 02 (1080p) [A1B2C3D5].mkv",
    "Anime/Toradora!/[SubsPlease] Toradora! - 05 (1080p) [ABCD1234].mkv",
    "Anime/とらドラ！/とらドラ！ S01E06.mkv",
    "Anime/Akira (1988).mkv",
    "Music/Talking Heads/Stop Making Sense (1984)/01 - Psycho Killer.flac",
    "Music/Talking Heads/Stop Making Sense (1984)/02 - Heaven.flac",
    "Music/Talking Heads/Stop Making Sense (1984)/03 - Thank You for Sending Me an Angel.flac",
    "Music/Talking Heads/Stop Making Sense (1984)/cover.jpg",
    "Music/Björk/Homogenic (1997)/01 - Hunter.mp3",
    "Music/Björk/Homogenic (1997)/02 - Jóga.mp3",
    "Books/Mary Shelley/Frankenstein.epub",
    "Downloads/readme.txt",
    "Downloads/archive.zip",
    "Hostile/CON.mkv",
    "Hostile/What If... (2014)..mkv",
    "Hostile/A: B \"C\" <D> | E* (2020).mkv",
    "Hostile/back\\slash (2021).mkv",
    "Hostile/new\nline (2022).mkv",
    "Hostile/bell\u{7} (2022).mkv",
    "Hostile/🎬 Party 🎉 (2020).mkv",
    "Hostile/ leading and trailing  (2019) .mkv",
    "Hostile/-rf (2018).mkv",
    "Hostile/%2e%2e%2fetc (2017).mkv",
    // The same word composed and decomposed: two names for a disk, one for a Mac.
    "Hostile/Am\u{e9}lie NFC (2001).mkv",
    "Hostile/Ame\u{301}lie NFD (2001).mkv",
];

/// A name that is no UTF-8.
const LATIN1: &[u8] = b"Hostile/caf\xe9 (2016).mkv";

/// Makes the library in `root` and answers the number of its files.
///
/// # Errors
/// What the file system says.
pub fn make(root: &Path) -> io::Result<usize> {
    let long = format!("Hostile/{} (2015).mkv", "long ".repeat(48).trim());
    let mut names: Vec<&[u8]> = FILES.iter().map(|f| f.as_bytes()).collect();
    names.push(long.as_bytes());
    names.push(LATIN1);
    for (number, name) in names.iter().enumerate() {
        let path = root.join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().expect("every sample lies in a folder"))?;
        write(&path, number as u64)?;
    }
    Ok(names.len())
}

fn write(path: &Path, number: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let extension = crate::scan::facts::extension(path);
    match extension.as_str() {
        "srt" => write!(file, "1\n00:00:01,000 --> 00:00:03,000\nLine {number} of the metad demo.\n"),
        "txt" => writeln!(file, "metad demo: files that no rule claims are in Unsorted."),
        "mkv" | "mp4" | "avi" => {
            writeln!(file, "metad demo video {number}")?;
            // The id reads only size and middle, which is a hole here: the size makes it unique.
            file.set_len(8 * 1024 * 1024 + number * 4096)
        }
        _ => writeln!(file, "metad demo file {number}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ops::ControlFlow;

    use super::*;
    use crate::scan::{Event, Options, scan};
    use crate::vfs::rule::RuleSet;

    #[test]
    fn every_sample_becomes_a_record_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let count = make(dir.path()).unwrap();
        assert!(count >= 60, "{count}");
        let mut ids = BTreeSet::new();
        let options = Options { root: dir.path().to_owned(), files: dir.path().to_owned(), threads: 2 };
        scan(&options, &mut |event| {
            match event {
                Event::Record(line) => assert!(ids.insert(line.hash_id.clone()), "{line:?} shares its id"),
                other => panic!("{other:?}"),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(ids.len(), count);
    }

    /// The default rules on what `scan` finds: whoever runs the demo sees this tree.
    #[test]
    fn the_default_rules_put_samples_where_people_look() {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path()).unwrap();
        let rules = RuleSet::preset("jellyfin").unwrap();
        let mut placed = BTreeMap::new();
        let options = Options { root: dir.path().to_owned(), files: dir.path().to_owned(), threads: 2 };
        scan(&options, &mut |event| {
            if let Event::Record(line) = event {
                let text = |(name, value): (String, Vec<u8>)| Some((name, String::from_utf8(value).ok()?));
                let fields: BTreeMap<String, String> = line.properties.into_iter().filter_map(text).collect();
                if let Some(path) = fields.get("filePath") {
                    placed.insert(path.clone(), rules.place(&fields)[0].path.clone());
                }
            }
            ControlFlow::Continue(())
        })
        .unwrap();
        for (path, expected) in [
            (FILES[0], "Movies/Inception (2010)/Inception (2010) - 1080p Blu-ray.mkv"),
            ("Movies/2012 (2009)/2012.2009.1080p.mkv", "Movies/2012 (2009)/2012 (2009) - 1080p.mkv"),
            (FILES[20], "TV/Planet Earth (2006)/Season 01/Planet Earth - S01E01-E02 - From Pole to Pole.mkv"),
            (
                "Shows/The Daily Show/The.Daily.Show.2020.04.03.mkv",
                "TV/The Daily Show/Season 2020/The Daily Show - 2020-04-03.mkv",
            ),
            ("Anime/とらドラ！/とらドラ！ S01E06.mkv", "Anime/とらドラ！/Season 01/とらドラ！ - S01E06.mkv"),
            ("Music/Björk/Homogenic (1997)/02 - Jóga.mp3", "Music/Björk/Homogenic (1997)/02 - Jóga.mp3"),
            ("Hostile/CON.mkv", "Movies/CON_/CON_.mkv"),
            ("Hostile/new\nline (2022).mkv", "Movies/new line (2022)/new line (2022).mkv"),
            ("Hostile/back\\slash (2021).mkv", "Movies/back slash (2021)/back slash (2021).mkv"),
            ("Hostile/-rf (2018).mkv", "Movies/rf (2018)/rf (2018).mkv"),
            ("Downloads/readme.txt", "Unsorted/readme.txt"),
        ] {
            assert_eq!(placed.get(path).map(String::as_str), Some(expected), "{path:?}");
        }
    }
}
