//! Facts about a file: path, name, type, size and time, under the names that the old system's writers use.
//!
//! Source: research/upstream.md §4.2. Numbers are decimal strings; `mtime` is an RFC 3339 date in UTC.
//!
//! Not here: what the name says about the content (`filename`, `music`).
//! Must always hold: `filePath` is relative to FILES_PATH for files beneath it, byte for byte, also when the name is no UTF-8.

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Extensions by file type. Images are documents, as in the old system; their `mimeType` tells them apart.
const TYPES: &[(&str, &[&str])] = &[
    (
        "video",
        &[
            "mkv", "mp4", "avi", "mov", "wmv", "flv", "webm", "m4v", "mpg", "mpeg", "m2ts", "mts", "ts",
            "vob", "ogv", "3gp", "iso", "divx", "rmvb", "asf", "strm",
        ],
    ),
    (
        "audio",
        &[
            "mp3", "flac", "m4a", "m4b", "ogg", "oga", "opus", "wav", "wma", "aac", "ape", "alac", "aiff",
            "wv", "dsf", "mka", "ac3", "dts",
        ],
    ),
    ("subtitle", &["srt", "sub", "sbv", "vtt", "ass", "ssa", "idx", "sup", "smi"]),
    (
        "document",
        &[
            "jpg", "jpeg", "png", "gif", "webp", "bmp", "tiff", "svg", "avif", "pdf", "epub", "mobi", "azw3",
            "cbz", "cbr", "txt", "nfo", "md", "doc", "docx", "odt", "rtf", "html", "opf", "lrc",
        ],
    ),
    ("archive", &["zip", "rar", "7z", "tar", "gz", "bz2", "xz", "zst"]),
    ("torrent", &["torrent"]),
];

/// Types that the general table lacks or gets wrong for media.
const MIME_OVERRIDES: &[(&str, &str)] = &[
    ("mkv", "video/x-matroska"),
    ("mka", "audio/x-matroska"),
    ("ts", "video/mp2t"),
    ("mts", "video/mp2t"),
    ("m2ts", "video/mp2t"),
    ("srt", "application/x-subrip"),
    ("vtt", "text/vtt"),
    ("ass", "text/x-ssa"),
    ("ssa", "text/x-ssa"),
    ("sub", "text/plain"),
    ("nfo", "text/plain"),
    ("flac", "audio/flac"),
    ("opus", "audio/opus"),
    ("m4b", "audio/mp4"),
];

/// Size and time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Seconds since the Unix epoch of the last change.
    pub mtime_seconds: i64,
}

impl Stat {
    /// From what the operating system says.
    pub fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), mtime_seconds: metadata.mtime() }
    }
}

/// The extension in lower case, without the dot; empty when there is none.
pub fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// `video`, `audio`, `subtitle`, `document`, `archive`, `torrent` or `other`, by extension.
pub fn file_type(path: &Path) -> &'static str {
    let extension = extension(path);
    TYPES.iter().find(|(_, all)| all.contains(&extension.as_str())).map_or("other", |(kind, _)| kind)
}

/// The media type, by extension.
pub fn mime_type(path: &Path) -> String {
    let extension = extension(path);
    match MIME_OVERRIDES.iter().find(|(e, _)| *e == extension) {
        Some((_, mime)) => (*mime).to_owned(),
        None => mime_guess::from_ext(&extension).first_or_octet_stream().to_string(),
    }
}

/// The facts of the file at `path`, which is absolute.
pub fn facts(files: &Path, path: &Path, stat: &Stat) -> Vec<(String, Vec<u8>)> {
    let stored = path.strip_prefix(files).unwrap_or(path);
    let name = path.file_name().unwrap_or_default();
    let mut facts = vec![
        ("filePath".to_owned(), stored.as_os_str().as_bytes().to_vec()),
        ("fileName".to_owned(), name.as_bytes().to_vec()),
        ("fileType".to_owned(), file_type(path).into()),
        ("mimeType".to_owned(), mime_type(path).into_bytes()),
        ("sizeByte".to_owned(), stat.size.to_string().into_bytes()),
    ];
    let extension = extension(path);
    if !extension.is_empty() {
        facts.push(("extension".to_owned(), extension.into_bytes()));
    }
    // A time that no calendar holds is left out: a wrong one would sort the file to the front of "recently added".
    if let Ok(time) = jiff::Timestamp::from_second(stat.mtime_seconds) {
        facts.push(("mtime".to_owned(), time.to_string().into_bytes()));
    }
    facts
}
