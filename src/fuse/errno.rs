//! `FsError` to errno: the one translation at this door.
//!
//! Not here: reasons to refuse. Must always hold: a fault of the disk is EIO; ENOENT says only that a name is not in
//! the tree, because media servers delete what they are told does not exist.

use fuser::Errno;

use crate::vfs::filesystem::FsError;

/// For requests that name something by its name (`lookup`).
pub(super) fn of_name(error: &FsError) -> Errno {
    match error {
        FsError::NotFound => Errno::ENOENT,
        FsError::NotDirectory => Errno::ENOTDIR,
        FsError::IsDirectory => Errno::EISDIR,
        FsError::ReadOnly => Errno::EROFS,
        FsError::Io(_) | FsError::TimedOut => Errno::EIO,
    }
}

/// For requests that name something by its inode number. A number that is gone is ESTALE: the kernel then looks the
/// path up afresh, and finds the new node at that path or answers ENOENT itself.
pub(super) fn of_inode(error: &FsError) -> Errno {
    match error {
        FsError::NotFound => Errno::ESTALE,
        FsError::NotDirectory
        | FsError::IsDirectory
        | FsError::ReadOnly
        | FsError::Io(_)
        | FsError::TimedOut => of_name(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_name_is_enoent() {
        let all = [
            FsError::NotFound,
            FsError::NotDirectory,
            FsError::IsDirectory,
            FsError::ReadOnly,
            FsError::Io("gone".into()),
            FsError::TimedOut,
        ];
        let names: Vec<i32> = all.iter().map(|e| of_name(e).into()).collect();
        assert_eq!(names, [2, 20, 21, 30, 5, 5]);
        let inodes: Vec<i32> = all.iter().map(|e| of_inode(e).into()).collect();
        assert_eq!(inodes, [116, 20, 21, 30, 5, 5]);
    }
}
