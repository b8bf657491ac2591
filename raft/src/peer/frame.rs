//! Frames: what a stream between two nodes is cut into.
//!
//! ```text
//! length u32 | kind u8 | channel u8 | 0 u16 | id u64 | CRC32C of these 16 bytes and of the body u32 | body
//! ```
//! Numbers are little endian; `length` counts the body only. The checksum covers the head too: a flipped bit in `id`
//! would give somebody else's answer to a caller.
//!
//! Not here: sockets (see `wire`), the handshake's bodies (see `hello`).
//! Must always hold: a length is judged before anything is allocated for it; numbers of kinds and refusals are never
//! reused; golden bytes pin each kind.

use bytes::{BufMut, Bytes};

use crate::codec::{CodecError, Fields};
use crate::transport::{Channel, Lane, Refusal};

/// Bytes before a body.
pub(crate) const HEAD_BYTES: usize = 20;
/// Longest body on the control lane: an entry of 16 MiB and what its owner writes around it.
pub(crate) const CONTROL_BODY_BYTES_MAX: usize = 16 * 1024 * 1024 + 64 * 1024;
/// Longest body on the bulk lane: a chunk of 4 MiB and what its owner writes around it.
pub(crate) const BULK_BODY_BYTES_MAX: usize = 4 * 1024 * 1024 + 64 * 1024;
/// Longest body of a handshake, when nobody has proved anything yet.
pub(crate) const HANDSHAKE_BODY_BYTES_MAX: usize = 2048;
/// Longest cluster id or node name in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 255;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A request; `id` is the sender's number for it.
    Request = 1,
    /// The answer to request `id`.
    Answer = 2,
    /// Request `id` was not taken; id 0 refuses the whole stream. The body says why.
    Refused = 3,
    /// Are you there?
    Ping = 4,
    /// Yes.
    Pong = 5,
    /// The caller's first words.
    Hello = 6,
    /// The listener's nonce.
    Challenge = 7,
    /// The caller knows the secret.
    Proof = 8,
    /// The listener knows it too, and who it is.
    Welcome = 9,
}

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        use Kind::{Answer, Challenge, Hello, Ping, Pong, Proof, Refused, Request, Welcome};
        let all = [Request, Answer, Refused, Ping, Pong, Hello, Challenge, Proof, Welcome];
        all.into_iter().find(|k| *k as u8 == number)
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: Kind,
    pub channel: Channel,
    pub id: u64,
    pub body: Bytes,
}

impl Frame {
    /// A frame of no channel: everything but requests and their answers.
    pub(crate) fn control(kind: Kind, body: impl Into<Bytes>) -> Self {
        Self { kind, channel: Channel(0), id: 0, body: body.into() }
    }

    /// The refusal of request `id`, or of the stream when it is 0.
    pub(crate) fn refused(id: u64, refusal: &Refusal) -> Self {
        Self { kind: Kind::Refused, channel: Channel(0), id, body: encode_refusal(refusal).into() }
    }

    /// The head as sent.
    pub(crate) fn head(&self) -> [u8; HEAD_BYTES] {
        let len = u32::try_from(self.body.len()).expect("bodies are bounded far below 4 GiB");
        let mut out = [0; HEAD_BYTES];
        out[..4].copy_from_slice(&len.to_le_bytes());
        out[4] = self.kind as u8;
        out[5] = self.channel.0;
        out[8..16].copy_from_slice(&self.id.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&out[..16]), &self.body);
        out[16..].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

/// What a peer sent that is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    #[error("a frame of {len} bytes where {max} are allowed")]
    TooLong { len: usize, max: usize },
    #[error("a frame whose checksum does not fit")]
    Checksum,
    #[error("a malformed frame: {0}")]
    Malformed(#[from] CodecError),
    #[error("a frame of kind {0:?} at the wrong time")]
    OutOfTurn(Kind),
}

/// A received head; the body follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub kind: Kind,
    pub len: usize,
    bytes: [u8; HEAD_BYTES],
}

impl Head {
    /// Judges a head: `max` is the longest body that the stream allows right now.
    pub(crate) fn parse(bytes: [u8; HEAD_BYTES], max: usize) -> Result<Self, FrameError> {
        let kind = Kind::from_number(bytes[4]).ok_or(FrameError::UnknownKind(bytes[4]))?;
        let mut fields = Fields::new(&bytes);
        let len = fields.u32()? as usize;
        if len > max {
            return Err(FrameError::TooLong { len, max });
        }
        Ok(Self { kind, len, bytes })
    }

    /// The frame, once its body is there.
    pub(crate) fn with(self, body: Bytes) -> Result<Frame, FrameError> {
        let mut fields = Fields::new(&self.bytes[8..]);
        let (id, crc) = (fields.u64()?, fields.u32()?);
        if crc32c::crc32c_append(crc32c::crc32c(&self.bytes[..16]), &body) != crc {
            return Err(FrameError::Checksum);
        }
        Ok(Frame { kind: self.kind, channel: Channel(self.bytes[5]), id, body })
    }
}

/// The longest body of a lane's requests and answers in bytes.
pub(crate) fn body_bytes_max(lane: Lane) -> usize {
    match lane {
        Lane::Control => CONTROL_BODY_BYTES_MAX,
        Lane::Bulk => BULK_BODY_BYTES_MAX,
    }
}

/// Appends a text with its length.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).expect("texts are bounded where they enter");
    out.put_u16_le(len);
    out.put_slice(text.as_bytes());
}

/// Reads a text with its length.
pub(crate) fn text(fields: &mut Fields<'_>) -> Result<String, CodecError> {
    let len = usize::from(u16::from_le_bytes(fields.array()?));
    if len > TEXT_BYTES_MAX {
        return Err(CodecError::Malformed("a text that is too long"));
    }
    let bytes = fields.bytes(len)?.to_vec();
    String::from_utf8(bytes).map_err(|_| CodecError::Malformed("a text that is not UTF-8"))
}

fn encode_refusal(refusal: &Refusal) -> Vec<u8> {
    let mut out = Vec::new();
    match refusal {
        Refusal::WrongCluster { theirs } => {
            out.put_u8(1);
            put_text(&mut out, theirs);
        }
        Refusal::WrongAddressee { theirs } => {
            out.put_u8(2);
            out.put_u64_le(*theirs);
        }
        Refusal::Unauthenticated => out.put_u8(3),
        Refusal::Removed => out.put_u8(4),
        Refusal::WrongVersion { theirs } => {
            out.put_u8(5);
            out.put_u16_le(*theirs);
        }
        Refusal::NotServed => out.put_u8(6),
        Refusal::Busy => out.put_u8(7),
        Refusal::Itself => out.put_u8(8),
    }
    out
}

/// Reads the body of a [`Kind::Refused`].
pub(crate) fn decode_refusal(body: &[u8]) -> Result<Refusal, FrameError> {
    let mut fields = Fields::new(body);
    let [number] = fields.array()?;
    let refusal = match number {
        1 => Refusal::WrongCluster { theirs: text(&mut fields)? },
        2 => Refusal::WrongAddressee { theirs: fields.u64()? },
        3 => Refusal::Unauthenticated,
        4 => Refusal::Removed,
        5 => Refusal::WrongVersion { theirs: u16::from_le_bytes(fields.array()?) },
        6 => Refusal::NotServed,
        7 => Refusal::Busy,
        8 => Refusal::Itself,
        _ => return Err(CodecError::Malformed("an unknown refusal").into()),
    };
    fields.end()?;
    Ok(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(frame: &Frame) -> Vec<u8> {
        [&frame.head()[..], &frame.body].concat()
    }

    fn received(bytes: &[u8], max: usize) -> Result<Frame, FrameError> {
        let (head, body) = bytes.split_at(HEAD_BYTES);
        Head::parse(head.try_into().unwrap(), max)?.with(Bytes::copy_from_slice(body))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_bytes_of_every_kind_of_frame_stay_as_they_are() {
        let request =
            Frame { kind: Kind::Request, channel: Channel::RAFT, id: 258, body: Bytes::from_static(b"vote") };
        let answer = Frame { kind: Kind::Answer, body: Bytes::from_static(b"yes"), ..request.clone() };
        let golden = [
            (request, GOLDEN[0]),
            (answer, GOLDEN[1]),
            (Frame::refused(258, &Refusal::NotServed), GOLDEN[2]),
            (Frame::control(Kind::Ping, Bytes::new()), GOLDEN[3]),
            (Frame::control(Kind::Pong, Bytes::new()), GOLDEN[4]),
        ];
        for (frame, expected) in golden {
            assert_eq!(hex(&sent(&frame)), expected, "{frame:?}");
            assert_eq!(received(&sent(&frame), 100), Ok(frame));
        }
    }

    const GOLDEN: [&str; 5] = [
        "04000000010100000201000000000000f3dc1c9f766f7465",
        "03000000020100000201000000000000bf509e74796573",
        "01000000030000000201000000000000b777735606",
        "000000000400000000000000000000002acab787",
        "000000000500000000000000000000001a1ec6b6",
    ];

    #[test]
    fn every_refusal_comes_back_as_itself_and_its_bytes_stay() {
        let golden = [
            (Refusal::WrongCluster { theirs: "ab".into() }, "0102006162"),
            (Refusal::WrongAddressee { theirs: 3 }, "020300000000000000"),
            (Refusal::Unauthenticated, "03"),
            (Refusal::Removed, "04"),
            (Refusal::WrongVersion { theirs: 2 }, "050200"),
            (Refusal::NotServed, "06"),
            (Refusal::Busy, "07"),
            (Refusal::Itself, "08"),
        ];
        for (refusal, expected) in golden {
            let bytes = encode_refusal(&refusal);
            assert_eq!(hex(&bytes), expected);
            assert_eq!(decode_refusal(&bytes), Ok(refusal));
            assert!(decode_refusal(&[&bytes[..], &[0]].concat()).is_err(), "bytes after the last field");
        }
        assert!(decode_refusal(&[]).is_err() && decode_refusal(&[99]).is_err());
    }

    #[test]
    fn a_flipped_bit_anywhere_is_seen() {
        let frame =
            Frame { kind: Kind::Answer, channel: Channel::RAFT, id: 7, body: Bytes::from_static(b"ok") };
        let bytes = sent(&frame);
        for bit in 32..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(received(&bad, 100).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_length_is_refused_before_its_body_is_awaited() {
        let mut head = Frame::control(Kind::Ping, Bytes::new()).head();
        head[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(
            Head::parse(head, 2048).map(|h| h.len),
            Err(FrameError::TooLong { len: u32::MAX as usize, max: 2048 })
        );
        head[4] = 77;
        assert_eq!(Head::parse(head, 2048).map(|h| h.len), Err(FrameError::UnknownKind(77)));
    }
}
