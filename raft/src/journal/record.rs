//! What one record of the journal holds, and its bytes.
//!
//! Not here: chunk files and the checksum around a record (the crate raft-log), or what a payload means.
//! Must always hold: a length is believed only after its own checksum held, so that a flipped bit in a length can never
//! look like a record that was cut short by a crash, which recovery would drop with everything behind it.
//!
//! All numbers are little-endian, all fields fixed in width but the body:
//! * log id, 24 bytes: `term u64 | node u64 | index u64`
//! * vote, 17 bytes: `term u64 | node u64 | committed u8`
//! * payload, 9 bytes and the body: `kind u8 | length u32 | CRC32C of the five bytes before u32 | body`
//! * identity, 16 bytes: the number drawn when the journal was created

use std::io::{self, Read, Write};

use bytes::Bytes;

/// Name of one entry: who ordered it, and where it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogId {
    pub term: u64,
    pub node: u64,
    pub index: u64,
}

/// A vote, as Raft stores it. A journal without consensus has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) struct Vote {
    pub term: u64,
    pub node: u64,
    pub committed: bool,
}

/// What an entry carries. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PayloadKind {
    /// A proposal's bytes.
    Ops = 1,
    /// Nothing: the first entry of a leader.
    Blank = 2,
    /// A membership (see `consensus::types`).
    Membership = 3,
}

impl PayloadKind {
    /// The kind with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(PayloadKind::Ops),
            2 => Some(PayloadKind::Blank),
            3 => Some(PayloadKind::Membership),
            _ => None,
        }
    }
}

/// The payload of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub kind: PayloadKind,
    pub body: Bytes,
}

/// The number that tells one journal from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(pub [u8; 16]);

/// No body is longer than this; it bounds what a damaged length could make a reader allocate. In bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of a payload before its body.
pub(crate) const PAYLOAD_HEAD_BYTES: usize = 9;

/// Bytes that a record adds to its body: type, log id, payload head, checksum.
pub(crate) const RECORD_OVERHEAD_BYTES: usize = 4 + 24 + PAYLOAD_HEAD_BYTES + 8;

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn read_array<const N: usize>(r: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    r.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_u64(r: &mut impl Read) -> io::Result<u64> {
    Ok(u64::from_le_bytes(read_array(r)?))
}

impl codeq::Encode for LogId {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.term.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.node.to_le_bytes());
        bytes[16..].copy_from_slice(&self.index.to_le_bytes());
        w.write_all(&bytes)?;
        Ok(bytes.len())
    }
}

impl codeq::Decode for LogId {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        Ok(Self { term: read_u64(&mut r)?, node: read_u64(&mut r)?, index: read_u64(&mut r)? })
    }
}

impl codeq::Encode for Vote {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let mut bytes = [0; 17];
        bytes[..8].copy_from_slice(&self.term.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.node.to_le_bytes());
        bytes[16] = u8::from(self.committed);
        w.write_all(&bytes)?;
        Ok(bytes.len())
    }
}

impl codeq::Decode for Vote {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let (term, node) = (read_u64(&mut r)?, read_u64(&mut r)?);
        let committed = match read_array(&mut r)? {
            [0] => false,
            [1] => true,
            [other] => return Err(invalid(format!("{other} is not a flag"))),
        };
        Ok(Self { term, node, committed })
    }
}

impl codeq::Encode for Payload {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        let len = u32::try_from(self.body.len()).map_err(|_| invalid("a body over 4 GiB"))?;
        let mut head = [0; PAYLOAD_HEAD_BYTES];
        head[0] = self.kind as u8;
        head[1..5].copy_from_slice(&len.to_le_bytes());
        let crc = crc32c::crc32c(&head[..5]);
        head[5..].copy_from_slice(&crc.to_le_bytes());
        w.write_all(&head)?;
        w.write_all(&self.body)?;
        Ok(PAYLOAD_HEAD_BYTES + self.body.len())
    }
}

impl codeq::Decode for Payload {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        let head: [u8; PAYLOAD_HEAD_BYTES] = read_array(&mut r)?;
        let (fields, crc) = head.split_at(5);
        if crc32c::crc32c(fields).to_le_bytes() != crc {
            return Err(invalid("the head of a payload fails its checksum"));
        }
        let kind = PayloadKind::from_number(fields[0]).ok_or_else(|| {
            invalid(format!("payload kind {} is unknown: a newer metad wrote it", fields[0]))
        })?;
        let len = u32::from_le_bytes([fields[1], fields[2], fields[3], fields[4]]) as usize;
        if len > BODY_BYTES_MAX {
            return Err(invalid(format!("a body of {len} bytes")));
        }
        let mut body = vec![0; len];
        r.read_exact(&mut body)?;
        Ok(Self { kind, body: Bytes::from(body) })
    }
}

impl codeq::Encode for Identity {
    fn encode<W: Write>(&self, mut w: W) -> io::Result<usize> {
        w.write_all(&self.0)?;
        Ok(self.0.len())
    }
}

impl codeq::Decode for Identity {
    fn decode<R: Read>(mut r: R) -> io::Result<Self> {
        Ok(Self(read_array(&mut r)?))
    }
}

#[cfg(test)]
mod tests {
    use codeq::{Decode, Encode};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_payload_gives_back_what_it_was_given(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let payload = Payload { kind: PayloadKind::Ops, body: body.into() };
            let mut bytes = Vec::new();
            let len = payload.encode(&mut bytes).unwrap();
            prop_assert_eq!(len, bytes.len());
            prop_assert_eq!(Payload::decode(&bytes[..]).unwrap(), payload);
        }
    }

    #[test]
    fn a_flipped_bit_in_a_payload_head_never_looks_like_a_short_file() {
        let payload = Payload { kind: PayloadKind::Ops, body: Bytes::from_static(b"body") };
        let mut bytes = Vec::new();
        payload.encode(&mut bytes).unwrap();
        for bit in 0..PAYLOAD_HEAD_BYTES * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = Payload::decode(&damaged[..]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "bit {bit}");
        }
    }
}
