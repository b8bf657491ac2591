//! The caller's side of one lane to one peer: a queue, and a stream that is opened when something waits in it.
//!
//! ```text
//! call ──► queue ──► (batch) ──► socket        a request in the queue: nothing of it was sent, Unreachable
//!             ▲          │                     a request beyond:       sent at least in part,  Lost
//!             └──────────┘ what a broken socket had not begun to take
//! ```
//!
//! Not here: how a stream comes about (see `dial`).
//! Must always hold:
//! * requests go out in the order of the calls;
//! * no call outlives its deadline, whatever the peer does;
//! * after a failure to connect, calls fail at once until the pause is over; after a success there is no pause.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::dial::dial;
use super::frame::{Frame, FrameError, Kind, body_bytes_max, decode_refusal};
use super::identity::{AddressBook, PeerIdentity};
use super::options::{CALLS_MAX, Options, QUEUE_BYTES_MAX};
use super::wire::{Batch, FrameReader, Pulse, Source, Wire, WireError, write_frames};
use crate::transport::{Channel, Lane, TransportError};

/// What all links of a transport share.
pub(crate) struct Context {
    pub identity: Arc<PeerIdentity>,
    pub book: Arc<AddressBook>,
    pub options: Options,
    pub runtime: Handle,
}

type Answer = Result<Bytes, TransportError>;

/// One lane to one peer.
pub(crate) struct Link {
    to: u64,
    lane: Lane,
    context: Arc<Context>,
    state: Mutex<State>,
    wake: Notify,
    ping: AtomicBool,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Request>,
    queued_bytes: usize,
    /// Callers whose requests were handed to a socket.
    sent: HashMap<u64, oneshot::Sender<Answer>>,
    last_id: u64,
    driver: Option<AbortHandle>,
    failures: u32,
    pause: Option<Pause>,
}

/// After a failure to connect.
struct Pause {
    until: Instant,
    address: Option<String>,
    error: TransportError,
}

/// A request that no socket has begun to take.
pub(crate) struct Request {
    id: u64,
    channel: Channel,
    body: Bytes,
    caller: Option<oneshot::Sender<Answer>>,
}

impl Link {
    pub(crate) fn new(to: u64, lane: Lane, context: Arc<Context>) -> Arc<Self> {
        let (state, wake, ping) = (Mutex::default(), Notify::new(), AtomicBool::new(false));
        Arc::new(Self { to, lane, context, state, wake, ping })
    }

    /// Queues a request now, and waits for its answer when polled.
    pub(crate) fn call(
        self: &Arc<Self>,
        channel: Channel,
        body: Bytes,
        deadline: Instant,
    ) -> impl Future<Output = Answer> + Send + use<> {
        let begun = self.enqueue(channel, body);
        async move {
            let mut pending = begun?;
            match tokio::time::timeout_at(deadline.into(), &mut pending.answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(TransportError::Lost("the transport was closed".into())),
                Err(_) => Err(pending.give_up()),
            }
        }
    }

    fn enqueue(self: &Arc<Self>, channel: Channel, body: Bytes) -> Result<Pending, TransportError> {
        let refused = |why: String| Err(TransportError::Unreachable(why));
        let (max, to) = (body_bytes_max(self.lane), self.to);
        if body.len() > max {
            return refused(format!(
                "a request of {} bytes is longer than the {max} of its lane",
                body.len()
            ));
        }
        let mut state = self.state.lock();
        if state.driver.is_none() {
            self.check_pause(&mut state)?;
        }
        let full = state.queued_bytes + body.len() > QUEUE_BYTES_MAX && !state.queue.is_empty();
        if full || state.queue.len() + state.sent.len() >= CALLS_MAX {
            return refused(format!("too much waits for node {to} already"));
        }
        let (caller, answer) = oneshot::channel();
        state.last_id += 1;
        let id = state.last_id;
        state.push(Request { id, channel, body, caller: Some(caller) });
        if state.driver.is_none() {
            state.driver = Some(self.context.runtime.spawn(self.clone().drive()).abort_handle());
        } else if state.queue.len() == 1 {
            self.wake.notify_one();
        }
        drop(state);
        Ok(Pending { link: self.clone(), id, answer })
    }

    /// The error of the last attempt, as long as another would come too soon.
    fn check_pause(&self, state: &mut State) -> Result<(), TransportError> {
        let Some(pause) = &state.pause else { return Ok(()) };
        if Instant::now() < pause.until && pause.address == self.context.book.get(self.to) {
            return Err(pause.error.clone());
        }
        state.pause = None;
        Ok(())
    }

    /// Gives the stream up, and everything that waits.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if let Some(driver) = state.driver.take() {
            driver.abort();
        }
        state.queue.clear();
        state.sent.clear();
    }

    /// Opens streams for as long as something waits.
    async fn drive(self: Arc<Self>) {
        loop {
            let address = self.context.book.get(self.to);
            let wire = match self.open(address.as_deref()).await {
                Ok(wire) => wire,
                Err(error) => return self.failed(address, error),
            };
            self.state.lock().failures = 0;
            let why = self.run(wire, address).await;
            tracing::debug!(peer = self.to, lane = ?self.lane, "the stream to a peer ended: {why}");
            if self.ended(&why) {
                return;
            }
        }
    }

    async fn open(&self, address: Option<&str>) -> Result<Wire, TransportError> {
        let Some(address) = address else {
            return Err(TransportError::Unreachable(format!("no address of node {} is known", self.to)));
        };
        let (identity, options) = (&self.context.identity, &self.context.options);
        Ok(dial(address, self.to, self.lane, identity, options).await?.0)
    }

    /// No stream came about: everybody who waits for one hears why.
    fn failed(&self, address: Option<String>, error: TransportError) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        let until = Instant::now() + self.context.options.backoff(state.failures);
        state.pause = Some(Pause { until, address, error: error.clone() });
        state.driver = None;
        state.queued_bytes = 0;
        for caller in std::mem::take(&mut state.queue).into_iter().filter_map(|r| r.caller) {
            // A caller that went away needs no answer.
            let _ = caller.send(Err(error.clone()));
        }
    }

    /// A stream ended. Returns whether nothing waits for another.
    fn ended(&self, why: &str) -> bool {
        let mut state = self.state.lock();
        for (_, caller) in state.sent.drain() {
            let _ = caller.send(Err(TransportError::Lost(why.to_string())));
        }
        let done = state.queue.is_empty();
        if done {
            state.driver = None;
        }
        done
    }

    /// Uses a stream until it ends; returns why it did.
    async fn run(&self, wire: Wire, address: Option<String>) -> String {
        let Wire { mut reader, mut writer, pulse } = wire;
        let mut batch = Batch::new();
        let why = tokio::select! {
            e = self.read_answers(&mut reader, &pulse) => e.to_string(),
            e = write_frames(&mut writer, self, &mut batch) => e.to_string(),
            why = self.watch(&pulse) => why,
            () = self.moved(address) => "the peer's address changed".to_string(),
        };
        let mut state = self.state.lock();
        for mut request in batch.untouched().flatten().collect::<Vec<_>>().into_iter().rev() {
            if let Some(caller) = state.sent.remove(&request.id) {
                request.caller = Some(caller);
                state.queued_bytes += request.body.len();
                state.queue.push_front(request);
            }
        }
        why
    }

    async fn read_answers<R: AsyncRead + Unpin>(
        &self,
        reader: &mut FrameReader<R>,
        pulse: &Pulse,
    ) -> WireError {
        let max = body_bytes_max(self.lane);
        loop {
            let frame = match reader.next(max, pulse).await {
                Ok(frame) => frame,
                Err(e) => return e,
            };
            let answer = match frame.kind {
                Kind::Answer => Ok(frame.body),
                Kind::Refused => match decode_refusal(&frame.body) {
                    Ok(refusal) => Err(refusal.into()),
                    Err(e) => return e.into(),
                },
                Kind::Pong => continue,
                kind => return FrameError::OutOfTurn(kind).into(),
            };
            let caller = self.state.lock().sent.remove(&frame.id);
            if let Some(caller) = caller {
                let _ = caller.send(answer);
            }
        }
    }

    /// Asks a silent peer whether it is there; returns when it is not.
    async fn watch(&self, pulse: &Pulse) -> String {
        let (limit, step) = (self.context.options.silence(self.lane), self.context.options.ping_interval);
        let ask = || {
            self.ping.store(true, Ordering::Relaxed);
            self.wake.notify_one();
        };
        pulse.stops(limit, step, ask).await;
        format!("node {} was silent for {limit:?}", self.to)
    }

    /// Returns once the address book names another address.
    async fn moved(&self, address: Option<String>) {
        let mut book = self.context.book.subscribe();
        if book.wait_for(|b| b.get(&self.to) != address.as_ref()).await.is_err() {
            // The book is gone: nothing will change any more.
            std::future::pending::<()>().await;
        }
    }
}

impl State {
    fn push(&mut self, request: Request) {
        self.queued_bytes += request.body.len();
        self.queue.push_back(request);
    }

    /// The next request, from now on counted as sent.
    fn pop(&mut self) -> Option<Request> {
        let mut request = self.queue.pop_front()?;
        self.queued_bytes -= request.body.len();
        if let Some(caller) = request.caller.take().filter(|c| !c.is_closed()) {
            self.sent.insert(request.id, caller);
        }
        Some(request)
    }
}

impl Source<Option<Request>> for Link {
    fn take(&self, batch: &mut Batch<Option<Request>>) -> bool {
        let mut took = false;
        if self.ping.swap(false, Ordering::Relaxed) {
            batch.push(&Frame::control(Kind::Ping, Bytes::new()), None);
            took = true;
        }
        while batch.has_room() {
            let Some(request) = self.state.lock().pop() else { break };
            let (channel, id, body) = (request.channel, request.id, request.body.clone());
            batch.push(&Frame { kind: Kind::Request, channel, id, body }, Some(request));
            took = true;
        }
        took
    }

    fn wake(&self) -> &Notify {
        &self.wake
    }
}

/// A request whose answer somebody waits for.
struct Pending {
    link: Arc<Link>,
    id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Pending {
    /// The deadline has passed.
    fn give_up(&mut self) -> TransportError {
        let mut state = self.link.state.lock();
        let Ok(at) = state.queue.binary_search_by_key(&self.id, |r| r.id) else {
            return TransportError::Lost(format!("node {} did not answer in time", self.link.to));
        };
        let request = state.queue.remove(at).expect("the search found it");
        state.queued_bytes -= request.body.len();
        TransportError::Unreachable(format!("no connection to node {} in time", self.link.to))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // What waits in the queue is sent all the same: only the answer was given up.
        self.link.state.lock().sent.remove(&self.id);
    }
}
