//! A small, bounded pool of threads that may wait for a disk.
//!
//! Not here: deadlines ([`super::deadline`]). Must always hold: a stuck disk takes at most the pool's threads; what
//! does not fit is refused at once; a panic costs one job.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

/// The queue is full, or the pool is closed.
#[derive(Debug)]
pub(super) struct Refused;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

/// The pool. Dropping it lets idle threads end and drops what was not begun.
pub(super) struct Pool {
    shared: Arc<Shared>,
    jobs_max: usize,
}

impl Pool {
    /// Starts the threads.
    pub(super) fn start(threads: usize, jobs_max: usize) -> io::Result<Self> {
        let pool = Self { shared: Arc::default(), jobs_max };
        for n in 0..threads {
            let shared = Arc::clone(&pool.shared);
            std::thread::Builder::new().name(format!("fuse-disk-{n}")).spawn(move || work(&shared))?;
        }
        Ok(pool)
    }

    /// Hands a job to the next free thread.
    pub(super) fn submit(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Refused> {
        let mut state = self.shared.state.lock();
        if state.closed || state.jobs.len() >= self.jobs_max {
            return Err(Refused);
        }
        state.jobs.push_back(Box::new(job));
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Takes no more jobs and drops those that were not begun; running ones go on.
    pub(super) fn close(&self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        self.shared.wake.notify_all();
        // Outside the lock: a dropped job drops its reply, which writes to the kernel.
        drop(dropped);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(shared: &Shared) {
    while let Some(job) = next(shared) {
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a disk job of the mount panicked");
        }
    }
}

fn next(shared: &Shared) -> Option<Job> {
    let mut state = shared.state.lock();
    loop {
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }
        if state.closed {
            return None;
        }
        shared.wake.wait(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_full_queue_refuses_and_a_panic_costs_one_job() {
        let pool = Pool::start(1, 2).unwrap();
        let (started, is_started) = channel();
        let (release, released) = channel::<()>();
        pool.submit(move || {
            started.send(()).unwrap();
            released.recv().unwrap();
            panic!("a job that fails");
        })
        .unwrap();
        is_started.recv().unwrap();
        let (done, is_done) = channel();
        let again = done.clone();
        pool.submit(move || done.send(1).unwrap()).unwrap();
        pool.submit(move || again.send(2).unwrap()).unwrap();
        assert!(pool.submit(|| ()).is_err());
        release.send(()).unwrap();
        assert_eq!((is_done.recv(), is_done.recv()), (Ok(1), Ok(2)));
        pool.close();
        assert!(pool.submit(|| ()).is_err());
    }
}
