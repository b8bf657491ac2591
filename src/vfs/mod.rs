//! The virtual filesystem: folders computed from metadata by rules.
//!
//! ```text
//!   applied log ──► follower ──► builder (pure) ──► tree ──► Filesystem ──► fuse, http, webdav
//!                                  ▲
//!                             rule set: template · condition · presets
//! ```
//!
//! Not here: protocols (doors), the records themselves (meta).
//! Must always hold: tree, names, suffixes, inodes and mtimes are a pure function of (rules, applied log); only
//! `follower` and `source` do I/O.

pub mod condition;
pub mod field;
pub mod filesystem;
pub mod filter;
pub mod name;
pub mod presets;
pub mod properties;
pub mod rule;
pub mod template;
pub mod upstream;

pub use field::Fields;
pub use filesystem::{Attr, DirEntry, Filesystem, FsError, FsTotals, NodeKind, OpenFile, ROOT_INODE};
pub use properties::PropertySet;
pub use rule::{Placement, RuleErrors, RuleSet};
