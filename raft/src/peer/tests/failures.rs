//! Peers that are not there, die, fall silent, come back or move.
//!
//! Not here: strangers on the port. Must always hold: every error says whether the peer may have seen the request.

use tokio::net::TcpListener;

use super::super::dial::dial;
use super::*;

fn unreachable(answer: &Result<Bytes, TransportError>) -> bool {
    matches!(answer, Err(TransportError::Unreachable(_)))
}

fn lost(answer: &Result<Bytes, TransportError>) -> bool {
    matches!(answer, Err(TransportError::Lost(_)))
}

#[tokio::test]
async fn a_peer_that_was_not_started_or_is_not_known_is_unreachable_and_nobody_waits() {
    let a = Node::start(1).await;
    // A port below 1024 is nobody's by chance.
    a.book.set(2, "127.0.0.1:1");
    for to in [2, 9] {
        let answers = [a.call(to, b"x").await, a.call(to, b"y").await];
        assert!(answers.iter().all(unreachable), "{answers:?}");
    }
}

#[tokio::test]
async fn a_request_in_the_hands_of_a_peer_that_dies_is_lost() {
    let (a, b) = pair().await;
    let held = a.begin(2, Lane::Control, Bytes::from_static(b"hold"));
    b.echo.arrived(1).await;
    drop(b);
    let answer = held.await;
    assert!(lost(&answer), "{answer:?}");
    let after = a.call(2, b"x").await;
    assert!(unreachable(&after), "{after:?}");
}

#[tokio::test]
async fn a_deadline_holds_whatever_the_peer_does() {
    let (a, b) = pair().await;
    let short = || Instant::now() + Duration::from_millis(50);
    let call = |to| a.transport.call(to, Channel::RAFT, Lane::Control, Bytes::from_static(b"hold"), short());
    assert_eq!(a.call(2, b"x").await.unwrap(), "x");
    let answer = call(2).await;
    assert!(lost(&answer), "the peer has it: {answer:?}");
    drop(b);
    // Accepts connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.book.set(3, &mute.local_addr().unwrap().to_string());
    let answer = call(3).await;
    assert!(unreachable(&answer), "nothing was sent: {answer:?}");
}

#[tokio::test]
async fn a_peer_that_restarts_is_reached_again() {
    let (a, b) = pair().await;
    let address = b.address();
    for _ in 0..3 {
        a.call_until_answered(2, b"x").await;
    }
    b.server.stop(Duration::ZERO).await;
    drop(b);
    let b = Node::with(2, &address, Options::default()).await;
    a.call_until_answered(2, b"again").await;
    assert!(b.echo.seen.lock().iter().any(|(_, r)| r == "again"));
}

#[tokio::test]
async fn a_stopped_peer_answers_what_it_has_read() {
    let (a, b) = pair().await;
    let held: Vec<_> = (0..10).map(|_| a.begin(2, Lane::Control, Bytes::from_static(b"hold"))).collect();
    b.echo.arrived(10).await;
    let stop = b.server.stop(Duration::from_secs(60));
    let (answers, ()) = tokio::join!(
        async {
            b.echo.release.add_permits(10);
            futures_util::future::join_all(held).await
        },
        stop
    );
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn a_new_address_is_used_at_once_even_while_the_old_one_hangs() {
    let (a, b) = pair().await;
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.book.set(2, &mute.local_addr().unwrap().to_string());
    let nobody = a.transport.call(2, Channel::RAFT, Lane::Control, Bytes::new(), Instant::now()).await;
    assert!(nobody.is_err());
    a.book.set(2, &b.address());
    a.call_until_answered(2, b"x").await;

    let held = a.begin(2, Lane::Control, Bytes::from_static(b"hold"));
    b.echo.arrived(2).await;
    let moved = Node::start(2).await;
    a.book.set(2, &moved.address());
    let answer = held.await;
    assert!(lost(&answer), "{answer:?}");
    assert_eq!(a.call(2, b"y").await.unwrap(), "y");
    assert_eq!(moved.echo.seen.lock().len(), 1);
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_given_up() {
    let quick = Options {
        ping_interval: Duration::from_millis(20),
        silence_max: Duration::from_secs(3),
        ..Options::default()
    };
    let a = Node::with(1, "127.0.0.1:0", quick).await;
    let b = Node::start(2).await;
    // Forwards both directions until it is told to hold everything back.
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    a.book.set(2, &proxy.local_addr().unwrap().to_string());
    let (cut, target) = (tokio::sync::Notify::new(), b.address());
    let between = async {
        let (mut near, _) = proxy.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(&target).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            () = cut.notified() => {}
        }
        // Both sockets stay open and mute.
        std::future::pending::<()>().await;
    };
    let calls = async {
        assert_eq!(a.call(2, b"x").await.unwrap(), "x");
        cut.notify_one();
        a.call(2, b"y").await
    };
    tokio::select! {
        () = between => unreachable!("the proxy never ends"),
        answer = calls => assert!(lost(&answer), "{answer:?}"),
    }
}

#[tokio::test]
async fn an_idle_stream_stays_open() {
    let quick = Options {
        ping_interval: Duration::from_millis(5),
        silence_max: Duration::from_secs(20),
        ..Options::default()
    };
    let (a, b) = (Node::with(1, "127.0.0.1:0", quick).await, Node::start(2).await);
    let (mut wire, who) = dial(&b.address(), 2, Lane::Control, &a.identity, &quick).await.unwrap();
    assert_eq!(who.id, 2);
    let ping = super::super::frame::Frame::control(super::super::frame::Kind::Ping, Bytes::new());
    for _ in 0..3 {
        wire.send(&ping).await.unwrap();
        assert_eq!(wire.next(0).await.unwrap().kind, super::super::frame::Kind::Pong);
    }
}
