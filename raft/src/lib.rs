//! A replicated log that knows nothing about metadata.
//!
//! ```text
//!   propose            commit                 apply
//!   ───────►  entry  ───────────►  on disk  ─────────►  StateMachine
//!             (opaque bytes)       (a quorum, or one journal)
//! ```
//!
//! The seams, one file each:
//! * [`PosixMetadataReplicator`]: what the layer above calls (propose, read barrier, status).
//! * [`StateMachine`]: what this crate calls back (apply, snapshot, install).
//! * [`ClusterAdmin`]: who belongs to the cluster and who leads it.
//! * [`Transport`]: how a member's bytes reach another.
//! * [`ReplicateError`] and [`StartError`]: every refusal, typed.
//!
//! The implementations:
//! * [`noop`]: one node, a local journal, no consensus.
//! * [`peer`]: the transport over sockets.
//! * [`offline`]: snapshot files, and directories of replicators that do not run.
//! * [`consensus`]: Raft, from one voter to several members.
//!
//! Not here: keys, values, time, clients, doors. Entries are bytes from end to end.
//! Must always hold: no type of the consensus library leaves this crate, and nothing of metad is known in it.

pub mod admin;
mod codec;
pub mod consensus;
mod datadir;
pub mod error;
pub mod faults;
mod identity;
mod journal;
pub mod noop;
pub mod offline;
pub mod peer;
mod random;
pub mod replicator;
mod room;
mod snapshot;
pub mod state_machine;
mod thread;
pub mod transport;

pub use admin::{AdminError, ClusterAdmin};
pub use consensus::RaftReplicator;
pub use error::{Fatal, Leader, ReplicateError, StartError};
pub use noop::{Durability, NoOpReplicator};
pub use replicator::{Fut, PosixMetadataReplicator, Proposal, Role, SnapshotExport, Status};
pub use state_machine::{Applied, Entry, SnapshotSink, SnapshotSource, StateMachine};
pub use transport::{Channel, Lane, PeerService, Refusal, Transport, TransportError};
