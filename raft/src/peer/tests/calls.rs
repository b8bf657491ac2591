//! Calls that reach their peer: order, overtaking, lanes, channels.
//!
//! Not here: peers that fail. Must always hold: see [`crate::transport`].

use futures_util::future::join_all;

use super::super::options::BULK_REQUESTS_MAX;
use super::*;

#[tokio::test]
async fn requests_arrive_in_the_order_of_the_calls_even_before_the_connection_is_there() {
    let (a, b) = pair().await;
    let request = |n: u32| Bytes::copy_from_slice(&n.to_le_bytes());
    let calls: Vec<_> = (0..3000).map(|n| a.begin(2, Lane::Control, request(n))).collect();
    for (n, answer) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), request(n as u32));
    }
    let seen: Vec<_> = b.echo.seen.lock().iter().cloned().collect();
    assert_eq!(seen, (0..3000).map(|n| (1, request(n))).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_answer_may_overtake_an_earlier_one() {
    let (a, b) = pair().await;
    let slow = a.begin(2, Lane::Control, Bytes::from_static(b"hold"));
    assert_eq!(a.call(2, b"quick").await.unwrap(), "quick");
    b.echo.release.add_permits(1);
    assert_eq!(slow.await.unwrap(), "hold");
}

#[tokio::test]
async fn a_bulk_lane_that_is_stuck_with_large_frames_does_not_delay_control() {
    let (a, b) = pair().await;
    let large = Bytes::from([&b"hold"[..], &vec![7; 2 << 20]].concat());
    // More than the receiver takes into its hands: the rest stands in the queue and in the socket.
    let calls = BULK_REQUESTS_MAX + 8;
    let stuck: Vec<_> = (0..calls).map(|_| a.begin(2, Lane::Bulk, large.clone())).collect();
    b.echo.arrived(1).await;
    for _ in 0..100 {
        assert_eq!(a.call(2, b"vote").await.unwrap(), "vote");
    }
    b.echo.release.add_permits(calls as usize);
    for answer in join_all(stuck).await {
        assert_eq!(answer.unwrap(), large);
    }
}

#[tokio::test]
async fn an_entry_of_sixteen_mebibytes_passes_the_control_lane_and_a_longer_one_is_never_sent() {
    let (a, b) = pair().await;
    let entry = Bytes::from(vec![3; 16 << 20]);
    assert_eq!(a.begin(2, Lane::Control, entry.clone()).await.unwrap(), entry);
    for (lane, bytes) in [(Lane::Control, 17 << 20), (Lane::Bulk, 5 << 20)] {
        let refused = a.begin(2, lane, Bytes::from(vec![0; bytes])).await;
        assert!(matches!(refused, Err(TransportError::Unreachable(_))), "{refused:?}");
    }
    assert_eq!(b.echo.seen.lock().len(), 1);
}

#[tokio::test]
async fn a_channel_is_not_served_before_its_owner_is_there() {
    let (a, b) = pair().await;
    let call = || a.transport.call(2, Channel::FORWARD, Lane::Control, Bytes::new(), soon());
    assert_eq!(call().await, Err(Refusal::NotServed.into()));
    b.server.register(Channel::FORWARD, Echo::new());
    assert_eq!(call().await, Ok(Bytes::new()));
}

#[tokio::test]
async fn a_node_that_has_no_name_is_found_by_its_address_and_finds_others() {
    let (a, fresh) = (Node::start(1).await, Node::with(0, "127.0.0.1:0", Options::default()).await);
    let found = a.transport.call_address(&fresh.address(), Bytes::from_static(b"who"), soon()).await.unwrap();
    assert_eq!((found.id, found.cluster, &*found.name, &found.answer[..]), (0, None, "n0", &b"who"[..]));
    let found = fresh.transport.call_address(&a.address(), Bytes::from_static(b"me"), soon()).await.unwrap();
    assert_eq!((found.id, found.cluster.as_deref()), (1, Some("cluster")));
    assert_eq!(*a.echo.seen.lock(), [(0, Bytes::from_static(b"me"))]);
    assert!(matches!(fresh.call(1, b"x").await, Err(TransportError::Unreachable(_))));

    fresh.identity.set(7, "cluster").unwrap();
    fresh.book.set(1, &a.address());
    assert_eq!(fresh.call(1, b"x").await.unwrap(), "x");
}

#[tokio::test]
async fn a_node_never_calls_itself_not_even_by_a_wrong_address() {
    let (a, _b) = pair().await;
    a.book.set(1, &a.address());
    assert!(matches!(a.call(1, b"x").await, Err(TransportError::Unreachable(_))));
    a.book.set(3, &a.address());
    assert_eq!(a.call(3, b"x").await, Err(Refusal::Itself.into()));
    let own = a.transport.call_address(&a.address(), Bytes::new(), soon()).await;
    assert_eq!(own, Err(Refusal::Itself.into()));
    assert!(a.echo.seen.lock().is_empty());
}

#[tokio::test]
async fn another_node_at_the_address_takes_no_request() {
    let (a, b) = pair().await;
    a.book.set(3, &b.address());
    assert_eq!(a.call(3, b"x").await, Err(Refusal::WrongAddressee { theirs: 2 }.into()));
    assert!(b.echo.seen.lock().is_empty());
}

#[tokio::test]
async fn a_node_that_is_removed_is_refused_on_its_open_stream_and_on_the_next() {
    let (a, b) = pair().await;
    assert_eq!(a.call(2, b"x").await.unwrap(), "x");
    b.identity.set_removed([1].into());
    assert_eq!(a.call(2, b"y").await, Err(Refusal::Removed.into()));
    let again = PeerTransport::new(a.identity.clone(), a.book.clone(), Options::default());
    let refused = again.call(2, Channel::RAFT, Lane::Control, Bytes::new(), soon()).await;
    assert_eq!(refused, Err(Refusal::Removed.into()));
    assert_eq!(b.echo.seen.lock().len(), 1);
}
