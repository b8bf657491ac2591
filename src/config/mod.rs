//! config.
//!
//! Not here: everything, so far. Must always hold: see `lib.rs`.
