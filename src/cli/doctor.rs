//! `metad doctor`: what is wrong with a cluster, and what to do about it.
//!
//! Not here: what a node finds wrong with itself (`GET /v1/doctor`). Must always hold: every member is asked; one that does not
//! answer is a finding and never the end of the examination.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::output::{Output, printable};
use crate::clock::{Clock, SystemClock};

/// Entries that a member may be behind the one that is furthest.
const LAG_ENTRIES: u64 = 10_000;
/// Clocks that are further apart than this make times in the data wrong, in milliseconds.
const SKEW_MS: u64 = 500;

/// A finding about the cluster or one of its nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    level: String,
    name: String,
    text: String,
    advice: String,
}

fn finding(level: &str, name: &str, text: impl Into<String>, advice: &str) -> Finding {
    Finding { level: level.into(), name: name.into(), text: text.into(), advice: advice.into() }
}

/// What a member answered.
#[derive(Clone, Debug)]
struct Answer {
    name: String,
    status: Value,
    doctor: Value,
    /// How far its clock is ahead of ours, in milliseconds.
    ahead_ms: i64,
}

/// Examines the cluster.
pub async fn run(client: &Client, out: &mut Output) -> Result<(), CliError> {
    let status = client.json(&Call::new(Method::GET, "/v1/status")).await?;
    let (answers, silent) = ask_all(client, &status).await?;
    let mut findings = vec![quorum(&status, &silent)];
    findings.extend(silent.iter().map(|(name, why)| {
        finding(
            "fail",
            "members",
            format!("{name} does not answer: {why}"),
            "start it, or `metad node remove` it",
        )
    }));
    findings.extend(voters(&status));
    findings.push(lag(&answers));
    findings.push(versions(&answers));
    findings.push(clocks(&answers));
    findings.push(hashes(&answers));
    for answer in &answers {
        findings.extend(own(answer, answers.len() > 1));
    }
    show(&findings, out)
}

/// Asks every member for its status and its own findings. Those that stay silent come with a reason.
async fn ask_all(client: &Client, status: &Value) -> Result<(Vec<Answer>, Vec<(String, String)>), CliError> {
    let asked = status["node"]["id"].clone();
    let mut answers = vec![ask(client, status["node"]["name"].as_str().unwrap_or("node")).await?];
    let mut silent = Vec::new();
    let members = status["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    for member in members.iter().filter(|m| m["id"] != asked) {
        let name = printable(member["name"].as_str().unwrap_or("?"));
        let Some(http) = member["http"].as_str().filter(|a| !a.is_empty()) else {
            silent.push((name, "its HTTP address is not known".to_owned()));
            continue;
        };
        let there = Client::new(&[http.to_owned()], client.timeout());
        let answered = match there {
            Ok(there) => ask(&there, &name).await,
            Err(e) => Err(e),
        };
        match answered {
            Ok(answer) => answers.push(answer),
            Err(e) => silent.push((name, e.to_string().lines().next().unwrap_or_default().to_owned())),
        }
    }
    Ok((answers, silent))
}

async fn ask(client: &Client, name: &str) -> Result<Answer, CliError> {
    let status = client.json(&Call::new(Method::GET, "/v1/status")).await?;
    let doctor = client.json(&Call::new(Method::GET, "/v1/doctor")).await?;
    let begun = SystemClock.now_ms();
    let health = client.json(&Call::new(Method::GET, "/health")).await?;
    let middle = begun.midpoint(SystemClock.now_ms());
    let there = health["timestamp"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let ahead_ms = there.map_or(0, |t| t.as_millisecond() - middle.cast_signed());
    Ok(Answer { name: printable(name), status, doctor, ahead_ms })
}

fn quorum(status: &Value, silent: &[(String, String)]) -> Finding {
    let voters = voter_count(status);
    let reached = voters.saturating_sub(silent.len());
    let text = format!("{reached}/{voters} voters answer");
    if reached <= voters / 2 {
        let advice = "start the others; when they are gone for good: metad recover --new-cluster";
        return finding("fail", "quorum", format!("{text}: nothing can be written"), advice);
    }
    match status["leader"]["name"].as_str() {
        Some(leader) if silent.iter().any(|(name, _)| *name == printable(leader)) => {
            let text = format!("{text}, and {}, who is said to lead, does not", printable(leader));
            finding("fail", "quorum", text, "wait for an election; if none comes, look at the nodes' logs")
        }
        Some(leader) => finding("ok", "quorum", format!("{text}, {} leads", printable(leader)), ""),
        None => finding("fail", "quorum", format!("{text}, and nobody leads"), "look at the nodes' logs"),
    }
}

fn voter_count(status: &Value) -> usize {
    let members = status["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    members.iter().filter(|m| m["role"] == "voter").count().max(1)
}

fn voters(status: &Value) -> Option<Finding> {
    let count = voter_count(status);
    count.is_multiple_of(2).then(|| {
        let text = format!("{count} voters tolerate as many failures as {}", count - 1);
        finding("warn", "voters", text, "add one, or make one a learner: metad node demote NAME")
    })
}

fn lag(answers: &[Answer]) -> Finding {
    let applied = |a: &Answer| a.status["applied_index"].as_u64().unwrap_or(0);
    let furthest = answers.iter().map(applied).max().unwrap_or(0);
    let behind = answers.iter().map(|a| (furthest - applied(a), a)).max_by_key(|(lag, _)| *lag);
    match behind {
        Some((lag, answer)) if lag > LAG_ENTRIES => {
            let text = format!("{} is {lag} entries behind", answer.name);
            finding("warn", "lag", text, "look at its disk and its network")
        }
        Some((lag, _)) => finding("ok", "lag", format!("at most {lag} entries"), ""),
        None => finding("ok", "lag", "nobody to compare", ""),
    }
}

fn versions(answers: &[Answer]) -> Finding {
    let found: BTreeSet<&str> = answers.iter().filter_map(|a| a.doctor["version"].as_str()).collect();
    let text = found.iter().copied().collect::<Vec<_>>().join(", ");
    match found.len() {
        0 | 1 => finding("ok", "versions", text, ""),
        _ => finding("warn", "versions", text, "bring all nodes to the newest one, the leader last"),
    }
}

fn clocks(answers: &[Answer]) -> Finding {
    let ahead = answers.iter().map(|a| a.ahead_ms);
    let skew = ahead.clone().max().unwrap_or(0).abs_diff(ahead.min().unwrap_or(0));
    let text = format!("at most {skew} ms apart");
    if skew > SKEW_MS {
        return finding("warn", "clocks", text, "run NTP on every node");
    }
    finding("ok", "clocks", text, "")
}

/// Nodes at the same index must have the same state.
fn hashes(answers: &[Answer]) -> Finding {
    let mut seen: BTreeMap<u64, BTreeMap<&str, &str>> = BTreeMap::new();
    for answer in answers {
        let at = answer.status["applied_index"].as_u64().unwrap_or(0);
        let hash = answer.status["state_hash"].as_str().unwrap_or("");
        seen.entry(at).or_default().insert(hash, &answer.name);
    }
    match seen.iter().find(|(_, hashes)| hashes.len() > 1) {
        Some((index, hashes)) => {
            let names: Vec<&str> = hashes.values().copied().collect();
            let text = format!("{} differ at index {index}", names.join(" and "));
            finding(
                "fail",
                "state",
                text,
                "save a snapshot of each, then replace the odd one: metad node replace",
            )
        }
        None => finding("ok", "state", "no two nodes differ at the same index", ""),
    }
}

/// What a node found by itself; with its name when there are several.
fn own(answer: &Answer, several: bool) -> Vec<Finding> {
    let checks = answer.doctor["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |check: &Value, field: &str| printable(check[field].as_str().unwrap_or_default());
    let place = if several { format!("{}: ", answer.name) } else { String::new() };
    let own = checks.iter().map(|check| Finding {
        level: word(check, "level"),
        name: word(check, "name"),
        text: format!("{place}{}", word(check, "text")),
        advice: word(check, "advice"),
    });
    own.collect()
}

fn show(findings: &[Finding], out: &mut Output) -> Result<(), CliError> {
    let count = |level: &str| findings.iter().filter(|f| f.level == level).count();
    let (failures, warnings) = (count("fail"), count("warn"));
    if out.json {
        let checks = findings
            .iter()
            .map(|f| json!({"level": f.level, "name": f.name, "text": f.text, "advice": f.advice}));
        out.value(&json!({
            "schema": "doctor/v1",
            "checks": checks.collect::<Vec<_>>(),
            "failures": failures,
            "warnings": warnings,
        }))?;
    } else {
        let width = findings.iter().map(|f| f.name.chars().count()).max().unwrap_or(0);
        for f in findings {
            let level = if f.level == "fail" { "FAIL" } else { f.level.as_str() };
            let advice = if f.advice.is_empty() { String::new() } else { format!(" → {}", f.advice) };
            out.line(format!("{level:<4}  {:<width$}  {}{advice}", f.name, f.text))?;
        }
    }
    let sum = format!("{failures} failures, {warnings} warnings");
    if failures > 0 {
        return Err(CliError::new(Exit::Unhealthy, sum));
    }
    out.note(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, applied: u64, hash: &str, ahead_ms: i64) -> Answer {
        let status = json!({"applied_index": applied, "state_hash": hash});
        Answer { name: name.into(), status, doctor: json!({"version": "1", "checks": []}), ahead_ms }
    }

    fn members(voters: usize) -> Value {
        let member = |n| json!({"id": n, "name": format!("n{n}"), "role": "voter"});
        json!({"members": (0..voters).map(member).collect::<Vec<_>>(), "leader": {"name": "n0"}})
    }

    #[test]
    fn a_lost_majority_is_a_failure_and_a_lost_minority_is_not() {
        let silent = |n: usize| vec![("x".to_owned(), "gone".to_owned()); n];
        for (voters, lost, level) in
            [(1, 0, "ok"), (3, 1, "ok"), (3, 2, "fail"), (2, 1, "fail"), (5, 2, "ok")]
        {
            assert_eq!(quorum(&members(voters), &silent(lost)).level, level, "{lost} of {voters}");
        }
        let leader_gone = [("n0".to_owned(), "gone".to_owned())];
        assert_eq!(quorum(&members(3), &leader_gone).level, "fail");
        let leaderless = json!({"members": [], "leader": null});
        assert_eq!(quorum(&leaderless, &[]).level, "fail");
    }

    #[test]
    fn even_numbers_of_voters_are_told() {
        assert!(voters(&members(4)).is_some() && voters(&members(3)).is_none());
    }

    #[test]
    fn nodes_are_compared_only_at_the_same_index() {
        let (a, b) = (answer("a", 5, "x", 0), answer("b", 6, "y", 900));
        assert_eq!(hashes(&[a.clone(), b.clone()]).level, "ok");
        assert_eq!(hashes(&[a.clone(), answer("c", 5, "z", 0)]).level, "fail");
        assert_eq!(clocks(&[a.clone(), b]).level, "warn");
        assert_eq!(lag(&[a, answer("d", 20_006, "q", 0)]).level, "warn");
    }
}
