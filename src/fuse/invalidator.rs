//! Telling the kernel that something it remembers has changed.
//!
//! Not here: deciding what has changed (the follower of the log, later). With a time-out of half a second nothing but a
//! corrected size needs this; with an hour, every change of the tree will come through here.
//! Must always hold: never called from one of fuser's threads or under a lock of the tree, because the kernel may
//! hold the directory's lock while it waits for us; the tree is published first, the kernel told afterwards.

use std::ffi::OsStr;
use std::sync::{Arc, OnceLock};

use fuser::{INodeNo, Notifier};

/// A cheap handle that drops what the kernel has cached. Does nothing before the mount and after its end.
#[derive(Clone, Debug, Default)]
pub struct Invalidator {
    notifier: Arc<OnceLock<Notifier>>,
}

impl Invalidator {
    /// Binds the handle to the session.
    pub(super) fn bind(&self, notifier: Notifier) {
        self.notifier.set(notifier).expect("a session is bound once, when it is made");
    }

    /// The attributes of an inode changed; its cached bytes stay.
    pub fn attributes(&self, inode: u64) {
        self.send(|n| n.inval_inode(INodeNo(inode), -1, 0));
    }

    /// The listing of a directory changed.
    pub fn listing(&self, directory: u64) {
        self.send(|n| n.inval_inode(INodeNo(directory), 0, 0));
    }

    /// A name appeared in a directory, or names something else now.
    pub fn name(&self, directory: u64, name: &str) {
        self.send(|n| n.inval_entry(INodeNo(directory), OsStr::new(name)));
    }

    /// A name is gone; watchers of the directory are told.
    pub fn removed(&self, directory: u64, inode: u64, name: &str) {
        self.send(|n| n.delete(INodeNo(directory), INodeNo(inode), OsStr::new(name)));
    }

    fn send(&self, notify: impl FnOnce(&Notifier) -> std::io::Result<()>) {
        if let Some(notifier) = self.notifier.get()
            && let Err(error) = notify(notifier)
        {
            tracing::debug!(%error, "the kernel did not take an invalidation");
        }
    }
}
