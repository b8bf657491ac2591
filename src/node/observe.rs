//! What doors may ask about the whole node: readiness and the mount.
//!
//! Not here: metadata, the tree. Must always hold: nothing here waits.

use std::sync::Arc;

use metad_raft::PosixMetadataReplicator;
use parking_lot::Mutex;

use crate::fuse;
use crate::http::{Check, Mount, NodeView};

/// The mount, if there is one; taken out at the end.
#[derive(Default)]
pub struct MountSlot(Option<fuse::Mount>);

impl MountSlot {
    /// A slot with a mount.
    pub fn of(mount: fuse::Mount) -> Self {
        Self(Some(mount))
    }
}

/// Sees the node for its doors.
pub struct Observer {
    replicator: Arc<dyn PosixMetadataReplicator>,
    mount: Mutex<MountSlot>,
    not_ready: Mutex<Option<&'static str>>,
}

impl Observer {
    /// An observer of a node that has started.
    pub fn new(replicator: Arc<dyn PosixMetadataReplicator>, mount: MountSlot) -> Self {
        Self { replicator, mount: Mutex::new(mount), not_ready: Mutex::new(None) }
    }

    /// Takes readiness away for good.
    pub fn not_ready(&self, why: &'static str) {
        *self.not_ready.lock() = Some(why);
    }

    /// Takes the mount out, to be detached.
    pub fn take_mount(&self) -> Option<fuse::Mount> {
        self.mount.lock().0.take()
    }
}

impl NodeView for Observer {
    fn checks(&self) -> Vec<Check> {
        let log = self.replicator.status().borrow().failure.clone();
        let serving = self.not_ready.lock().map(str::to_owned);
        let mut checks = vec![
            Check { name: "serving", problem: serving },
            Check { name: "log", problem: log },
            // The doors open after the first tree is complete, and the last good one is served for ever.
            Check { name: "tree", problem: None },
        ];
        if let Some(mount) = self.mount.lock().0.as_ref() {
            let status = mount.status();
            let mounted = status.state == fuse::MountState::Mounted;
            let problem = (!mounted).then(|| format!("the mount is {}", status.state.name()));
            checks.push(Check { name: "mount", problem });
        }
        checks
    }

    fn mount(&self) -> Option<Mount> {
        let status = self.mount.lock().0.as_ref()?.status();
        Some(Mount {
            path: status.path.display().to_string(),
            state: status.state.name().to_owned(),
            passthrough: status.passthrough,
        })
    }
}
