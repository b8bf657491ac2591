//! The answering side: what a member's peers get when they ask.
//!
//! Not here: what the answers mean (openraft). Must always hold: a member that has not started, or has stopped, refuses, so
//! that its peers see it as unreachable.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use openraft::raft::AppendEntriesResponse;

use super::answer;
use super::frame::{ReadIndex, Request};
use crate::consensus::Running;
use crate::error::ReplicateError;
use crate::replicator::Fut;
use crate::transport::{PeerService, Refusal};

/// Serves [`Channel::RAFT`](crate::Channel::RAFT).
pub(crate) struct Service {
    running: Arc<OnceLock<Running>>,
}

impl Service {
    pub(crate) fn new(running: Arc<OnceLock<Running>>) -> Self {
        Self { running }
    }

    async fn answer(&self, from: u64, request: Bytes) -> Result<Bytes, Refusal> {
        let running = self.running.get().ok_or(Refusal::NotServed)?;
        let request = Request::decode(&request).map_err(|error| {
            tracing::warn!(from, %error, "a peer sent something that is no request");
            Refusal::NotServed
        })?;
        let engine = &running.engine;
        // The engine's errors mean that it has stopped; those of the receiver, that this disk failed it.
        let gone = |_| Refusal::NotServed;
        let disk = |error| {
            tracing::warn!(from, %error, "a snapshot from a peer cannot be stored");
            Refusal::Busy
        };
        Ok(match request {
            // Refused before it is written: the leader sees a member that is down, and the cluster goes on without it.
            Request::Append(append) if !append.entries.is_empty() && running.room.is_full() => {
                return Err(Refusal::Busy);
            }
            Request::Append(append) => {
                let leader = append.vote.leader_id;
                let answer = engine.append_entries(append.into()).await.map_err(gone)?;
                if !matches!(answer, AppendEntriesResponse::HigherVote(_)) {
                    running.hear(leader);
                }
                answer::append(&answer)
            }
            Request::Vote(vote) => answer::vote_of(&engine.vote(vote).await.map_err(gone)?),
            Request::PreVote(vote) => answer::vote_of(&engine.pre_vote(vote).await.map_err(gone)?),
            Request::Transfer(transfer) => {
                let done = engine.handle_transfer_leader(transfer).await;
                answer::transfer(&done.map_err(|_| Refusal::NotServed)?)
            }
            Request::Offer { vote, file } => {
                answer::have(running.receiver.offer(engine, vote, file).await.map_err(disk)?)
            }
            Request::Chunk { file, offset, bytes, .. } => {
                answer::have(running.receiver.chunk(file, offset, bytes).await.map_err(disk)?)
            }
            Request::Install { vote, file } => {
                let vote = running.receiver.install(engine, vote, file).await.map_err(disk)?;
                answer::install(vote.as_ref())
            }
            Request::ReadIndex => answer::read_index(match running.reads.index(engine).await {
                Ok(index) => ReadIndex::Index(index),
                Err(ReplicateError::NotLeader { leader }) => ReadIndex::NotLeader(leader.map(|l| l.id)),
                Err(ReplicateError::Stopped) => return Err(Refusal::NotServed),
                Err(_) => ReadIndex::Unknown,
            }),
        })
    }
}

impl PeerService for Service {
    fn handle(&self, from: u64, request: Bytes) -> Fut<'_, Result<Bytes, Refusal>> {
        Box::pin(self.answer(from, request))
    }
}
