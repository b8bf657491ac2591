//! What an ordinary user is told. The user is nobody, in this very test binary started again.
//!
//! Not here: root. Must always hold: a refusal says what to do, and nothing is left behind.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::fake::Fake;
use crate::support::{is_mounted, options, workspace};

const DIRECTORY: &str = "METAD_TEST_FUSE_NOBODY";
const NOBODY: u32 = 65534;

/// The ordinary user's part; nothing to do when the tests are run by a person.
#[test]
fn nobody() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    match metad::fuse::mount(options(Path::new(&dir)), Fake::empty()) {
        Ok(mount) => {
            println!("\nmounted, passthrough {}", mount.status().passthrough);
            mount.unmount().unwrap();
        }
        Err(error) => println!("\nrefused: {error}"),
    }
}

/// What nobody is told when they mount in a directory whose mount point has this owner.
fn told(owner: u32) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return None;
    }
    let dir = workspace();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(dir.path().join("mnt"), Some(owner), None).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "unprivileged::nobody", "--nocapture"])
        .env(DIRECTORY, dir.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .output();
    assert!(!is_mounted(&dir.path().join("mnt")));
    match output {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(error) => {
            eprintln!("skipped: nobody may not run this binary ({error})");
            None
        }
    }
}

#[test]
fn a_mount_point_that_is_not_writable_is_refused() {
    let Some(told) = told(0) else { return };
    assert!(told.contains("not writable by this user"), "{told}");
}

#[test]
fn without_the_right_to_mount_the_remedies_are_named() {
    let Some(told) = told(NOBODY) else { return };
    let remedies = told.contains("install fusermount3") || told.contains("no /dev/fuse");
    // Where the helper is installed the mount comes about, without passthrough.
    assert!(
        remedies || told.contains("mounted, passthrough false") || told.contains("fusermount3 refused"),
        "{told}"
    );
}
