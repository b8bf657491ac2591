//! The envelope around everything this crate stores by itself, and the fixed-width numbers inside it.
//!
//! Not here: entry payloads (opaque bytes) and the records of the journal (see [`crate::journal`]).
//! Must always hold: bytes that a released version wrote decode for ever; golden files pin each format.
//!
//! Envelope, 12 bytes: `magic "md" | kind u8 | version u8 | length u32 LE | CRC32C of the body u32 LE`, then the body.

/// Bytes before an enveloped body.
pub(crate) const ENVELOPE_BYTES: usize = 12;

const MAGIC: [u8; 2] = *b"md";

/// What an envelope holds: parts of a snapshot file, and frames between members. Numbers are never reused, and stay clear of
/// those of the layer above (1 to 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The first part.
    Header = 32,
    /// A block of the state machine.
    Block = 33,
    /// The last part.
    Footer = 34,
    /// Entries for a follower, or none: a heartbeat.
    Append = 40,
    /// Whether a follower took them.
    AppendAnswer = 41,
    /// A candidate asks for a vote.
    Vote = 42,
    /// A node asks whether it would get a vote.
    PreVote = 43,
    /// The answer to both.
    VoteAnswer = 44,
    /// The leader names its successor.
    Transfer = 45,
    /// Whether the successor can lead.
    TransferAnswer = 46,
    /// The leader has a snapshot for a follower.
    Offer = 47,
    /// A piece of it.
    Chunk = 48,
    /// How much of it the follower has.
    Have = 49,
    /// The follower has it all and should install it.
    Install = 50,
    /// Whether it did.
    InstallAnswer = 51,
    /// A follower asks how far the log is committed.
    ReadIndex = 52,
    /// What the leader says.
    ReadIndexAnswer = 53,
}

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("the bytes end too early")]
    Truncated,
    #[error("not an envelope of metad")]
    Foreign,
    #[error("format version {found} is newer than {supported}, the newest that this build reads")]
    Newer { found: u8, supported: u8 },
    #[error("checksum mismatch")]
    Checksum,
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

/// The head of an envelope: what follows it and how to check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub kind: u8,
    pub version: u8,
    pub len: u32,
    pub crc: u32,
}

impl Head {
    /// The head of `body`.
    pub(crate) fn of(kind: Kind, version: u8, body: &[u8]) -> Self {
        let len = u32::try_from(body.len()).expect("bodies are bounded far below 4 GiB");
        Self { kind: kind as u8, version, len, crc: crc32c::crc32c(body) }
    }

    /// The head as stored.
    pub(crate) fn to_bytes(self) -> [u8; ENVELOPE_BYTES] {
        let mut out = [0; ENVELOPE_BYTES];
        out[..2].copy_from_slice(&MAGIC);
        out[2] = self.kind;
        out[3] = self.version;
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..].copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    /// Reads a stored head; the body is checked with [`Head::check`] once it is read.
    pub(crate) fn parse(bytes: &[u8; ENVELOPE_BYTES]) -> Result<Self, CodecError> {
        let mut fields = Fields::new(bytes);
        if fields.array::<2>()? != MAGIC {
            return Err(CodecError::Foreign);
        }
        let [kind, version] = fields.array::<2>()?;
        Ok(Self { kind, version, len: fields.u32()?, crc: fields.u32()? })
    }

    /// Checks a body that was read after this head.
    pub(crate) fn check(&self, newest: u8, body: &[u8]) -> Result<(), CodecError> {
        if body.len() != self.len as usize {
            return Err(CodecError::Truncated);
        }
        if crc32c::crc32c(body) != self.crc {
            return Err(CodecError::Checksum);
        }
        if self.version == 0 || self.version > newest {
            return Err(CodecError::Newer { found: self.version, supported: newest });
        }
        Ok(())
    }
}

/// Puts an envelope around `body`, which was built behind [`ENVELOPE_BYTES`] of room.
pub(crate) fn seal(kind: Kind, version: u8, mut bytes: Vec<u8>) -> Vec<u8> {
    let head = Head::of(kind, version, &bytes[ENVELOPE_BYTES..]);
    bytes[..ENVELOPE_BYTES].copy_from_slice(&head.to_bytes());
    bytes
}

/// The kind and the checked body of an enveloped message.
pub(crate) fn open(newest: u8, bytes: &[u8]) -> Result<(u8, &[u8]), CodecError> {
    let (head, body) = bytes.split_first_chunk::<ENVELOPE_BYTES>().ok_or(CodecError::Truncated)?;
    let head = Head::parse(head)?;
    head.check(newest, body)?;
    Ok((head.kind, body))
}

/// Reads fixed-width little-endian fields, one after the other.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(CodecError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        Ok(self.bytes(N)?.try_into().expect("`bytes` returns the length it was asked for"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodecError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, CodecError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, CodecError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// All fields were read; anything left is a format we do not know.
    pub(crate) fn end(self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Malformed("bytes after the last field")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_gives_back_what_it_was_given_and_refuses_any_flipped_bit() {
        let head = Head::of(Kind::Block, 1, b"body");
        assert_eq!(Head::parse(&head.to_bytes()), Ok(head));
        for bit in 0..ENVELOPE_BYTES * 8 {
            let mut bytes = head.to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let passes =
                Head::parse(&bytes).is_ok_and(|h| h.kind == Kind::Block as u8 && h.check(1, b"body").is_ok());
            assert!(!passes, "bit {bit} passed");
        }
    }

    #[test]
    fn a_body_of_a_newer_version_is_named_as_such() {
        let head = Head::of(Kind::Block, 3, b"body");
        assert_eq!(head.check(2, b"body"), Err(CodecError::Newer { found: 3, supported: 2 }));
    }
}
