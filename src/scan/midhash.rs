//! hashId: midhash256, and the full SHA-256, as CIDs.
//!
//! midhash256 = SHA-256(size as 8 big-endian bytes ‖ sample); the sample is the whole file up to 1 MiB, else the MiB in
//! its middle. The digest stands in a CIDv1 whose codec and hash function are both 0x1000, in lower-case base32.
//! Sources: research/upstream.md §4.1 (with test vectors); <https://github.com/multiformats/cid>.
//!
//! Not here: what happens when two files share an id (`scan`).
//! Must always hold: the vectors below; ids already given to a library depend on them.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};

use data_encoding::{BASE32_NOPAD, Encoding};
use sha2::{Digest, Sha256};

/// Bytes of a file that midhash256 reads.
const SAMPLE_BYTES: u64 = 1024 * 1024;

/// Codec and hash code 0x1000 as a varint.
const MIDHASH_CODE: [u8; 2] = [0x80, 0x20];
/// Codec `raw` and hash code `sha2-256`.
const RAW: u8 = 0x55;
const SHA2_256: u8 = 0x12;
/// Length of a SHA-256 digest.
const DIGEST_BYTES: u8 = 32;

/// A content identifier, version 1. Its text is multibase base32 in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cid(Vec<u8>);

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base32: &Encoding = &BASE32_NOPAD;
        write!(f, "b{}", base32.encode(&self.0).to_ascii_lowercase())
    }
}

/// The midhash256 of a file of `size` bytes.
///
/// # Errors
/// What reading gives; `UnexpectedEof` when the file is shorter than `size`, so a file that is being written is
/// reported rather than given an id that it will not keep.
pub fn midhash256(file: &mut (impl Read + Seek), size: u64) -> io::Result<Cid> {
    let (offset, len) =
        if size <= SAMPLE_BYTES { (0, size) } else { ((size - SAMPLE_BYTES) / 2, SAMPLE_BYTES) };
    file.seek(SeekFrom::Start(offset))?;
    let mut sample = vec![0; len as usize];
    file.read_exact(&mut sample)?;
    let mut hasher = Sha256::new();
    hasher.update(size.to_be_bytes());
    hasher.update(&sample);
    let mut bytes = vec![1];
    bytes.extend(MIDHASH_CODE);
    bytes.extend(MIDHASH_CODE);
    bytes.push(DIGEST_BYTES);
    bytes.extend(hasher.finalize());
    Ok(Cid(bytes))
}

/// The SHA-256 of everything that `file` still has, as a CID with codec `raw`.
///
/// # Errors
/// What reading gives.
pub fn sha2_256(file: &mut impl Read) -> io::Result<Cid> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let mut bytes = vec![1, RAW, SHA2_256, DIGEST_BYTES];
    bytes.extend(hasher.finalize());
    Ok(Cid(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn midhash(bytes: &[u8]) -> String {
        midhash256(&mut Cursor::new(bytes), bytes.len() as u64).unwrap().to_string()
    }

    #[test]
    fn the_vectors_of_upstream_hold() {
        assert_eq!(midhash(b""), "bagacbabaecxvk4hvugaqw6xxrsxuxrykmyhq35i6ik5pshkn4wzdfdpa5a67y");
        assert_eq!(midhash(b"hello\n"), "bagacbabaedmetwtdwfpwmscykfqiyw4tfd23y35kf2eci2pwca6b4nodbhjqi");
        assert_eq!(
            midhash(&[0; 1024 * 1024]),
            "bagacbabaeawlkt4hn34sxuieoosrnnag3g3wv7gc6alzwfms2nrph2hochrx4"
        );
        let long: Vec<u8> = (0..3 * 1024 * 1024u32).map(|i| (i % 251) as u8).collect();
        assert_eq!(midhash(&long), "bagacbabaecrbpw5inrw7yeuqks767cwsnwyndcykkzctrghtipepy4buby67e");
        assert_eq!(
            sha2_256(&mut Cursor::new(b"hello\n")).unwrap().to_string(),
            "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am"
        );
    }

    #[test]
    fn only_size_and_middle_count() {
        let mut long = vec![1u8; 3 * 1024 * 1024];
        let before = midhash(&long);
        long[0] = 2;
        assert_eq!(midhash(&long), before, "the first byte lies outside the sample");
        long[3 * 512 * 1024] = 2;
        assert_ne!(midhash(&long), before, "the middle byte lies in the sample");
    }

    #[test]
    fn a_file_that_shrank_has_no_id() {
        let error = midhash256(&mut Cursor::new(b"abc"), 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
