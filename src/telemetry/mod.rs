//! What the process tells about itself: logs on stderr, metrics for `/metrics`.
//!
//! Not here: which door serves the metrics. Must always hold: logs never go to stdout, which belongs to data.

mod family;
pub mod metrics;
pub mod process;

pub use family::{Counter, Family, Gauge, Histogram};
pub use metrics::Metrics;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// The logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is no level and no list of `module=level`.
    #[error("--log `{filter}` will not do: {reason}; use error, warn, info, debug, trace, or module=level,…")]
    Filter {
        /// The filter as given.
        filter: String,
        /// The parser's words.
        reason: String,
    },
}

/// The consensus library tells each step of each election at `info`; who wants that says `openraft=info`.
const QUIET: &str = "openraft=warn,";

/// Sends logs to stderr from now on. A second call in one process (tests start several nodes) changes nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(format!("{QUIET}{}", config.filter))
        .map_err(|e| TelemetryError::Filter { filter: config.filter.clone(), reason: e.to_string() })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let already_set = match config.format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .is_err();
    if already_set {
        tracing::debug!("logs were set up before; the first set-up stays");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_filter_is_refused_with_the_way_out() {
        let config = LogConfig { filter: "metad=loudly".into(), format: LogFormat::Text };
        let error = init(&config).unwrap_err().to_string();
        assert!(error.contains("metad=loudly") && error.contains("debug"), "{error}");
    }
}
