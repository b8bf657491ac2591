//! `/proc/self/mountinfo`: which mounts are there. Reading it never waits for a filesystem.
//!
//! Not here: what to do about them ([`super::point`]).
//! Must always hold: of several mounts on one path, the last one made is on top.
//!
//! Source: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountEntry {
    /// Number of this mount; reused only after it is gone.
    pub(super) id: u64,
    /// `major:minor` of its device, the name of its read-ahead settings in sysfs.
    pub(super) device: String,
    /// Where it is mounted.
    pub(super) path: PathBuf,
    /// Type, such as `ext4` or `fuse.metad`.
    pub(super) kind: String,
    /// Source, such as `/dev/sda1`, or a FUSE filesystem's name.
    pub(super) source: OsString,
}

impl MountEntry {
    /// Whether a FUSE daemon serves it.
    pub(super) fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }

    /// Whether it is one of ours.
    pub(super) fn is_ours(&self) -> bool {
        self.is_fuse() && self.source.as_bytes() == super::FILESYSTEM_NAME.as_bytes()
    }
}

/// The mount on top of a path, if the path is a mount point.
pub(super) fn top(path: &Path) -> io::Result<Option<MountEntry>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    Ok(parse(&text).into_iter().rfind(|entry| entry.path == path))
}

fn parse(text: &[u8]) -> Vec<MountEntry> {
    text.split(|b| *b == b'\n').filter_map(entry).collect()
}

fn entry(line: &[u8]) -> Option<MountEntry> {
    let mut fields = line.split(|b| *b == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let device = String::from_utf8(fields.nth(1)?.to_vec()).ok()?;
    let path = PathBuf::from(unescape(fields.nth(1)?));
    // A varying number of optional fields ends with a dash.
    fields.find(|field| *field == b"-")?;
    let kind = String::from_utf8(unescape(fields.next()?).into_vec()).ok()?;
    let source = unescape(fields.next()?);
    Some(MountEntry { id, device, path, kind, source })
}

/// Undoes `\040` and its like: space, tab, newline and backslash are written in octal.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).filter(|_| *first == b'\\');
        let byte = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        out.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_understood_with_optional_fields_and_escapes() {
        let text = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            61 27 0:45 / /mnt/my\\040media ro,nosuid shared:7 master:2 - fuse.metad metad ro,user_id=0\n\
            broken line\n";
        let entries = parse(text);
        assert_eq!(entries.len(), 2);
        let ours = &entries[1];
        assert_eq!((ours.id, ours.device.as_str()), (61, "0:45"));
        assert_eq!(ours.path, Path::new("/mnt/my media"));
        assert!(ours.is_ours() && !entries[0].is_fuse());
    }
}
