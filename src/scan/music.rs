//! What path and name of a music file say: `Artist/Album (Year)/01 - Title.flac`.
//!
//! The filename parser for films and series makes nonsense of music, so music is read by its folders.
//!
//! Not here: tags inside the file. Must always hold: what is not sure is left out.

/// Folders that say "here is music" and are no artist.
const SHELVES: &[&str] = &["music", "audio", "songs", "albums", "media"];

/// The properties that the path beneath the scanned folder gives.
pub fn properties(relative: &str) -> Vec<(&'static str, String)> {
    let mut parts: Vec<&str> = relative.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut found = Vec::new();
    let (track, title) = split_track(stem);
    if let Some(track) = track {
        found.push(("track", track));
    }
    found.push(("title", title));
    let is_shelf = |folder: &str| SHELVES.contains(&folder.to_lowercase().as_str());
    if let [.., artist, album] = parts[..]
        && !is_shelf(artist)
        && !is_shelf(album)
    {
        let (album, year) = split_year(album);
        found.push(("artist", artist.to_owned()));
        found.push(("album", album));
        if let Some(year) = year {
            found.push(("year", year));
        }
    }
    found.retain(|(_, value)| !value.is_empty());
    found
}

/// `07 - Title`, `07. Title`, `07 Title`: the number without leading zeros, and the title.
fn split_track(stem: &str) -> (Option<String>, String) {
    let digits = stem.len() - stem.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = &stem[digits..];
    let title = rest.trim_start_matches([' ', '.', '-', '_']);
    // Three digits and more are a title ("1979", "99 Luftballons" has a blank but is rare enough to lose).
    if digits == 0 || digits > 2 || title.is_empty() || title.len() == rest.len() {
        return (None, stem.trim().to_owned());
    }
    let number = stem[..digits].trim_start_matches('0');
    (Some(if number.is_empty() { "0" } else { number }.to_owned()), title.trim().to_owned())
}

/// `Album (1984)`: the album and the year.
fn split_year(album: &str) -> (String, Option<String>) {
    let year = album
        .strip_suffix([')', ']'])
        .and_then(|a| a.rsplit_once(['(', '[']))
        .filter(|(_, year)| year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()));
    match year {
        Some((name, year)) => (name.trim().to_owned(), Some(year.to_owned())),
        None => (album.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_numbers_are_read() {
        let found = properties("Music/Talking Heads/Stop Making Sense (1984)/03 - Heaven.flac");
        let expected = [
            ("track", "3"),
            ("title", "Heaven"),
            ("artist", "Talking Heads"),
            ("album", "Stop Making Sense"),
            ("year", "1984"),
        ];
        assert_eq!(found, expected.map(|(k, v)| (k, v.to_owned())));
    }

    #[test]
    fn what_is_not_sure_is_left_out() {
        assert_eq!(properties("1979.mp3"), [("title", "1979".to_owned())]);
        assert_eq!(properties("Music/Album/Song.mp3"), [("title", "Song".to_owned())]);
    }
}
