//! The asking side: openraft's requests to one peer.
//!
//! Not here: snapshots (see `send`). Must always hold: a peer that cannot be reached, that refuses, or that has stopped is
//! `Unreachable`, so that openraft waits before it tries again; only a request that may have arrived is a `Network` error. A
//! pre-vote without an answer is an error and no grant.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::storage::Snapshot;
use openraft::{EmptyNode, OptionalSend};

use super::answer;
use super::frame::{ReadIndex, Request};
use super::send;
use crate::codec::CodecError;
use crate::consensus::machine::SnapshotFile;
use crate::consensus::options::{Options, Timing};
use crate::consensus::types::{LeaderId, TypeConfig, Vote};
use crate::transport::{Channel, Lane, Transport, TransportError};

/// A wire of 1 MB/s is slow and works: a large entry gets the time it needs, or it would be sent again for ever.
const SLOWEST_PER_BYTE: Duration = Duration::from_micros(1);

/// Makes clients, one for each peer and purpose.
#[derive(Clone)]
pub(crate) struct Peers {
    transport: Option<Arc<dyn Transport>>,
    timing: Timing,
    chunk_bytes: usize,
}

impl Peers {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            transport: options.transport.clone(),
            timing: options.timing,
            chunk_bytes: options.chunk_bytes,
        }
    }

    /// How long members wait for each other.
    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }

    /// Asks `leader` how far the log is committed now; `None` when no answer came.
    pub(crate) async fn read_index(&self, leader: u64) -> Option<ReadIndex> {
        // A leader that is asked waits for its quorum; one that is silent longer than it may be is asked again, from the start.
        let client = self.client(leader, self.timing.election_max);
        client.ask(Request::ReadIndex, self.timing.election_max, answer::to_read_index).await.ok()
    }

    fn client(&self, to: u64, append_wait: Duration) -> Client {
        Client { peers: self.clone(), to, append_wait }
    }
}

impl RaftNetworkFactory<TypeConfig> for Peers {
    type Network = Client;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Client {
        // An answer to an append waits for the peer's disk: openraft's own limit, the heartbeat, is too short for that.
        self.client(target, self.timing.election_max)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &EmptyNode) -> Client {
        self.client(target, self.timing.heartbeat)
    }
}

/// The way to one peer.
pub(crate) struct Client {
    peers: Peers,
    to: u64,
    append_wait: Duration,
}

impl Client {
    /// Sends a request on a lane.
    pub(super) async fn call(
        &self,
        request: &Request,
        lane: Lane,
        wait: Duration,
    ) -> Result<Bytes, TransportError> {
        let Some(transport) = &self.peers.transport else {
            return Err(TransportError::Unreachable("this node has no peers".to_string()));
        };
        let bytes = request.encode();
        let deadline =
            Instant::now() + wait + SLOWEST_PER_BYTE * u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        transport.call(self.to, Channel::RAFT, lane, bytes, deadline).await
    }

    /// Sends a request on the control lane and reads the answer with `read`.
    async fn ask<T>(
        &self,
        request: Request,
        wait: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, CodecError>,
    ) -> Result<T, RPCError<TypeConfig>> {
        let bytes = self.call(&request, Lane::Control, wait).await.map_err(no_answer)?;
        read(&bytes).map_err(|e| RPCError::Network(NetworkError::new(&e)))
    }

    /// How long members wait for each other.
    pub(super) fn timing(&self) -> Timing {
        self.peers.timing
    }

    /// Bytes of one piece of a snapshot.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.peers.chunk_bytes
    }
}

/// What openraft is told of a request without an answer.
pub(super) fn no_answer(error: TransportError) -> RPCError<TypeConfig> {
    match error {
        TransportError::Unreachable(_) | TransportError::Refused(_) => {
            RPCError::Unreachable(Unreachable::new(&error))
        }
        TransportError::Lost(_) => RPCError::Network(NetworkError::new(&error)),
    }
}

impl RaftNetworkV2<TypeConfig> for Client {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(Request::Append(rpc.into()), self.append_wait, answer::to_append).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(Request::Vote(rpc), option.hard_ttl(), answer::to_vote).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(Request::PreVote(rpc), option.hard_ttl(), answer::to_vote).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<LeaderId, u64, EmptyNode, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        send::snapshot(self, vote, snapshot.snapshot, cancel).await.map(SnapshotResponse::new)
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.ask(Request::Transfer(req), option.hard_ttl(), answer::to_transfer).await
    }

    fn backoff(&self) -> Option<Backoff> {
        // A peer that comes back is found within a heartbeat.
        Some(Backoff::new(std::iter::repeat(self.peers.timing.heartbeat)))
    }
}
