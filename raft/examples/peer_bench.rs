//! Figures of the peer port alone: round trips over loopback to a service that gives back what it gets.
//!
//! `cargo run --release -p metad-raft --example peer_bench`
//!
//! Not here: a log, so these are the upper bounds of what a cluster can exchange.
//! Must always hold: each figure comes with the number of calls it was taken from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::peer::{AddressBook, Options, PeerIdentity, PeerServer, PeerTransport};
use metad_raft::replicator::Fut;
use metad_raft::{Channel, Lane, PeerService, Refusal, Transport};

/// Gives back what it gets.
struct Echo;

impl PeerService for Echo {
    fn handle(&self, _: u64, request: Bytes) -> Fut<'_, Result<Bytes, Refusal>> {
        Box::pin(std::future::ready(Ok(request)))
    }
}

async fn caller(transport: Arc<PeerTransport>, lane: Lane, bytes: usize, calls: usize) -> Vec<Duration> {
    let request = Bytes::from(vec![7; bytes]);
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        let began = Instant::now();
        let deadline = began + Duration::from_secs(30);
        let answer = transport.call(2, Channel::RAFT, lane, request.clone(), deadline).await;
        answer.expect("the peer is in this process");
        took.push(began.elapsed());
    }
    took
}

async fn run(transport: &Arc<PeerTransport>, lane: Lane, callers: usize, bytes: usize, calls: usize) {
    let began = Instant::now();
    let tasks: Vec<_> =
        (0..callers).map(|_| tokio::spawn(caller(transport.clone(), lane, bytes, calls / callers))).collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.expect("a caller does not panic"));
    }
    let elapsed = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let (rate, at) = (took.len() as f64 / elapsed, |p: usize| took[(took.len() - 1) * p / 100]);
    let mib = rate * bytes as f64 / f64::from(1 << 20);
    println!(
        "{callers:>4} callers × {bytes:>8} B: {rate:>9.0} calls/s, {mib:>7.1} MiB/s each way, p50 {:?}, p99 {:?} ({} calls)",
        at(50),
        at(99),
        took.len()
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = |id: u64| -> Result<Arc<PeerIdentity>, Box<dyn std::error::Error>> {
        let identity = PeerIdentity::new("bench", None, false)?;
        identity.set(id, "bench")?;
        Ok(identity)
    };
    let server = PeerServer::bind("127.0.0.1:0", node(2)?, Options::default()).await?;
    server.register(Channel::RAFT, Arc::new(Echo));
    let book = AddressBook::new([(2, server.address().to_string())]);
    let transport = Arc::new(PeerTransport::new(node(1)?, book, Options::default()));
    caller(transport.clone(), Lane::Control, 200, 10_000).await;
    for (callers, calls) in [(1, 50_000), (64, 1_000_000), (256, 1_000_000)] {
        run(&transport, Lane::Control, callers, 200, calls).await;
    }
    run(&transport, Lane::Bulk, 4, 4 << 20, 400).await;
    Ok(())
}
