//! One connection: reads what there is, runs all complete commands, writes the replies in one go.
//!
//! Not here: parsing, running. Must always hold: one write per wake unless the replies are large; a client that takes no
//! replies is cut off after a while; an idle connection holds small buffers only; what came before a protocol error is
//! answered before the connection ends; a stop of the node ends it between commands only.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::clients::Entry;
use super::codec::{Parser, ProtocolError, Request};
use super::door::Door;
use super::executor::{Executor, Wait};
use super::session::Session;
use crate::limits;

/// A connection on which nothing came for so long is quiet: a node that stops may end it.
const QUIET: Duration = Duration::from_millis(50);
/// How long a node that stops waits for the client to close its side, so that the last replies arrive.
const LINGER: Duration = Duration::from_millis(200);

/// An open connection.
pub struct Connection {
    stream: TcpStream,
    door: Arc<Door>,
    input: BytesMut,
    parser: Parser,
    executor: Executor,
    kill: CancellationToken,
    /// The node stops: this ends when it is quiet.
    ending: CancellationToken,
    _entry: Entry,
}

impl Connection {
    /// A connection whose client is listed already.
    pub fn new(stream: TcpStream, door: Arc<Door>, entry: Entry, ending: CancellationToken) -> Self {
        let session = Session::new(Arc::clone(&entry.client), !door.options.needs_login());
        let kill = entry.client.kill.clone();
        let executor = Executor::new(Arc::clone(&door), session);
        let (input, parser) = (BytesMut::new(), Parser::default());
        Self { stream, door, input, parser, executor, kill, ending, _entry: entry }
    }

    /// Serves the client until it goes, is killed, or breaks the protocol.
    pub async fn run(mut self) {
        let kill = self.kill.clone();
        let served = kill.run_until_cancelled(self.serve()).await;
        if let Some(Err(error)) = served {
            tracing::debug!(%error, "a Redis connection ended");
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        while self.read().await? {
            loop {
                let authenticated = self.executor.session.authenticated;
                let broken = self.parser.parse(&mut self.input, authenticated).err();
                let commands = self.parser.commands();
                if commands > 0 {
                    self.run_commands(commands).await?;
                } else {
                    self.skip();
                }
                if let Some(error) = broken {
                    return self.end(error).await;
                }
                if self.executor.session.closing {
                    return self.send().await;
                }
                // A full batch, or a login in the middle of it, leaves more to be looked at.
                if commands == 0 || self.input.is_empty() {
                    break;
                }
            }
            self.send().await?;
            self.rest();
        }
        if self.ending.is_cancelled() { self.part().await } else { Ok(()) }
    }

    /// Waits for more bytes; `false` when the client has gone, or the node stops and nothing comes.
    async fn read(&mut self) -> io::Result<bool> {
        let lacks = self.parser.lacks(self.input.len());
        let room = lacks.clamp(limits::RESP_IDLE_BUFFER_BYTES, limits::RESP_READ_BYTES_MAX);
        if self.input.capacity() - self.input.len() < limits::RESP_IDLE_BUFFER_BYTES / 2 {
            self.input.reserve(room.max(self.input.len()).min(limits::RESP_READ_BYTES_MAX));
        }
        let ending = self.ending.clone();
        let read = match ending.run_until_cancelled(self.stream.read_buf(&mut self.input)).await {
            Some(read) => read?,
            None => match tokio::time::timeout(QUIET, self.stream.read_buf(&mut self.input)).await {
                Ok(read) => read?,
                Err(_) => return Ok(false),
            },
        };
        self.door.counts.received.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read > 0)
    }

    /// Runs the complete commands and takes their bytes off the buffer.
    async fn run_commands(&mut self, commands: usize) -> io::Result<()> {
        let buffer = self.input.split_to(self.parser.complete_bytes()).freeze();
        self.executor.begin();
        let mut ran = 0;
        while ran < commands && !self.executor.session.closing {
            let request = Request::new(&buffer, self.parser.spans(ran));
            match self.executor.run(&request) {
                Ok(()) => ran += 1,
                Err(Wait::Send) => write_all(&mut self.stream, &mut self.executor, &self.door).await?,
                Err(Wait::Exec) => {
                    self.executor.exec().await;
                    ran += 1;
                }
                Err(wait) => self.executor.wait(wait).await,
            }
        }
        self.executor.note(&Request::new(&buffer, self.parser.spans(commands - 1)), commands);
        self.executor.flush().await;
        self.parser.forget();
        Ok(())
    }

    /// Takes bytes off the buffer that are no command: empty lines and empty arrays.
    fn skip(&mut self) {
        self.input.advance(self.parser.complete_bytes());
        self.parser.forget();
    }

    async fn send(&mut self) -> io::Result<()> {
        write_all(&mut self.stream, &mut self.executor, &self.door).await
    }

    /// Tells the client what it did wrong, and ends.
    async fn end(&mut self, error: ProtocolError) -> io::Result<()> {
        self.executor.reply.error(&format!("ERR Protocol error: {error}"));
        self.send().await?;
        self.stream.shutdown().await
    }

    /// Ends the connection from this side first: closing at once could take replies back that are on their way.
    async fn part(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut unread = [0; 4096];
        let gone = async {
            while self.stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::time::timeout(LINGER, gone).await.unwrap_or(Ok(()))
    }

    /// Gives large buffers back once nothing is in them.
    fn rest(&mut self) {
        if self.input.is_empty() && self.input.capacity() > limits::RESP_READ_BYTES_MAX {
            self.input = BytesMut::new();
        }
    }
}

async fn write_all(stream: &mut TcpStream, executor: &mut Executor, door: &Door) -> io::Result<()> {
    let reply = &mut executor.reply;
    if reply.is_empty() {
        return Ok(());
    }
    door.counts.sent.fetch_add(reply.len() as u64, Ordering::Relaxed);
    // The usual case: the kernel takes it all at once.
    let taken = match stream.try_write(reply.as_slice()) {
        Ok(taken) => taken,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    if taken < reply.len() {
        write_on(stream, &reply.as_slice()[taken..], door.options.send_timeout).await?;
    }
    reply.clear(limits::RESP_IDLE_BUFFER_BYTES * 16);
    Ok(())
}

/// Writes everything, however long it takes, as long as something is taken within every `patience`.
async fn write_on(
    stream: &mut (impl AsyncWrite + Unpin),
    mut rest: &[u8],
    patience: Duration,
) -> io::Result<()> {
    while !rest.is_empty() {
        let taken = tokio::time::timeout(patience, stream.write(rest))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the client takes no replies"))??;
        if taken == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        rest = &rest[taken..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::clock::SystemClock;
    use crate::resp::options::Options;

    /// A connection and its client's end.
    async fn pair(options: Options) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let door = Door::new(Arc::new(SystemClock), options);
        let entry = door.clients.enter(peer, address, CancellationToken::new());
        (Connection::new(stream, door, entry, CancellationToken::new()), client)
    }

    #[tokio::test]
    async fn what_is_no_command_takes_no_room_however_much_comes() {
        for nothing in ["\r\n", "*0\r\n", "*-1\r\n"] {
            for users in [Vec::new(), vec![("default".into(), "secret".into())]] {
                let (mut connection, mut client) = pair(Options { users, ..Options::default() }).await;
                let flood = nothing.repeat(8 * limits::RESP_READ_BYTES_MAX / nothing.len());
                let send = async move { client.write_all(flood.as_bytes()).await.unwrap() };
                let (served, ()) = tokio::join!(connection.serve(), send);
                served.unwrap();
                let held = connection.input.capacity();
                assert!(held <= 2 * limits::RESP_READ_BYTES_MAX, "{held} bytes are held for {nothing:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_comes_behind_a_login_in_the_same_packet_has_the_limits_of_after_it() {
        let users = vec![("default".into(), "secret".into())];
        let (mut connection, mut client) = pair(Options { users, ..Options::default() }).await;
        let large = "x".repeat(limits::RESP_BULK_BYTES_BEFORE_AUTH + 1);
        let packet = format!("AUTH secret\r\n*2\r\n$4\r\nECHO\r\n${}\r\n{large}\r\n", large.len());
        client.write_all(packet.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        connection.serve().await.unwrap();
        drop(connection);
        let mut replies = String::new();
        client.read_to_string(&mut replies).await.unwrap();
        assert_eq!(replies, format!("+OK\r\n${}\r\n{large}\r\n", large.len()));
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (mut ours, _theirs) = tokio::io::duplex(1);
        let error = write_on(&mut ours, b"0123456789", Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
