//! Work that blocks, on a thread of its own, awaited.
//!
//! Not here: long-lived threads. Must always hold: blocking work never runs on a thread of the async runtime.

use tokio::sync::oneshot;

/// Runs `work` on a new thread. The receiver fails when `work` panicked.
pub(crate) fn on_a_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<oneshot::Receiver<T>> {
    let (done, wait) = oneshot::channel();
    std::thread::Builder::new().name(name.to_string()).spawn(move || {
        // A caller that went away needs no answer.
        let _ = done.send(work());
    })?;
    Ok(wait)
}
