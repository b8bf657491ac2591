//! One listing for `readdir` and `readdirplus`: `.`, `..`, then the tree's entries.
//!
//! Not here: the reply formats. Must always hold: the offset of an entry is its cookie, so that a directory that
//! changes between two calls loses and repeats nothing; one bad name never fails a listing.

use crate::limits::NAME_BYTES_MAX;
use crate::vfs::filesystem::{Attr, Filesystem, FsError, NodeKind};

/// Cookie of `.`.
const SELF_COOKIE: u64 = 1;
/// Cookie of `..`.
const PARENT_COOKIE: u64 = 2;

/// Calls `add` with (attributes, name, cookie) for what comes after `offset`, until it says that the reply is full.
pub(super) fn list(
    tree: &dyn Filesystem,
    inode: u64,
    offset: u64,
    add: &mut dyn FnMut(&Attr, &str, u64) -> bool,
) -> Result<(), FsError> {
    let own = tree.attr(inode)?;
    if own.kind != NodeKind::Directory {
        return Err(FsError::NotDirectory);
    }
    if offset < SELF_COOKIE && add(&own, ".", SELF_COOKIE) {
        return Ok(());
    }
    if offset < PARENT_COOKIE && add(&tree.attr(tree.parent(inode)?)?, "..", PARENT_COOKIE) {
        return Ok(());
    }
    let after = if offset <= PARENT_COOKIE { 0 } else { offset };
    tree.read_dir(inode, after, &mut |entry| {
        !presentable(&entry.name) || !add(&entry.attr, &entry.name, entry.cookie)
    })
}

/// Whether the kernel takes this name; it answers EIO for the whole listing otherwise.
fn presentable(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.bytes().any(|b| b == b'/' || b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_fail_a_whole_listing_are_left_out() {
        assert!(presentable("Amélie (2001).mkv"));
        for bad in ["", "a/b", "a\0b", &"x".repeat(256)] {
            assert!(!presentable(bad), "{bad:?}");
        }
    }
}
