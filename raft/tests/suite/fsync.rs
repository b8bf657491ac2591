//! An fsync is really issued before an append or a vote is acknowledged: seen in the system calls of a member.
//!
//! The test starts this binary again under strace, as member 2 of a cluster of three whose others live here, and reads what
//! the kernel was asked for. Without strace, or without the right to use it, it says so and passes; with
//! METAD_TEST_REQUIRE_STRACE=1 it fails.
//!
//! Not here: the reading of traces (see `trace`), the real binary (`tests/suite` of the root crate).
//! Must always hold: before the answer to an append or a vote stand a write of it to the log, and an `fdatasync` of that file
//! that begins after the write and ends before the answer.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use metad_raft::PosixMetadataReplicator;
use metad_raft::consensus::Timing;

use crate::cluster::{PATIENCE, deadline};
use crate::sockets::{Seat, leader, put};
use crate::synced::judge;
use crate::trace::calls;

/// Names the directory and the peers of the traced member: `DIR ADDRESS-OF-1 ADDRESS-OF-3`, one in a line.
const ROLE: &str = "METAD_TEST_TRACED";
const STORY: &str = "peer port ";
const WATCHED: &str =
    "trace=openat,accept4,read,recvfrom,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync";

/// The traced member never asks to lead: it is to be asked.
const PATIENT: Timing = Timing {
    heartbeat: Timing::LAN.heartbeat,
    election_min: Duration::from_secs(300),
    election_max: Duration::from_secs(600),
};

#[tokio::test(flavor = "multi_thread")]
async fn a_traced_member_serves_until_its_input_ends() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut lines = role.lines();
    let seat = Seat::new(2, Path::new(lines.next().unwrap()), PATIENT).await;
    for (id, address) in [1, 3].into_iter().zip(lines) {
        seat.book.set(id, address);
    }
    println!("\n{STORY}{}", seat.address());
    seat.sit().await;
    tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin())).await.unwrap().unwrap();
    seat.log.stop().await;
}

fn start(trace: &Path, role: &str) -> Result<(Child, String, BufReader<ChildStdout>), String> {
    let mut child = Command::new("strace")
        .args(["-f", "-y", "-xx", "-s", "1000000", "-e", WATCHED, "-o"])
        .arg(trace)
        .arg(std::env::current_exe().unwrap())
        .args(["fsync::a_traced_member_serves_until_its_input_ends", "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("strace cannot be started: {e}"))?;
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while out.read_line(&mut line).is_ok_and(|n| n > 0) {
        if let Some((_, address)) = line.split_once(STORY) {
            let address = address.trim().to_string();
            return Ok((child, address, out));
        }
        line.clear();
    }
    Err(format!("strace ended without a member: {:?}", child.wait()))
}

/// Waits until whoever leads knows that member 2 has everything up to `index`.
async fn until_matched(seats: &[&Seat], index: u64) {
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let matched = |seat: &&Seat| {
        seat.log.admin().unwrap().progress().iter().any(|p| p.id == 2 && p.matched_index >= Some(index))
    };
    let reached = async {
        while !seats.iter().any(matched) {
            tick.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

/// The trace of a member that was asked for appends and votes.
async fn observed(dir: &Path) -> Result<String, String> {
    let (one, three) =
        (Seat::new(1, &dir.join("1"), Timing::LAN).await, Seat::new(3, &dir.join("3"), Timing::LAN).await);
    let (trace, role) =
        (dir.join("trace"), [dir.join("2").display().to_string(), one.address(), three.address()]);
    let (mut child, address, _out) = start(&trace, &role.join("\n"))?;
    let seats = [&one, &three];
    for (seat, other) in [(&one, &three), (&three, &one)] {
        seat.book.set(other.id, &other.address());
        seat.book.set(2, &address);
        seat.sit().await;
    }
    let (mut round, mut handed_over) = (0, 0);
    while handed_over < 2 {
        let mut last = 0;
        for entry in 0..5 {
            last = put(&seats, &format!("marked-{}-{entry}=v", round % 10)).await;
        }
        let leads = leader(&seats).await;
        until_matched(&seats, last).await;
        // Whoever takes over asks member 2 for its vote. On a busy machine a hand-over may fail.
        let to = if leads.id == 1 { 3 } else { 1 };
        handed_over += usize::from(leads.log.admin().unwrap().transfer(Some(to), deadline()).await.is_ok());
        round += 1;
    }
    let last = put(&seats, "last=v").await;
    until_matched(&seats, last).await;
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    one.log.stop().await;
    three.log.stop().await;
    std::fs::read_to_string(trace).map_err(|e| e.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_or_a_vote_is_acknowledged_only_after_an_fdatasync_of_what_it_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let trace = match observed(dir.path()).await {
        Ok(trace) => trace,
        Err(reason) => {
            let required = std::env::var_os("METAD_TEST_REQUIRE_STRACE").is_some_and(|v| v == "1");
            assert!(!required, "METAD_TEST_REQUIRE_STRACE=1, and: {reason}");
            eprintln!("skipped: {reason}");
            return;
        }
    };
    let mut seen = calls(&trace);
    let (appends, votes) = judge(&seen).unwrap();
    assert!(appends >= 10 && votes >= 1, "{appends} appends and {votes} votes were seen");
    // The judge is awake: without the syncs, the same trace is condemned.
    seen.retain(|call| call.name != "fdatasync");
    assert!(judge(&seen).is_err());
}
