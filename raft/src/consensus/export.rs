//! A snapshot on request, open for reading.
//!
//! Not here: how it is asked for and written (`membership`, `machine`). Must always hold: nothing is appended to the log.

use std::io;
use std::time::Instant;

use super::RaftReplicator;
use crate::admin::{AdminError, ClusterAdmin};
use crate::datadir;
use crate::error::ReplicateError;
use crate::replicator::SnapshotExport;
use crate::snapshot::export_from;

impl RaftReplicator {
    /// A snapshot that contains at least what is applied now.
    pub(super) async fn export_inner(&self, deadline: Instant) -> Result<SnapshotExport, ReplicateError> {
        let dir = datadir::snapshot_dir(&self.options.dir);
        loop {
            let written = ClusterAdmin::snapshot(self, deadline).await;
            let index = written.map_err(|e| match e {
                AdminError::Replicate(e) => e,
                late => {
                    tracing::warn!(reason = %late, "no snapshot for whoever asked for one");
                    ReplicateError::Unknown
                }
            })?;
            match export_from(&dir, index) {
                Ok(file) => return Ok(file),
                // Newer ones came in between.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => {
                    tracing::error!(error = %e, index, "a snapshot cannot be opened");
                    return Err(ReplicateError::Stopped);
                }
            }
        }
    }
}
