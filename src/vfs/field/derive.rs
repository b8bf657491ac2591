//! How each field is read, and what stands in when its property is absent.
//!
//! Not here: fields whose name means nothing to us; they are plain text.
//! Must always hold: `sources` names every property that `find` may look at, because a change of any of them can move
//! the file.
//! Source: research of the old system's readers (upstream §3.2).

use std::borrow::Cow;

use super::value::{list, numbers, split, whole};
use super::{Fields, Found, Kind, Value};

/// Properties that known writers set, for suggestions only: any other name is a field too.
pub const KNOWN_FIELDS: &[&str] = &[
    "filePath",
    "fileName",
    "extension",
    "fileType",
    "mimeType",
    "videoType",
    "mediaType",
    "sizeByte",
    "size",
    "fileSize",
    "title",
    "originalTitle",
    "titles/eng",
    "titles/jpn",
    "titles/jpl",
    "season",
    "episode",
    "increment",
    "absolute",
    "episodeTitle",
    "aired",
    "year",
    "movieYear",
    "seriesYear",
    "releasedate",
    "premiered",
    "version",
    "edition",
    "resolution",
    "source",
    "releaseGroup",
    "videoCodec",
    "audioCodec",
    "extra",
    "anime",
    "subtitleLanguage",
    "language",
    "languages",
    "flags",
    "trackTitle",
    "genre",
    "genres",
    "studio",
    "tags",
    "rating",
    "mpaa",
    "tmdbid",
    "imdbid",
    "tvdbid",
    "anidbid",
    "artist",
    "albumArtist",
    "album",
    "track",
    "disc",
    "poster",
    "backdrop",
    "plot",
    "mtime",
    "ctime",
    "director",
    "part",
    "cd",
    "videos",
    "subtitles",
];

/// How the field called `name` (with `/`) is read.
pub fn kind_of(name: &str) -> Kind {
    match name {
        "season" | "episode" | "increment" | "absolute" | "disc" | "track" | "part" | "cd" => Kind::Number,
        "year" | "movieYear" | "seriesYear" => Kind::Year,
        "genre" | "genres" | "studio" | "studios" | "tags" | "language" | "languages" | "flags"
        | "actors" | "director" | "directors" => Kind::List,
        "extra" => Kind::Flag,
        "fileName" => Kind::FileName,
        "extension" => Kind::Extension,
        "fileType" => Kind::FileType,
        _ => Kind::Text,
    }
}

/// The properties that a field can come from, itself first.
pub fn sources(name: &str) -> Vec<String> {
    let more: &[&str] = match name {
        "year" => &["movieYear"],
        "fileName" => &["filePath"],
        "extension" => &["fileName", "filePath"],
        "fileType" => &["extension", "fileName", "filePath"],
        _ => &[],
    };
    std::iter::once(name).chain(more.iter().copied()).map(str::to_owned).collect()
}

/// The properties that [`find`] asks for by their number in this list.
pub fn reads(name: &str, kind: Kind) -> Vec<String> {
    let mut all = sources(name);
    match kind {
        // A name with `/` may also be stored with dots.
        Kind::Text if name.contains('/') => all.push(name.replace('/', ".")),
        // The first item of an array that its writer flattened shows that there is one.
        Kind::Number | Kind::List => all.push(format!("{name}/0")),
        Kind::Text | Kind::Year | Kind::Flag | Kind::FileName | Kind::Extension | Kind::FileType => {}
    }
    all
}

/// The text of the property with this number in [`reads`], and its name.
type Read<'r, 'a> = &'r dyn Fn(usize) -> Option<(&'a str, &'a str)>;

/// Works a field out. `read` gives the texts of the properties in [`reads`].
pub fn find<'a>(fields: &'a dyn Fields, name: &str, kind: Kind, read: Read<'_, 'a>) -> Option<Found<'a>> {
    let first = |many: usize| (0..many).find_map(read).map(|(text, source)| plain(text, source));
    match kind {
        Kind::Text => first(2),
        Kind::Number => number(fields, name, read),
        Kind::Year => (0..2).filter_map(read).find_map(|(text, source)| year(text, source)),
        Kind::List => items(fields, name, read),
        Kind::Flag => first(1).filter(|found| found.value.text() == "true"),
        Kind::FileName => {
            read(0).map(|(t, s)| plain(t, s)).or_else(|| read(1).map(|(t, s)| plain(base(t), s)))
        }
        Kind::Extension => read(0).map(|(t, s)| plain(t, s)).or_else(|| extension(read(1), read(2))),
        Kind::FileType => read(0).map(|(t, s)| plain(t, s)).or_else(|| file_type(read)),
    }
}

fn plain<'a>(text: &'a str, source: &'a str) -> Found<'a> {
    Found { value: Value::Text(Cow::Borrowed(text)), source }
}

fn number<'a>(fields: &'a dyn Fields, name: &str, read: Read<'_, 'a>) -> Option<Found<'a>> {
    if let Some((text, source)) = read(0) {
        // Tags of music files say "3/12": track three of twelve.
        let first = if matches!(name, "disc" | "track") { text.split('/').next() } else { Some(text) };
        return numbers(first.unwrap_or(text)).map(|value| Found { value, source });
    }
    let (_, source) = read(1)?;
    let value = numbers(&below(fields, name).join(","))?;
    Some(Found { value, source })
}

/// Four digits in front are enough: writers also store dates here. Zero means that nobody knows.
fn year<'a>(text: &str, source: &'a str) -> Option<Found<'a>> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let dated = digits == 4 && text.as_bytes().get(4).is_none_or(|b| matches!(b, b'-' | b'/' | b'.' | b'T'));
    let year = if dated { whole(&text[..4]) } else { whole(text) }?;
    (1..=9999).contains(&year).then_some(Found { value: Value::Number(year), source })
}

fn items<'a>(fields: &'a dyn Fields, name: &str, read: Read<'_, 'a>) -> Option<Found<'a>> {
    let (all, source) = match (read(0), read(1)) {
        (Some((text, source)), _) => (split(text), source),
        (None, Some((_, source))) => (below(fields, name).into_iter().map(Cow::Borrowed).collect(), source),
        (None, None) => return None,
    };
    list(all).map(|value| Found { value, source })
}

/// An array that its writer flattened into `name/0`, `name/1`, …, in the order of the numbers.
fn below<'a>(fields: &'a dyn Fields, name: &str) -> Vec<&'a str> {
    let mut all = Vec::new();
    let prefix = format!("{name}/");
    fields.below(&prefix, &mut |at, value| {
        if let Some(at) = whole(&at[prefix.len()..]) {
            all.push((at, value));
        }
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, value)| value).take(crate::limits::VALUE_ITEMS_MAX).collect()
}

/// The last component of a path; `_` when it has none, so that every file has a name.
fn base(path: &str) -> &str {
    let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if base.is_empty() { "_" } else { base }
}

/// The extension of a file by its name, else by its path; in lower case.
fn extension<'a>(name: Option<(&'a str, &'a str)>, path: Option<(&'a str, &'a str)>) -> Option<Found<'a>> {
    let (name, source) = name.or_else(|| path.map(|(path, source)| (base(path), source)))?;
    let extension = &name[crate::vfs::name::extension_at(name)? + 1..];
    let value = if extension.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(extension.to_ascii_lowercase())
    } else {
        Cow::Borrowed(extension)
    };
    Some(Found { value: Value::Text(value), source })
}

fn file_type<'a>(read: Read<'_, 'a>) -> Option<Found<'a>> {
    let found = match read(1) {
        Some((text, source)) => plain(text, source),
        None => extension(read(2), read(3))?,
    };
    let file_type = file_type_of(&found.value.text().to_ascii_lowercase())?;
    Some(plain(file_type, found.source))
}

/// The type of a file by its extension (lower case, without a dot).
pub fn file_type_of(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "mkv" | "mp4" | "avi" | "mov" | "wmv" | "flv" | "webm" | "m4v" | "mpg" | "mpeg" | "ts" | "m2ts"
        | "ogv" | "3gp" | "vob" | "divx" => "video",
        "mp3" | "flac" | "m4a" | "m4b" | "ogg" | "oga" | "opus" | "wav" | "wma" | "aac" | "ape" | "aiff"
        | "mka" => "audio",
        "srt" | "ass" | "ssa" | "sub" | "idx" | "vtt" | "sup" | "sbv" => "subtitle",
        "jpg" | "jpeg" | "png" | "webp" | "gif" | "bmp" | "avif" | "tif" | "tiff" => "image",
        "torrent" => "torrent",
        "pdf" | "epub" | "mobi" | "cbz" | "cbr" | "txt" | "nfo" | "md" => "document",
        "zip" | "rar" | "7z" | "tar" | "gz" => "archive",
        _ => return None,
    })
}
