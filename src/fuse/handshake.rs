//! The handshake: what we ask of the kernel, and what it gives.
//!
//! Not here: mount options ([`super::device`]). Must always hold: nothing is asked for that fuser 0.18 cannot honour
//! (io_uring, resend, request time-outs), and nothing that the kernel does not offer.

use fuser::{InitFlags, KernelConfig};
use rustix::thread::CapabilitySet;

use super::adapter::Core;
use crate::limits::{FUSE_BACKGROUND_MAX, FUSE_SESSION_THREADS_MAX};

/// Wanted when offered. AUTO_INVAL_DATA and CACHE_DIR are not: they cost a question per read, or show old listings.
const WANTED: [InitFlags; 5] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    // Lookups of `.` and `..` by number, for re-export over NFS; our numbers never go stale in a restart.
    InitFlags::FUSE_EXPORT_SUPPORT,
];

/// Answers the kernel's INIT.
pub(super) fn negotiate(core: &Core, config: &mut KernelConfig) {
    let offered = config.capabilities();
    for flag in WANTED {
        if offered.contains(flag) {
            add(config, flag);
        }
    }
    let passthrough =
        core.options.passthrough && is_privileged() && offered.contains(InitFlags::FUSE_PASSTHROUGH);
    if passthrough {
        add(config, InitFlags::FUSE_PASSTHROUGH);
        // One level for an ordinary filesystem. Two when the files are on an overlay themselves; the mount can then
        // not be the lower layer of another overlay.
        let depth = if core.space.volume(&core.pool).is_overlay { 2 } else { 1 };
        config.set_max_stack_depth(depth).expect("two is the most that the kernel knows");
    }
    core.handles.backing.allow(passthrough);
    config.set_max_background(FUSE_BACKGROUND_MAX).expect("the limit is not zero");
}

fn add(config: &mut KernelConfig, flag: InitFlags) {
    config.add_capabilities(flag).expect("the kernel offered it");
}

/// Whether this process has CAP_SYS_ADMIN, without which the kernel takes no backing files.
fn is_privileged() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// How many threads read requests.
pub(super) fn session_threads() -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    FUSE_SESSION_THREADS_MAX.min(cpus + 1)
}
