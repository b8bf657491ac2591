//! Read barriers: how far the log was committed when a read arrived, on the leader and on every other member.
//!
//! ```text
//! leader     reads ─► one quorum round at a time ─► index ─► applied here ─► answer
//! follower   reads ─► one request at a time ─► the leader's index ─► applied here ─► answer
//! ```
//!
//! Not here: reading. Must always hold:
//! * a round is shared only by reads that arrived before it began; later ones go into the next;
//! * each attempt is a round of its own: an answer to an earlier one is never used (etcd issue 20418: a process that was paused in
//!   between would read the past);
//! * no clock and no lease is trusted.
//!
//! Source: Ongaro's dissertation, section 6.4.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::network::{Peers, ReadIndex};
use super::{Engine, hint};
use crate::error::ReplicateError;

/// An index, or why there is none.
pub(crate) type Answer = Result<u64, ReplicateError>;

/// Reads that wait for a round, and whether one is under way.
#[derive(Default)]
struct Rounds {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<oneshot::Sender<Answer>>,
    under_way: bool,
}

impl Rounds {
    /// Takes part in the next round that begins.
    async fn join<F, R>(self: &Arc<Self>, round: F) -> Answer
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = Answer> + Send,
    {
        let (answer, wait) = oneshot::channel();
        let begin = {
            let mut state = self.state.lock();
            state.waiting.push(answer);
            !std::mem::replace(&mut state.under_way, true)
        };
        if begin {
            let rounds = self.clone();
            tokio::spawn(async move {
                while let Some(batch) = rounds.next() {
                    let answer = round().await;
                    for waiter in batch {
                        // A reader that went away needs no answer.
                        let _ = waiter.send(answer.clone());
                    }
                }
            });
        }
        wait.await.unwrap_or(Err(ReplicateError::Stopped))
    }

    fn next(&self) -> Option<Vec<oneshot::Sender<Answer>>> {
        let mut state = self.state.lock();
        let batch = std::mem::take(&mut state.waiting);
        state.under_way = !batch.is_empty();
        state.under_way.then_some(batch)
    }
}

/// The read barriers of one member.
pub(crate) struct Reads {
    id: u64,
    peers: Peers,
    leading: Arc<Rounds>,
    asking: Arc<Rounds>,
}

impl Reads {
    pub(crate) fn new(id: u64, peers: Peers) -> Self {
        Self { id, peers, leading: Arc::default(), asking: Arc::default() }
    }

    /// The commit index of now, if this node leads and a quorum says so.
    pub(crate) async fn index(&self, engine: &Engine) -> Answer {
        let (id, engine) = (self.id, engine.clone());
        self.leading.join(move || quorum_round(id, engine.clone())).await
    }

    /// Waits until the local state holds everything that was acknowledged anywhere before this call.
    pub(crate) async fn barrier(&self, engine: &Engine, deadline: Instant) -> Answer {
        loop {
            let attempt = async {
                let index = self.attempt(engine).await?;
                applied(engine, index).await?;
                Ok(index)
            };
            let error = match tokio::time::timeout_at(deadline.into(), attempt).await {
                Ok(Err(error @ ReplicateError::Unknown)) => error,
                // Without a leader, how long to wait is the caller's to say: it knows how long its client does.
                Ok(settled) => return settled,
                Err(_) => return Err(ReplicateError::Unknown),
            };
            // Who leads may be changing: the next attempt follows the news, or comes soon.
            let soon = Instant::now() + self.peers.timing().heartbeat;
            if soon >= deadline {
                return Err(error);
            }
            if tokio::time::timeout_at(soon.into(), another_reign(engine)).await == Ok(false) {
                return Err(ReplicateError::Stopped);
            }
        }
    }

    async fn attempt(&self, engine: &Engine) -> Answer {
        let leader = engine.metrics().borrow_watched().current_leader;
        match leader {
            None => Err(ReplicateError::NotLeader { leader: None }),
            Some(leader) if leader == self.id => self.index(engine).await,
            Some(_) => {
                let (id, engine, peers) = (self.id, engine.clone(), self.peers.clone());
                self.asking.join(move || ask_round(id, engine.clone(), peers.clone())).await
            }
        }
    }
}

/// Waits for another leader or term; false when the engine is gone. Other news do not count: each attempt makes some.
async fn another_reign(engine: &Engine) -> bool {
    let mut metrics = engine.metrics();
    let before = {
        let now = metrics.borrow_and_update();
        (now.current_leader, now.current_term)
    };
    while metrics.changed().await.is_ok() {
        let now = metrics.borrow_and_update();
        if (now.current_leader, now.current_term) != before {
            return true;
        }
    }
    false
}

/// One round of the leader: a quorum confirms that it still leads.
async fn quorum_round(id: u64, engine: Engine) -> Answer {
    match engine.get_read_linearizer(ReadPolicy::ReadIndex).await {
        Ok(read) => Ok(read.read_log_id().index()),
        Err(RaftError::Fatal(_)) => Err(ReplicateError::Stopped),
        Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
            Err(ReplicateError::NotLeader { leader: hint(id, to.leader_id) })
        }
        // It leads nobody that could tell whether somebody else leads by now.
        Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_))) => {
            Err(ReplicateError::NotLeader { leader: None })
        }
    }
}

/// One round of a follower: the leader of now is asked.
async fn ask_round(id: u64, engine: Engine, peers: Peers) -> Answer {
    let leader = engine.metrics().borrow_watched().current_leader;
    let Some(leader) = leader.filter(|leader| *leader != id) else {
        return Err(ReplicateError::NotLeader { leader: None });
    };
    match peers.read_index(leader).await {
        Some(ReadIndex::Index(index)) => Ok(index),
        Some(ReadIndex::NotLeader(other)) => Err(ReplicateError::NotLeader { leader: hint(id, other) }),
        Some(ReadIndex::Unknown) => Err(ReplicateError::Unknown),
        // The engine names a leader that is gone until another one is elected.
        None => Err(ReplicateError::NotLeader { leader: None }),
    }
}

/// Waits until the local machine has applied `index`.
async fn applied(engine: &Engine, index: u64) -> Result<(), ReplicateError> {
    let mut metrics = engine.metrics();
    loop {
        let (here, running) = {
            let now = metrics.borrow_and_update();
            (now.last_applied.is_some_and(|l| l.index >= index), now.running_state.is_ok())
        };
        if here {
            return Ok(());
        }
        if !running || metrics.changed().await.is_err() {
            return Err(ReplicateError::Stopped);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_round_is_shared_by_those_who_waited_for_it_and_by_nobody_who_came_later() {
        let (rounds, begun, gate) =
            (Arc::new(Rounds::default()), Arc::<AtomicU64>::default(), Arc::new(Semaphore::new(0)));
        let join = || {
            let (rounds, begun, gate) = (rounds.clone(), begun.clone(), gate.clone());
            let round = move || {
                let (begun, gate) = (begun.clone(), gate.clone());
                async move {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    gate.acquire().await.unwrap().forget();
                    Ok(number)
                }
            };
            tokio::spawn(async move { rounds.join(round).await })
        };
        let first = join();
        while begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let later = [join(), join()];
        while rounds.state.lock().waiting.len() < 2 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), Ok(1));
        for later in later {
            assert_eq!(later.await.unwrap(), Ok(2));
        }
    }
}
