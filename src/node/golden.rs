//! Golden bytes of what nodes say to each other beside the log: formation, pulses, changes of the cluster.
//!
//! Not here: the replicated state (`meta`), frames (`metad-raft`). Must always hold: a variant without bytes does not
//! compile; bytes that are there are never written again, only missing ones with `UPDATE_GOLDENFILES`.

use std::fmt::{Debug, Display, Write};

use bytes::Bytes;

use super::formation::message::{Answer, Question};
use super::word::{Reply, Word};
use crate::meta::cluster::{Member, NodeCard};
use crate::meta::control::{ClusterChange, ControlError, Done};

fn card() -> NodeCard {
    NodeCard {
        name: "nas".into(),
        incarnation: 7,
        peer: "a:1".into(),
        http: "b:2".into(),
        resp: String::new(),
        feature_min: 1,
        feature_max: 1,
    }
}

fn check<T: Debug + PartialEq, E: Debug + Display + PartialEq>(
    name: &str,
    value: T,
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(&Bytes) -> Result<T, E>,
) {
    let path = format!("{}/src/node/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let bytes = encode(&value);
    let mut hex = bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    hex.push('\n');
    if !std::path::Path::new(&path).exists() && std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &hex).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    assert_eq!(hex, pinned, "{name} is encoded otherwise now");
    assert_eq!(decode(&bytes), Ok(value), "{name}");
    for cut in 0..bytes.len() {
        assert!(decode(&bytes.slice(..cut)).is_err(), "{cut} bytes of {name}");
    }
}

#[test]
fn what_nodes_that_look_for_each_other_say_is_pinned() {
    let members = vec![Member { id: 3, card: card() }];
    let cluster_id = String::from("c1");
    let answers = [
        Answer::Pristine { card: card(), peers: vec!["a:1".into()] },
        Answer::Chosen { card: card(), cluster_id: cluster_id.clone(), first: members.clone() },
        Answer::Member { card: card(), cluster_id, members },
    ];
    for answer in answers {
        let name = match answer {
            Answer::Pristine { .. } => "formation-pristine",
            Answer::Chosen { .. } => "formation-chosen",
            Answer::Member { .. } => "formation-member",
        };
        check(name, answer, Answer::encode, Answer::decode);
    }
    let question = Question { card: card(), peers: vec!["a:1".into()], pristine: true };
    check("formation-question", question, Question::encode, Question::decode);
}

#[test]
fn what_members_say_beside_the_log_is_pinned() {
    let change = change(ClusterChange::Transfer { to: None });
    for word in [Word::Pulse { digests: vec![(16, [7; 16])] }, change, Word::Clock] {
        let name = match word {
            Word::Pulse { .. } => "word-pulse",
            Word::Change { .. } => "word-change",
            Word::Clock => "word-clock",
        };
        check(name, word, Word::encode, Word::decode);
    }
    let replies = [
        Reply::Pulse { digests: vec![(16, [7; 16])] },
        Reply::Done(Done { index: 9, id: 4, told: vec!["n4 votes".into()] }),
        Reply::Failed(ControlError::NoLeader),
        Reply::Clock { wall_ms: 1_700_000_000_000 },
    ];
    for reply in replies {
        let name = match reply {
            Reply::Pulse { .. } => "reply-pulse",
            Reply::Done(_) => "reply-done",
            Reply::Failed(_) => "reply-failed",
            Reply::Clock { .. } => "reply-clock",
        };
        check(name, reply, Reply::encode, Reply::decode);
    }
}

fn change(change: ClusterChange) -> Word {
    Word::Change { change, patience_ms: 5000 }
}

#[test]
fn every_change_of_the_cluster_is_pinned() {
    let (node, address) = (String::from("nas"), String::from("a:1"));
    let changes = [
        ClusterChange::Add { address: address.clone(), name: Some(node.clone()), learner: true },
        ClusterChange::Promote { node: node.clone() },
        ClusterChange::Demote { node: node.clone() },
        ClusterChange::Remove { node: node.clone() },
        ClusterChange::Replace { node: node.clone(), address, learner: false },
        ClusterChange::Transfer { to: Some(node) },
    ];
    for wanted in changes {
        let name = match wanted {
            ClusterChange::Add { .. } => "change-add",
            ClusterChange::Promote { .. } => "change-promote",
            ClusterChange::Demote { .. } => "change-demote",
            ClusterChange::Remove { .. } => "change-remove",
            ClusterChange::Replace { .. } => "change-replace",
            ClusterChange::Transfer { .. } => "change-transfer",
        };
        check(name, change(wanted), Word::encode, Word::decode);
    }
}

#[test]
fn every_refusal_of_a_change_is_pinned() {
    let text = || String::from("why");
    let errors = [
        ControlError::NotFound(text()),
        ControlError::Conflict(text()),
        ControlError::Identity(text()),
        ControlError::Unreachable(text()),
        ControlError::TimedOut(text()),
    ];
    for error in errors {
        let name = match error {
            ControlError::NoLeader => "reply-failed",
            ControlError::NotFound(_) => "failed-not-found",
            ControlError::Conflict(_) => "failed-conflict",
            ControlError::Identity(_) => "failed-identity",
            ControlError::Unreachable(_) => "failed-unreachable",
            ControlError::TimedOut(_) => "failed-timed-out",
        };
        check(name, Reply::Failed(error), Reply::encode, Reply::decode);
    }
}
