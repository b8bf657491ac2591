//! `metad serve`: read the settings, set up logs, run the node.
//!
//! Not here: the node. Must always hold: nothing listens and nothing is written before all settings are sound.

use super::config::refused;
use super::error::{CliError, Exit};
use super::serve_flags::ServeFlags;
use crate::config::{Config, Sources};
use crate::telemetry;

/// Runs a node until it is told to stop.
pub fn run(flags: ServeFlags) -> Result<(), CliError> {
    let config = Config::load(&Sources::current(flags.0)).map_err(refused)?;
    telemetry::init(&config.log).map_err(|e| CliError::new(Exit::Usage, e))?;
    Err(CliError::not_yet("serve"))
}
