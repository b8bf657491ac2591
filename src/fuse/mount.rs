//! The life of a mount: checked, mounted, served, detached.
//!
//! Not here: what a mount answers ([`super::adapter`]).
//! Must always hold: fuser never unmounts; we detach only what we mounted, known by its number in mountinfo; stopping
//! never waits for a player.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fuser::{Config, Session, SessionACL};
use parking_lot::Mutex;
use rustix::mount::UnmountFlags;

use super::adapter::{Adapter, Core};
use super::counters::Counts;
use super::deadline::Deadlines;
use super::error::MountError;
use super::handles::Handles;
use super::invalidator::Invalidator;
use super::options::Options;
use super::pool::Pool;
use super::space::Space;
use super::{device, handshake, mountinfo, point};
use crate::limits::{FUSE_DETACH_DEADLINE_MS, FUSE_POOL_JOBS_MAX, FUSE_POOL_THREADS, FUSE_READ_AHEAD_KIB};
use crate::vfs::filesystem::Filesystem;

/// Whether a mount serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountState {
    /// Requests are answered.
    Mounted,
    /// The session ended although nobody here asked for it: somebody unmounted it.
    Lost,
}

impl MountState {
    /// The word for status pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mounted => "mounted",
            Self::Lost => "lost",
        }
    }
}

/// What a status page shows of a mount.
#[derive(Clone, Debug)]
pub struct MountStatus {
    /// The mount point, absolute and without links.
    pub path: PathBuf,
    /// Whether it serves.
    pub state: MountState,
    /// Whether the kernel reads local files by itself: it agreed to, and has refused no filesystem so far.
    pub passthrough: bool,
    /// What happened since the mount.
    pub counts: Counts,
}

/// A mounted tree. Dropping it detaches it too, and only logs what goes wrong.
pub struct Mount {
    path: PathBuf,
    /// Number of the mount in mountinfo.
    id: u64,
    core: Arc<Core>,
    session: Option<JoinHandle<()>>,
    ended: Mutex<Receiver<()>>,
}

/// Mounts a tree and serves it from threads of its own. Blocks for the checks of the mount point and the handshake;
/// the caller must have a complete tree, because media servers delete what a partial one does not show.
pub fn mount(options: Options, tree: Arc<dyn Filesystem>) -> Result<Mount, MountError> {
    let path = point::prepare(&options.mount_point)?;
    let core = start(options, tree)?;
    let device = device::attach(&path, core.options.allow_other).inspect_err(|_| stop(&core))?;
    let served = identify(&path).and_then(|entry| {
        let session = handshake_with(&core, device)?;
        raise_read_ahead(&entry.device);
        let (ended, is_ended) = channel();
        let session = serve(session, ended)?;
        Ok(Mount {
            path: path.clone(),
            id: entry.id,
            core: Arc::clone(&core),
            session: Some(session),
            ended: Mutex::new(is_ended),
        })
    });
    served
        .inspect(|mount| {
            let passthrough = mount.core.handles.backing.is_active();
            tracing::info!(path = %mount.path.display(), passthrough, "mounted");
        })
        .inspect_err(|_| {
            stop(&core);
            if let Err(error) = point::detach(&path, UnmountFlags::DETACH) {
                tracing::warn!(%error, "a half-made mount could not be detached");
            }
        })
}

fn start(options: Options, tree: Arc<dyn Filesystem>) -> Result<Arc<Core>, MountError> {
    let threads = || MountError::system("start threads");
    let pool = Pool::start(FUSE_POOL_THREADS, FUSE_POOL_JOBS_MAX).map_err(threads())?;
    let deadlines = Deadlines::start().map_err(threads())?;
    let space = Space::start(options.files.clone(), &pool);
    let handles = Handles::default();
    Ok(Arc::new(Core { tree, options, handles, pool, deadlines, space, invalidator: Invalidator::default() }))
}

fn stop(core: &Core) {
    core.pool.close();
    core.deadlines.close();
}

fn identify(path: &Path) -> Result<mountinfo::MountEntry, MountError> {
    let top = mountinfo::top(path).map_err(MountError::system("read /proc/self/mountinfo"))?;
    top.filter(mountinfo::MountEntry::is_ours).ok_or_else(|| {
        let source = io::Error::from(io::ErrorKind::NotFound);
        MountError::System { step: "find the new mount in /proc/self/mountinfo", source }
    })
}

fn handshake_with(core: &Arc<Core>, device: std::os::fd::OwnedFd) -> Result<Session<Adapter>, MountError> {
    let mut config = Config::default();
    config.n_threads = Some(handshake::session_threads());
    config.clone_fd = device::can_clone();
    // The kernel keeps other users out by itself, unless the mount was made with `allow_other`.
    let session = Session::from_fd(Adapter::new(Arc::clone(core)), device, SessionACL::All, config)
        .map_err(MountError::system("shake hands with the kernel"))?;
    core.invalidator.bind(session.notifier());
    Ok(session)
}

fn serve(
    session: Session<Adapter>,
    ended: std::sync::mpsc::Sender<()>,
) -> Result<JoinHandle<()>, MountError> {
    let thread = std::thread::Builder::new().name("fuse-session".into()).spawn(move || {
        if let Err(error) = session.run() {
            tracing::error!(%error, "the session of the mount failed");
        }
        // Nobody listens any more when the mount gave up waiting.
        ended.send(()).ok();
    });
    thread.map_err(MountError::system("start the session's thread"))
}

/// Raises the read-ahead of the mount; the kernel's 128 KiB are a round trip each where the daemon serves the bytes.
fn raise_read_ahead(device: &str) {
    let setting = format!("/sys/class/bdi/{device}/read_ahead_kb");
    if let Err(error) = std::fs::write(&setting, FUSE_READ_AHEAD_KIB.to_string()) {
        tracing::debug!(setting, %error, "read-ahead stays as it is");
    }
}

impl Mount {
    /// What a status page shows. Never waits.
    pub fn status(&self) -> MountStatus {
        let handles = &self.core.handles;
        MountStatus {
            path: self.path.clone(),
            state: self.state(),
            passthrough: handles.backing.is_active(),
            counts: handles.counters.read(),
        }
    }

    fn state(&self) -> MountState {
        match self.ended.lock().try_recv() {
            Err(TryRecvError::Empty) => MountState::Mounted,
            Ok(()) | Err(TryRecvError::Disconnected) => MountState::Lost,
        }
    }

    /// The handle that tells the kernel what has changed.
    pub fn invalidator(&self) -> Invalidator {
        self.core.invalidator.clone()
    }

    /// Detaches the mount and waits for its threads, at most [`FUSE_DETACH_DEADLINE_MS`]. Files that are open keep
    /// being readable where the kernel reads them; where the daemon served them, reads fail from now on.
    pub fn unmount(mut self) -> Result<(), MountError> {
        self.take_down()
    }

    fn take_down(&mut self) -> Result<(), MountError> {
        let Some(session) = self.session.take() else { return Ok(()) };
        let detached = self.detach();
        stop(&self.core);
        detached?;
        let wait = Duration::from_millis(FUSE_DETACH_DEADLINE_MS);
        // A closed channel means that the thread is at its end, too.
        if self.ended.lock().recv_timeout(wait) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            return Err(MountError::StillBusy { path: self.path.clone() });
        }
        session.join().map_err(|_| {
            let source = io::Error::other("it panicked");
            MountError::System { step: "join the session's thread", source }
        })?;
        tracing::info!(path = %self.path.display(), "unmounted");
        Ok(())
    }

    /// Takes the mount off its path if it is still the one that we made. FORCE ends the connection at once, so that
    /// the session's threads wake up although a player still holds a file.
    fn detach(&self) -> Result<(), MountError> {
        // Numbers of mounts are reused: once ours is gone, its number may be that of its successor.
        if self.state() == MountState::Lost {
            return Ok(());
        }
        let top = mountinfo::top(&self.path).map_err(MountError::system("read /proc/self/mountinfo"))?;
        match top {
            Some(top) if top.id == self.id => {
                point::detach(&self.path, UnmountFlags::FORCE | UnmountFlags::DETACH)
                    .map_err(MountError::system("detach the mount"))
            }
            Some(_) => {
                tracing::warn!(path = %self.path.display(), "something else is mounted over us; it was left alone");
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = self.take_down() {
            tracing::warn!(%error, "the mount was not taken down cleanly");
        }
    }
}
