//! A client of the Redis protocol: SET and GET, one connection a client, one command on its way at a time.
//!
//! Not here: anything but SET and GET of keys that were set. Must always hold: a SET counts only with `+OK`, a GET only with
//! a value.
//!
//! Source: the Redis protocol specification (RESP2: simple strings, bulk strings).

use std::io;

use metad::cli::bench::closed_loop::Session;
use metad::cli::bench::workload::{Workload, record_id};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One client with a connection of its own.
pub struct RespSession {
    stream: TcpStream,
    workload: Workload,
    client: usize,
    value: Vec<u8>,
    out: Vec<u8>,
    answer: Vec<u8>,
}

impl RespSession {
    /// Connects client number `client`.
    pub async fn open(
        address: &str,
        workload: Workload,
        client: usize,
        value_bytes: usize,
    ) -> io::Result<Self> {
        if !matches!(workload, Workload::Write | Workload::Read) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "only writes and reads"));
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let value = vec![b'v'; value_bytes];
        Ok(Self { stream, workload, client, value, out: Vec::new(), answer: Vec::new() })
    }

    fn command(&mut self, n: u64) {
        let key = record_id(self.client, n);
        self.out.clear();
        let words: &[&[u8]] = match self.workload {
            Workload::Write => &[b"SET", key.as_bytes(), &self.value],
            Workload::Read | Workload::ReadStale | Workload::Import => &[b"GET", key.as_bytes()],
        };
        self.out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Length of a whole answer of the right kind, once it is there.
    fn whole(&self) -> io::Result<Option<usize>> {
        let Some(end) = self.answer.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = &self.answer[..end];
        match (self.workload, line.split_first()) {
            (Workload::Write, Some((b'+', b"OK"))) => Ok(Some(end + 2)),
            (Workload::Read, Some((b'$', digits))) if digits.first() != Some(&b'-') => {
                let length = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok());
                let whole = end + 2 + length.ok_or_else(|| refused(line))? + 2;
                Ok((self.answer.len() >= whole).then_some(whole))
            }
            _ => Err(refused(line)),
        }
    }
}

fn refused(line: &[u8]) -> io::Error {
    io::Error::other(format!("answered {}", String::from_utf8_lossy(line)))
}

impl Session for RespSession {
    async fn once(&mut self, n: u64) -> io::Result<u64> {
        self.command(n);
        self.stream.write_all(&self.out).await?;
        loop {
            if let Some(length) = self.whole()? {
                self.answer.drain(..length);
                return Ok(1);
            }
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
