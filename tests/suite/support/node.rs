//! A node of the real binary, in folders of its own.
//!
//! ```text
//! HOME/data    --data-dir        HOME/files   FILES_PATH
//! HOME/mnt     --mount           HOME/log     what the node said
//! ```
//!
//! Not here: promises. Must always hold: whoever waits, waits for a condition and with a deadline; no process and no
//! mount outlives its test.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::metad;

/// How long a test waits for what should come at once.
pub const SOON: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something; panics with `what` when it does not in time.
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(SOON, what, condition)
}

/// As [`eventually`], with a deadline of its own.
pub fn within<T>(limit: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The folders of a node. A mount that is left is taken away with them.
pub struct Home {
    dir: TempDir,
    mode: &'static str,
}

impl Home {
    /// New, empty folders of a node that stands alone.
    pub fn new() -> Self {
        Self::of_mode("noop")
    }

    /// New, empty folders of a node of this mode.
    pub fn of_mode(mode: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for below in ["files", "mnt"] {
            fs::create_dir(dir.path().join(below)).expect("a folder in a new directory");
        }
        Self { dir, mode }
    }

    /// A path in the home.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Puts a file below FILES_PATH.
    pub fn file(&self, name: &str, content: &[u8]) {
        let path = self.path("files").join(name);
        fs::create_dir_all(path.parent().expect("it is below files")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// `metad serve` in these folders, ready to be changed.
    pub fn serve(&self) -> Command {
        self.serve_at("127.0.0.1:0", "127.0.0.1:0")
    }

    /// As [`Home::serve`], with an HTTP and a peer address of its own.
    pub fn serve_at(&self, http: &str, peer: &str) -> Command {
        self.serve_doors(http, "127.0.0.1:0", peer)
    }

    /// As [`Home::serve_at`], with an address of its own for Redis clients.
    pub fn serve_doors(&self, http: &str, resp: &str, peer: &str) -> Command {
        let mut command = metad(self.dir.path());
        let log = OpenOptions::new().create(true).append(true).open(self.path("log")).expect("a log");
        command.args(["serve", "--mode", self.mode, "--data-dir", "data"]);
        let doors = [("--http", http), ("--resp", resp), ("--sentinel", "127.0.0.1:0"), ("--peer", peer)];
        for (door, address) in doors {
            command.args([door, address]);
        }
        command.arg("--files").arg(self.path("files")).stdout(Stdio::null()).stderr(log);
        command
    }

    /// Starts a node and waits until it is ready.
    pub fn start(&self) -> Node {
        Node::start(self, self.serve())
    }

    /// As [`Home::start`], with a mount. `None`, after saying why, where FUSE cannot be had.
    pub fn start_mounted(&self) -> Option<Node> {
        static FUSE: OnceLock<Result<(), String>> = OnceLock::new();
        if let Err(reason) = FUSE.get_or_init(fuse) {
            let required = std::env::var_os("METAD_TEST_REQUIRE_FUSE").is_some_and(|v| v == "1");
            assert!(!required, "METAD_TEST_REQUIRE_FUSE=1, and: {reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        let mut command = self.serve();
        command.arg("--mount").arg(self.path("mnt"));
        Some(Node::start(self, command))
    }

    /// Runs `metad serve` that is expected to refuse: its exit code and what it said.
    pub fn refusal(&self, change: impl FnOnce(&mut Command)) -> (i32, String) {
        let mut command = self.serve();
        change(&mut command);
        let mut child = Guard(command.stderr(Stdio::piped()).spawn().expect("the binary starts"));
        let mut stderr = child.0.stderr.take().expect("it is piped");
        let reader = std::thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap_or_default());
        let status = eventually("the node refuses to start", || child.0.try_wait().expect("it is ours"));
        (status.code().expect("it ends by itself"), reader.join().expect("reading does not panic"))
    }

    /// What the nodes of this home said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Whether something is mounted.
    pub fn is_mounted(&self) -> bool {
        let point = self.dir.path().canonicalize().expect("it is there").join("mnt");
        let text = fs::read_to_string("/proc/self/mountinfo").expect("Linux");
        text.lines().any(|line| line.split(' ').nth(4) == point.to_str())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        while self.is_mounted() {
            if rustix::mount::unmount(self.path("mnt"), UnmountFlags::DETACH).is_err() {
                break;
            }
        }
    }
}

/// Whether this machine mounts for us; a reason if not.
fn fuse() -> Result<(), String> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    device.map_err(|e| format!("/dev/fuse cannot be opened: {e}"))?;
    let home = Home::new();
    let mut command = home.serve();
    command.arg("--mount").arg(home.path("mnt"));
    let mut child = Guard(command.spawn().expect("the binary starts"));
    eventually("a first mount", || {
        if child.0.try_wait().expect("it is ours").is_some() {
            let said = home.said();
            assert!(said.contains("no permission to mount"), "{said}");
            return Some(Err(said));
        }
        home.is_mounted().then_some(Ok(()))
    })
}

/// A process that does not outlive us.
pub struct Guard(pub Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A running node.
pub struct Node {
    process: Guard,
    /// Where it listens.
    pub http: SocketAddr,
    /// Where it speaks the Redis protocol.
    pub resp: SocketAddr,
    home: PathBuf,
}

impl Node {
    /// Starts a process, and waits until it says where it listens.
    pub fn launch(home: &Home, command: Command) -> Self {
        Self::start(home, command)
    }

    fn start(home: &Home, mut command: Command) -> Self {
        let mut process = Guard(command.spawn().expect("the binary starts"));
        let id = process.0.id();
        let runtime = eventually("the node is ready", || {
            let ended = process.0.try_wait().expect("it is ours");
            assert!(ended.is_none(), "the node ended with {ended:?}:\n{}", home.said());
            let text = fs::read(home.path("data/runtime.json")).ok()?;
            let runtime: Value = serde_json::from_slice(&text).expect("it appears by rename");
            (runtime["pid"] == json!(id)).then_some(runtime)
        });
        let address = |door: &str| runtime[door].as_str().and_then(|a| a.parse().ok()).expect("ip:port");
        let (http, resp) = (address("http"), address("resp"));
        Self { process, http, resp, home: home.dir.path().to_owned() }
    }

    /// A connection.
    pub fn client(&self) -> Client {
        Client::connect(self.http).expect("a ready node listens")
    }

    /// One request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask_with(method, path, &[], body)
    }

    /// As [`Node::ask`], with headers.
    pub fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let answer = self.client().send(method, path, headers, body.as_ref());
        answer.unwrap_or_else(|e| panic!("{method} {path}: {e}\n{}", self.said()))
    }

    /// The JSON of a GET that has to succeed.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Merges properties into a record; it has to succeed.
    pub fn put(&self, id: &str, properties: &Value) {
        let answer = self.ask("PUT", &format!("/meta/{id}"), properties.to_string());
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
    }

    /// Writes records in their order; all of them have to be taken.
    pub fn import(&self, records: &[Value]) {
        let lines: String = records.iter().map(|r| format!("{r}\n")).collect();
        let answer = self.ask("POST", "/v1/import", lines).json();
        assert_eq!(answer["imported"], json!(records.len()), "{answer}");
    }

    /// Waits until the tree reflects everything that was written before, and every file has its pin.
    pub fn follow(&self) {
        eventually("the tree follows", || {
            let status = self.get("/v1/status");
            let (applied, tree) = (&status["applied_index"], &status["vfs"]["applied_index"]);
            let settled = status["vfs"]["settled"] == json!(true);
            (tree.as_u64() >= applied.as_u64() && settled).then_some(())
        });
    }

    /// All paths of the tree.
    pub fn paths(&self) -> Vec<String> {
        let files = self.get("/api/fuse/files");
        let files = files["files"].as_array().expect("a list").iter();
        files.map(|f| f.as_str().expect("a path").to_owned()).collect()
    }

    /// All files of the tree: path, inode, mtime.
    pub fn tree(&self) -> Vec<(String, u64, String)> {
        let mut client = self.client();
        let mut attributes = |path: String| {
            let body = json!({ "path": path }).to_string();
            let answer = client.send("POST", "/api/fuse/getattr", &[], body.as_bytes());
            let attr = answer.expect("the node answers").json();
            let inode = attr["inode"].as_u64().unwrap_or_else(|| panic!("{path}: {attr}"));
            (path, inode, attr["mtime"].as_str().expect("a time").to_owned())
        };
        self.paths().into_iter().map(&mut attributes).collect()
    }

    /// What the node said.
    pub fn said(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        send_signal(&self.process.0, signal);
    }

    /// Memory of the process that is really there, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.process.0.id())).expect("Linux");
        let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("it has fields");
        pages * rustix::param::page_size() as u64
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.process.0.kill().expect("it is ours");
        self.process.0.wait().expect("it is ours");
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> ExitStatus {
        eventually("the node ends by itself", || self.process.0.try_wait().expect("it is ours"))
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        terminate(&self.process.0);
        eventually("the node stops", || self.process.0.try_wait().expect("it is ours"))
    }
}

/// Sends SIGTERM.
pub fn terminate(child: &Child) {
    send_signal(child, Signal::TERM);
}

fn send_signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().cast_signed()).expect("a process id is not 0");
    kill_process(id, signal).expect("it is ours");
}

/// All regular files below a directory, as paths relative to it, sorted.
pub fn walk(root: &Path) -> Vec<String> {
    let mut found: Vec<String> = walkdir::WalkDir::new(root)
        .into_iter()
        .map(|entry| entry.unwrap_or_else(|e| panic!("{e}")))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            entry.path().strip_prefix(root).expect("it is below").to_str().expect("UTF-8").to_owned()
        })
        .collect();
    found.sort_unstable();
    found
}

/// Opens a file and says how the system refused.
pub fn open_error(path: &Path) -> Option<i32> {
    File::open(path).err().and_then(|e| e.raw_os_error())
}
