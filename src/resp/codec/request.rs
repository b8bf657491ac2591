//! Requests: a resumable parser over a connection's buffer.
//!
//! Not here: reading from the socket. Must always hold: every byte is looked at once, however the request was cut; nothing
//! is allocated by a declared length; a protocol error ends the connection with Redis's own text.

use bytes::Bytes;

use super::inline;
use super::number::integer;
use crate::codec::Blob;
use crate::limits;

/// A part of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    from: u32,
    to: u32,
}

impl Span {
    /// `from..to`; buffers are far shorter than 4 GiB.
    pub fn new(from: usize, to: usize) -> Self {
        Self { from: from as u32, to: to as u32 }
    }

    /// As a range of indexes.
    pub fn range(self) -> std::ops::Range<usize> {
        self.from as usize..self.to as usize
    }
}

/// One complete command: its arguments, the name first.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    buffer: &'a Bytes,
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    /// A command whose arguments lie in `buffer`.
    pub fn new(buffer: &'a Bytes, spans: &'a [Span]) -> Self {
        Self { buffer, spans }
    }

    /// How many arguments there are, the name included.
    #[expect(clippy::len_without_is_empty, reason = "a command has a name: it is never empty")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Argument `at`; empty when there is none: arity was checked before.
    pub fn arg(&self, at: usize) -> &'a [u8] {
        self.spans.get(at).map_or(&[], |span| &self.buffer[span.range()])
    }

    /// Argument `at`, if there is one.
    pub fn get(&self, at: usize) -> Option<&'a [u8]> {
        self.spans.get(at).map(|span| &self.buffer[span.range()])
    }

    /// Argument `at`, sharing the buffer's memory.
    pub fn bytes(&self, at: usize) -> Bytes {
        self.spans.get(at).map_or_else(Bytes::new, |span| self.buffer.slice(span.range()))
    }

    /// Argument `at` for an operation.
    pub fn blob(&self, at: usize) -> Blob {
        Blob(self.bytes(at))
    }

    /// Arguments from `at` on, for an operation.
    pub fn blobs(&self, at: usize) -> Vec<Blob> {
        (at..self.len()).map(|at| self.blob(at)).collect()
    }

    /// Arguments from `at` on, two by two.
    pub fn pairs(&self, at: usize) -> Vec<(Blob, Blob)> {
        (at..self.len().saturating_sub(1)).step_by(2).map(|at| (self.blob(at), self.blob(at + 1))).collect()
    }

    /// All arguments.
    pub fn args(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let buffer = self.buffer;
        self.spans.iter().map(move |span| &buffer[span.range()])
    }

    /// Whether argument `at` is this word, whatever its case.
    pub fn is(&self, at: usize, word: &str) -> bool {
        self.arg(at).eq_ignore_ascii_case(word.as_bytes())
    }

    /// The command without its first argument, as a subcommand sees it.
    pub fn without_first(&self) -> Self {
        Self { buffer: self.buffer, spans: self.spans.get(1..).unwrap_or_default() }
    }

    /// A copy that does not hold on to the connection's buffer.
    pub fn to_owned_parts(self) -> (Bytes, Vec<Span>) {
        let mut bytes = Vec::with_capacity(self.args().map(<[u8]>::len).sum());
        let mut spans = Vec::with_capacity(self.len());
        for arg in self.args() {
            let from = bytes.len();
            bytes.extend_from_slice(arg);
            spans.push(Span::new(from, bytes.len()));
        }
        (Bytes::from(bytes), spans)
    }
}

/// Bytes that are no request. The texts are Redis's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The number of arguments is no number, or too large.
    #[error("invalid multibulk length")]
    MultibulkLength,
    /// Too many arguments before AUTH.
    #[error("unauthenticated multibulk length")]
    UnauthenticatedMultibulk,
    /// The line with the number of arguments does not end.
    #[error("too big mbulk count string")]
    MultibulkLine,
    /// The line with an argument's length does not end.
    #[error("too big bulk count string")]
    BulkLine,
    /// An argument's length is no number, or too large.
    #[error("invalid bulk length")]
    BulkLength,
    /// Too long an argument before AUTH.
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulk,
    /// Not an argument.
    #[error("expected '$', got '{}'", char::from(*.0))]
    Expected(u8),
    /// An inline command without an end.
    #[error("too big inline request")]
    InlineLine,
    /// An inline command with an open quote.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// One command is larger than a connection may hold.
    #[error("too big multibulk request")]
    TooLarge,
}

/// The state of parsing between two reads.
#[derive(Debug, Default)]
pub struct Parser {
    /// Next byte to look at.
    at: usize,
    /// End of the last complete command.
    complete: usize,
    /// Arguments that are missing of the current command.
    missing: usize,
    /// Length of the argument whose bytes come next.
    bulk: Option<usize>,
    /// Where the search for a line's end goes on.
    searched: usize,
    /// Arguments of all complete commands, then those of the current one.
    spans: Vec<Span>,
    /// For each complete command, the end of its arguments in `spans`.
    ends: Vec<usize>,
}

impl Parser {
    /// Looks at what came since; answers how many commands are complete. An error concerns what follows them.
    pub fn parse(&mut self, buffer: &mut [u8], authenticated: bool) -> Result<(), ProtocolError> {
        // A login may change what is allowed behind it.
        let most = if authenticated { limits::RESP_BATCH_COMMANDS_MAX } else { 1 };
        while self.ends.len() < most && self.at < buffer.len() {
            let begins = self.missing == 0;
            let go_on = match (begins, buffer[self.at]) {
                (true, b'*') => self.multibulk(buffer, authenticated)?,
                (true, _) => self.inline(buffer)?,
                (false, _) => self.argument(buffer, authenticated)?,
            };
            if !go_on {
                break;
            }
        }
        let begun = self.missing > 0 || self.ends.len() < most;
        let large = begun && buffer.len() - self.complete > limits::RESP_COMMAND_BYTES_MAX;
        if large { Err(ProtocolError::TooLarge) } else { Ok(()) }
    }

    /// How many commands are complete.
    pub fn commands(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of the complete commands.
    pub fn complete_bytes(&self) -> usize {
        self.complete
    }

    /// How many bytes the current argument still lacks: worth making room for, within reason.
    pub fn lacks(&self, buffered: usize) -> usize {
        self.bulk.map_or(0, |len| (self.at + len + 2).saturating_sub(buffered))
    }

    /// Arguments of the complete command number `command`.
    pub fn spans(&self, command: usize) -> &[Span] {
        let from = command.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.spans[from..self.ends[command]]
    }

    /// Forgets the complete commands: their bytes have been taken off the buffer's front.
    pub fn forget(&mut self) {
        let shift = self.complete;
        let begun = self.ends.last().copied().unwrap_or(0);
        self.spans.drain(..begun);
        for span in &mut self.spans {
            *span = Span::new(span.from as usize - shift, span.to as usize - shift);
        }
        self.ends.clear();
        self.at -= shift;
        self.searched = self.searched.saturating_sub(shift);
        self.complete = 0;
    }

    /// The line that begins at the parser's place; `None` while its end is missing.
    fn line(&mut self, buffer: &[u8], end: u8) -> Option<usize> {
        let from = self.searched.max(self.at);
        match buffer[from..].iter().position(|b| *b == end) {
            Some(found) => {
                self.searched = from + found;
                Some(from + found)
            }
            None => {
                self.searched = buffer.len();
                None
            }
        }
    }

    /// A line of a length, which ends with CR LF; the number behind its first byte.
    fn length(
        &mut self,
        buffer: &[u8],
        too_long: ProtocolError,
    ) -> Result<Option<Option<i64>>, ProtocolError> {
        let Some(end) = self.line(buffer, b'\r') else {
            let long = buffer.len() - self.at > limits::RESP_LINE_BYTES_MAX;
            return if long { Err(too_long) } else { Ok(None) };
        };
        if end + 1 >= buffer.len() {
            return Ok(None);
        }
        let number = integer(&buffer[self.at + 1..end]);
        self.searched = end + 2;
        Ok(Some(number))
    }

    fn multibulk(&mut self, buffer: &[u8], authenticated: bool) -> Result<bool, ProtocolError> {
        let Some(number) = self.length(buffer, ProtocolError::MultibulkLine)? else { return Ok(false) };
        let count = number.ok_or(ProtocolError::MultibulkLength)?;
        if count > limits::RESP_ARGUMENTS_MAX as i64 {
            return Err(ProtocolError::MultibulkLength);
        }
        if !authenticated && count > limits::RESP_ARGUMENTS_BEFORE_AUTH as i64 {
            return Err(ProtocolError::UnauthenticatedMultibulk);
        }
        self.at = self.searched;
        self.missing = usize::try_from(count).unwrap_or(0);
        if self.missing == 0 {
            self.skip();
        }
        Ok(true)
    }

    /// What was read is no command: its bytes go with those of the complete ones.
    fn skip(&mut self) {
        self.complete = self.at;
    }

    fn argument(&mut self, buffer: &[u8], authenticated: bool) -> Result<bool, ProtocolError> {
        let len = match self.bulk {
            Some(len) => len,
            None => match self.argument_length(buffer, authenticated)? {
                Some(len) => len,
                None => return Ok(false),
            },
        };
        if buffer.len() < self.at + len + 2 {
            return Ok(false);
        }
        self.spans.push(Span::new(self.at, self.at + len));
        self.at += len + 2;
        (self.bulk, self.searched) = (None, self.at);
        self.missing -= 1;
        if self.missing == 0 {
            self.ends.push(self.spans.len());
            self.complete = self.at;
        }
        Ok(true)
    }

    fn argument_length(
        &mut self,
        buffer: &[u8],
        authenticated: bool,
    ) -> Result<Option<usize>, ProtocolError> {
        let Some(number) = self.length(buffer, ProtocolError::BulkLine)? else { return Ok(None) };
        let first = buffer[self.at];
        if first != b'$' {
            return Err(ProtocolError::Expected(first));
        }
        let len = number.and_then(|len| usize::try_from(len).ok());
        let len = len.filter(|len| *len <= limits::RESP_BULK_BYTES_MAX).ok_or(ProtocolError::BulkLength)?;
        if !authenticated && len > limits::RESP_BULK_BYTES_BEFORE_AUTH {
            return Err(ProtocolError::UnauthenticatedBulk);
        }
        self.at = self.searched;
        self.bulk = Some(len);
        Ok(Some(len))
    }

    fn inline(&mut self, buffer: &mut [u8]) -> Result<bool, ProtocolError> {
        let Some(end) = self.line(buffer, b'\n') else {
            let long = buffer.len() - self.at > limits::RESP_LINE_BYTES_MAX;
            return if long { Err(ProtocolError::InlineLine) } else { Ok(false) };
        };
        let before = self.spans.len();
        let to = if end > self.at && buffer[end - 1] == b'\r' { end - 1 } else { end };
        inline::split(buffer, self.at, to, &mut self.spans).ok_or(ProtocolError::Quotes)?;
        self.at = end + 1;
        self.searched = self.at;
        if self.spans.len() > before {
            self.ends.push(self.spans.len());
        }
        self.skip();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a stream in pieces of `step` bytes; the commands that came out, or the error.
    fn feed(stream: &[u8], step: usize, authenticated: bool) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
        let (mut parser, mut buffer, mut out) = (Parser::default(), Vec::new(), Vec::new());
        for piece in stream.chunks(step) {
            buffer.extend_from_slice(piece);
            loop {
                let result = parser.parse(&mut buffer, authenticated);
                for command in 0..parser.commands() {
                    let args = parser.spans(command).iter().map(|span| buffer[span.range()].to_vec());
                    out.push(args.collect());
                }
                if let Err(error) = result {
                    return (out, Some(error));
                }
                let (done, commands) = (parser.complete_bytes(), parser.commands());
                buffer.drain(..done);
                parser.forget();
                if commands == 0 {
                    break;
                }
            }
        }
        (out, None)
    }

    const STREAM: &[u8] =
        b"*1\r\n$4\r\nPING\r\n\r\nget a\r\n*0\r\n*-1\r\n*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$0\r\n\r\nPING \"x y\"\n*1\r\n$1\r\nz\r\n";

    #[test]
    fn however_a_stream_is_cut_the_same_commands_come_out() {
        let b = |words: &[&[u8]]| words.iter().map(|w| w.to_vec()).collect::<Vec<_>>();
        let expected = vec![
            b(&[b"PING"]),
            b(&[b"get", b"a"]),
            b(&[b"SET", b"\r\n", b""]),
            b(&[b"PING", b"x y"]),
            b(&[b"z"]),
        ];
        for step in 1..=STREAM.len() {
            assert_eq!(feed(STREAM, step, true), (expected.clone(), None), "step {step}");
        }
    }

    #[test]
    fn more_commands_than_a_batch_holds_come_out_in_several() {
        let stream = b"PING\r\n".repeat(3 * limits::RESP_BATCH_COMMANDS_MAX + 7);
        let (commands, error) = feed(&stream, stream.len(), true);
        assert_eq!((commands.len(), error), (3 * limits::RESP_BATCH_COMMANDS_MAX + 7, None));
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_texts_of_redis() {
        let text = |stream: &[u8]| feed(stream, 7, true).1.unwrap().to_string();
        assert_eq!(text(b"*x\r\n"), "invalid multibulk length");
        assert_eq!(text(b"*99999999999\r\n"), "invalid multibulk length");
        assert_eq!(text(b"*1\r\n*1\r\n$1\r\n"), "expected '$', got '*'");
        assert_eq!(text(b"*1\r\n$-1\r\n"), "invalid bulk length");
        assert_eq!(text(b"*1\r\n$99999999999\r\n"), "invalid bulk length");
        assert_eq!(text(b"get \"a\r\n"), "unbalanced quotes in request");
        let endless = vec![b'a'; limits::RESP_LINE_BYTES_MAX + 2];
        assert_eq!(text(&endless), "too big inline request");
        assert_eq!(
            text(&[b"*", &vec![b'1'; limits::RESP_LINE_BYTES_MAX + 2][..]].concat()),
            "too big mbulk count string"
        );
        assert_eq!(
            text(&[b"*1\r\n$", &vec![b'1'; limits::RESP_LINE_BYTES_MAX + 2][..]].concat()),
            "too big bulk count string"
        );
    }

    #[test]
    fn before_auth_requests_are_small() {
        let text = |stream: &[u8]| feed(stream, 64, false).1.unwrap().to_string();
        assert_eq!(text(b"*11\r\n"), "unauthenticated multibulk length");
        assert_eq!(text(b"*1\r\n$16385\r\n"), "unauthenticated bulk length");
        assert_eq!(feed(b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n", 3, false).0.len(), 1);
    }

    #[test]
    fn one_command_has_its_limit_also_when_every_read_ends_behind_an_argument() {
        let argument = [b"$60000\r\n", &[b'x'; 60_000][..], b"\r\n"].concat();
        let (mut parser, mut buffer) = (Parser::default(), b"*1000000\r\n".to_vec());
        let mut outcome = parser.parse(&mut buffer, true);
        while outcome.is_ok() && buffer.len() <= 2 * limits::RESP_COMMAND_BYTES_MAX {
            buffer.extend_from_slice(&argument);
            outcome = parser.parse(&mut buffer, true);
        }
        assert_eq!(outcome, Err(ProtocolError::TooLarge));
        assert!(buffer.len() <= limits::RESP_COMMAND_BYTES_MAX + argument.len());
    }

    #[test]
    fn commands_before_an_error_are_still_answered() {
        let (commands, error) = feed(b"PING\r\n*1\r\nx\r\n", 100, true);
        assert_eq!((commands.len(), error), (1, Some(ProtocolError::Expected(b'x'))));
    }
}
