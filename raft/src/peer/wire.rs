//! Frames on a socket: read one after the other, written in batches.
//!
//! A batch is everything that waits at that moment, in one vectored write: under load a system call carries hundreds of
//! frames, and without load nothing waits for company.
//!
//! Not here: what frames mean, and who queues them.
//! Must always hold: no more is allocated for a body than has arrived, doubled; a batch knows which of its frames the
//! socket has not begun to take.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

use super::frame::{Frame, FrameError, HEAD_BYTES, Head};

/// A connection in both directions. Today TCP; a TLS stream fits as well, which is where mutual TLS will come in.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Any such connection.
pub(crate) type BoxStream = Box<dyn Stream>;

/// Room that a read is offered, in bytes; frames cut from it share the allocation.
const READ_BYTES: usize = 64 * 1024;
/// A read is offered new room once there is less than this, in bytes.
const ROOM_BYTES_MIN: usize = 4 * 1024;
/// Bodies up to this many bytes are copied behind their heads; longer ones are slices of their own.
const COPY_BYTES_MAX: usize = 2048;
/// A batch takes no further frame once it holds this many bytes.
const BATCH_BYTES: usize = 1024 * 1024;
/// Slices in one system call.
const SLICES_MAX: usize = 64;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the peer sent {0}")]
    Frame(#[from] FrameError),
}

/// Whether something arrives on a connection. Writes do not count: the kernel takes bytes for a dead peer too.
pub(crate) struct Pulse(AtomicBool);

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(true))
    }

    fn beat(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns once nothing has arrived for `limit`; calls `quiet` after each `step` without a sign of life.
    ///
    /// Steps are counted, not time: a process that was stopped itself does not take its peers for dead when it goes on.
    pub(crate) async fn stops(&self, limit: Duration, step: Duration, quiet: impl Fn()) {
        let mut tick = tokio::time::interval(step);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = Duration::ZERO;
        while silence < limit {
            tick.tick().await;
            if self.0.swap(false, Ordering::Relaxed) {
                silence = Duration::ZERO;
            } else {
                silence += step;
                quiet();
            }
        }
    }
}

/// A connection, cut into its two directions.
pub(crate) struct Wire {
    pub reader: FrameReader<ReadHalf<BoxStream>>,
    pub writer: WriteHalf<BoxStream>,
    pub pulse: Pulse,
}

impl Wire {
    pub(crate) fn new(stream: BoxStream) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { reader: FrameReader::new(reader), writer, pulse: Pulse::new() }
    }

    /// The next frame of a handshake.
    pub(crate) async fn next(&mut self, max: usize) -> Result<Frame, WireError> {
        self.reader.next(max, &self.pulse).await
    }

    /// Sends one frame of a handshake.
    pub(crate) async fn send(&mut self, frame: &Frame) -> Result<(), WireError> {
        let mut batch = Batch::new();
        batch.push(frame, ());
        Ok(batch.write_to(&mut self.writer).await?)
    }
}

/// Reads frames. Dropping a pending `next` loses nothing.
pub(crate) struct FrameReader<R> {
    stream: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// The next frame, its body at most `max` bytes.
    pub(crate) async fn next(&mut self, max: usize, pulse: &Pulse) -> Result<Frame, WireError> {
        self.fill(HEAD_BYTES, pulse).await?;
        let bytes = self.buffer[..HEAD_BYTES].try_into().expect("the buffer holds a head");
        let head = Head::parse(bytes, max)?;
        self.fill(HEAD_BYTES + head.len, pulse).await?;
        self.buffer.advance(HEAD_BYTES);
        Ok(head.with(self.buffer.split_to(head.len).freeze())?)
    }

    async fn fill(&mut self, len: usize, pulse: &Pulse) -> Result<(), WireError> {
        while self.buffer.len() < len {
            if self.buffer.capacity() - self.buffer.len() < ROOM_BYTES_MIN {
                // As much again as has arrived: a length alone allocates nothing.
                self.buffer.reserve(READ_BYTES.max(self.buffer.len()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(WireError::Closed);
            }
            pulse.beat();
        }
        Ok(())
    }
}

/// Frames on their way into the socket; each carries a tag of its owner's.
pub(crate) struct Batch<T> {
    done: VecDeque<Bytes>,
    open: BytesMut,
    len: usize,
    written: usize,
    tags: VecDeque<(usize, T)>,
}

impl<T> Batch<T> {
    pub(crate) fn new() -> Self {
        Self { done: VecDeque::new(), open: BytesMut::new(), len: 0, written: 0, tags: VecDeque::new() }
    }

    /// Whether another frame may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.len < BATCH_BYTES
    }

    pub(crate) fn push(&mut self, frame: &Frame, tag: T) {
        self.tags.push_back((self.len, tag));
        self.open.extend_from_slice(&frame.head());
        if frame.body.len() <= COPY_BYTES_MAX {
            self.open.extend_from_slice(&frame.body);
        } else {
            self.done.push_back(self.open.split().freeze());
            self.done.push_back(frame.body.clone());
        }
        self.len += HEAD_BYTES + frame.body.len();
    }

    /// Writes everything; after an error or a dropped future, [`Batch::untouched`] tells what the socket did not begin.
    pub(crate) async fn write_to(&mut self, out: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if !self.open.is_empty() {
            self.done.push_back(self.open.split().freeze());
        }
        while !self.done.is_empty() {
            let slices: Vec<_> = self.done.iter().take(SLICES_MAX).map(|b| IoSlice::new(b)).collect();
            let n = out.write_vectored(&slices).await?;
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.written += n;
            self.advance(n);
        }
        out.flush().await?;
        self.clear();
        Ok(())
    }

    /// The tags of those frames of which no byte was handed to the socket, in order.
    pub(crate) fn untouched(self) -> impl DoubleEndedIterator<Item = T> {
        let written = self.written;
        self.tags.into_iter().filter(move |(start, _)| *start >= written).map(|(_, tag)| tag)
    }

    fn advance(&mut self, mut n: usize) {
        while let Some(first) = self.done.front_mut() {
            if n < first.len() {
                first.advance(n);
                return;
            }
            n -= first.len();
            self.done.pop_front();
        }
    }

    fn clear(&mut self) {
        (self.len, self.written) = (0, 0);
        self.tags.clear();
    }
}

/// Where a writer takes its frames from.
pub(crate) trait Source<T> {
    /// Adds what waits to the batch; false when nothing did.
    fn take(&self, batch: &mut Batch<T>) -> bool;
    /// Told when something waits.
    fn wake(&self) -> &Notify;
}

/// Writes what the source gives, until the socket fails.
pub(crate) async fn write_frames<T>(
    out: &mut (impl AsyncWrite + Unpin),
    source: &impl Source<T>,
    batch: &mut Batch<T>,
) -> io::Error {
    loop {
        while source.take(batch) {
            if let Err(e) = batch.write_to(out).await {
                return e;
            }
        }
        source.wake().notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::Kind;
    use super::*;
    use crate::transport::Channel;

    fn frame(id: u64, len: usize) -> Frame {
        Frame { kind: Kind::Request, channel: Channel::RAFT, id, body: vec![id as u8; len].into() }
    }

    #[tokio::test]
    async fn frames_of_all_sizes_arrive_in_order_through_a_narrow_pipe() {
        let (mut near, far) = tokio::io::duplex(1000);
        let sizes = [0, 1, COPY_BYTES_MAX, COPY_BYTES_MAX + 1, 300_000, 5, 70_000, 0];
        let writer = async {
            let mut batch = Batch::new();
            for (id, len) in sizes.into_iter().enumerate() {
                batch.push(&frame(id as u64, len), id);
            }
            batch.write_to(&mut near).await.unwrap();
            drop(near);
        };
        let reader = async {
            let (mut reader, pulse) = (FrameReader::new(far), Pulse::new());
            for (id, len) in sizes.into_iter().enumerate() {
                assert_eq!(reader.next(1 << 20, &pulse).await.unwrap(), frame(id as u64, len));
            }
            assert!(matches!(reader.next(1 << 20, &pulse).await, Err(WireError::Closed)));
        };
        tokio::join!(writer, reader);
    }

    #[tokio::test]
    async fn a_batch_that_broke_off_knows_what_the_socket_never_saw() {
        let (mut near, mut far) = tokio::io::duplex(30);
        let mut batch = Batch::new();
        for id in 0..4 {
            batch.push(&frame(id, 0), id);
        }
        // 30 bytes fit: one frame of 20 whole, the next in part.
        let mut writing = Box::pin(batch.write_to(&mut near));
        assert!(futures_util::poll!(&mut writing).is_pending());
        drop(writing);
        assert_eq!(batch.untouched().collect::<Vec<_>>(), [2, 3]);
        let mut seen = [0; 30];
        far.read_exact(&mut seen).await.unwrap();
        assert_eq!(seen[..20], frame(0, 0).head());
    }

    #[tokio::test]
    async fn an_announced_length_allocates_nothing_by_itself() {
        let (mut near, far) = tokio::io::duplex(100);
        let huge = frame(1, 16 << 20).head();
        near.write_all(&huge).await.unwrap();
        let (mut reader, pulse) = (FrameReader::new(far), Pulse::new());
        let mut next = Box::pin(reader.next(32 << 20, &pulse));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(next);
        assert!(reader.buffer.capacity() < 4 * READ_BYTES, "{}", reader.buffer.capacity());
    }
}
