//! Figures of `NoOpReplicator` with a machine that does nothing: latency of one caller, throughput of many.
//!
//! `cargo run --release -p metad-raft --example journal_bench -- DIR [fsync]`
//!
//! Not here: a state machine, so these are the upper bounds of what a node can reach.
//! Must always hold: each figure comes with the number of entries it was taken from.

mod null;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use metad_raft::noop::{Durability, NoOpReplicator, Options};
use metad_raft::{PosixMetadataReplicator, Proposal};
use null::Null;

async fn run(log: &Arc<NoOpReplicator>, callers: usize, batch: usize, calls: usize) -> (f64, Vec<Duration>) {
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..callers {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            let ops = Bytes::from(vec![7; 128]);
            let mut took = Vec::with_capacity(calls);
            for _ in 0..calls {
                let proposals = vec![Proposal { ops: ops.clone() }; batch];
                let sent = Instant::now();
                let refused = log.replicate(proposals).await.iter().filter(|a| a.is_err()).count();
                assert_eq!(refused, 0, "the bench went over a limit");
                took.push(sent.elapsed());
            }
            took
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.expect("a caller does not panic"));
    }
    took.sort_unstable();
    ((callers * batch * calls) as f64 / started.elapsed().as_secs_f64(), took)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let mut options = Options::new(args.get(1).ok_or("usage: journal_bench DIR [fsync]")?);
    if args.get(2).is_some_and(|a| a == "fsync") {
        options.durability = Durability::Fsync;
    }
    let log = Arc::new(NoOpReplicator::new(options));
    log.start(Arc::new(Null::default())).await?;
    for (callers, batch, calls) in [
        (1, 1, 20_000),
        (16, 1, 5_000),
        (64, 1, 2_000),
        (256, 1, 500),
        (1, 64, 5_000),
        (16, 64, 1_000),
        (4, 512, 500),
    ] {
        let (rate, took) = run(&log, callers, batch, calls).await;
        let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
        eprintln!(
            "{callers:>4} callers × {batch:>3} entries: {rate:>9.0} entries/s, a call p50 {:?} p99 {:?} max {:?} ({} entries)",
            at(0.5),
            at(0.99),
            at(1.0),
            callers * batch * calls,
        );
    }
    log.stop().await;
    Ok(())
}
