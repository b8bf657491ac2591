//! Big and changing directories.
//!
//! Not here: small trees (`differential`). Must always hold: what was there all the time is listed exactly once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use metad::vfs::filesystem::ROOT_INODE;

use crate::fake::Fake;
use crate::support::{mounted_fake, workspace};

const ENTRIES: usize = 100_000;

#[test]
fn a_hundred_thousand_entries_are_listed_once_each_while_others_come_and_go() {
    let fake = Fake::empty();
    let nowhere = Path::new("/nonexistent/metad");
    for n in 0..ENTRIES {
        fake.add_file(ROOT_INODE, &format!("stays {n}"), nowhere);
        if n % 100 == 0 {
            fake.add_file(ROOT_INODE, &format!("goes {n}"), nowhere);
        }
    }
    let Some(mounted) = mounted_fake(workspace(), fake, |_| ()) else { return };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                if n < ENTRIES {
                    mounted.fake.remove(ROOT_INODE, &format!("goes {n}"));
                }
                mounted.fake.add_file(ROOT_INODE, &format!("comes {n}"), nowhere);
                n += 100;
            }
        });
        // Caught, so that a failing assertion does not leave the other thread running for ever.
        let path = mounted.path();
        let checked = std::panic::catch_unwind(|| check(&path));
        done.store(true, Ordering::SeqCst);
        checked.unwrap();
    });
    mounted.finish();
}

fn check(path: &Path) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        *seen.entry(entry.unwrap().file_name().into_string().unwrap()).or_default() += 1;
    }
    for n in 0..ENTRIES {
        assert_eq!(seen.get(&format!("stays {n}")), Some(&1), "stays {n}");
    }
    assert!(seen.values().all(|times| *times == 1), "a name is listed twice");
}

#[test]
fn dot_and_dot_dot_lead_where_they_should() {
    let dir = workspace();
    std::fs::create_dir_all(dir.path().join("files/a/b")).unwrap();
    let Some(mounted) = crate::support::mounted(dir, |_| ()) else { return };
    let root = mounted.path();
    let inode = |p: &Path| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(p).unwrap().ino()
    };
    assert_eq!(inode(&root.join("a/b/..")), inode(&root.join("a")));
    assert_eq!(inode(&root.join("a/.")), inode(&root.join("a")));
    assert_eq!(inode(&root), ROOT_INODE);
    assert_eq!(inode(&root.join("a")) >> 63, 1, "directories have bit 63 set");
    mounted.finish();
}
