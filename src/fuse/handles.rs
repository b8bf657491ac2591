//! Open files: per inode one pinned source.
//!
//! The kernel binds an inode to one way of reading for as long as it is open anywhere: one backing file, or its own
//! page cache. A second backing file, or a mix, is EIO for the user (kernel `fs/fuse/iomode.c`). So the first open
//! decides, later ones join it even if the file has moved meanwhile, and the last release lets go:
//!
//! ```text
//!            open              opened, registered             last release
//!   (absent) ────► Opening ───────────────────────► Pinned ───────────────► (absent)
//!                  │ opens wait here               │ opens join at once
//!                  └────► (absent): all who wait get EIO
//! ```
//!
//! Not here: opening ([`super::opener`]), reading ([`super::reader`]).
//! Must always hold: at most one source per inode; `refs` is the number of successful replies less the releases; a
//! reply is sent after the table says so, and never under its lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::sync::Arc;

use fuser::{BackingId, Errno, FileHandle, FopenFlags, ReplyOpen};
use parking_lot::Mutex;

use super::backing::Backing;
use super::counters::Counters;
use super::deadline::Promise;
use crate::vfs::filesystem::Attr;

/// Where the bytes of an open inode come from.
#[derive(Debug)]
pub(super) enum Source {
    /// The kernel reads the file itself; it holds its own reference to it.
    Passthrough(BackingId),
    /// Reads come to the daemon; the kernel caches pages.
    Cached(File),
}

/// What an open inode holds.
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) source: Source,
    /// Attributes as they were when it was opened, for handles that outlive their node.
    pub(super) attr: Attr,
}

enum Slot {
    Opening(Vec<Promise<ReplyOpen>>),
    Pinned { pin: Arc<Pin>, refs: u64 },
}

/// What an open has to do next.
pub(super) enum Joined {
    /// It was answered.
    Answered,
    /// It waits for the open that is under way.
    Waits,
    /// It is the first: open the file, then call [`Handles::opened`] or [`Handles::failed`].
    First,
}

/// The table of open inodes.
#[derive(Default)]
pub(super) struct Handles {
    table: Mutex<HashMap<u64, Slot>>,
    pub(super) backing: Backing,
    pub(super) counters: Counters,
}

impl Handles {
    /// Joins the pin of an inode, or the wait for it; `promise` puts a waiting reply under its deadline.
    pub(super) fn join(
        &self,
        inode: u64,
        reply: ReplyOpen,
        promise: impl FnOnce(ReplyOpen) -> Promise<ReplyOpen>,
    ) -> Joined {
        let mut table = self.table.lock();
        match table.entry(inode) {
            Entry::Vacant(vacant) => {
                vacant.insert(Slot::Opening(vec![promise(reply)]));
                Joined::First
            }
            Entry::Occupied(mut slot) => match slot.get_mut() {
                Slot::Opening(waiting) => {
                    // Those that the deadline answered are of no more use; a dead disk must not pile them up.
                    waiting.retain(Promise::is_pending);
                    waiting.push(promise(reply));
                    Joined::Waits
                }
                Slot::Pinned { pin, refs } => {
                    *refs += 1;
                    let pin = Arc::clone(pin);
                    drop(table);
                    self.answer(inode, reply, &pin);
                    Joined::Answered
                }
            },
        }
    }

    /// The file is open: decides how it is read, pins it and answers everybody who waits.
    pub(super) fn opened(&self, inode: u64, file: File, attr: Attr) {
        let ground = self.backing.examine(&file);
        let mut table = self.table.lock();
        let replies = take_waiting(&mut table, inode);
        let Some(first) = replies.first() else { return };
        // Registered under the lock, so that there can be no second one; the call does not touch the disk.
        let source = match self.backing.register(first, &file, ground, &self.counters) {
            Some(id) => Source::Passthrough(id),
            None => Source::Cached(file),
        };
        let pin = Arc::new(Pin { source, attr });
        table.insert(inode, Slot::Pinned { pin: Arc::clone(&pin), refs: replies.len() as u64 });
        drop(table);
        for reply in replies {
            self.answer(inode, reply, &pin);
        }
    }

    /// The file could not be opened: everybody who waits gets `errno`.
    pub(super) fn failed(&self, inode: u64, errno: Errno) {
        let replies = take_waiting(&mut self.table.lock(), inode);
        for reply in replies {
            self.counters.opens_failed.add();
            reply.error(errno);
        }
    }

    /// One handle of an inode is closed.
    pub(super) fn release(&self, inode: u64) {
        let mut table = self.table.lock();
        let Entry::Occupied(mut slot) = table.entry(inode) else { return };
        if let Slot::Pinned { refs, .. } = slot.get_mut() {
            *refs -= 1;
            if *refs == 0 {
                let last = slot.remove();
                drop(table);
                // Outside the lock: this closes a file, or tells the kernel to.
                drop(last);
            }
        }
    }

    /// The pin of an open inode.
    pub(super) fn pin(&self, inode: u64) -> Option<Arc<Pin>> {
        match self.table.lock().get(&inode) {
            Some(Slot::Pinned { pin, .. }) => Some(Arc::clone(pin)),
            Some(Slot::Opening(_)) | None => None,
        }
    }

    fn answer(&self, inode: u64, reply: ReplyOpen, pin: &Pin) {
        // The handle carries the inode: all handles of an inode share its pin, so nothing else needs a number.
        let handle = FileHandle(inode);
        match &pin.source {
            Source::Passthrough(id) => {
                self.counters.opens_passthrough.add();
                reply.opened_passthrough(handle, FopenFlags::empty(), id);
            }
            Source::Cached(_) => {
                self.counters.opens_cached.add();
                // Safe, because an inode number stands for one content.
                reply.opened(handle, FopenFlags::FOPEN_KEEP_CACHE);
            }
        }
    }
}

/// Takes the slot of an inode that is being opened, with the replies that its deadlines have left.
fn take_waiting(table: &mut HashMap<u64, Slot>, inode: u64) -> Vec<ReplyOpen> {
    match table.remove(&inode) {
        Some(Slot::Opening(waiting)) => waiting.into_iter().filter_map(Promise::take).collect(),
        Some(pinned @ Slot::Pinned { .. }) => {
            table.insert(inode, pinned);
            Vec::new()
        }
        None => Vec::new(),
    }
}
