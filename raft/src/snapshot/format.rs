//! The bytes of a snapshot file: a writer and a reader over any stream.
//!
//! Not here: file names, fsync and rename (see `files`).
//! Must always hold: what the writer wrote, the reader gives back; a single wrong bit anywhere is an error.

use std::io::{self, Read, Seek, SeekFrom, Write};

use bytes::Bytes;

use crate::codec::{CodecError, ENVELOPE_BYTES, Fields, Head, Kind};
use crate::error::Fatal;
use crate::state_machine::{Applied, SnapshotSource};

const VERSION: u8 = 1;
/// A block is at most this long, in bytes; it bounds what a damaged length could make a reader allocate.
const BLOCK_BYTES_MAX: u32 = 32 * 1024 * 1024;

/// Bytes of a footer with its envelope.
const FOOTER_BYTES: u64 = ENVELOPE_BYTES as u64 + 20;

/// What a snapshot contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub applied: Applied,
    pub state_hash: [u8; 16],
}

/// A snapshot file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Damaged(#[from] CodecError),
}

/// Writes a snapshot from front to back.
pub(crate) struct SnapshotWriter<W> {
    out: W,
    crc: u32,
    blocks: u64,
    block_bytes: u64,
}

impl<W: Write> SnapshotWriter<W> {
    pub(crate) fn new(out: W, summary: &Summary) -> io::Result<Self> {
        let mut writer = Self { out, crc: 0, blocks: 0, block_bytes: 0 };
        let mark = &summary.applied.mark;
        let mut body = Vec::with_capacity(28 + mark.len());
        body.extend_from_slice(&summary.applied.index.to_le_bytes());
        body.extend_from_slice(&summary.state_hash);
        body.extend_from_slice(&u32::try_from(mark.len()).expect("marks are small").to_le_bytes());
        body.extend_from_slice(mark);
        writer.part(Kind::Header, &body)?;
        Ok(writer)
    }

    pub(crate) fn block(&mut self, block: &[u8]) -> io::Result<()> {
        if block.len() > BLOCK_BYTES_MAX as usize {
            return Err(io::Error::other(format!("a snapshot block of {} bytes", block.len())));
        }
        self.blocks += 1;
        self.block_bytes += block.len() as u64;
        self.part(Kind::Block, block)
    }

    /// Writes the footer and gives the stream back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        let mut body = Vec::with_capacity(20);
        body.extend_from_slice(&self.blocks.to_le_bytes());
        body.extend_from_slice(&self.block_bytes.to_le_bytes());
        body.extend_from_slice(&self.crc.to_le_bytes());
        self.part(Kind::Footer, &body)?;
        Ok(self.out)
    }

    fn part(&mut self, kind: Kind, body: &[u8]) -> io::Result<()> {
        let head = Head::of(kind, VERSION, body).to_bytes();
        for bytes in [&head[..], body] {
            self.crc = crc32c::crc32c_append(self.crc, bytes);
            self.out.write_all(bytes)?;
        }
        Ok(())
    }
}

/// Reads a snapshot from front to back.
pub(crate) struct SnapshotReader<R> {
    input: R,
    crc: u32,
    blocks: u64,
    block_bytes: u64,
    summary: Summary,
}

impl<R: Read> SnapshotReader<R> {
    /// Reads the header.
    pub(crate) fn new(mut input: R) -> Result<Self, SnapshotError> {
        let mut crc = 0;
        let (head, body) = part(&mut input, &mut crc)?;
        if head.kind != Kind::Header as u8 {
            return Err(CodecError::Malformed("no snapshot header").into());
        }
        let mut fields = Fields::new(&body);
        let (index, state_hash, len) = (fields.u64()?, fields.array()?, fields.u32()?);
        let mark = Bytes::copy_from_slice(fields.bytes(len as usize)?);
        fields.end()?;
        let summary = Summary { applied: Applied { index, mark }, state_hash };
        Ok(Self { input, crc, blocks: 0, block_bytes: 0, summary })
    }

    /// What the snapshot contains, as its header says.
    pub(crate) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The next block; `None` after the last, once the footer has confirmed that the file is whole.
    pub(crate) fn next_block(&mut self) -> Result<Option<Bytes>, SnapshotError> {
        let before = self.crc;
        let (head, body) = part(&mut self.input, &mut self.crc)?;
        if head.kind == Kind::Block as u8 {
            self.blocks += 1;
            self.block_bytes += body.len() as u64;
            return Ok(Some(body));
        }
        if head.kind != Kind::Footer as u8 {
            return Err(CodecError::Malformed("an unknown part").into());
        }
        let mut fields = Fields::new(&body);
        let promised = (fields.u64()?, fields.u64()?, fields.u32()?);
        fields.end()?;
        if promised != (self.blocks, self.block_bytes, before) {
            return Err(CodecError::Malformed("the footer does not fit what came before it").into());
        }
        match self.input.read(&mut [0])? {
            0 => Ok(None),
            _ => Err(CodecError::Malformed("bytes after the footer").into()),
        }
    }
}

/// A file is a source too, so that a snapshot moves from one directory to another block by block, each checked.
impl<R: Read + Send> SnapshotSource for SnapshotReader<R> {
    fn applied(&self) -> Applied {
        self.summary.applied.clone()
    }

    fn state_hash(&self) -> [u8; 16] {
        self.summary.state_hash
    }

    fn next_block(&mut self) -> Result<Option<Bytes>, Fatal> {
        SnapshotReader::next_block(self).map_err(|e| Fatal::with("cannot read a snapshot", e))
    }
}

/// Bytes from the beginning on that are whole parts with the right checksums.
pub(crate) fn whole_bytes(mut input: impl Read) -> u64 {
    let (mut crc, mut bytes) = (0, 0);
    while let Ok((head, _)) = part(&mut input, &mut crc) {
        bytes += ENVELOPE_BYTES as u64 + u64::from(head.len);
    }
    bytes
}

/// The checksum that the footer of a file of `len` bytes holds, over everything before it.
pub(crate) fn sealed_checksum(input: &mut (impl Read + Seek), len: u64) -> Result<u32, SnapshotError> {
    let start = len.checked_sub(FOOTER_BYTES).ok_or(CodecError::Truncated)?;
    input.seek(SeekFrom::Start(start))?;
    let (head, body) = part(input, &mut 0)?;
    if head.kind != Kind::Footer as u8 || body.len() != 20 {
        return Err(CodecError::Malformed("no snapshot footer").into());
    }
    let mut fields = Fields::new(&body[16..]);
    Ok(fields.u32()?)
}

fn part(input: &mut impl Read, crc: &mut u32) -> Result<(Head, Bytes), SnapshotError> {
    let mut head_bytes = [0; ENVELOPE_BYTES];
    fill(input, &mut head_bytes)?;
    let head = Head::parse(&head_bytes)?;
    if head.len > BLOCK_BYTES_MAX {
        return Err(CodecError::Malformed("a part is too long").into());
    }
    let mut body = vec![0; head.len as usize];
    fill(input, &mut body)?;
    head.check(VERSION, &body)?;
    *crc = crc32c::crc32c_append(*crc, &head_bytes);
    *crc = crc32c::crc32c_append(*crc, &body);
    Ok((head, Bytes::from(body)))
}

fn fill(input: &mut impl Read, into: &mut [u8]) -> Result<(), SnapshotError> {
    input.read_exact(into).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => CodecError::Truncated.into(),
        _ => e.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Summary, Vec<u8>) {
        let applied = Applied { index: 7, mark: Bytes::from_static(b"mark") };
        let summary = Summary { applied, state_hash: [9; 16] };
        let mut writer = SnapshotWriter::new(Vec::new(), &summary).unwrap();
        writer.block(b"first").unwrap();
        writer.block(b"").unwrap();
        (summary, writer.finish().unwrap())
    }

    fn read(bytes: &[u8]) -> Result<(Summary, Vec<Bytes>), SnapshotError> {
        let mut reader = SnapshotReader::new(bytes)?;
        let mut blocks = Vec::new();
        while let Some(block) = reader.next_block()? {
            blocks.push(block);
        }
        Ok((reader.summary().clone(), blocks))
    }

    #[test]
    fn a_snapshot_gives_back_what_it_was_given() {
        let (summary, bytes) = sample();
        let (read_summary, blocks) = read(&bytes).unwrap();
        assert_eq!(read_summary, summary);
        assert_eq!(blocks, [Bytes::from_static(b"first"), Bytes::new()]);
    }

    #[test]
    fn no_flipped_bit_no_missing_tail_and_no_extra_byte_passes() {
        let (_, bytes) = sample();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "bit {bit} passed");
        }
        for len in 0..bytes.len() {
            assert!(read(&bytes[..len]).is_err(), "{len} bytes passed");
        }
        assert!(read(&[&bytes[..], b"x"].concat()).is_err());
    }

    #[test]
    fn the_format_is_pinned() {
        let hex: String = sample().1.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("golden/snapshot-v1.hex").trim());
    }
}
