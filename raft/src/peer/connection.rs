//! The listener's side of one stream: requests in, answers out.
//!
//! Not here: who may open a stream (see `handshake`), sockets (see `server`).
//! Must always hold:
//! * requests are handed to their owners in the order of their arrival, and none waits for another's answer;
//! * what a peer can make this node hold is bounded: requests in hand, and answers that it does not read;
//! * a request that was begun is finished, whether or not somebody still waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::frame::{Frame, FrameError, HEAD_BYTES, Kind, body_bytes_max};
use super::handshake::Caller;
use super::identity::PeerIdentity;
use super::options::{ANSWERS_BYTES_MAX, BULK_REQUESTS_MAX, Options, ROOM_UNITS};
use super::wire::{Batch, FrameReader, Pulse, Source, Wire, WireError, write_frames};
use crate::transport::{Channel, Lane, PeerService, Refusal};

/// Units of room that a small request takes.
const REQUEST_UNITS: u32 = 4;

/// The owners of the channels.
#[derive(Default)]
pub(crate) struct Services(RwLock<BTreeMap<Channel, Arc<dyn PeerService>>>);

impl Services {
    pub(crate) fn register(&self, channel: Channel, service: Arc<dyn PeerService>) {
        self.0.write().insert(channel, service);
    }

    fn get(&self, channel: Channel) -> Option<Arc<dyn PeerService>> {
        self.0.read().get(&channel).cloned()
    }
}

/// Answers that wait for the socket. A permit lives until its answer was handed over.
#[derive(Default)]
struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
    taken: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<(Frame, Permit)>,
    bytes: usize,
}

type Permit = Option<OwnedSemaphorePermit>;

impl Outbox {
    fn push(&self, frame: Frame, permit: Permit) {
        let mut waiting = self.waiting.lock();
        waiting.bytes += HEAD_BYTES + frame.body.len();
        waiting.frames.push_back((frame, permit));
        if waiting.frames.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// Waits until the peer has read enough of its answers.
    async fn has_room(&self) {
        while self.waiting.lock().bytes > ANSWERS_BYTES_MAX {
            self.taken.notified().await;
        }
    }
}

impl Source<Permit> for Outbox {
    fn take(&self, batch: &mut Batch<Permit>) -> bool {
        let mut took = false;
        while batch.has_room() {
            let Some((frame, permit)) = self.pop() else { break };
            batch.push(&frame, permit);
            took = true;
        }
        if took {
            self.taken.notify_one();
        }
        took
    }

    fn wake(&self) -> &Notify {
        &self.wake
    }
}

impl Outbox {
    fn pop(&self) -> Option<(Frame, Permit)> {
        let mut waiting = self.waiting.lock();
        let (frame, permit) = waiting.frames.pop_front()?;
        waiting.bytes -= HEAD_BYTES + frame.body.len();
        Some((frame, permit))
    }
}

/// What all connections of a server share.
pub(crate) struct Shared {
    pub identity: Arc<PeerIdentity>,
    pub services: Services,
    pub options: Options,
}

/// One accepted stream.
struct Connection {
    shared: Arc<Shared>,
    caller: Caller,
    outbox: Arc<Outbox>,
    room: Arc<Semaphore>,
    tasks: JoinSet<()>,
}

/// Serves a stream until it ends, or until `stop` is set and every request that was read has been answered.
pub(crate) async fn serve(wire: Wire, caller: Caller, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let Wire { mut reader, mut writer, pulse } = wire;
    let (outbox, room) = (Arc::<Outbox>::default(), Arc::new(Semaphore::new(ROOM_UNITS as usize)));
    let mut batch = Batch::new();
    let mut writing = Box::pin(write_frames(&mut writer, &*outbox, &mut batch));
    let mut connection =
        Connection { shared, caller, outbox: outbox.clone(), room: room.clone(), tasks: JoinSet::new() };
    let silence = connection.shared.options.listener_silence(connection.caller.lane);
    tokio::select! {
        e = connection.read(&mut reader, &pulse) => {
            tracing::debug!(peer = connection.caller.id, "a peer's stream ended: {e}");
        }
        e = &mut writing => tracing::debug!(peer = connection.caller.id, "a peer's stream ended: {e}"),
        () = pulse.stops(silence, silence / 4, || ()) => {
            tracing::debug!(peer = connection.caller.id, "a peer's stream was silent for {silence:?}");
        }
        () = stopped(&mut stop) => {
            tokio::select! {
                _ = room.acquire_many(ROOM_UNITS) => {}
                _ = &mut writing => {}
            }
        }
    }
    drop(writing);
    if *stop.borrow() {
        // Closing with unread bytes would reset the connection, and with it answers on their way.
        let _ = writer.shutdown().await;
        let bytes_max = body_bytes_max(connection.caller.lane);
        while reader.next(bytes_max, &pulse).await.is_ok() {}
    }
    drop((writer, reader));
    while let Some(ended) = connection.tasks.join_next().await {
        report(ended);
    }
}

/// Returns once the server stops.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A server that is gone has stopped.
    let _ = stop.wait_for(|stop| *stop).await.is_ok();
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(e) = ended {
        tracing::error!("the owner of a channel failed: {e}");
    }
}

impl Connection {
    async fn read<R: tokio::io::AsyncRead + Unpin>(
        &mut self,
        reader: &mut FrameReader<R>,
        pulse: &Pulse,
    ) -> WireError {
        let max = body_bytes_max(self.caller.lane);
        loop {
            self.outbox.has_room().await;
            let frame = match reader.next(max, pulse).await {
                Ok(frame) => frame,
                Err(e) => return e,
            };
            match frame.kind {
                Kind::Request => self.begin(frame).await,
                Kind::Ping => self.outbox.push(Frame::control(Kind::Pong, bytes::Bytes::new()), None),
                kind => return FrameError::OutOfTurn(kind).into(),
            }
        }
    }

    /// Hands a request to its owner. What can be answered at once is; the rest goes on beside the next requests.
    async fn begin(&mut self, request: Frame) {
        let units = self.units(request.body.len());
        let permit = self.room.clone().acquire_many_owned(units).await.ok();
        let (id, outbox, from) = (request.id, self.outbox.clone(), self.caller.id);
        let service = match self.owner(request.channel) {
            Ok(service) => service,
            Err(refusal) => return outbox.push(Frame::refused(id, &refusal), permit),
        };
        let mut work = Box::pin(async move {
            let frame = match service.handle(from, request.body).await {
                Ok(body) => Frame { kind: Kind::Answer, channel: request.channel, id, body },
                Err(refusal) => Frame::refused(id, &refusal),
            };
            outbox.push(frame, permit);
        });
        // The first step is taken here: owners see requests in the order in which they were sent.
        if futures_util::poll!(&mut work).is_pending() {
            self.tasks.spawn(work);
            while let Some(ended) = self.tasks.try_join_next() {
                report(ended);
            }
        }
    }

    fn owner(&self, channel: Channel) -> Result<Arc<dyn PeerService>, Refusal> {
        if self.caller.id != 0 && self.shared.identity.is_removed(self.caller.id) {
            return Err(Refusal::Removed);
        }
        if self.caller.unnamed && channel != Channel::FORMATION {
            return Err(Refusal::NotServed);
        }
        self.shared.services.get(channel).ok_or(Refusal::NotServed)
    }

    fn units(&self, bytes: usize) -> u32 {
        let least = match self.caller.lane {
            Lane::Control => REQUEST_UNITS,
            Lane::Bulk => ROOM_UNITS / BULK_REQUESTS_MAX,
        };
        least.saturating_add(u32::try_from(bytes / 1024).unwrap_or(ROOM_UNITS)).min(ROOM_UNITS)
    }
}
