//! Changes of the cluster's book.
//!
//! Not here: what a change means (`meta::cluster`). Must always hold: a refused change stores nothing.

use std::sync::Arc;

use bytes::Bytes;
use metad_raft::Fatal;

use super::tx::Tx;
use crate::meta::cluster::ClusterOp;
use crate::meta::layout;
use crate::meta::response::{Reject, Response};

/// Applies a change of the book.
pub fn apply(tx: &mut Tx<'_>, op: ClusterOp) -> Result<Response, Fatal> {
    let level = tx.core.counters.feature_level;
    if let Some(reject) = op.cards().into_iter().find_map(|card| card.runs_at(level).err()) {
        return Ok(Response::Rejected(Reject::Cluster(reject)));
    }
    let mut book = tx.core.book.as_ref().clone();
    let answer = match book.change(op) {
        Ok(answer) => answer,
        Err(reject) => return Ok(Response::Rejected(Reject::Cluster(reject))),
    };
    if book != *tx.core.book {
        tx.put(Bytes::from_static(layout::BOOK), Some(book.encode()))?;
        tx.core.book = Arc::new(book);
    }
    let id = |id| Response::Count(i64::try_from(id).expect("ids are given one by one"));
    Ok(answer.map_or(Response::Done, id))
}
