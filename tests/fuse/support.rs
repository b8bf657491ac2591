//! Mounting for a test, waiting for conditions, looking at mountinfo.
//!
//! Not here: promises. Must always hold: whoever waits, waits for a condition and with a deadline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metad::fuse::{Mount, MountError, Options};
use tempfile::TempDir;

use crate::fake::Fake;

/// How long a test waits for what should come at once.
pub const SOON: Duration = Duration::from_secs(20);

/// A mounted fake and the directory that holds its mount point (`mnt`) and its files (`files`).
pub struct Mounted {
    pub mount: Option<Mount>,
    pub fake: Arc<Fake>,
    pub dir: TempDir,
}

impl Mounted {
    /// The mount point.
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("mnt")
    }

    /// The mount.
    pub fn mount(&self) -> &Mount {
        self.mount.as_ref().unwrap()
    }

    /// Takes the mount down and checks that nothing is left.
    pub fn finish(mut self) {
        self.mount.take().unwrap().unmount().unwrap();
        assert!(!is_mounted(&self.path()), "the mount is still in mountinfo");
    }
}

/// A fresh directory with an empty mount point and an empty `files`.
pub fn workspace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("mnt")).unwrap();
    std::fs::create_dir(dir.path().join("files")).unwrap();
    dir
}

/// Mounts a fake of `files`; `None`, after saying why, where FUSE cannot be had.
pub fn mounted(dir: TempDir, change: impl FnOnce(&mut Options)) -> Option<Mounted> {
    let fake = Fake::of(&dir.path().join("files"));
    mounted_fake(dir, fake, change)
}

/// Mounts this fake; `None`, after saying why, where FUSE cannot be had.
pub fn mounted_fake(dir: TempDir, fake: Arc<Fake>, change: impl FnOnce(&mut Options)) -> Option<Mounted> {
    let mut options = options(dir.path());
    change(&mut options);
    match metad::fuse::mount(options, fake.clone()) {
        Ok(mount) => Some(Mounted { mount: Some(mount), fake, dir }),
        Err(error @ (MountError::NoDevice | MountError::NotPermitted { .. })) => {
            let required = std::env::var_os("METAD_TEST_REQUIRE_FUSE").is_some_and(|v| v == "1");
            assert!(!required, "METAD_TEST_REQUIRE_FUSE=1, and: {error}");
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The options that all tests start from.
pub fn options(dir: &Path) -> Options {
    Options::new(dir.join("mnt"), dir.join("files"))
}

/// Whether something is mounted at a path.
pub fn is_mounted(path: &Path) -> bool {
    let path = path.parent().unwrap().canonicalize().unwrap().join(path.file_name().unwrap());
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    text.lines().any(|line| line.split(' ').nth(4) == path.to_str())
}

/// Waits until `condition` holds; panics with `what` when it does not hold in time.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Bytes that are different everywhere, so that a shifted or repeated block shows.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random(seed.wrapping_add(0x9e37_79b9));
    (0..len).map(|_| random.next() as u8).collect()
}

/// A small generator with a seed, so that a failure can be repeated. Source: splitmix64.
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
