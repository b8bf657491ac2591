//! The documents: Markdown compiled into rustdoc, so that they are read beside the code and their links are checked.
//!
//! * [`architecture`]: the house, one write, one read.
//! * [`consistency`]: what is promised, and the test that guards each promise.
//! * [`data_format`]: what is stored and sent, byte by byte.
//! * [`compatibility`]: what is kept of the old system.
//! * [`operations`]: running a node.
//! * [`testing`]: which test proves what, and how to run it.
//! * [`decisions`]: why it is so and not otherwise.
//!
//! Not here: code. Must always hold: a document tells what is there, or says that it is not there yet.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("consistency.md")]
pub mod consistency {}

#[doc = include_str!("data-format.md")]
pub mod data_format {}

#[doc = include_str!("compatibility.md")]
pub mod compatibility {}

#[doc = include_str!("operations.md")]
pub mod operations {}

#[doc = include_str!("testing.md")]
pub mod testing {}

/// Decisions, one file each, with the road that was not taken.
pub mod decisions {
    #[doc = include_str!("decisions/000-template.md")]
    pub mod d000_template {}

    #[doc = include_str!("decisions/001-record-per-value.md")]
    pub mod d001_record_per_value {}

    #[doc = include_str!("decisions/002-one-entry-per-batch.md")]
    pub mod d002_one_entry_per_batch {}

    #[doc = include_str!("decisions/003-generic-keys.md")]
    pub mod d003_generic_keys {}

    #[doc = include_str!("decisions/004-one-hand-over-per-entry-and-node.md")]
    pub mod d004_one_hand_over_per_entry_and_node {}

    #[doc = include_str!("decisions/005-one-voter-is-a-raft-log.md")]
    pub mod d005_one_voter_is_a_raft_log {}

    #[doc = include_str!("decisions/006-default-rules-are-written.md")]
    pub mod d006_default_rules_are_written {}

    #[doc = include_str!("decisions/007-bounds-of-a-record.md")]
    pub mod d007_bounds_of_a_record {}

    #[doc = include_str!("decisions/008-peers-speak-frames.md")]
    pub mod d008_peers_speak_frames {}
}
