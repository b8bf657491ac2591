//! The handshake: both sides prove the secret and say who they are, or one of them says why not.
//!
//! Not here: the bytes of its words (see `hello`), the HTTP exchange before it (see `upgrade`), the time it may take.
//! Must always hold: no request is read before the caller has proved itself; who has proved nothing learns no id, no
//! cluster and no reason but "unauthenticated" or "wrong version"; a node never talks to itself.

use std::net::IpAddr;

use super::frame::{Frame, FrameError, HANDSHAKE_BODY_BYTES_MAX, Kind, decode_refusal};
use super::hello::{self, Hello, VERSION, Welcome};
use super::identity::PeerIdentity;
use super::wire::{Wire, WireError};
use crate::random;
use crate::transport::{Lane, Refusal, TransportError};

/// Who is on the other side of an accepted stream.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub id: u64,
    pub lane: Lane,
    /// One side has no name for the other: formation only.
    pub unnamed: bool,
}

/// Why no stream came about, on the listener's side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl From<FrameError> for HandshakeError {
    fn from(e: FrameError) -> Self {
        Self::Wire(e.into())
    }
}

impl From<std::io::Error> for HandshakeError {
    fn from(e: std::io::Error) -> Self {
        Self::Wire(e.into())
    }
}

/// The caller's side. Returns who answered.
pub(crate) async fn greet(
    wire: &mut Wire,
    identity: &PeerIdentity,
    to: u64,
    lane: Lane,
) -> Result<Welcome, TransportError> {
    let failed = |e: WireError| TransportError::Unreachable(format!("in the handshake, {e}"));
    let (from, cluster) = identity.named().map_or((0, String::new()), |n| (n.id, n.cluster));
    let nonce = random::draw().map_err(|e| failed(e.into()))?;
    let name = identity.name().to_string();
    let hello =
        Hello { version: VERSION, lane, from, to, boot: identity.boot(), nonce, cluster, name }.encode();
    wire.send(&Frame::control(Kind::Hello, hello.clone())).await.map_err(failed)?;
    let challenge = expect(wire, Kind::Challenge).await?;
    hello::check_challenge(&challenge.body).map_err(|e| failed(e.into()))?;
    let proof = hello::client_proof(identity.secret(), &hello, &challenge.body);
    wire.send(&Frame::control(Kind::Proof, proof)).await.map_err(failed)?;
    let answer = expect(wire, Kind::Welcome).await?;
    let welcome = Welcome::decode(&answer.body, identity.secret(), &hello, &challenge.body)
        .map_err(|e| failed(e.into()))?
        .ok_or(Refusal::Unauthenticated)?;
    if welcome.boot == identity.boot() || (from != 0 && welcome.id == from) {
        return Err(Refusal::Itself.into());
    }
    if to != 0 && welcome.id != to {
        return Err(Refusal::WrongAddressee { theirs: welcome.id }.into());
    }
    Ok(welcome)
}

/// The next frame, if it is of that kind; a refusal is an error as it stands.
async fn expect(wire: &mut Wire, kind: Kind) -> Result<Frame, TransportError> {
    let failed = |e: WireError| TransportError::Unreachable(format!("in the handshake, {e}"));
    let frame = wire.next(HANDSHAKE_BODY_BYTES_MAX).await.map_err(failed)?;
    if frame.kind == Kind::Refused {
        return Err(decode_refusal(&frame.body).map_err(|e| failed(e.into()))?.into());
    }
    if frame.kind != kind {
        return Err(failed(FrameError::OutOfTurn(frame.kind).into()));
    }
    Ok(frame)
}

/// The listener's side. A refusal has been sent when it is returned.
pub(crate) async fn receive(
    wire: &mut Wire,
    identity: &PeerIdentity,
    address: IpAddr,
) -> Result<Caller, HandshakeError> {
    let met = meet(wire, identity, address).await;
    if let Err(HandshakeError::Refused(refusal)) = &met {
        wire.send(&Frame::refused(0, refusal)).await?;
    }
    met
}

async fn meet(wire: &mut Wire, identity: &PeerIdentity, address: IpAddr) -> Result<Caller, HandshakeError> {
    let said = take(wire, Kind::Hello).await?;
    let Ok(hello) = Hello::decode(&said.body)? else {
        return Err(HandshakeError::Refused(Refusal::WrongVersion { theirs: VERSION }));
    };
    if !identity.trusts(address) {
        return Err(HandshakeError::Refused(Refusal::Unauthenticated));
    }
    let challenge = hello::encode_challenge(&random::draw()?);
    wire.send(&Frame::control(Kind::Challenge, challenge.clone())).await?;
    let proof = take(wire, Kind::Proof).await?;
    if !hello::client_proves(identity.secret(), &said.body, &challenge, &proof.body) {
        return Err(HandshakeError::Refused(Refusal::Unauthenticated));
    }
    let welcome = judge(&hello, identity).map_err(HandshakeError::Refused)?;
    let unnamed = hello.from == 0 || hello.to == 0;
    let body = welcome.encode(identity.secret(), &said.body, &challenge);
    wire.send(&Frame::control(Kind::Welcome, body)).await?;
    Ok(Caller { id: hello.from, lane: hello.lane, unnamed })
}

async fn take(wire: &mut Wire, kind: Kind) -> Result<Frame, HandshakeError> {
    let frame = wire.next(HANDSHAKE_BODY_BYTES_MAX).await?;
    if frame.kind != kind {
        return Err(FrameError::OutOfTurn(frame.kind).into());
    }
    Ok(frame)
}

/// Whether a caller who knows the secret may speak to us, and as whom we answer.
fn judge(hello: &Hello, identity: &PeerIdentity) -> Result<Welcome, Refusal> {
    let (id, cluster) = identity.named().map_or((0, String::new()), |n| (n.id, n.cluster));
    if hello.boot == identity.boot() {
        return Err(Refusal::Itself);
    }
    if !hello.cluster.is_empty() && !cluster.is_empty() && hello.cluster != cluster {
        return Err(Refusal::WrongCluster { theirs: cluster });
    }
    if hello.from != 0 && identity.is_removed(hello.from) {
        return Err(Refusal::Removed);
    }
    if hello.from != 0 && hello.from == id {
        return Err(Refusal::Itself);
    }
    if hello.to != 0 && hello.to != id {
        return Err(Refusal::WrongAddressee { theirs: id });
    }
    Ok(Welcome { id, boot: identity.boot(), cluster, name: identity.name().to_string() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::super::identity::Secret;
    use super::*;

    fn node(id: u64, cluster: &str, secret: &str) -> Arc<PeerIdentity> {
        let secret = (!secret.is_empty()).then(|| Secret::new(format!("{secret:-<16}")).unwrap());
        let identity = PeerIdentity::new("n", secret, false).unwrap();
        if id != 0 {
            identity.set(id, cluster).unwrap();
        }
        identity
    }

    async fn meeting(
        caller: &PeerIdentity,
        to: u64,
        listener: &PeerIdentity,
        from: IpAddr,
    ) -> (Result<Welcome, TransportError>, Result<Caller, HandshakeError>) {
        let (near, far) = tokio::io::duplex(4096);
        let listen = async move {
            let mut wire = Wire::new(Box::new(far));
            receive(&mut wire, listener, from).await
        };
        let mut wire = Wire::new(Box::new(near));
        tokio::join!(greet(&mut wire, caller, to, Lane::Control), listen)
    }

    const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn two_named_nodes_of_one_cluster_meet_with_and_without_a_secret() {
        for secret in ["", "s"] {
            let (a, b) = (node(1, "c", secret), node(2, "c", secret));
            let (welcome, caller) = meeting(&a, 2, &b, NEAR).await;
            assert_eq!((welcome.unwrap().id, caller.as_ref().unwrap().id), (2, 1));
            assert!(!caller.unwrap().unnamed);
        }
    }

    #[tokio::test]
    async fn who_has_no_name_or_does_not_know_the_others_may_only_form_a_cluster() {
        for (from, to, id) in [(0, 0, 0), (0, 0, 2), (1, 0, 2), (1, 0, 0)] {
            let (welcome, caller) = meeting(&node(from, "c", ""), to, &node(id, "c", ""), NEAR).await;
            assert_eq!(welcome.unwrap().id, id);
            assert!(caller.unwrap().unnamed, "{from} to {to}");
        }
    }

    #[tokio::test]
    async fn every_misdelivered_or_unwelcome_stream_is_refused_by_its_own_reason() {
        let removed = node(2, "c", "");
        removed.set_removed(BTreeSet::from([1]));
        let far: IpAddr = "192.0.2.7".parse().unwrap();
        let cases = [
            (
                node(1, "c", ""),
                2,
                node(2, "other", ""),
                NEAR,
                Refusal::WrongCluster { theirs: "other".into() },
            ),
            (node(1, "c", ""), 3, node(2, "c", ""), NEAR, Refusal::WrongAddressee { theirs: 2 }),
            (node(1, "c", ""), 2, node(0, "", ""), NEAR, Refusal::WrongAddressee { theirs: 0 }),
            (node(1, "c", "x"), 2, node(2, "c", "y"), NEAR, Refusal::Unauthenticated),
            (node(1, "c", "x"), 2, node(2, "c", ""), NEAR, Refusal::Unauthenticated),
            (node(1, "c", ""), 2, node(2, "c", "x"), NEAR, Refusal::Unauthenticated),
            (node(1, "c", ""), 2, node(2, "c", ""), far, Refusal::Unauthenticated),
            (node(1, "c", ""), 2, removed, NEAR, Refusal::Removed),
            (node(2, "c", ""), 2, node(2, "c", ""), NEAR, Refusal::Itself),
        ];
        for (caller, to, listener, from, refusal) in cases {
            let (welcome, met) = meeting(&caller, to, &listener, from).await;
            assert_eq!(welcome, Err(TransportError::Refused(refusal.clone())));
            assert!(matches!(met, Err(HandshakeError::Refused(r)) if r == refusal));
        }
    }

    #[tokio::test]
    async fn a_node_recognises_itself_even_without_a_name() {
        for id in [0, 1] {
            let own = node(id, "c", "s");
            let (welcome, _) = meeting(&own, 0, &own, NEAR).await;
            assert_eq!(welcome, Err(TransportError::Refused(Refusal::Itself)));
        }
    }

    #[tokio::test]
    async fn a_listener_that_does_not_know_the_secret_is_left() {
        let (near, far) = tokio::io::duplex(4096);
        let impostor = async move {
            let mut wire = Wire::new(Box::new(far));
            let hello = wire.next(HANDSHAKE_BODY_BYTES_MAX).await.unwrap().body;
            let challenge = hello::encode_challenge(&[0; 32]);
            wire.send(&Frame::control(Kind::Challenge, challenge.clone())).await.unwrap();
            wire.next(HANDSHAKE_BODY_BYTES_MAX).await.unwrap();
            let lie = Welcome { id: 2, boot: [1; 16], cluster: "c".into(), name: "n".into() };
            let body = lie.encode(Some(&Secret::new("another secret of it").unwrap()), &hello, &challenge);
            wire.send(&Frame::control(Kind::Welcome, body)).await.unwrap();
        };
        let (caller, mut wire) = (node(1, "c", "s"), Wire::new(Box::new(near)));
        let (met, ()) = tokio::join!(greet(&mut wire, &caller, 2, Lane::Control), impostor);
        assert_eq!(met, Err(TransportError::Refused(Refusal::Unauthenticated)));
    }
}
