//! A small client of the Redis protocol, so that what the server says is read by code that it does not share.
//!
//! Not here: promises. Must always hold: what came is shown raw, one reply a piece.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest that a test waits for a byte.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A connection.
pub struct Resp {
    stream: BufReader<TcpStream>,
}

impl Resp {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends a command; its words are cut at spaces.
    pub fn ask(&mut self, words: &str) -> String {
        self.send(&command(words));
        self.reply()
    }

    /// One reply, raw; its lines are joined with `|`.
    pub fn reply(&mut self) -> String {
        let mut out = Vec::new();
        self.read_one(&mut out).unwrap();
        String::from_utf8_lossy(&out).trim_end().replace("\r\n", "|")
    }

    /// Everything until the server closes.
    pub fn rest(&mut self) -> String {
        let mut out = Vec::new();
        self.stream.read_to_end(&mut out).unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    fn read_one(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let from = out.len();
        if self.stream.read_until(b'\n', out)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&out[from..]).trim_end().to_owned();
        let number: i64 = line[1..].parse().unwrap_or(0);
        match line.as_bytes()[0] {
            b'$' | b'=' if number >= 0 => {
                let from = out.len();
                out.resize(from + number as usize + 2, 0);
                self.stream.read_exact(&mut out[from..])
            }
            b'*' | b'~' | b'>' => (0..number).try_for_each(|_| self.read_one(out)),
            b'%' => (0..2 * number).try_for_each(|_| self.read_one(out)),
            _ => Ok(()),
        }
    }
}

/// A command as clients send it.
pub fn command(words: &str) -> Vec<u8> {
    let words: Vec<&str> = words.split(' ').collect();
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    out
}
