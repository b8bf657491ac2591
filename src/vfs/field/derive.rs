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

/// Reads a field of a record.
pub fn find<'a>(fields: &'a dyn Fields, name: &'a str, kind: Kind) -> Option<Found<'a>> {
    match kind {
        Kind::Text => text(fields, name),
        Kind::Number => number(fields, name),
        Kind::Year => year(fields, name),
        Kind::List => items(fields, name),
        Kind::Flag => {
            let value = fields.get(name).filter(|t| *t == "true")?;
            Some(Found { value: Value::Text(Cow::Borrowed(value)), source: name })
        }
        Kind::FileName => text(fields, name).or_else(|| file_name(fields)),
        Kind::Extension => text(fields, name).or_else(|| extension(fields)),
        Kind::FileType => text(fields, name).or_else(|| file_type(fields)),
    }
}

/// The property as it is; a name with `/` may also be stored with dots.
fn text<'a>(fields: &'a dyn Fields, name: &'a str) -> Option<Found<'a>> {
    let plain = fields.get(name);
    let value = match plain {
        None if name.contains('/') => fields.get(&name.replace('/', ".")),
        value => value,
    }?;
    Some(Found { value: Value::Text(Cow::Borrowed(value)), source: name })
}

fn number<'a>(fields: &'a dyn Fields, name: &'a str) -> Option<Found<'a>> {
    if let Some(value) = fields.get(name) {
        // Tags of music files say "3/12": track three of twelve.
        let first = if matches!(name, "disc" | "track") { value.split('/').next() } else { Some(value) };
        return numbers(first.unwrap_or(value)).map(|value| Found { value, source: name });
    }
    let all = below(fields, name);
    let value = if all.is_empty() { None } else { numbers(&all.join(",")) }?;
    Some(Found { value, source: name })
}

/// Four digits in front are enough: writers also store dates here. Zero means that nobody knows.
fn year<'a>(fields: &'a dyn Fields, name: &'a str) -> Option<Found<'a>> {
    let read = |name: &'a str| {
        let text = fields.get(name)?.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let dated =
            digits == 4 && text.as_bytes().get(4).is_none_or(|b| matches!(b, b'-' | b'/' | b'.' | b'T'));
        let year = if dated { whole(&text[..4]) } else { whole(text) }?;
        (1..=9999).contains(&year).then_some(Found { value: Value::Number(year), source: name })
    };
    read(name).or_else(|| if name == "year" { read("movieYear") } else { None })
}

fn items<'a>(fields: &'a dyn Fields, name: &'a str) -> Option<Found<'a>> {
    let all = match fields.get(name) {
        Some(value) => split(value),
        None => below(fields, name).into_iter().map(Cow::Borrowed).collect(),
    };
    list(all).map(|value| Found { value, source: name })
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

/// The last component of `filePath`; `_` when the path has none, so that every file has a name.
fn file_name(fields: &dyn Fields) -> Option<Found<'_>> {
    let path = fields.get("filePath")?;
    let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let base = if base.is_empty() { "_" } else { base };
    Some(Found { value: Value::Text(Cow::Borrowed(base)), source: "filePath" })
}

fn extension(fields: &dyn Fields) -> Option<Found<'_>> {
    let (name, source) = match fields.get("fileName") {
        Some(name) => (name, "fileName"),
        None => {
            let path = fields.get("filePath")?;
            (path.rsplit('/').next().unwrap_or(path), "filePath")
        }
    };
    let extension = &name[crate::vfs::name::extension_at(name)? + 1..];
    let value = if extension.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(extension.to_ascii_lowercase())
    } else {
        Cow::Borrowed(extension)
    };
    Some(Found { value: Value::Text(value), source })
}

fn file_type(fields: &dyn Fields) -> Option<Found<'_>> {
    let found = match fields.get("extension") {
        Some(value) => Found { value: Value::Text(Cow::Borrowed(value)), source: "extension" },
        None => extension(fields)?,
    };
    let file_type = file_type_of(&found.value.text().to_ascii_lowercase())?;
    Some(Found { value: Value::Text(Cow::Borrowed(file_type)), source: found.source })
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
