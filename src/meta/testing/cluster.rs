//! The book of members as replicated state.
//!
//! Not here: single changes (`meta::cluster`). Must always hold: the book is content like all else.

use super::*;
use crate::meta::cluster::{ClusterOp, Member, NodeCard};
use crate::meta::op::SystemOp;

fn cluster(op: ClusterOp) -> Op {
    Op::System(SystemOp::Cluster(op))
}

fn card(name: &str, incarnation: u64) -> NodeCard {
    NodeCard {
        name: name.into(),
        incarnation,
        peer: format!("{name}:1"),
        feature_min: 1,
        feature_max: 1,
        ..NodeCard::default()
    }
}

#[test]
fn the_book_outlives_restarts_and_clearing_and_is_part_of_the_hash() {
    let mut driver = Driver::new();
    let mut book = driver.machine.book();
    let members = vec![Member { id: 1, card: card("a", 1) }];
    driver.run(1, cluster(ClusterOp::Found { cluster_id: "c".into(), members }));
    assert!(book.has_changed().unwrap(), "who follows the book is told");
    let before = driver.machine.digest().1;
    driver.run(2, cluster(ClusterOp::Admit { card: card("b", 2) }));
    assert_ne!(driver.machine.digest().1, before);
    book.mark_unchanged();
    driver.run(3, Op::Record(RecordOp::Clear));
    assert!(!book.has_changed().unwrap(), "nobody is told of an entry that left the book alone");
    driver.restart();
    let book = driver.machine.book().borrow().clone();
    assert_eq!(book.members.iter().map(|m| m.id).collect::<Vec<_>>(), [1, 2]);
    driver.run(4, cluster(ClusterOp::Remove { id: 2 }));
    assert!(driver.machine.book().borrow().is_removed(2));
}
