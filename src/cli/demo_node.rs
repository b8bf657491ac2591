//! The demo's temporary folder and its node, a child process.
//!
//! Not here: what the demo shows. Must always hold: a folder that still has a mount in it is never removed; the child runs in a
//! process group of its own, so that Ctrl-C reaches the demo alone and the demo stops it in order.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::error::{CliError, Exit};

/// How long the node may take to be ready, and to stop.
const READY_SECONDS: u64 = 30;
const STOP_SECONDS: u64 = 15;
/// How often `runtime.json` is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A temporary folder of the demo's own.
#[derive(Debug)]
pub struct Workplace {
    path: PathBuf,
    keep: bool,
    removed: bool,
}

impl Workplace {
    /// Makes the folder, readable for its owner only.
    pub fn new(keep: bool) -> Result<Self, CliError> {
        let base = std::env::temp_dir();
        for attempt in 0..100 {
            let path = base.join(format!("metad-demo-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, keep, removed: false }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    let what = format!("cannot make a folder in {}: {e}", base.display());
                    return Err(
                        CliError::new(Exit::Other, what).fix("set TMPDIR to a folder that can be written")
                    );
                }
            }
        }
        Err(CliError::new(Exit::Other, format!("{} is full of old demos", base.display())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn mount(&self) -> PathBuf {
        self.path.join("mount")
    }

    /// Removes the folder; answers where it is when it stays.
    pub fn remove(mut self) -> Option<PathBuf> {
        self.clear();
        (!self.removed).then(|| self.path.clone())
    }

    fn clear(&mut self) {
        if !self.keep && !self.removed && !is_mounted(&self.mount()) {
            self.removed = fs::remove_dir_all(&self.path).is_ok();
        }
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether something is mounted at `path`: another device than its parent's, or a mount whose server died.
fn is_mounted(path: &Path) -> bool {
    let device = |p: &Path| fs::symlink_metadata(p).map(|m| m.dev());
    match (device(path), path.parent().map(device)) {
        (Ok(own), Some(Ok(parent))) => own != parent,
        (Err(error), _) => error.kind() != io::ErrorKind::NotFound,
        (Ok(_), _) => false,
    }
}

/// The demo's node.
#[derive(Debug)]
pub struct DemoNode {
    child: Child,
    data: PathBuf,
    log: PathBuf,
}

impl DemoNode {
    /// Starts `metad serve` on free ports.
    pub fn spawn(place: &Workplace, files: &Path, mount: bool) -> Result<Self, CliError> {
        let failed = |e: io::Error| CliError::new(Exit::Other, format!("cannot start a node: {e}"));
        let (data, log) = (place.path().join("data"), place.path().join("node.log"));
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command
            .args(["serve", "--mode", "noop", "--name", "demo", "--data-dir"])
            .arg(&data)
            .arg("--files")
            .arg(files);
        for door in ["--http", "--resp", "--sentinel", "--peer"] {
            command.args([door, "127.0.0.1:0"]);
        }
        if mount {
            fs::create_dir_all(place.mount()).map_err(failed)?;
            command.arg("--mount").arg(place.mount());
        }
        // The demo's node does not depend on what the caller's shell has set for another one.
        for setting in crate::config::settings::SETTINGS {
            setting.variables.iter().filter(|v| !v.starts_with("RUST_")).for_each(|v| {
                command.env_remove(v);
            });
        }
        let child = command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(File::create(&log).map_err(failed)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        Ok(Self { child, data, log })
    }

    /// Waits until the node is ready and answers its `runtime.json`.
    pub async fn ready(&mut self) -> Result<Value, CliError> {
        let path = self.data.join("runtime.json");
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let wait = async {
            loop {
                looks.tick().await;
                if let Some(runtime) = fs::read(&path).ok().and_then(|b| serde_json::from_slice(&b).ok()) {
                    return Ok(runtime);
                }
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(format!("the node ended at once ({status})"));
                }
            }
        };
        let what = match tokio::time::timeout(Duration::from_secs(READY_SECONDS), wait).await {
            Ok(Ok(runtime)) => return Ok(runtime),
            Ok(Err(what)) => what,
            Err(_) => format!("the node was not ready after {READY_SECONDS} s"),
        };
        Err(CliError::new(Exit::Unhealthy, format!("{what}; its last words:\n{}", self.last_words())))
    }

    /// The last lines of the node's log.
    pub fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Waits for the node to end by itself, which it should not.
    pub async fn wait(&mut self) -> Result<(), CliError> {
        let ended = self.child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string());
        let what = format!("the node ended by itself ({ended}); its last words:\n{}", self.last_words());
        Err(CliError::new(Exit::Other, what))
    }

    /// Asks the node to stop, and makes it when it does not.
    pub async fn stop(mut self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let patience = Duration::from_secs(STOP_SECONDS);
        if asked && tokio::time::timeout(patience, self.child.wait()).await.is_ok() {
            return;
        }
        // Killing fails only when it is gone already, which is what is wanted.
        self.child.kill().await.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workplace_goes_unless_it_is_kept() {
        let place = Workplace::new(false).unwrap();
        let path = place.path().to_owned();
        fs::write(path.join("x"), "x").unwrap();
        assert_eq!(place.remove(), None);
        assert!(!path.exists());
        let kept = Workplace::new(true).unwrap().remove().unwrap();
        assert!(kept.is_dir());
        fs::remove_dir(kept).unwrap();
    }

    #[test]
    fn a_plain_folder_is_no_mount_and_proc_is_one() {
        assert!(!is_mounted(&std::env::temp_dir().join("no such folder")));
        assert!(is_mounted(Path::new("/proc")));
    }
}
