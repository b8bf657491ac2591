//! Every system call that changes something, through the kernel's own refusal and through ours.
//!
//! Not here: reading. Must always hold: EROFS, whoever asks, and nothing changed.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::{Errno, Result};
use rustix::mount::MountFlags;

use crate::support::{mounted, workspace};

fn open(path: &Path, flags: OFlags) -> Result<()> {
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o644)).map(drop)
}

/// Name of the call and what it answered.
type Answers = Vec<(&'static str, Result<()>)>;

fn on_names(root: &Path) -> Answers {
    let (film, folder, new) = (root.join("film.mkv"), root.join("folder"), root.join("new"));
    let mode = Mode::from_raw_mode(0o755);
    let rename = |from: &Path, flags| rustix::fs::renameat_with(CWD, from, CWD, &new, flags);
    vec![
        ("mknod", rustix::fs::mknodat(CWD, &new, FileType::RegularFile, mode, 0)),
        ("mkfifo", rustix::fs::mknodat(CWD, &new, FileType::Fifo, mode, 0)),
        ("mkdir", rustix::fs::mkdir(&new, mode)),
        ("unlink", rustix::fs::unlink(&film)),
        ("rmdir", rustix::fs::rmdir(&folder)),
        ("symlink", rustix::fs::symlink("film.mkv", &new)),
        ("link", rustix::fs::link(&film, &new)),
        ("rename a file", rename(&film, RenameFlags::empty())),
        ("rename a directory", rename(&folder, RenameFlags::empty())),
        ("rename without replacing", rename(&film, RenameFlags::NOREPLACE)),
        ("exchange", rustix::fs::renameat_with(CWD, &film, CWD, &folder, RenameFlags::EXCHANGE)),
        ("create", open(&new, OFlags::CREATE | OFlags::WRONLY)),
        ("create for reading", open(&new, OFlags::CREATE | OFlags::RDONLY)),
        ("create below a directory", open(&folder.join("new"), OFlags::CREATE | OFlags::RDWR)),
    ]
}

fn on_contents_and_attributes(root: &Path) -> Answers {
    let film = root.join("film.mkv");
    let now = Timespec { tv_sec: 1, tv_nsec: 0 };
    let times = Timestamps { last_access: now, last_modification: now };
    let attribute = XattrFlags::empty();
    vec![
        ("open to write", open(&film, OFlags::WRONLY)),
        ("open to read and write", open(&film, OFlags::RDWR)),
        ("open to append", open(&film, OFlags::WRONLY | OFlags::APPEND)),
        ("open to read, appending", open(&film, OFlags::RDONLY | OFlags::APPEND)),
        ("open to truncate", open(&film, OFlags::WRONLY | OFlags::TRUNC)),
        ("open to read, truncated", open(&film, OFlags::RDONLY | OFlags::TRUNC)),
        ("chmod", rustix::fs::chmod(&film, Mode::from_raw_mode(0o777))),
        ("chown", rustix::fs::chown(&film, Some(rustix::fs::Uid::from_raw(7)), None)),
        ("utimens", rustix::fs::utimensat(CWD, &film, &times, AtFlags::empty())),
        ("setxattr", rustix::fs::setxattr(&film, "user.note", b"x", attribute)),
        ("removexattr", rustix::fs::removexattr(&film, "user.note")),
    ]
}

fn assert_all_refused(root: &Path, how: &str) {
    let answers = [on_names(root), on_contents_and_attributes(root)].concat();
    let wrong: Vec<_> = answers.iter().filter(|(_, answer)| *answer != Err(Errno::ROFS)).collect();
    assert!(wrong.is_empty(), "{how}: {wrong:?}");
    assert_eq!(std::fs::read(root.join("film.mkv")).unwrap(), b"film");
    assert_eq!(std::fs::read_dir(root).unwrap().count(), 2);
}

#[test]
fn nothing_can_be_changed_neither_past_the_kernel_nor_past_us() {
    let dir = workspace();
    std::fs::write(dir.path().join("files/film.mkv"), b"film").unwrap();
    std::fs::create_dir(dir.path().join("files/folder")).unwrap();
    let Some(mounted) = mounted(dir, |_| ()) else { return };
    let root = mounted.path();
    assert_all_refused(&root, "the kernel's flag");
    // Without the flag the requests reach the daemon.
    let writable = rustix::mount::mount_remount(&root, MountFlags::NODEV | MountFlags::NOSUID, "");
    match writable {
        Ok(()) => assert_all_refused(&root, "the daemon"),
        Err(error) => eprintln!("skipped the second half: no remount ({error})"),
    }
    assert_eq!(std::fs::read(mounted.dir.path().join("files/film.mkv")).unwrap(), b"film");
    mounted.finish();
}

#[test]
fn extended_attributes_are_not_supported_and_are_asked_for_once() {
    let dir = workspace();
    std::fs::write(dir.path().join("files/film.mkv"), b"film").unwrap();
    let Some(mounted) = mounted(dir, |_| ()) else { return };
    let film = mounted.path().join("film.mkv");
    let mut space = [0; 100];
    assert_eq!(rustix::fs::getxattr(&film, "user.note", &mut space), Err(Errno::OPNOTSUPP));
    // Without support the kernel itself answers what a file without attributes has.
    assert!(matches!(rustix::fs::listxattr(&film, &mut space), Ok(0) | Err(Errno::OPNOTSUPP)));
    mounted.finish();
}
