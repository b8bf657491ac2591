//! The HTTP door: every route of the old core and of the old filesystem service, and what metad adds.
//!
//! ```text
//! server (accept loop, timeouts) ─► gate (CORS, limits, headers) ─► routes (one table) ─► handlers ─► MetadataService, Filesystem
//! ```
//!
//! One file per group of routes; each file lists its own routes, and `routes` puts them together. The same list makes
//! the router, the `Allow` headers, `/openapi.json` and the documentation test.
//!
//! Not here: what a write means (meta), where a file is shown (vfs), who binds which port (`node`).
//! Must always hold: a handler translates and decides nothing; every error leaves in the contract's shape; no body is
//! read without a limit and a deadline; no file is read into memory whole.

mod body;
mod cids;
mod cluster;
mod content;
mod disk;
mod doctor;
mod editor;
mod error;
mod events;
mod export;
mod files;
mod fuse_api;
mod fuse_rules;
mod gate;
mod guard;
mod handles;
mod health;
mod import;
mod kv;
mod line;
mod measure;
mod once;
mod openapi;
mod options;
mod property;
mod query;
mod record;
mod reply;
mod routes;
mod rules;
mod server;
mod snapshot;
mod status;
mod story;
mod tags;
mod waiting;

pub use handles::{Check, Finding, Handles, Identity, Level, MemberView, Mount, NodeView, Owner};
pub use measure::{Figures, MountFigures};
pub use openapi::document as openapi_document;
pub use options::Options;
pub use routes::{RouteDoc, documented, router};
pub use server::{BindError, Server};
pub use waiting::{Reason, Routes, waiting};

#[cfg(test)]
mod tests;
