//! The usual shapes of replies to writes.
//!
//! Not here: shapes of one command only. Must always hold: a response that an operation never gives is told as an error, so
//! that a mistake here is seen and never looks like data.

use super::super::codec::Reply;
use super::super::error::of_reject;
use crate::meta::response::Response;

/// `+OK`, or null where nothing was done.
pub fn done(response: Response, reply: &mut Reply) {
    match response {
        Response::Done => reply.ok(),
        other => value(other, reply),
    }
}

/// Whatever it is: numbers as integers, strings as strings, lists as arrays.
pub fn value(response: Response, reply: &mut Reply) {
    match response {
        Response::Done => reply.ok(),
        Response::Count(number) => reply.int(number),
        Response::Flag(flag) => reply.flag(flag),
        Response::Value(bytes) => reply.bulk(&bytes),
        Response::Nil => reply.null(),
        Response::Rejected(reject) => reply.error(&of_reject(&reject).0),
        Response::List(items) => {
            reply.array(items.len());
            items.into_iter().for_each(|item| value(item, reply));
        }
        Response::Id(_) | Response::Ids(_) | Response::Entries(_) | Response::Once { .. } => {
            reply.error("ERR an answer came that was not asked for");
        }
    }
}
