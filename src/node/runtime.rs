//! `runtime.json`: the addresses that were really bound, for scripts and tests.
//!
//! Not here: identity (`node.json`). Must always hold: it appears by rename when the node is ready and is gone after a
//! clean stop; doors that are not there are null.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::ground::Addresses;
use crate::config::Config;
use crate::meta::store::shelf::replace_file;

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("runtime.json")
}

/// Writes the file. Source: the contract, "The binary".
pub fn write(data_dir: &Path, config: &Config, addresses: &Addresses) -> std::io::Result<()> {
    let runtime = json!({
        "pid": std::process::id(),
        "name": config.node.name,
        "http": addresses.http.to_string(),
        "resp": addresses.resp.to_string(),
        "sentinel": null,
        "peer": addresses.peer.map(|a| a.to_string()),
        "mount": config.fuse.mount,
    });
    replace_file(&path(data_dir), format!("{runtime}\n").as_bytes())
}

/// Removes the file; one left by a killed process too.
pub fn remove(data_dir: &Path) {
    match std::fs::remove_file(path(data_dir)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, "runtime.json could not be removed");
        }
        Ok(()) | Err(_) => {}
    }
}
