//! Sending parts of a file, and the frame of a multipart answer.
//!
//! Not here: which parts (`range`). Must always hold: one chunk in memory; every chunk is read where it may block and with
//! a deadline; a client that hangs up stops the reading, because the body is dropped.
//!
//! Source: RFC 9110 §14.6 (multipart/byteranges); RFC 2046 §5.1.1 (its frame, CRLF).

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::range::Part;
use crate::http::handles::App;
use crate::limits::HTTP_CHUNK_BYTES;
use crate::vfs::FsError;

/// A piece of an answer.
pub(super) enum Piece {
    /// The frame around parts.
    Text(Bytes),
    /// Bytes of the file.
    File(Part),
}

/// The pieces of a multipart answer and their length in bytes.
pub(super) fn multipart(parts: &[Part], size: u64, content_type: &str, boundary: &str) -> (Vec<Piece>, u64) {
    let mut pieces = Vec::with_capacity(parts.len() * 2 + 1);
    let mut len = 0;
    let text = |text: String, pieces: &mut Vec<Piece>| {
        let bytes = text.len() as u64;
        pieces.push(Piece::Text(text.into()));
        bytes
    };
    for (at, part) in parts.iter().enumerate() {
        let lead = if at == 0 { "" } else { "\r\n" };
        let range = part.content_range(size);
        let head =
            format!("{lead}--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: {range}\r\n\r\n");
        len += text(head, &mut pieces) + part.len;
        pieces.push(Piece::File(*part));
    }
    len += text(format!("\r\n--{boundary}--\r\n"), &mut pieces);
    (pieces, len)
}

/// What is still to be sent.
struct Sending {
    app: App,
    file: Arc<File>,
    pieces: VecDeque<Piece>,
}

/// A body of the pieces.
pub(super) fn body(app: App, file: File, pieces: Vec<Piece>) -> Body {
    let sending = Sending { app, file: Arc::new(file), pieces: pieces.into() };
    Body::from_stream(stream::try_unfold(sending, |mut sending| async move {
        let chunk = sending.next().await?;
        Ok::<_, FsError>(chunk.map(|chunk| (chunk, sending)))
    }))
}

impl Sending {
    async fn next(&mut self) -> Result<Option<Bytes>, FsError> {
        match self.pieces.pop_front() {
            None => Ok(None),
            Some(Piece::Text(text)) => Ok(Some(text)),
            Some(Piece::File(part)) => {
                let len = part.len.min(HTTP_CHUNK_BYTES as u64);
                if len < part.len {
                    let rest = Part { start: part.start + len, len: part.len - len };
                    self.pieces.push_front(Piece::File(rest));
                }
                let file = Arc::clone(&self.file);
                let chunk = self.app.disk.run(move || read(&file, part.start, len as usize)).await?;
                self.app.metrics.http_content_bytes_total.get().add(len);
                Ok(Some(chunk))
            }
        }
    }
}

fn read(file: &File, at: u64, len: usize) -> Result<Bytes, FsError> {
    let mut chunk = vec![0; len];
    match file.read_exact_at(&mut chunk, at) {
        Ok(()) => Ok(chunk.into()),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            Err(FsError::Io("the file became shorter while it was read".into()))
        }
        Err(e) => Err(FsError::Io(e.to_string())),
    }
}
