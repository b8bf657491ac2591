//! Mounting and taking down.
//!
//! Not here: a killed daemon (`stale`). Must always hold: nothing is left behind, and nothing that is not ours is
//! touched.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use metad::fuse::{MountError, MountState};
use rustix::mount::UnmountFlags;

use crate::support::{bytes, eventually, is_mounted, mounted, options, workspace};

#[test]
fn dropping_a_mount_detaches_it() {
    let Some(mut mounted) = mounted(workspace(), |_| ()) else { return };
    assert!(is_mounted(&mounted.path()));
    assert_eq!(mounted.mount().status().state, MountState::Mounted);
    mounted.mount = None;
    assert!(!is_mounted(&mounted.path()));
    assert_eq!(std::fs::read_dir(mounted.path()).unwrap().count(), 0);
}

#[test]
fn a_player_does_not_keep_a_mount_from_being_taken_down() {
    for passthrough in [true, false] {
        let dir = workspace();
        std::fs::write(dir.path().join("files/film.mkv"), bytes(1, 100_000)).unwrap();
        let Some(mounted) = mounted(dir, |o| o.passthrough = passthrough) else { return };
        let playing = File::open(mounted.path().join("film.mkv")).unwrap();
        let is_passthrough = mounted.mount().status().counts.opens_passthrough > 0;
        mounted.finish();
        if is_passthrough {
            let mut bytes = [0; 100];
            playing.read_exact_at(&mut bytes, 50_000).unwrap();
        }
    }
}

#[test]
fn an_unmount_by_somebody_else_is_seen_and_is_no_error() {
    let Some(mut mounted) = mounted(workspace(), |_| ()) else { return };
    let path = mounted.path();
    if rustix::mount::unmount(&path, UnmountFlags::DETACH).is_err() {
        eprintln!("skipped: only root may unmount");
        return;
    }
    eventually("the mount is lost", || mounted.mount().status().state == MountState::Lost);
    let lost = mounted.mount.take().unwrap();
    let again = metad::fuse::mount(options(mounted.dir.path()), mounted.fake.clone()).unwrap();
    lost.unmount().unwrap();
    assert!(is_mounted(&path), "the lost mount must not take its successor down");
    again.unmount().unwrap();
    assert!(!is_mounted(&path));
}

#[test]
fn a_mount_point_in_use_is_refused_with_its_reason() {
    let Some(mounted) = mounted(workspace(), |_| ()) else { return };
    let again = metad::fuse::mount(options(mounted.dir.path()), mounted.fake.clone());
    assert!(matches!(again.err(), Some(MountError::Occupied { .. })));
    mounted.finish();
}

#[test]
fn modes_and_owners_come_from_the_options() {
    let dir = workspace();
    std::fs::create_dir(dir.path().join("files/folder")).unwrap();
    std::fs::write(dir.path().join("files/film.mkv"), b"film").unwrap();
    let change = |o: &mut metad::fuse::Options| {
        (o.uid, o.gid, o.file_mode, o.dir_mode) = (1234, 4321, 0o640, 0o750);
    };
    let Some(mounted) = mounted(dir, change) else { return };
    for (name, mode) in [("folder", 0o040_750), ("film.mkv", 0o100_640), (".", 0o040_750)] {
        let seen = std::fs::metadata(mounted.path().join(name)).unwrap();
        assert_eq!((seen.uid(), seen.gid(), seen.mode()), (1234, 4321, mode), "{name}");
    }
    mounted.finish();
}

/// `cat` as the user nobody: its success.
fn nobody_can_read(path: &std::path::Path) -> bool {
    let cat = Command::new("cat").arg(path).uid(65534).gid(65534).output().unwrap();
    cat.status.success()
}

#[test]
fn other_users_come_in_only_when_they_are_let_in_and_the_modes_allow_it() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    for (allow_other, file_mode, allowed) in
        [(false, 0o644, false), (true, 0o644, true), (true, 0o600, false)]
    {
        let dir = workspace();
        // The temporary directory itself must let others through.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        std::fs::write(dir.path().join("files/film.mkv"), b"film").unwrap();
        let change = |o: &mut metad::fuse::Options| (o.allow_other, o.file_mode) = (allow_other, file_mode);
        let Some(mounted) = mounted(dir, change) else { return };
        let seen = nobody_can_read(&mounted.path().join("film.mkv"));
        assert_eq!(seen, allowed, "allow_other {allow_other}, mode {file_mode:o}");
        mounted.finish();
    }
}
