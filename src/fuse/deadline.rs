//! Deadlines of replies: whoever comes first, the result or the deadline, answers; never both, never neither.
//!
//! Not here: the work itself ([`super::pool`]). Must always hold: every promise is answered within its time; the
//! watcher holds no lock while it answers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

type Expire = Box<dyn FnOnce() + Send>;
type Key = (Instant, u64);

#[derive(Default)]
struct State {
    armed: BTreeMap<Key, Expire>,
    next: u64,
    closed: bool,
}

/// The deadlines of a mount and the thread that watches them.
#[derive(Default)]
pub(super) struct Deadlines {
    state: Mutex<State>,
    changed: Condvar,
}

impl Deadlines {
    /// Starts the watcher.
    pub(super) fn start() -> io::Result<Arc<Self>> {
        let deadlines = Arc::new(Self::default());
        let watched = Arc::clone(&deadlines);
        std::thread::Builder::new().name("fuse-deadline".into()).spawn(move || watched.watch())?;
        Ok(deadlines)
    }

    /// Puts a reply under a deadline: `late` gets it when nobody took it within `after`.
    pub(super) fn promise<R: Send + 'static>(
        self: &Arc<Self>,
        reply: R,
        after: Duration,
        late: impl FnOnce(R) + Send + 'static,
    ) -> Promise<R> {
        let cell = Arc::new(Mutex::new(Some(reply)));
        let watched = Arc::clone(&cell);
        let key = self.arm(
            after,
            Box::new(move || {
                let reply = watched.lock().take();
                if let Some(reply) = reply {
                    late(reply);
                }
            }),
        );
        Promise { cell, key, deadlines: Arc::clone(self) }
    }

    /// Ends the watcher; what is armed is dropped.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let dropped = std::mem::take(&mut state.armed);
        drop(state);
        self.changed.notify_all();
        drop(dropped);
    }

    fn arm(&self, after: Duration, expire: Expire) -> Key {
        let mut state = self.state.lock();
        let key = (Instant::now() + after, state.next);
        state.next += 1;
        state.armed.insert(key, expire);
        let first = state.armed.first_key_value().is_some_and(|(k, _)| *k == key);
        drop(state);
        if first {
            self.changed.notify_one();
        }
        key
    }

    fn disarm(&self, key: Key) {
        let expire = self.state.lock().armed.remove(&key);
        drop(expire);
    }

    fn watch(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            let Some(at) = state.armed.first_key_value().map(|((at, _), _)| *at) else {
                self.changed.wait(&mut state);
                continue;
            };
            if at > Instant::now() {
                self.changed.wait_until(&mut state, at);
                continue;
            }
            if let Some((_, expire)) = state.armed.pop_first() {
                parking_lot::MutexGuard::unlocked(&mut state, expire);
            }
        }
    }
}

/// A reply under a deadline. Dropping it unanswered drops the reply, which fuser answers with EIO.
pub(super) struct Promise<R> {
    cell: Arc<Mutex<Option<R>>>,
    key: Key,
    deadlines: Arc<Deadlines>,
}

impl<R> Promise<R> {
    /// The reply, unless the deadline had it first.
    pub(super) fn take(self) -> Option<R> {
        self.cell.lock().take()
    }

    /// Whether nobody has answered yet.
    pub(super) fn is_pending(&self) -> bool {
        self.cell.lock().is_some()
    }
}

impl<R> Drop for Promise<R> {
    fn drop(&mut self) {
        self.deadlines.disarm(self.key);
        let reply = self.cell.lock().take();
        drop(reply);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn the_deadline_answers_what_nobody_took_and_only_that() {
        let deadlines = Deadlines::start().unwrap();
        let (late, is_late) = channel();
        let other = late.clone();
        let slow = deadlines.promise("slow", Duration::from_millis(20), move |r| late.send(r).unwrap());
        let quick = deadlines.promise("quick", Duration::from_millis(10), move |r| other.send(r).unwrap());
        assert_eq!(quick.take(), Some("quick"));
        assert_eq!(is_late.recv(), Ok("slow"));
        assert!(!slow.is_pending());
        assert_eq!(slow.take(), None);
        assert!(is_late.recv().is_err(), "every sender is gone, so nothing else was answered");
        deadlines.close();
    }
}
