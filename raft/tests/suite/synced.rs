//! Whether a traced member synced what it acknowledged.
//!
//! Not here: how a trace is had (`fsync`, here and in `tests/suite` of the root crate). Must always hold: what was never written to
//! the log, or synced too late, is an error that names the lines of the trace.

use crate::trace::{Call, Frame, frames, name, number};

/// Frames of the log's channel, behind the magic of their envelope.
const VOTE: u8 = 42;
const VOTE_ANSWER: u8 = 44;

/// How many marked entries and granted votes were acknowledged, each after its sync; else what was wrong.
pub fn judge(calls: &[Call]) -> Result<(usize, usize), String> {
    let (requests, answers) = frames(calls);
    let (mut appends, mut votes) = (0, 0);
    for request in requests.iter().filter(|f| f.kind == 1 && f.body.len() > 12) {
        let answer = answers.iter().find(|a| (a.stream, a.id, a.kind) == (request.stream, request.id, 2));
        let Some(answer) = answer else { continue };
        for marker in markers(&request.body) {
            synced(calls, request.line, answer.line, marker)?;
            appends += 1;
        }
        if request.body[2] == VOTE && granted(answer) {
            // The vote itself: term, node, not committed.
            synced(calls, request.line, answer.line, &request.body[12..29])?;
            votes += 1;
        }
    }
    Ok((appends, votes))
}

fn markers(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.windows("marked-0-0=v".len()).filter(|w| w.starts_with(b"marked-") && w.ends_with(b"=v"))
}

fn granted(answer: &Frame) -> bool {
    answer.body[2] == VOTE_ANSWER && answer.body[29] == 1
}

/// Whether what was asked for in one line was synced before it was answered in another.
///
/// An entry may come twice, and is written once: what counts is the last write of it before the answer.
pub fn synced(calls: &[Call], asked: usize, answered: usize, what: &[u8]) -> Result<(), String> {
    let holds = |call: &&Call| call.data.windows(what.len()).any(|w| w == what);
    let to_log = |call: &&Call| call.name.contains("write") && name(&call.fd).ends_with(b".wal");
    let write = calls.iter().filter(|c| c.begin < answered).filter(to_log).rfind(holds);
    let write = write.ok_or_else(|| {
        format!("{what:?}: asked in line {}, never written before {}", asked + 1, answered + 1)
    })?;
    let of_file = |c: &&Call| c.name == "fdatasync" && number(&c.fd) == number(&write.fd) && c.result == 0;
    match calls.iter().filter(of_file).find(|c| c.begin > write.end) {
        Some(sync) if sync.end < answered => Ok(()),
        sync => Err(format!(
            "{what:?}: asked in line {}, written in {}, synced in {:?}, answered in {}",
            asked + 1,
            write.end + 1,
            sync.map(|s| s.end + 1),
            answered + 1
        )),
    }
}
