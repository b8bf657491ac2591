//! Figures of three members in one process: real sockets on loopback, real journals with fsync, a machine that does nothing.
//!
//! `cargo run --release -p metad-raft --example cluster_bench -- DIR [seconds]`
//!
//! Not here: doors, a state machine: these are the upper bounds of what a cluster on one machine and one disk can reach.
//! Must always hold: each figure comes with the number of entries it was taken from.

mod null;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::consensus::{Formation, Options};
use metad_raft::peer::{self, AddressBook, PeerIdentity, PeerServer, PeerTransport};
use metad_raft::{Channel, PosixMetadataReplicator, Proposal, RaftReplicator, Role};
use null::Null;

type Anything<T> = Result<T, Box<dyn std::error::Error>>;

struct Member {
    server: PeerServer,
    book: Arc<AddressBook>,
    log: Arc<RaftReplicator>,
}

async fn member(dir: &Path, id: u64) -> Anything<Member> {
    let identity = PeerIdentity::new("bench", None, false)?;
    identity.set(id, "bench")?;
    let server = PeerServer::bind("127.0.0.1:0", identity.clone(), peer::Options::default()).await?;
    let book = AddressBook::new([]);
    let mut options = Options::new(dir.join(id.to_string()));
    (options.id, options.formation) = (id, Formation::Voters(BTreeSet::from([1, 2, 3])));
    // A snapshot of nothing would only disturb.
    options.snapshot_entries = u64::MAX / 2;
    options.transport = Some(Arc::new(PeerTransport::new(identity, book.clone(), peer::Options::default())));
    let log = Arc::new(RaftReplicator::new(options));
    server.register(Channel::RAFT, log.peer_service());
    Ok(Member { server, book, log })
}

async fn caller(log: Arc<RaftReplicator>, until: Instant) -> Vec<Duration> {
    let (ops, mut took) = (Bytes::from(vec![7; 200]), Vec::new());
    while Instant::now() < until {
        let began = Instant::now();
        let answers = log.replicate(vec![Proposal { ops: ops.clone() }]).await;
        assert!(answers[0].is_ok(), "{answers:?}");
        took.push(began.elapsed());
    }
    took
}

async fn run(log: &Arc<RaftReplicator>, callers: usize, span: Duration) {
    let began = Instant::now();
    let tasks: Vec<_> = (0..callers).map(|_| tokio::spawn(caller(log.clone(), began + span))).collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.expect("a caller does not panic"));
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |p: usize| took[(took.len() - 1) * p / 100];
    println!(
        "{callers:>4} callers: {rate:>8.0} entries/s, p50 {:?}, p99 {:?} ({} entries)",
        at(50),
        at(99),
        took.len()
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Anything<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().ok_or("usage: cluster_bench DIR [seconds]")?;
    let span = Duration::from_secs(args.next().map_or(Ok(5), |s| s.parse())?);
    let mut members = Vec::new();
    for id in 1..=3 {
        members.push(member(Path::new(&dir), id).await?);
    }
    for member in &members {
        for (id, other) in (1..).zip(&members) {
            member.book.set(id, &other.server.address().to_string());
        }
        member.log.start(Arc::new(Null::default())).await?;
    }
    let mut status = members[0].log.status();
    let leader = status.wait_for(|s| s.leader.is_some()).await?.leader.as_ref().map_or(0, |l| l.id);
    let log = &members[usize::try_from(leader)? - 1].log;
    log.status().wait_for(|s| s.role == Role::Leader).await?;
    // A leader takes writes once a quorum has acknowledged it.
    log.read_barrier(Instant::now() + Duration::from_secs(30)).await?;
    run(log, 64, Duration::from_secs(1)).await;
    println!("(that was to warm up)");
    for callers in [1, 64, 256] {
        run(log, callers, span).await;
    }
    Ok(())
}
