//! Runs golden scripts against the router.
//!
//! Not here: the scripts. Must always hold: time stands still.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use goldenscript::{Command, Context, Runner};
use http_body_util::BodyExt;
use metad_raft::Role;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::fake::{EPOCH_MS, FakeService};
use super::fake_tree::FakeKeeper;
use crate::clock::ManualClock;
use crate::http::{Check, Handles, Identity, Mount, NodeView, Options, Owner};
use crate::meta::service::{AppliedState, MetadataService, ServiceError};
use crate::vfs::{Source, VirtualTree};

/// Headers that every answer has, or that say nothing about the route: only `full=true` shows them.
const COMMON: [&str; 4] =
    ["access-control-allow-origin", "access-control-expose-headers", "x-meta-node", "content-length"];

/// A node with a mount and one failing check.
pub struct FakeNode;

impl NodeView for FakeNode {
    fn checks(&self) -> Vec<Check> {
        vec![
            Check { name: "log", problem: None },
            Check { name: "mount", problem: Some("the mount point is busy".into()) },
        ]
    }

    fn mount(&self) -> Option<Mount> {
        Some(Mount { path: "/mnt/media".into(), state: "mounted".into(), passthrough: true })
    }
}

/// Handles over a fake service.
pub fn handles(service: &Arc<FakeService>) -> Handles {
    handles_over(service, Path::new("/nonexistent/files"))
}

/// Handles over a fake service and a folder of files.
pub fn handles_over(service: &Arc<FakeService>, files: &Path) -> Handles {
    let tree = Arc::new(VirtualTree::new(Source::new(files)));
    Handles {
        service: Arc::clone(service) as _,
        keeper: Arc::new(FakeKeeper::new(service, &tree)),
        tree,
        clock: Arc::new(ManualClock::at(EPOCH_MS)),
        identity: Arc::new(Identity {
            id: 1,
            name: "node one".into(),
            cluster_id: "c1".into(),
            host: "box".into(),
            service_name: "meta-core".into(),
            service_version: "1.0.0".into(),
            base_url: None,
            ip: "10.0.0.5".into(),
            http: "127.0.0.1:9000".into(),
            api_port: 9000,
            resp: Some("127.0.0.1:6379".into()),
            peer: None,
            started_ms: EPOCH_MS - 5_500,
            pid: 42,
            owner: Owner { file_mode: 0o644, dir_mode: 0o755, uid: 1000, gid: 1000 },
        }),
        node: Arc::new(FakeNode),
        metrics: Arc::default(),
        closing: CancellationToken::new(),
        options: Options::default(),
    }
}

/// Runs one script over the fake service.
pub fn run(path: &Path) {
    let service = Arc::new(FakeService::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let files = library();
    let router = crate::http::router(handles_over(&service, files.path()));
    goldenscript::run(&mut Session { service, router, runtime, files }, path).unwrap();
}

/// Runs one script over another service. Its commands for faults and roles mean nothing then.
pub fn run_over(path: &Path, other: Arc<dyn MetadataService>, runtime: Runtime) {
    let service = Arc::new(FakeService::default());
    let files = library();
    let handles = Handles { service: other, ..handles_over(&service, files.path()) };
    let router = crate::http::router(handles);
    goldenscript::run(&mut Session { service, router, runtime, files }, path).unwrap();
}

struct Session {
    service: Arc<FakeService>,
    router: Router,
    runtime: Runtime,
    files: TempDir,
}

/// FILES_PATH with a film, its poster, an empty file, and a link that leaves.
fn library() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("watch")).unwrap();
    for (name, text) in [("film.mkv", "0123456789abcdef"), ("poster.jpg", "jpeg"), ("empty.mp4", "")] {
        std::fs::write(dir.path().join("watch").join(name), text).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("watch/outside")).unwrap();
    dir
}

impl Session {
    /// `METHOD path [body] [header=value…] [full=true] [repeat=N]`: `repeat` sends the body N times over.
    fn request(&self, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let path = args.next_pos().ok_or("no path")?;
        let body = args.next_pos().unwrap_or_default();
        let full = args.take_key("full").is_some();
        let repeat: usize = args.take_key("repeat").unwrap_or("1").parse()?;
        let mut request = Request::builder().method(command.name.as_str()).uri(path);
        while let Some((name, value)) = args.next_key() {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.repeat(repeat)))?;
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await?;
            let mut out = format!("{}\n", response.status());
            let mut headers: Vec<_> = response.headers().iter().collect();
            headers.sort_by_key(|(name, _)| name.as_str().to_owned());
            for (name, value) in headers {
                if full || !COMMON.contains(&name.as_str()) {
                    writeln!(out, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
                }
            }
            let body = response.into_body().collect().await?.to_bytes();
            if !body.is_empty() {
                write!(out, "\n{}", String::from_utf8_lossy(&body))?;
            }
            // The temporary folder has another name each time; a bare CR would change the script's own line ends.
            Ok(out.replace(&self.files.path().display().to_string(), "/files").replace('\r', "␍"))
        })
    }
}

impl Runner for Session {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        match command.name.as_str() {
            "fail" => {
                let error = match args.next_pos().ok_or("no failure")? {
                    "no_leader" => ServiceError::NoLeader,
                    "busy" => ServiceError::Busy,
                    "timeout" => ServiceError::TimedOut { applied: AppliedState::Unknown },
                    "too_large" => ServiceError::TooLarge { bytes: 9, limit: 8 },
                    "no_space" => ServiceError::NoSpace,
                    "stopped" => ServiceError::Stopped { applied: AppliedState::Unknown },
                    other => return Err(format!("unknown failure {other}").into()),
                };
                self.service.fail(error, 1);
                Ok(String::new())
            }
            "role" => {
                self.service.play(match args.next_pos().ok_or("no role")? {
                    "follower" => Role::Follower,
                    "candidate" => Role::Candidate,
                    "learner" => Role::Learner,
                    _ => Role::Leader,
                });
                Ok(String::new())
            }
            _ => self.request(command),
        }
    }
}
