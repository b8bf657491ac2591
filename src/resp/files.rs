//! Keys that mean files: until this door has their view, commands that would take them for generic keys are refused.
//!
//! Not here: what such keys mean (`meta::key`). Must always hold: no value hides beside a file.

use super::codec::Request;
use super::command::Row;
use super::error::{FILE_KEY, Refusal};
use crate::limits;
use crate::meta::key::{Family, Place};

/// Whether all keys of a command are the client's own.
pub fn admits(row: &Row, request: &Request<'_>) -> Result<(), Refusal> {
    let mut refused = None;
    row.keys.visit(request, |at| {
        let key = request.arg(at);
        // Every spelling of a file begins with one of these letters.
        let may_be_a_file = matches!(key.first(), Some(b'f' | b'/' | b'm'));
        if key.len() > limits::KEY_BYTES_MAX {
            refused =
                Some(Refusal::of(format!("ERR the key is longer than {} bytes", limits::KEY_BYTES_MAX)));
        } else if may_be_a_file
            && !matches!(Place::of(&request.bytes(at), Family::Any), Ok(Place::Generic { .. }))
        {
            refused = Some(FILE_KEY);
        }
    });
    refused.map_or(Ok(()), Err)
}
