//! Random bytes from the kernel.
//!
//! Not here: randomness of the consensus library. Must always hold: nothing replicated depends on what is drawn here.

use std::fs::File;
use std::io::{self, Read as _};

/// Draws `N` bytes; they are fit for keys.
pub(crate) fn draw<const N: usize>() -> io::Result<[u8; N]> {
    let mut out = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut out)?;
    Ok(out)
}
