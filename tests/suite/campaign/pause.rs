//! The leader is stopped for seconds, others write, it goes on: no read on any node shows what was before.
//!
//! Not here: cuts of the network (the simulation). Must always hold: what a read may not be older than is noted before it is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::load::Caller;
use super::rounds;
use crate::support::client::Client;
use crate::support::cluster::Cluster;
use crate::support::node::eventually;

/// For how long the leader is stopped. Source: issue 3.
const PAUSE: Duration = Duration::from_secs(5);
/// Readers of each node.
const READERS: usize = 3;

/// One linearizable read: the register's value, if the node answered with one.
fn read(client: &mut Client) -> Result<u64, String> {
    let answer = client.send("GET", "/meta/register", &[], b"").map_err(|e| e.to_string())?;
    match answer.status {
        404 => Ok(0),
        200 => Ok(answer.json()["metadata"]["n"].as_str().and_then(|n| n.parse().ok()).expect("a number")),
        other => Err(format!("{other} {}", answer.text())),
    }
}

/// Reads that no acknowledged write may be missing from.
#[derive(Clone, Default)]
struct Readers {
    floor: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Readers {
    fn check(&self, node: SocketAddr, client: &mut Client) {
        let floor = self.floor.load(Ordering::SeqCst);
        let Ok(seen) = read(client) else { return };
        assert!(seen >= floor, "{node} shows {seen}, and {floor} was acknowledged before the read");
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Reads until it is told to stop.
    fn run(&self, node: SocketAddr) -> JoinHandle<()> {
        let readers = self.clone();
        std::thread::spawn(move || {
            let mut client = Client::connect(node).expect("it listens");
            while !readers.stop.load(Ordering::Relaxed) {
                readers.check(node, &mut client);
            }
        })
    }

    /// One read on a connection of its own; gives whether the node answered with a value.
    fn once(&self, node: SocketAddr) -> JoinHandle<u64> {
        let (readers, floor) = (self.clone(), self.floor.load(Ordering::SeqCst));
        std::thread::spawn(move || {
            let mut client = Client::connect(node).expect("the kernel takes connections for it");
            let seen = read(&mut client).unwrap_or(u64::MAX);
            assert!(seen >= floor, "{node}, asked while it was stopped, shows {seen} after {floor}");
            readers.answered.fetch_add(1, Ordering::Relaxed);
            floor
        })
    }
}

#[test]
fn a_leader_that_was_stopped_for_seconds_never_answers_with_what_was_before() {
    let cluster = Cluster::started(3);
    for _ in 0..rounds(1) {
        round(&cluster);
    }
    cluster.agreed();
}

fn round(cluster: &Cluster) {
    let leader = cluster.leader();
    let readers = Readers::default();
    let before = read(&mut cluster.node(leader).client()).expect("a healthy cluster");
    readers.floor.store(before, Ordering::SeqCst);
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for node in cluster.running() {
        threads.extend((0..READERS).map(|_| readers.run(node.http)));
    }
    let others: Vec<SocketAddr> =
        cluster.addresses().into_iter().filter(|a| *a != cluster.node(leader).http).collect();
    let first = cluster.node(leader).get("/v1/status")["term"].as_u64();
    cluster.node(leader).signal(Signal::STOP);
    let end = Instant::now() + PAUSE;
    let (mut waiting, mut writes, mut caller) = (Vec::new(), 0u64, Caller::new(&others, 0));
    while Instant::now() < end {
        writes += 1;
        let number = readers.floor.load(Ordering::SeqCst) + 1;
        let written = caller.call("PUT", "/meta/register/n", &[], number.to_string().as_bytes());
        assert_eq!(written.expect("nobody else fails").status, 200);
        readers.floor.store(number, Ordering::SeqCst);
        if writes.is_power_of_two() {
            waiting.push(readers.once(cluster.node(leader).http));
        }
    }
    cluster.node(leader).signal(Signal::CONT);
    let floors: Vec<u64> = waiting.into_iter().map(join).collect();
    assert!(
        floors.last() > Some(&(before + 1)),
        "the new leader took writes while the old one was stopped: {floors:?}"
    );
    let answered = readers.answered.load(Ordering::Relaxed);
    eventually("every node answers again", || {
        (readers.answered.load(Ordering::Relaxed) > answered + 30).then_some(())
    });
    readers.stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(join);
    for node in cluster.running() {
        let seen = read(&mut node.client()).expect("a healthy cluster");
        assert_eq!(seen, readers.floor.load(Ordering::SeqCst));
        assert!(node.get("/v1/status")["term"].as_u64() > first, "another node led meanwhile");
    }
    let answered = readers.answered.load(Ordering::Relaxed);
    eprintln!(
        "{}",
        json!({"campaign": "SIGSTOP of the leader", "writes": writes, "reads": answered, "waited_on_it": floors.len()})
    );
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
