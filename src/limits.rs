//! Every limit in one place, with its unit in its name.
//!
//! Not here: settings, which users may change. Must always hold: whatever grows has a limit here.

/// Longest hashId in bytes.
pub const ID_BYTES_MAX: usize = 512;
/// Longest property name in bytes.
pub const PROPERTY_BYTES_MAX: usize = 1024;
/// Most properties in one record.
pub const RECORD_PROPERTIES_MAX: usize = 4096;
/// Longest generic key in bytes.
pub const KEY_BYTES_MAX: usize = 16 * 1024;
/// Largest value over HTTP in bytes.
pub const HTTP_VALUE_BYTES_MAX: usize = 1024 * 1024;
/// Largest value over RESP in bytes.
pub const VALUE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Values are cut into chunks of this many bytes in the store.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Applied entries that the change feed remembers for followers that are busy.
pub const FEED_SETS_MAX: usize = 8192;
/// Series of one metric, one for each combination of label values; what comes after is counted under `other`.
pub const METRIC_SERIES_MAX: usize = 1024;
/// Files that `scan` reads and hashes as one block, before their records are made in order.
pub const SCAN_BLOCK_FILES: usize = 256;
