//! The switch of a data directory from an old log to a new one, in steps that can be repeated.
//!
//! ```text
//! recover.tmp/    being filled: thrown away by the next attempt
//! recover.ready/  complete and on the disk: the switch has begun and will end, whatever crashes    log/ node.json
//! before-recover-<cluster>/   what was there before, kept                                          log/ node.json
//! ```
//!
//! Not here: what is filled in (`offline`). Must always hold: until the rename to `recover.ready` the old node can be started
//! again as it was; after it only the new one can; nothing of the old log is deleted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the new parts are filled in.
pub fn filling(data_dir: &Path) -> PathBuf {
    data_dir.join("recover.tmp")
}

fn ready(data_dir: &Path) -> PathBuf {
    data_dir.join("recover.ready")
}

/// Makes the new parts the ones that count. Returns where the old ones are kept.
pub fn commit(data_dir: &Path) -> io::Result<PathBuf> {
    sync(&filling(data_dir))?;
    fs::rename(filling(data_dir), ready(data_dir))?;
    sync(data_dir)?;
    let kept = keep(data_dir)?;
    finish(data_dir)?;
    Ok(kept)
}

/// Ends a switch that has begun. Does nothing when none has.
pub fn finish(data_dir: &Path) -> io::Result<()> {
    let ready = ready(data_dir);
    if !ready.exists() {
        return Ok(());
    }
    let kept = keep(data_dir)?;
    fs::create_dir_all(&kept)?;
    for part in ["log", "node.json"] {
        let (new, place, old) = (ready.join(part), data_dir.join(part), kept.join(part));
        if !new.exists() {
            continue;
        }
        if place.exists() {
            fs::rename(&place, &old)?;
            sync(&kept)?;
        }
        fs::rename(&new, &place)?;
        sync(data_dir)?;
    }
    // A view of the old log; the new one fills it again.
    match fs::remove_dir_all(data_dir.join("state")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    fs::remove_dir_all(ready)?;
    sync(data_dir)
}

/// Where the old parts go: named by the log that replaces them, so that two recoveries do not meet.
fn keep(data_dir: &Path) -> io::Result<PathBuf> {
    let name = fs::read_to_string(ready(data_dir).join("cluster"))?;
    Ok(data_dir.join(format!("before-recover-{}", name.trim())))
}

/// Makes the names in a directory durable.
pub fn sync(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(dir: &Path) {
        let new = filling(dir);
        fs::create_dir_all(new.join("log")).unwrap();
        fs::create_dir_all(dir.join("log")).unwrap();
        fs::create_dir_all(dir.join("state")).unwrap();
        for (file, text) in [("log/VERSION", "new"), ("node.json", "new"), ("cluster", "abc")] {
            fs::write(new.join(file), text).unwrap();
        }
        fs::write(dir.join("log/VERSION"), "old").unwrap();
        fs::write(dir.join("node.json"), "old").unwrap();
    }

    fn check(dir: &Path) {
        for part in ["log/VERSION", "node.json"] {
            assert_eq!(fs::read_to_string(dir.join(part)).unwrap(), "new", "{part}");
            let old = dir.join("before-recover-abc").join(part);
            assert_eq!(fs::read_to_string(old).unwrap(), "old", "{part}");
        }
        assert!(!dir.join("recover.ready").exists() && !dir.join("state").exists());
    }

    #[test]
    fn a_switch_that_was_cut_short_anywhere_ends_at_the_next_start() {
        for cut in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let dir = dir.path();
            fill(dir);
            let (ready, kept) = (ready(dir), dir.join("before-recover-abc"));
            fs::rename(filling(dir), &ready).unwrap();
            let moves = [
                (dir.join("log"), kept.join("log")),
                (ready.join("log"), dir.join("log")),
                (dir.join("node.json"), kept.join("node.json")),
                (ready.join("node.json"), dir.join("node.json")),
            ];
            fs::create_dir_all(&kept).unwrap();
            for (from, to) in moves.iter().take(cut) {
                fs::rename(from, to).unwrap();
            }
            finish(dir).unwrap();
            check(dir);
            finish(dir).unwrap();
            check(dir);
        }
    }
}
