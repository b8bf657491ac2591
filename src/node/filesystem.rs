//! What kind of filesystem a directory lies on, as far as it matters for a log.
//!
//! Not here: free space. Must always hold: a kind that is not known counts as a local disk.
//!
//! Source: `statfs(2)`; linux/magic.h.

use std::io;
use std::path::Path;

/// Kinds of filesystems that a log notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk of this machine, or one that looks like it.
    Local,
    /// NFS, CIFS and their like: locks and fsync are somebody else's promise.
    Remote(&'static str),
    /// A filesystem in user space: whether fsync means anything depends on it.
    Fuse,
    /// Memory: gone with the machine.
    Memory,
    /// A container's writable layer: gone with the container.
    Overlay,
}

/// What a directory lies on.
pub fn medium(dir: &Path) -> io::Result<Medium> {
    let kind = rustix::fs::statfs(dir)?.f_type;
    // The numbers are 32 bits wide; what a platform puts in front of them is its sign.
    Ok(of_magic(kind as u32))
}

fn of_magic(magic: u32) -> Medium {
    match magic {
        0x6969 => Medium::Remote("NFS"),
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => Medium::Remote("CIFS"),
        0x0102_1997 => Medium::Remote("9p"),
        0x00c3_6400 => Medium::Remote("Ceph"),
        0x5346_414f | 0x6b41_4653 => Medium::Remote("AFS"),
        0x6573_5546 => Medium::Fuse,
        0x0102_1994 | 0x8584_58f6 => Medium::Memory,
        0x794c_7630 => Medium::Overlay,
        _ => Medium::Local,
    }
}

/// Why a data directory must not lie here.
pub fn refusal(medium: Medium) -> Option<String> {
    match medium {
        Medium::Remote(kind) => Some(format!(
            "it lies on {kind}, where neither locks nor fsync keep the promises that a log needs; \
             choose a directory on a disk of this machine (the media files may stay where they are)"
        )),
        Medium::Local | Medium::Fuse | Medium::Memory | Medium::Overlay => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_filesystems_are_refused_and_others_are_not() {
        for magic in [0x6969, 0xff53_4d42, 0xfe53_4d42] {
            assert!(refusal(of_magic(magic)).is_some(), "{magic:x}");
        }
        for magic in [0xef53, 0x9123_683e, 0x5846_5342, 0x6573_5546, 0x0102_1994, 0x794c_7630] {
            assert_eq!(refusal(of_magic(magic)), None, "{magic:x}");
        }
        assert!(medium(Path::new("/")).is_ok());
    }
}
