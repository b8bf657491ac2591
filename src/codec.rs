//! The codec: the only file of this crate that names bincode, and the envelope around everything that is stored or sent.
//!
//! Not here: the types themselves, and the log's own records (see `metad-raft`).
//! Must always hold: bytes that were written by a released version decode for ever; golden files pin each format.
//!
//! Envelope, 12 bytes: `magic "md" | kind u8 | version u8 | length u32 LE | CRC32C of the body u32 LE`, then the body.
//! Values inside the state store carry one version byte instead: their kind is in their key and the store has
//! checksums of its own.

use bincode::config::{Configuration, Limit};
use bincode::de::BorrowDecoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};
use bytes::Bytes;

/// Bytes before an enveloped body.
pub const ENVELOPE_BYTES: usize = 12;

const MAGIC: [u8; 2] = *b"md";
/// No single body is larger than this; it bounds what a damaged length can make a decoder allocate.
const BODY_BYTES_MAX: usize = 256 * 1024 * 1024;

type Config = Configuration<bincode::config::LittleEndian, bincode::config::Varint, Limit<BODY_BYTES_MAX>>;

fn config() -> Config {
    bincode::config::standard().with_limit::<BODY_BYTES_MAX>()
}

/// What an envelope holds. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The payload of a log entry (`meta::entry`).
    Entry = 1,
    /// A block of a snapshot (`meta::snapshot`).
    SnapshotBlock = 2,
    /// The checkpoint of the state store.
    Checkpoint = 3,
    /// A request of one node's doors to another node (`meta::forward`).
    Forward = 4,
    /// The answer to it.
    ForwardAnswer = 5,
    /// A question of a node that looks for its cluster (`node::formation`).
    Formation = 6,
    /// The answer to it.
    FormationAnswer = 7,
    /// A request of one member's housekeeping to another (`node::word`).
    Cluster = 8,
    /// The answer to it.
    ClusterAnswer = 9,
}

/// Bytes that do not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Fewer bytes than the envelope says.
    #[error("truncated: {0} bytes")]
    Truncated(usize),
    /// Not one of our envelopes, or one of another kind.
    #[error("not an envelope of kind {expected:?}")]
    Foreign {
        /// What the caller wanted.
        expected: Kind,
    },
    /// Written by a newer version of metad.
    #[error("format version {found} is newer than {supported}, the newest this build reads")]
    Newer {
        /// The version in the envelope.
        found: u8,
        /// The newest version this build reads.
        supported: u8,
    },
    /// The checksum does not match.
    #[error("checksum mismatch")]
    Checksum,
    /// The body is not what its version says.
    #[error("malformed body: {0}")]
    Malformed(String),
}

/// Encodes a value without an envelope.
pub fn encode<T: Encode>(value: &T) -> Vec<u8> {
    bincode::encode_to_vec(value, config()).expect("our types encode into memory without errors")
}

/// Appends the encoding of a value to `out`.
pub fn encode_into<T: Encode>(value: &T, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, config())
        .expect("our types encode into memory without errors");
}

/// Decodes a value that was encoded without an envelope; every byte must be used.
pub fn decode<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) =
        bincode::decode_from_slice(bytes, config()).map_err(|e| CodecError::Malformed(e.to_string()))?;
    whole(bytes, used)?;
    Ok(value)
}

/// Decodes the first value in `bytes`, whatever follows it.
pub fn decode_first<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, _) =
        bincode::decode_from_slice(bytes, config()).map_err(|e| CodecError::Malformed(e.to_string()))?;
    Ok(value)
}

/// Decodes a value that borrows from `bytes`; every byte must be used.
pub fn decode_borrowed<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::borrow_decode_from_slice(bytes, config())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    whole(bytes, used)?;
    Ok(value)
}

/// Decodes a value whose [`Blob`]s share the memory of `bytes`; every byte must be used.
pub fn decode_shared<T: for<'a> BorrowDecode<'a, Bytes>>(bytes: &Bytes) -> Result<T, CodecError> {
    let (value, used) = bincode::borrow_decode_from_slice_with_context(bytes, config(), bytes.clone())
        .map_err(|e| CodecError::Malformed(e.to_string()))?;
    whole(bytes, used)?;
    Ok(value)
}

/// Bytes inside an encoded value: written with their length, read back without a copy (see [`decode_shared`]).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Bytes);

impl Encode for Blob {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.as_ref().encode(encoder)
    }
}

impl<'de> BorrowDecode<'de, Bytes> for Blob {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Bytes>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let part: &'de [u8] = BorrowDecode::borrow_decode(decoder)?;
        // An empty slice has no place in the source, so it has nothing to share.
        Ok(Self(if part.is_empty() { Bytes::new() } else { decoder.context().slice_ref(part) }))
    }
}

impl std::ops::Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<T: Into<Bytes>> From<T> for Blob {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

fn whole(bytes: &[u8], used: usize) -> Result<(), CodecError> {
    if used == bytes.len() {
        return Ok(());
    }
    Err(CodecError::Malformed(format!("{} bytes too many", bytes.len() - used)))
}

/// Puts an envelope around a body.
pub fn seal(kind: Kind, version: u8, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(ENVELOPE_BYTES + body.len());
    out.extend_from_slice(&[0; ENVELOPE_BYTES]);
    out.extend_from_slice(body);
    seal_in_place(kind, version, &mut out);
    Bytes::from(out)
}

/// Fills in the envelope of a buffer whose first [`ENVELOPE_BYTES`] were left free for it.
pub fn seal_in_place(kind: Kind, version: u8, buffer: &mut [u8]) {
    let (head, body) = buffer.split_at_mut(ENVELOPE_BYTES);
    let len = u32::try_from(body.len()).expect("bodies are bounded far below 4 GiB");
    head[..2].copy_from_slice(&MAGIC);
    head[2] = kind as u8;
    head[3] = version;
    head[4..8].copy_from_slice(&len.to_le_bytes());
    head[8..].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
}

/// Takes the envelope off: the version and the body, checked.
pub fn open(kind: Kind, newest: u8, bytes: &Bytes) -> Result<(u8, Bytes), CodecError> {
    let head = bytes.get(..ENVELOPE_BYTES).ok_or(CodecError::Truncated(bytes.len()))?;
    if head[..2] != MAGIC || head[2] != kind as u8 {
        return Err(CodecError::Foreign { expected: kind });
    }
    let version = head[3];
    if version > newest {
        return Err(CodecError::Newer { found: version, supported: newest });
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let body = bytes.slice(ENVELOPE_BYTES..);
    if body.len() != word(4) as usize {
        return Err(CodecError::Truncated(bytes.len()));
    }
    if crc32c::crc32c(&body) != word(8) {
        return Err(CodecError::Checksum);
    }
    Ok((version, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_gives_back_what_it_was_given() {
        let sealed = seal(Kind::Entry, 1, b"body");
        assert_eq!(open(Kind::Entry, 1, &sealed), Ok((1, Bytes::from_static(b"body"))));
    }

    #[test]
    fn an_envelope_refuses_another_kind_a_newer_version_and_any_flipped_bit() {
        let sealed = seal(Kind::Entry, 2, b"body");
        assert_eq!(
            open(Kind::SnapshotBlock, 2, &sealed),
            Err(CodecError::Foreign { expected: Kind::SnapshotBlock })
        );
        assert_eq!(open(Kind::Entry, 1, &sealed), Err(CodecError::Newer { found: 2, supported: 1 }));
        for bit in 0..sealed.len() * 8 {
            let mut bytes = sealed.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let opened = open(Kind::Entry, 2, &Bytes::from(bytes));
            // Of the version byte, only older versions may pass: they are a matter for the decoder.
            assert!(opened.is_err() || bit / 8 == 3, "bit {bit} passed");
        }
        for len in 0..sealed.len() {
            assert!(open(Kind::Entry, 2, &sealed.slice(..len)).is_err());
        }
    }

    #[test]
    fn trailing_bytes_are_malformed() {
        let mut bytes = encode(&7u64);
        bytes.push(0);
        assert!(matches!(decode::<u64>(&bytes), Err(CodecError::Malformed(_))));
    }
}
