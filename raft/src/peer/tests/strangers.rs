//! Browsers, scanners and attackers on the peer port.
//!
//! Not here: peers of the cluster. Must always hold: whatever comes in, the port goes on serving its peers, and holds
//! nothing for long that has proved nothing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::connection::{Services, Shared, serve};
use super::super::dial::dial;
use super::super::frame::{Frame, Kind};
use super::super::handshake::Caller;
use super::super::wire::{Wire, WireError};
use super::*;

fn hasty() -> Options {
    Options { handshake_timeout: Duration::from_millis(1500), ..Options::default() }
}

/// Sends bytes and returns everything that comes back until the port closes the connection.
async fn say(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut out = Vec::new();
    // A reset ends the conversation as well as an end.
    let _ = stream.read_to_end(&mut out).await;
    String::from_utf8_lossy(&out).into_owned()
}

#[tokio::test]
async fn a_human_with_curl_is_told_what_this_is() {
    let b = Node::with(2, "127.0.0.1:0", hasty()).await;
    let answer = say(&b.address(), b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("the peer port of a metad node"),
        "{answer}"
    );
    let answer = say(&b.address(), b"GET /meta HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("HTTP port"), "{answer}");
}

#[tokio::test]
async fn another_version_of_the_protocol_is_told_ours_and_believed_when_it_tells_its_own() {
    let (a, b) = (Node::start(1).await, Node::with(2, "127.0.0.1:0", hasty()).await);
    let request =
        b"GET /peer/v1/stream HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: metad-peer/2\r\n\r\n";
    let answer = say(&b.address(), request).await.to_lowercase();
    assert!(answer.starts_with("http/1.1 426") && answer.contains("upgrade: metad-peer/1"), "{answer}");

    let newer = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.book.set(2, &newer.local_addr().unwrap().to_string());
    let serve = async {
        let (mut stream, _) = newer.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await.unwrap();
        let answer = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: metad-peer/9\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    };
    let (answer, ()) = tokio::join!(a.call(2, b"x"), serve);
    assert_eq!(answer, Err(Refusal::WrongVersion { theirs: 9 }.into()));
}

#[tokio::test]
async fn garbage_and_half_handshakes_are_cut_and_peers_go_on() {
    let (a, b) = (Node::start(1).await, Node::with(2, "127.0.0.1:0", hasty()).await);
    a.book.set(2, &b.address());
    a.call_until_answered(2, b"x").await;
    let upgrade =
        b"GET /peer/v1/stream HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: metad-peer/1\r\n\r\n";
    let ping = Frame::control(Kind::Ping, Bytes::new()).head();
    let cases: [Vec<u8>; 6] = [
        b"\0\xff\x16\x03garbage\r\n\r\n".to_vec(),
        Vec::new(),
        upgrade[..40].to_vec(),
        upgrade.to_vec(),
        [&upgrade[..], &[0xff; 64]].concat(),
        [&upgrade[..], &ping].concat(),
    ];
    for bytes in cases {
        // Returns: the port closed the connection by itself.
        say(&b.address(), &bytes).await;
    }
    a.call_until_answered(2, b"y").await;
}

#[tokio::test]
async fn a_head_that_comes_one_byte_at_a_time_is_cut_off() {
    let b = Node::with(2, "127.0.0.1:0", hasty()).await;
    let mut stream = TcpStream::connect(b.address()).await.unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut head = b"GET / HTTP/1.1\r\nHost: ".iter().chain(std::iter::repeat(&b'x'));
    let mut answer = [0; 64];
    loop {
        tokio::select! {
            // An end, a reset, or a complaint followed by an end.
            read = stream.read(&mut answer) => if !matches!(read, Ok(n) if n > 0) { break },
            _ = tick.tick() => {
                let byte = *head.next().unwrap();
                if stream.write_all(&[byte]).await.is_err() { break }
            }
        }
    }
}

#[tokio::test]
async fn a_length_bomb_ends_the_stream_of_a_peer_before_its_body_comes() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    for (lane, len) in [(Lane::Control, 17 << 20), (Lane::Bulk, 5 << 20), (Lane::Bulk, u32::MAX)] {
        let (mut wire, _) = dial(&b.address(), 2, lane, &a.identity, &Options::default()).await.unwrap();
        let mut head =
            Frame { kind: Kind::Request, channel: Channel::RAFT, id: 1, body: Bytes::new() }.head();
        head[..4].copy_from_slice(&u32::to_le_bytes(len));
        wire.writer.write_all(&head).await.unwrap();
        assert!(matches!(wire.next(100).await, Err(WireError::Closed | WireError::Io(_))));
    }
    a.book.set(2, &b.address());
    assert_eq!(a.call(2, b"x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_frame_with_a_flipped_bit_ends_the_stream_and_reaches_nobody() {
    let (a, b) = (Node::start(1).await, Node::start(2).await);
    let (mut wire, _) = dial(&b.address(), 2, Lane::Control, &a.identity, &Options::default()).await.unwrap();
    let body = Bytes::from_static(b"vote");
    let frame = Frame { kind: Kind::Request, channel: Channel::RAFT, id: 1, body };
    wire.writer.write_all(&[&frame.head()[..], b"vota"].concat()).await.unwrap();
    assert!(matches!(wire.next(100).await, Err(WireError::Closed | WireError::Io(_))));
    assert!(b.echo.seen.lock().is_empty());
}

#[tokio::test]
async fn a_stream_without_a_name_serves_formation_only() {
    let b = Node::start(2).await;
    let nobody = PeerIdentity::new("x", None, false).unwrap();
    let (mut wire, _) = dial(&b.address(), 0, Lane::Control, &nobody, &Options::default()).await.unwrap();
    let body = Bytes::from_static(b"vote");
    wire.send(&Frame { kind: Kind::Request, channel: Channel::RAFT, id: 5, body }).await.unwrap();
    let answer = wire.next(100).await.unwrap();
    assert_eq!(answer, Frame::refused(5, &Refusal::NotServed));
    assert!(b.echo.seen.lock().is_empty());
}

#[tokio::test]
async fn connections_of_one_address_are_bounded_and_room_comes_back() {
    let narrow = Options { connections_per_address_max: 2, ..Options::default() };
    let b = Node::with(2, "127.0.0.1:0", narrow).await;
    let a = Node::start(1).await;
    let open = || dial_to(&a, &b);
    let first = (open().await.unwrap(), open().await.unwrap());
    assert!(open().await.is_err());
    drop(first);
    let deadline = soon();
    while open().await.is_err() {
        assert!(Instant::now() < deadline, "the room of closed connections never came back");
    }
}

async fn dial_to(a: &Node, b: &Node) -> Result<super::super::wire::Wire, TransportError> {
    let dialled = dial(&b.address(), 2, Lane::Control, &a.identity, &Options::default()).await;
    dialled.map(|(wire, _)| wire)
}

/// Each of 1 MiB: more than a connection may make a node hold.
const REQUESTS: usize = 300;

#[tokio::test]
async fn a_peer_that_reads_no_answers_is_not_listened_to_until_it_does() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut answers, mut requests) = tokio::io::split(near);
    let identity = PeerIdentity::new("n2", None, false).unwrap();
    let shared = Arc::new(Shared { identity, services: Services::default(), options: Options::default() });
    shared.services.register(Channel::RAFT, Echo::new());
    let caller = Caller { id: 1, lane: Lane::Control, unnamed: false };
    let (_stop, stop) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(serve(Wire::new(Box::new(far)), caller, shared, stop));

    let body = Bytes::from(vec![5; 1 << 20]);
    let frame = Frame { kind: Kind::Request, channel: Channel::RAFT, id: 1, body };
    let bytes = [&frame.head()[..], &frame.body].concat();
    let sent = std::cell::Cell::new(0);
    let mut sending = Box::pin(async {
        while sent.get() < REQUESTS {
            requests.write_all(&bytes).await.unwrap();
            sent.set(sent.get() + 1);
        }
    });
    loop {
        let before = sent.get();
        // Nothing but this one thread moves here: when nothing has moved for so many turns, nothing will.
        let turns = async {
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = &mut sending => unreachable!("everything was taken in"),
            () = turns => {}
        }
        if sent.get() == before {
            break;
        }
    }
    let read = async {
        let (mut read, mut buffer) = (0, vec![0; 1 << 20]);
        while read < REQUESTS * bytes.len() {
            read += answers.read(&mut buffer).await.unwrap();
        }
    };
    tokio::join!(&mut sending, read);
    assert_eq!(sent.get(), REQUESTS, "it goes on once it is read");
    serving.abort();
}

#[tokio::test]
async fn an_open_port_needs_a_secret_or_the_word_insecure() {
    let open = PeerIdentity::new("x", None, false).unwrap();
    let refused = PeerServer::bind("0.0.0.0:0", open, Options::default()).await.map(|s| s.address());
    assert!(refused.unwrap_err().to_string().contains("--insecure"));
    let insecure = PeerIdentity::new("x", None, true).unwrap();
    PeerServer::bind("0.0.0.0:0", insecure, Options::default()).await.unwrap();
}
