//! Content types of files by their extension.
//!
//! Not here: anything about their bytes. Must always hold: what the old core knew has the same type here.
//!
//! Source: research/upstream.md §2.1, `GET /file/{cid}`.

/// Types of the old core first, then what stands beside videos.
const TYPES: [(&str, &str); 20] = [
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("mp4", "video/mp4"),
    ("mkv", "video/x-matroska"),
    ("avi", "video/x-msvideo"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    ("ts", "video/mp2t"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4v", "video/mp4"),
    ("mp3", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("srt", "application/x-subrip"),
    ("vtt", "text/vtt"),
    ("ass", "text/x-ssa"),
    ("txt", "text/plain; charset=utf-8"),
    ("nfo", "text/xml"),
];

/// The content type of a file with this name or path.
pub(in crate::http) fn content_type(name: &str) -> &'static str {
    let name = name.rsplit('/').next().unwrap_or(name);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::content_type;

    #[test]
    fn the_extension_decides_and_folders_do_not() {
        for (name, expected) in [
            ("a/b.MKV", "video/x-matroska"),
            ("poster.jpg", "image/jpeg"),
            ("dir.mp4/none", "application/octet-stream"),
            ("archive.zip", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
