//! Which log the node runs on, and with what settings.
//!
//! Not here: the logs themselves (`metad-raft`). Must always hold: only the founder, or a node alone, begins a log by
//! itself; all others wait for their leader.

use std::sync::Arc;

use metad_raft::consensus::{self, Formation, RaftReplicator};
use metad_raft::noop::{self, NoOpReplicator};
use metad_raft::{Channel, PosixMetadataReplicator};

use super::NodeError;
use super::ground::Ground;
use super::identity::NodeFile;
use crate::config::{Config, Durability};
use crate::meta::machine::MetaMachine;

/// Starts the log.
pub async fn start(
    config: &Config,
    ground: &Ground,
    machine: Arc<MetaMachine>,
) -> Result<Arc<dyn PosixMetadataReplicator>, NodeError> {
    let dir = config.node.data_dir.join("log");
    let replicator: Arc<dyn PosixMetadataReplicator> = match &ground.peering {
        None => {
            let mut options = noop::Options::new(dir);
            options.durability = match config.node.durability {
                Durability::Os => noop::Durability::Os,
                Durability::Fsync => noop::Durability::Fsync,
            };
            Arc::new(NoOpReplicator::new(options))
        }
        Some(peering) => {
            let mut options = consensus::Options::new(dir);
            options.id = ground.file.id;
            options.transport = Some(peering.way());
            options.formation = formation(&ground.file);
            let raft = RaftReplicator::new(options);
            peering.server.register(Channel::RAFT, raft.peer_service());
            Arc::new(raft)
        }
    };
    replicator.start(machine).await?;
    Ok(replicator)
}

fn formation(file: &NodeFile) -> Formation {
    match (file.founder, file.seeds.is_empty()) {
        (true, true) => Formation::Alone,
        (true, false) => Formation::Voters(file.seeds.iter().map(|seed| seed.id).collect()),
        (false, _) => Formation::Wait,
    }
}
