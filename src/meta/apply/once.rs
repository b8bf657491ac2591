//! A request with a key: applied the first time, answered from what is kept every other time.
//!
//! Not here: what is kept (`meta::once`). Must always hold: of two equal requests with one key at most one is applied, for as
//! long as the key is kept; another request with the key changes nothing; what is kept is bounded by number and bytes.

use bytes::Bytes;
use metad_raft::Fatal;

use super::operation;
use super::tx::Tx;
use crate::codec::Blob;
use crate::limits;
use crate::meta::layout;
use crate::meta::once::{Kept, Line, RequestHash};
use crate::meta::op::Op;
use crate::meta::response::{Reject, Response};

/// Applies the operations unless the key is known.
pub fn apply(tx: &mut Tx<'_>, key: &Blob, request: RequestHash, ops: Vec<Op>) -> Result<Response, Fatal> {
    if let Some(stored) = tx.get(&layout::once(key))? {
        let kept = Kept::decode(&stored).map_err(|e| Fatal::with("decode a kept answer", e))?;
        if kept.request != request {
            return Ok(Response::Rejected(Reject::KeyReused));
        }
        let Kept { index, responses, .. } = kept;
        return Ok(Response::Once { index, replayed: true, responses });
    }
    let responses = ops.into_iter().map(|op| operation(tx, op)).collect::<Result<Vec<_>, _>>()?;
    let told = responses.iter().any(|response| *response != Response::Done);
    let kept = Kept { request, index: tx.index(), responses: told.then_some(responses) };
    keep(tx, key, &kept)?;
    Ok(Response::Once { index: kept.index, replayed: false, responses: kept.responses })
}

fn keep(tx: &mut Tx<'_>, key: &Blob, kept: &Kept) -> Result<(), Fatal> {
    let stored_line = tx.get(layout::ONCE_LINE)?;
    let mut line = match &stored_line {
        Some(stored) => Line::decode(stored).map_err(|e| Fatal::with("decode the line of keys", e))?,
        None => Line::default(),
    };
    let kept = Kept {
        responses: kept.responses.as_ref().map(|r| r.iter().map(Response::kept).collect()),
        ..kept.clone()
    }
    .encode();
    line.bytes += (key.len() + kept.len()) as u64;
    tx.replace(layout::once(key), None, Some(kept));
    tx.replace(layout::once_place(line.next), None, Some(Bytes::copy_from_slice(key)));
    line.next += 1;
    while line.len() > 1 && (line.len() > limits::ONCE_KEYS_MAX || line.bytes > limits::ONCE_BYTES_MAX) {
        forget_oldest(tx, &mut line)?;
    }
    tx.replace(Bytes::from_static(layout::ONCE_LINE), stored_line.as_deref(), Some(line.encode()));
    Ok(())
}

fn forget_oldest(tx: &mut Tx<'_>, line: &mut Line) -> Result<(), Fatal> {
    let place = layout::once_place(line.first);
    let lost = || Fatal::new("a key in the line of keys has no answer");
    let key = tx.get(&place)?.ok_or_else(lost)?;
    let kept = tx.get(&layout::once(&key))?.ok_or_else(lost)?;
    tx.replace(place, Some(&key), None);
    tx.replace(layout::once(&key), Some(&kept), None);
    line.first += 1;
    line.bytes -= (key.len() + kept.len()) as u64;
    Ok(())
}
