//! metad: a replicated metadata daemon for media libraries.
//!
//! ```text
//!   node       node                                starts and stops everything; sees every room
//!   doors      resp   http   fuse   cli           one protocol each, no policy
//!   services   vfs    scan                        one job each
//!   meta       meta                               the truth: keys, commands, apply, MetadataService
//!   base       config  telemetry  clock  limits  codec
//!   log        crate metad-raft                   an ordered log of opaque bytes
//! ```
//!
//! **Doors → services → meta → log. Look down; never up, never sideways. Only `node` sees everything.**
//! `tests/tidy/` plays the compiler's part and enforces it.
//!
//! Not here: any code of its own, only the list of rooms.
//! Must always hold: a line's room can be found from the file tree alone.

pub mod cli;
pub mod clock;
pub mod codec;
pub mod config;
pub mod docs;
pub mod fuse;
pub mod http;
pub mod limits;
pub mod meta;
pub mod node;
pub mod resp;
pub mod scan;
pub mod telemetry;
pub mod vfs;
