//! The words of the handshake, and how each side proves that it knows the secret.
//!
//! ```text
//! caller                                             listener
//!   HELLO version, lane, from, to, boot, nonce, cluster, name  ──►
//!   ◄──  CHALLENGE version, nonce
//!   PROOF  HMAC(secret, "client", HELLO, CHALLENGE)  ──►
//!   ◄──  WELCOME id, boot, cluster, name, HMAC(secret, "server", HELLO, CHALLENGE, id … name)   or a refusal
//! ```
//! The caller proves first, so that a stranger gets nothing to try secrets on, and learns no id and no cluster. Without
//! a secret both proofs are empty. The secret protects who may speak, not the bytes that follow: a network where others
//! can change packets needs TLS below.
//!
//! Not here: the order of the exchange (see `handshake`).
//! Must always hold: the secret itself is never sent; proofs are compared in constant time; golden bytes pin each body.

use bytes::BufMut;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::frame::{FrameError, put_text, text};
use super::identity::Secret;
use crate::codec::{CodecError, Fields};
use crate::transport::Lane;

/// The peer protocol that this build speaks.
pub(crate) const VERSION: u16 = 1;

/// Random bytes against replay.
pub(crate) type Nonce = [u8; 32];

/// The caller's first words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub version: u16,
    pub lane: Lane,
    /// 0: has no id yet.
    pub from: u64,
    /// 0: whoever is there.
    pub to: u64,
    pub boot: [u8; 16],
    pub nonce: Nonce,
    /// Empty: belongs to none yet.
    pub cluster: String,
    pub name: String,
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u16_le(self.version);
        out.put_u8(match self.lane {
            Lane::Control => 0,
            Lane::Bulk => 1,
        });
        out.put_u64_le(self.from);
        out.put_u64_le(self.to);
        out.put_slice(&self.boot);
        out.put_slice(&self.nonce);
        put_text(&mut out, &self.cluster);
        put_text(&mut out, &self.name);
        out
    }

    /// Reads the words; those of another version are `Err` with that version, as their layout is unknown.
    pub(crate) fn decode(body: &[u8]) -> Result<Result<Self, u16>, FrameError> {
        let mut fields = Fields::new(body);
        let version = u16::from_le_bytes(fields.array()?);
        if version != VERSION {
            return Ok(Err(version));
        }
        let lane = match fields.array()? {
            [0] => Lane::Control,
            [1] => Lane::Bulk,
            _ => return Err(CodecError::Malformed("an unknown lane").into()),
        };
        let hello = Self {
            version,
            lane,
            from: fields.u64()?,
            to: fields.u64()?,
            boot: fields.array()?,
            nonce: fields.array()?,
            cluster: text(&mut fields)?,
            name: text(&mut fields)?,
        };
        fields.end()?;
        Ok(Ok(hello))
    }
}

/// The listener's nonce, with its version.
pub(crate) fn encode_challenge(nonce: &Nonce) -> Vec<u8> {
    [&VERSION.to_le_bytes()[..], nonce].concat()
}

/// Reads and forgets: the bytes themselves go into the proofs.
pub(crate) fn check_challenge(body: &[u8]) -> Result<(), FrameError> {
    let mut fields = Fields::new(body);
    fields.array::<2>()?;
    fields.array::<32>()?;
    Ok(fields.end()?)
}

/// Who the listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// 0: has no id yet.
    pub id: u64,
    pub boot: [u8; 16],
    /// Empty: belongs to none yet.
    pub cluster: String,
    pub name: String,
}

impl Welcome {
    /// The identity, then the proof over it.
    pub(crate) fn encode(&self, secret: Option<&Secret>, hello: &[u8], challenge: &[u8]) -> Vec<u8> {
        let mut out = self.identity();
        let proof = secret.map(|s| proof_of(s, SERVER, &[hello, challenge, &out]));
        out.extend(proof.unwrap_or_default());
        out
    }

    fn identity(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u64_le(self.id);
        out.put_slice(&self.boot);
        put_text(&mut out, &self.cluster);
        put_text(&mut out, &self.name);
        out
    }

    /// Reads the identity and checks its proof: `None` when the listener does not know our secret.
    pub(crate) fn decode(
        body: &[u8],
        secret: Option<&Secret>,
        hello: &[u8],
        challenge: &[u8],
    ) -> Result<Option<Self>, FrameError> {
        let mut fields = Fields::new(body);
        let welcome = Self {
            id: fields.u64()?,
            boot: fields.array()?,
            cluster: text(&mut fields)?,
            name: text(&mut fields)?,
        };
        let identity = welcome.identity();
        let proof = &body[identity.len()..];
        Ok(proves(secret, SERVER, &[hello, challenge, &identity], proof).then_some(welcome))
    }
}

const CLIENT: &[u8] = b"metad-peer/1 client";
const SERVER: &[u8] = b"metad-peer/1 server";

/// The caller's proof; empty without a secret.
pub(crate) fn client_proof(secret: Option<&Secret>, hello: &[u8], challenge: &[u8]) -> Vec<u8> {
    secret.map(|s| proof_of(s, CLIENT, &[hello, challenge])).unwrap_or_default()
}

/// Whether the caller knows our secret, or neither has one.
pub(crate) fn client_proves(secret: Option<&Secret>, hello: &[u8], challenge: &[u8], proof: &[u8]) -> bool {
    proves(secret, CLIENT, &[hello, challenge], proof)
}

fn proves(secret: Option<&Secret>, label: &[u8], parts: &[&[u8]], proof: &[u8]) -> bool {
    match secret {
        Some(secret) => mac(secret, label, parts).verify_slice(proof).is_ok(),
        None => proof.is_empty(),
    }
}

fn proof_of(secret: &Secret, label: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    mac(secret, label, parts).finalize().into_bytes().to_vec()
}

/// Every part goes in with its length: no two different conversations have one transcript.
fn mac(secret: &Secret, label: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes keys of any length");
    for part in std::iter::once(&label).chain(parts) {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            version: VERSION,
            lane: Lane::Bulk,
            from: 1,
            to: 2,
            boot: [3; 16],
            nonce: [4; 32],
            cluster: "c5".into(),
            name: "n6".into(),
        }
    }

    fn welcome() -> Welcome {
        Welcome { id: 2, boot: [7; 16], cluster: "c5".into(), name: "n8".into() }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_bytes_of_the_handshake_stay_as_they_are() {
        let secret = Secret::new("0123456789abcdef").unwrap();
        let (hello, challenge) = (hello().encode(), encode_challenge(&[9; 32]));
        let golden = [
            (hello.clone(), GOLDEN[0]),
            (challenge.clone(), GOLDEN[1]),
            (client_proof(Some(&secret), &hello, &challenge), GOLDEN[2]),
            (welcome().encode(Some(&secret), &hello, &challenge), GOLDEN[3]),
            (welcome().encode(None, &hello, &challenge), GOLDEN[4]),
        ];
        for (bytes, expected) in golden {
            assert_eq!(hex(&bytes), expected);
        }
    }

    const GOLDEN: [&str; 5] = [
        "010001010000000000000002000000000000000303030303030303030303030303030304040404040404040404040404040404040404040404040404040404040404040200633502006e36",
        "01000909090909090909090909090909090909090909090909090909090909090909",
        "c7602cfa0901f515e83bd54a3abbff9691f3421ea90d7925004dd1d14ee76067",
        "0200000000000000070707070707070707070707070707070200633502006e38f51080089aa1d64b665ba4f74efe78981a8115dbc2ce52ebb7503811974b9aa6",
        "0200000000000000070707070707070707070707070707070200633502006e38",
    ];

    #[test]
    fn words_come_back_as_they_were_said_and_another_version_is_named() {
        assert_eq!(Hello::decode(&hello().encode()), Ok(Ok(hello())));
        assert_eq!(Hello::decode(&[2, 0, 99]), Ok(Err(2)));
        assert!(Hello::decode(&[hello().encode(), vec![0]].concat()).is_err());
        assert!(Hello::decode(&hello().encode()[..20]).is_err());
        assert!(check_challenge(&encode_challenge(&[0; 32])).is_ok());
        assert!(check_challenge(&[1, 0, 5]).is_err());
    }

    #[test]
    fn a_proof_is_good_for_one_secret_one_side_and_one_conversation() {
        let (ours, theirs) =
            (Secret::new("0123456789abcdef").unwrap(), Secret::new("0123456789abcdeX").unwrap());
        let (said, challenge) = (hello().encode(), encode_challenge(&[9; 32]));
        let proof = client_proof(Some(&ours), &said, &challenge);
        assert!(client_proves(Some(&ours), &said, &challenge, &proof));
        assert!(!client_proves(Some(&theirs), &said, &challenge, &proof));
        assert!(!client_proves(None, &said, &challenge, &proof));
        assert!(!client_proves(Some(&ours), &said, &encode_challenge(&[8; 32]), &proof));
        let other = Hello { from: 3, ..hello() }.encode();
        assert!(!client_proves(Some(&ours), &other, &challenge, &proof));
        assert!(
            client_proves(None, &said, &challenge, &[])
                && !client_proves(Some(&ours), &said, &challenge, &[])
        );

        let body = welcome().encode(Some(&ours), &said, &challenge);
        let read = |secret| Welcome::decode(&body, secret, &said, &challenge).unwrap();
        assert_eq!(read(Some(&ours)), Some(welcome()));
        assert_eq!((read(Some(&theirs)), read(None)), (None, None));
        let mut moved = body.clone();
        moved[0] = 5;
        assert_eq!(Welcome::decode(&moved, Some(&ours), &said, &challenge), Ok(None), "another id");
    }
}
