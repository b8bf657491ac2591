//! What the kernel tells about this process.
//!
//! Not here: who shows it. Must always hold: nothing here reads a disk; what the kernel does not tell is `None`.
//!
//! Source: proc_pid_status(5), proc_pid_fd(5).

use std::fs;

/// Resident memory in bytes.
pub fn resident_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Open file descriptors, without the one that counts them.
pub fn open_files() -> Option<u64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    Some((listed as u64).saturating_sub(1))
}

/// `VmRSS` of a status text, in bytes. The kernel writes kibibytes and calls them kB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_word_on_this_process_is_understood() {
        assert_eq!(resident("Name:\tmetad\nVmRSS:\t    2048 kB\nThreads:\t3\n"), Some(2 << 20));
        assert_eq!(resident("Name:\tmetad\n"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
        let before = open_files().unwrap();
        let held: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        // Other tests of this process open and close files too.
        assert!(open_files().unwrap() + 25 > before + held.len() as u64);
    }
}
