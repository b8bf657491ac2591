//! The mark that rides with the state machine's data: log id and membership as of the last applied entry.
//!
//! Not here: the machine, which never looks inside. Must always hold: the same entry has the same mark on every node.
//!
//! `1 u8 | term u64 | node u64 | index u64 | membership`, where membership is `0 u8`, or `1 u8`, the log id of its entry and
//! the membership itself (see `types`). All little-endian.

use bytes::Bytes;

use super::types::{LogId, StoredMembership, decode_membership, encode_membership, from_journal, to_journal};
use crate::codec::{CodecError, Fields};
use crate::journal::record;

const VERSION: u8 = 1;

/// Encodes a mark.
pub(crate) fn encode(applied: &LogId, membership: &StoredMembership) -> Bytes {
    let mut out = vec![VERSION];
    put_id(&mut out, applied);
    match membership.log_id() {
        None => out.push(0),
        Some(id) => {
            out.push(1);
            put_id(&mut out, id);
            encode_membership(membership.membership(), &mut out);
        }
    }
    Bytes::from(out)
}

/// Decodes a mark.
pub(crate) fn decode(mark: &[u8]) -> Result<(LogId, StoredMembership), CodecError> {
    let mut fields = Fields::new(mark);
    if fields.array()? != [VERSION] {
        return Err(CodecError::Malformed("a mark of another version"));
    }
    let applied = take_id(&mut fields)?;
    let membership = match fields.array()? {
        [0] => StoredMembership::default(),
        [1] => StoredMembership::new(Some(take_id(&mut fields)?), decode_membership(&mut fields)?),
        _ => return Err(CodecError::Malformed("a mark with a wrong flag")),
    };
    fields.end()?;
    Ok((applied, membership))
}

fn put_id(out: &mut Vec<u8>, id: &LogId) {
    let id = to_journal(id);
    for number in [id.term, id.node, id.index] {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn take_id(fields: &mut Fields<'_>) -> Result<LogId, CodecError> {
    let (term, node, index) = (fields.u64()?, fields.u64()?, fields.u64()?);
    Ok(from_journal(&record::LogId { term, node, index }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use openraft::EmptyNode;

    use super::*;
    use crate::consensus::types::Membership;

    fn id(index: u64) -> LogId {
        from_journal(&record::LogId { term: 3, node: 2, index })
    }

    fn sample() -> (LogId, StoredMembership) {
        let nodes: BTreeMap<u64, EmptyNode> = (1..=4).map(|n| (n, EmptyNode {})).collect();
        let joint = vec![[1, 2, 3].into_iter().collect(), [2, 3].into_iter().collect()];
        (id(9), StoredMembership::new(Some(id(4)), Membership::new(joint, nodes).unwrap()))
    }

    #[test]
    fn a_mark_gives_back_what_it_was_given_and_refuses_a_cut_one() {
        let (applied, membership) = sample();
        let mark = encode(&applied, &membership);
        assert_eq!(decode(&mark).unwrap(), (applied, membership));
        let empty = encode(&applied, &StoredMembership::default());
        assert_eq!(decode(&empty).unwrap(), (applied, StoredMembership::default()));
        for len in 0..mark.len() {
            assert!(decode(&mark[..len]).is_err(), "{len} bytes passed");
        }
    }

    #[test]
    fn the_mark_is_pinned() {
        let (applied, membership) = sample();
        let hex: String = encode(&applied, &membership).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, include_str!("golden/mark-v1.hex").trim());
    }
}
