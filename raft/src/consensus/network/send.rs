//! A snapshot on its way to a follower: offered, sent from where the follower wants it, installed.
//!
//! Not here: the receiving side (see `receive`).
//! Must always hold: pieces come from the one file that was offered, which stays open although it may be pruned meanwhile; a
//! cancelled transfer ends at the next piece; what the follower has is never sent again.

use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use openraft::errors::{NetworkError, ReplicationClosed, StreamingError};

use super::answer;
use super::client::{Client, no_answer};
use super::frame::{FileId, Have, Request};
use crate::consensus::machine::SnapshotFile;
use crate::consensus::mark;
use crate::consensus::types::{TypeConfig, Vote, to_journal};
use crate::transport::Lane;

/// A follower may be silent this long during a transfer, in multiples of the longest election timeout: 10 s in one network.
const PIECE_WAIT_ELECTIONS: u32 = 10;
/// And this long while it checks, syncs and installs the file. It need not be enough: the next attempt finds the work done, or
/// waits behind it. But a lost answer must not keep the follower waiting for entries.
const INSTALL_WAIT_ELECTIONS: u32 = 30;

type Failure = StreamingError<TypeConfig>;

/// Sends `file` and has it installed. Returns the follower's vote, which is higher than `vote` when it refused.
pub(crate) async fn snapshot(
    client: &Client,
    vote: Vote,
    file: SnapshotFile,
    cancel: impl Future<Output = ReplicationClosed>,
) -> Result<Vote, Failure> {
    let transfer = pin!(async {
        let (open, id) =
            tokio::task::spawn_blocking(move || open(&file)).await.map_err(network)?.map_err(network)?;
        transfer(client, vote, &open, id).await
    });
    // Dropping the transfer gives up the piece that is on its way, and no other follows.
    match select(transfer, pin!(cancel)).await {
        Either::Left((done, _)) => done,
        Either::Right((closed, _)) => Err(closed.into()),
    }
}

fn network(error: impl std::error::Error + 'static) -> Failure {
    NetworkError::new(&error).into()
}

fn open(file: &SnapshotFile) -> io::Result<(Arc<File>, FileId)> {
    let (last, _) = mark::decode(&file.applied.mark).map_err(io::Error::other)?;
    let (open, len, crc) = file.store.outgoing(file.applied.index).map_err(io::Error::other)?;
    Ok((Arc::new(open), FileId { last: to_journal(&last), len, crc }))
}

async fn transfer(client: &Client, vote: Vote, open: &Arc<File>, file: FileId) -> Result<Vote, Failure> {
    let mut have = ask(client, Request::Offer { vote, file }).await?;
    loop {
        let offset = match have {
            Have::HigherVote(higher) => return Ok(higher),
            Have::Unknown => return Err(network(io::Error::other("the follower gave this transfer up"))),
            Have::Upto(offset) if offset >= file.len => break,
            Have::Upto(offset) => offset,
        };
        let (open, left) = (open.clone(), file.len - offset);
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(client.chunk_bytes());
        let piece = tokio::task::spawn_blocking(move || read(&open, offset, bytes));
        let bytes = piece.await.map_err(network)?.map_err(network)?;
        have = ask(client, Request::Chunk { vote, file, offset, bytes }).await?;
    }
    let wait = client.timing().election_max * INSTALL_WAIT_ELECTIONS;
    let answer = client.call(&Request::Install { vote, file }, Lane::Bulk, wait).await;
    let answer = answer.map_err(|e| Failure::from(no_answer(e)))?;
    let installed = answer::to_install(&answer).map_err(network)?;
    installed.ok_or_else(|| network(io::Error::other("the follower did not take the snapshot")))
}

async fn ask(client: &Client, request: Request) -> Result<Have, Failure> {
    let wait = client.timing().election_max * PIECE_WAIT_ELECTIONS;
    let answer = client.call(&request, Lane::Bulk, wait).await;
    let answer = answer.map_err(|e| Failure::from(no_answer(e)))?;
    answer::to_have(&answer).map_err(network)
}

fn read(file: &File, offset: u64, bytes: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; bytes];
    file.read_exact_at(&mut piece, offset)?;
    Ok(Bytes::from(piece))
}
