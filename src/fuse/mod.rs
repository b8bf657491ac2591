//! FUSE: the virtual tree as a mounted, read-only filesystem.
//!
//! ```text
//!   kernel ⇄ fuser's threads ⇄ adapter ─ names, attributes, listings: from RAM, answered inline
//!                                 └──── open, cold read ─► pool (deadline) ─► handles (one pinned source per inode)
//! ```
//!
//! Why this is hard, and who answers for it:
//! 1. The kernel allows one backing file per inode at a time; a second one is EIO for the user: [`handles`].
//! 2. A disk that does not answer must not put a player, or the health check, into state D: [`pool`], [`deadline`].
//! 3. fuser 0.18 may unmount somebody else's mount, and a killed daemon leaves a dead one behind: [`mod@mount`], [`point`].
//!
//! Not here: the tree (`vfs`), any policy, hour-long time-outs with invalidation (later; [`Invalidator`] is the seam).
//! Must always hold: a fault of the disk is EIO and never ENOENT; no request waits without a deadline; nothing can be
//! changed through the mount; a panic is one EIO and never the end of the session.

mod adapter;
mod attr;
mod backing;
mod counters;
mod deadline;
mod device;
mod errno;
mod error;
mod handles;
mod handshake;
mod invalidator;
mod listing;
mod mount;
mod mountinfo;
mod opener;
mod options;
mod point;
mod pool;
mod reader;
mod space;

pub use counters::Counts;
pub use error::MountError;
pub use invalidator::Invalidator;
pub use mount::{Mount, MountState, MountStatus, mount};
pub use options::Options;

/// Name under which our mounts stand in `/proc/self/mountinfo` and in `df`.
pub const FILESYSTEM_NAME: &str = "metad";
