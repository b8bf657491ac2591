//! Waiting for the files' disk: on threads that may block, few of them, each with a deadline.
//!
//! Not here: what is read (`content`). Must always hold: a dead disk takes a bounded number of threads and no request for
//! longer than the deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::limits::HTTP_DISK_THREADS;
use crate::vfs::FsError;

/// The threads.
pub(super) struct Disk {
    threads: Arc<Semaphore>,
    timeout: Duration,
}

impl Disk {
    /// Threads for jobs that each end within `timeout`, or are given up.
    pub fn new(timeout: Duration) -> Self {
        Self { threads: Arc::new(Semaphore::new(HTTP_DISK_THREADS)), timeout }
    }

    /// Runs a job that may block. A job that takes too long keeps its thread until the disk answers; its caller does not
    /// wait for it.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, FsError> + Send + 'static,
    ) -> Result<T, FsError> {
        let threads = Arc::clone(&self.threads);
        let waited = tokio::time::timeout(self.timeout, async move {
            let permit = threads.acquire_owned().await;
            let job = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                job()
            });
            job.await.unwrap_or_else(|e| Err(FsError::Io(format!("the reader failed: {e}"))))
        });
        waited.await.unwrap_or(Err(FsError::TimedOut))
    }
}
