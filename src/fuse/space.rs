//! Free space of the files' volume for `statfs`, known beforehand and refreshed aside.
//!
//! Not here: totals of the tree. Must always hold: nobody who asks waits for the volume.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::pool::Pool;
use crate::limits::{FUSE_PROBE_DEADLINE_MS, FUSE_SPACE_AGE_MS};

/// Magic number of overlayfs. Source: `statfs(2)`.
const OVERLAYFS_MAGIC: i64 = 0x794c_7630;

/// What is known of the volume.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Volume {
    /// Bytes that an ordinary user may still write there.
    pub(super) available_bytes: u64,
    /// Whether it is a stacked filesystem itself, as the files of a container are.
    pub(super) is_overlay: bool,
}

struct State {
    volume: Volume,
    asked: Instant,
    is_asking: bool,
}

/// The volume under FILES_PATH.
pub(super) struct Space {
    files: PathBuf,
    state: Mutex<State>,
}

impl Space {
    /// Asks once, and goes on without an answer when the volume does not give one in time.
    pub(super) fn start(files: PathBuf, pool: &Pool) -> Arc<Self> {
        let state = State { volume: Volume::default(), asked: Instant::now(), is_asking: false };
        let space = Arc::new(Self { files, state: Mutex::new(state) });
        let (answered, is_answered) = channel();
        space.ask(pool, move || {
            // Nobody listens any more when the volume was late.
            answered.send(()).ok();
        });
        if is_answered.recv_timeout(Duration::from_millis(FUSE_PROBE_DEADLINE_MS)).is_err() {
            tracing::warn!(path = %space.files.display(), "the files' volume did not answer at mount");
        }
        space
    }

    /// What is known now; asks again, aside, when that has grown old.
    pub(super) fn volume(self: &Arc<Self>, pool: &Pool) -> Volume {
        let state = self.state.lock();
        let volume = state.volume;
        let is_old = state.asked.elapsed() >= Duration::from_millis(FUSE_SPACE_AGE_MS);
        drop(state);
        if is_old {
            self.ask(pool, || ());
        }
        volume
    }

    fn ask(self: &Arc<Self>, pool: &Pool, then: impl FnOnce() + Send + 'static) {
        {
            let mut state = self.state.lock();
            if state.is_asking {
                return;
            }
            state.is_asking = true;
        }
        let asked = Arc::clone(self);
        let refused = pool.submit(move || {
            asked.answer();
            then();
        });
        if refused.is_err() {
            self.state.lock().is_asking = false;
        }
    }

    fn answer(&self) {
        let found = rustix::fs::statfs(&self.files);
        let mut state = self.state.lock();
        state.is_asking = false;
        state.asked = Instant::now();
        match found {
            Ok(found) => {
                // Counts are in fragments; a filesystem that knows none leaves 0 there.
                let unit = if found.f_frsize > 0 { found.f_frsize } else { found.f_bsize };
                state.volume = Volume {
                    available_bytes: found.f_bavail.saturating_mul(unit.cast_unsigned()),
                    is_overlay: found.f_type == OVERLAYFS_MAGIC,
                };
            }
            Err(error) => tracing::debug!(%error, "no statfs of the files' volume"),
        }
    }
}
