//! The demo's temporary folder and its nodes, child processes.
//!
//! Not here: what the demo shows. Must always hold: a folder that still has a mount in it is never removed; each child runs in a
//! process group of its own, so that Ctrl-C reaches the demo alone and the demo stops it in order.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::client::{Call, Client};
use super::error::{CliError, Exit};

/// How long the node may take to be ready, and to stop.
const READY_SECONDS: u64 = 60;
const STOP_SECONDS: u64 = 15;
/// How often a starting node is looked at, and how long it may take to answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_PATIENCE: Duration = Duration::from_secs(5);

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

    /// Where the library is mounted.
    pub fn mount(&self) -> PathBuf {
        self.path.join("mount")
    }

    /// Removes the folder; answers where it is when it stays.
    pub fn remove(mut self) -> Option<PathBuf> {
        self.clear();
        (!self.removed).then(|| self.path.clone())
    }

    fn clear(&mut self) {
        detach(&self.mount());
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

/// Takes away what a killed node left mounted.
fn detach(path: &Path) {
    if !is_mounted(path) || rustix::mount::unmount(path, UnmountFlags::DETACH).is_ok() {
        return;
    }
    // Not root: the helper may. When it may not either, the folder stays, and the demo says so.
    let helper = std::process::Command::new("fusermount3").args(["-u", "-z", "--"]).arg(path).output();
    drop(helper);
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

/// What all nodes of a demo share.
#[derive(Debug)]
pub struct Plan {
    place: PathBuf,
    files: PathBuf,
    /// Each node's peer address; one node has no peers.
    peers: Vec<String>,
}

impl Plan {
    /// A plan for `nodes` nodes that serve `files`.
    ///
    /// # Errors
    /// When no ports are free.
    pub fn new(place: &Workplace, files: &Path, nodes: u8) -> Result<Self, CliError> {
        let peers = peer_addresses(nodes)
            .map_err(|e| CliError::new(Exit::Other, format!("no free ports for the nodes: {e}")))?;
        Ok(Self { place: place.path().to_owned(), files: files.to_owned(), peers })
    }

    /// The number of nodes.
    pub fn nodes(&self) -> usize {
        self.peers.len()
    }

    fn command(&self, number: usize, http: &str, mount: Option<&Path>) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--mode", "raft", "--name", &name(number), "--data-dir"]);
        command.arg(self.place.join(name(number))).arg("--files").arg(&self.files);
        command.args(["--resp", "127.0.0.1:0", "--sentinel", "127.0.0.1:0"]);
        command.args(["--http", http, "--peer", &self.peers[number]]);
        if self.nodes() > 1 {
            command.args(["--peers", &self.peers.join(",")]);
        }
        if let Some(mount) = mount {
            command.arg("--mount").arg(mount);
        }
        // The demo's nodes do not depend on what the caller's shell has set for another one.
        for setting in crate::config::settings::SETTINGS {
            setting.variables.iter().filter(|v| !v.starts_with("RUST_")).for_each(|v| {
                command.env_remove(v);
            });
        }
        Ok(command)
    }
}

/// Free addresses for peers. They must be known before a node starts, so they are taken on an address of loopback that only this
/// process uses: nobody else's connection gets one of the ports before the nodes do.
fn peer_addresses(nodes: u8) -> io::Result<Vec<String>> {
    let [high, low] = ((std::process::id() % 65_000) as u16 + 256).to_be_bytes();
    let held: Vec<TcpListener> = (0..nodes)
        .map(|_| TcpListener::bind((Ipv4Addr::new(127, high, low, 1), 0)))
        .collect::<io::Result<_>>()?;
    held.iter().map(|listener| listener.local_addr().map(|address| address.to_string())).collect()
}

fn name(number: usize) -> String {
    format!("node-{}", number + 1)
}

/// One of the demo's nodes.
#[derive(Debug)]
pub struct DemoNode {
    child: Child,
    number: usize,
    data: PathBuf,
    log: PathBuf,
    mount: Option<PathBuf>,
    http: Option<String>,
}

impl DemoNode {
    /// Starts `metad serve` on free ports.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn spawn(plan: &Plan, number: usize, mount: Option<PathBuf>) -> Result<Self, CliError> {
        let log = plan.place.join(format!("{}.log", name(number)));
        let child = launch(plan, number, "127.0.0.1:0", mount.as_deref(), &log)?;
        Ok(Self { child, number, data: plan.place.join(name(number)), log, mount, http: None })
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn respawn(&mut self, plan: &Plan) -> Result<(), CliError> {
        let http = self.http.as_deref().unwrap_or("127.0.0.1:0");
        self.child = launch(plan, self.number, http, self.mount.as_deref(), &self.log)?;
        Ok(())
    }

    /// Its name.
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Its process; `None` once it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where it mounts.
    pub fn mount(&self) -> Option<&Path> {
        self.mount.as_deref()
    }

    /// Where it answers, once it is ready.
    pub fn http(&self) -> &str {
        self.http.as_deref().unwrap_or("?")
    }

    /// Waits until the node is ready: all of them have to be started for that.
    ///
    /// # Errors
    /// When it ends instead, or takes too long; with its last words.
    pub async fn ready(&mut self) -> Result<(), CliError> {
        let wait = async {
            let mut looks = tokio::time::interval(LOOK_EVERY);
            loop {
                looks.tick().await;
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(format!("{} ended at once ({status})", self.name()));
                }
                self.http = self.address();
                if let Some(http) = &self.http
                    && is_ready(http).await
                {
                    return Ok(());
                }
            }
        };
        let what = match tokio::time::timeout(Duration::from_secs(READY_SECONDS), wait).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(what)) => what,
            Err(_) => format!("{} was not ready after {READY_SECONDS} s", self.name()),
        };
        Err(CliError::new(Exit::Unhealthy, format!("{what}; its last words:\n{}", self.last_words())))
    }

    /// The address in `runtime.json`, if this process wrote it.
    fn address(&self) -> Option<String> {
        let text = fs::read(self.data.join("runtime.json")).ok()?;
        let runtime: Value = serde_json::from_slice(&text).ok()?;
        let own = runtime["pid"].as_u64() == self.child.id().map(u64::from);
        runtime["http"].as_str().filter(|_| own).map(str::to_owned)
    }

    /// The last lines of the node's log.
    pub fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Waits for the node to end by itself or to be killed, and says how.
    pub async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|e| e.to_string(), |status| status.to_string())
    }

    /// Asks the node to stop, and makes it when it does not.
    pub async fn stop(&mut self) {
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

fn launch(
    plan: &Plan,
    number: usize,
    http: &str,
    mount: Option<&Path>,
    log: &Path,
) -> Result<Child, CliError> {
    let start = || {
        if let Some(mount) = mount.filter(|mount| !is_mounted(mount)) {
            fs::create_dir_all(mount)?;
        }
        plan.command(number, http, mount)?
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(OpenOptions::new().create(true).append(true).open(log)?)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    };
    start().map_err(|e| CliError::new(Exit::Other, format!("cannot start {}: {e}", name(number))))
}

async fn is_ready(http: &str) -> bool {
    let call = Call::new(Method::GET, "/readyz");
    match Client::new(&[http.to_owned()], LOOK_PATIENCE) {
        Ok(client) => client.send(&call).await.is_ok(),
        Err(_) => false,
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
