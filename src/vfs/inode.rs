//! Inode numbers of directories: hashes of their paths. (Files carry theirs in the record's header.)
//!
//! Not here: the table from inode to node (`tree`).
//! Must always hold: the number is a function of the directory's path, view included, and bit 63 is set; the root
//! is 1. The path is taken in its comparison form (case-folded NFC, see `cookie::key`), so a directory keeps its
//! number when its spelling changes.
//!
//! The hash is chained: `hash(dir) = xxh3(key of its name, seed = hash of its parent)`, which needs no path string.
//! When two directories have one hash, the lexicographically smaller path keeps it and the other hashes again with a
//! salt (1, 2, …) until it is free.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Marks inode numbers of directories.
pub const DIRECTORY_BIT: u64 = 1 << 63;

/// Hash of the root's path.
pub const ROOT_HASH: u64 = 1;

/// Hash of the path of a directory from the hash of its parent's; 63 bits, or `bits` in tests that want clashes.
pub fn path_hash(parent: u64, key: &str, bits: u32) -> u64 {
    xxh3_64_with_seed(key.as_bytes(), parent) & ((1 << bits) - 1)
}

/// The number of a directory whose first `salt` numbers belong to smaller paths.
pub fn directory_inode(path_hash: u64, salt: u32, bits: u32) -> u64 {
    let hash = match salt {
        0 => path_hash,
        salt => xxh3_64_with_seed(&salt.to_le_bytes(), path_hash) & ((1 << bits) - 1),
    };
    DIRECTORY_BIT | hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_pinned_because_clients_remember_them_over_upgrades() {
        let movies = path_hash(ROOT_HASH, "movies", 63);
        assert_eq!(directory_inode(movies, 0, 63), 17_677_340_685_770_927_050);
        assert_eq!(directory_inode(movies, 1, 63), 11_619_049_790_216_744_172);
        assert_eq!(
            directory_inode(path_hash(movies, "brazil (1985)", 63), 0, 63),
            15_364_786_031_922_912_704
        );
    }
}
