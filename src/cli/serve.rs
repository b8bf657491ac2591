//! `metad serve`: read the settings, set up logs, run the node.
//!
//! Not here: the node. Must always hold: nothing listens and nothing is written before all settings are sound.

use super::config::refused;
use super::error::{CliError, Exit};
use super::serve_flags::ServeFlags;
use metad_raft::StartError;

use crate::config::{Config, Sources};
use crate::node::{self, NodeError, Refused};
use crate::telemetry;

/// Runs a node until it is told to stop.
pub fn run(flags: ServeFlags) -> Result<(), CliError> {
    let config = Config::load(&Sources::current(flags.0)).map_err(refused)?;
    telemetry::init(&config.log).map_err(|e| CliError::new(Exit::Usage, e))?;
    node::run(config).map_err(|error| CliError::new(exit_of(&error), error))
}

fn exit_of(error: &NodeError) -> Exit {
    match error {
        NodeError::Identity { .. }
        | NodeError::Newer(_)
        | NodeError::NewerState { .. }
        | NodeError::Log(StartError::Locked { .. } | StartError::Refused { .. }) => Exit::Identity,
        NodeError::Formation(refused) => match refused {
            Refused::ListsDiffer { .. } | Refused::NamesClash { .. } => Exit::Usage,
            Refused::Wiped { .. } | Refused::BrokenOff { .. } | Refused::TwoClusters { .. } => Exit::Identity,
        },
        NodeError::Removed { .. } => Exit::Identity,
        NodeError::NotYet(_)
        | NodeError::NotAmongPeers(_)
        | NodeError::Secret { .. }
        | NodeError::Peer(_) => Exit::Usage,
        NodeError::Log(StartError::Damaged { .. } | StartError::Fatal(_))
        | NodeError::DataDir { .. }
        | NodeError::Fatal(_)
        | NodeError::Bind(_)
        | NodeError::BindResp(_)
        | NodeError::BindPeers(_)
        | NodeError::Mount(_)
        | NodeError::Follow(_)
        | NodeError::Rules(_)
        | NodeError::Runtime(_)
        | NodeError::Failed(_) => Exit::Other,
    }
}
