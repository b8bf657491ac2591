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

pub mod attr;
pub mod builder;
pub mod condition;
pub mod cookie;
pub mod explain;
pub mod field;
pub mod filesystem;
pub mod filter;
pub mod first_scan;
pub mod follower;
pub mod inode;
pub mod keeper;
pub mod name;
pub mod pinner;
pub mod presets;
pub mod properties;
pub mod rule;
pub mod source;
pub mod template;
pub mod tree;
pub mod tree_claim;
pub mod tree_diff;
mod tree_dirs;
mod tree_folder;
pub mod tree_fs;
mod tree_name;
mod tree_node;
mod tree_pins;
pub mod tree_projection;
mod tree_read;
pub mod tree_rules;
#[cfg(test)]
mod tree_scripts;
mod tree_spelling;
mod tree_table;
#[cfg(test)]
mod tree_tests;
mod tree_text;
pub mod upstream;

pub use field::Fields;
pub use filesystem::{Attr, DirEntry, Filesystem, FsError, FsTotals, NodeKind, OpenFile, ROOT_INODE};
pub use properties::PropertySet;
pub use rule::{Placement, RuleErrors, RuleSet};
pub use source::{Source, SourceError};
pub use tree_diff::TreeDiff;
pub use tree_fs::VirtualTree;
