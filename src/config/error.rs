//! What can be wrong with settings, in words that say what to do.
//!
//! Not here: exit codes (`cli`). Must always hold: a message names the setting as the user wrote it, and the way out.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A variable that starts with `METAD_` and is none of ours.
    #[error("unknown variable {name}{}", did_you_mean(.nearest))]
    UnknownVariable {
        /// The variable as set.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// A key in the file that is none of ours.
    #[error("unknown key `{key}` in {}{}", .file.display(), did_you_mean(.nearest))]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// The key as written.
        key: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// The settings file is not there or cannot be read.
    #[error("cannot read the settings file {}: {reason}; check --config and METAD_CONFIG", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The operating system's words.
        reason: String,
    },
    /// The settings file is not TOML.
    #[error("{} is not valid TOML: {reason}", .file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The parser's words, with line and column.
        reason: String,
    },
    /// A value has the wrong shape.
    #[error("{origin}: `{value}` will not do: {reason}")]
    Value {
        /// Where the value came from, as the user wrote it.
        origin: String,
        /// The value as written.
        value: String,
        /// What it must look like.
        reason: String,
    },
    /// A listener that other machines can reach, without authentication.
    #[error(
        "{door} would listen on {address}, which other machines can reach without authentication; \
         use a loopback address, or add --insecure (METAD_INSECURE=1) if the network is trusted"
    )]
    Exposed {
        /// Which listener.
        door: &'static str,
        /// Where it would listen.
        address: String,
    },
    /// Peers on other machines without a shared secret.
    #[error(
        "the peer address {address} is not on loopback and there is no shared secret; \
         give every node the same --secret-file FILE, or add --insecure if the network is trusted"
    )]
    NoSecret {
        /// The address in question.
        address: String,
    },
    /// The list of first voters leaves this node out.
    #[error(
        "--peers does not name this node's own address {own}; the list is the same on every node, its own address included"
    )]
    NotAmongPeers {
        /// This node's peer address.
        own: String,
    },
    /// Two settings that exclude each other.
    #[error("{0}")]
    Conflict(String),
}

/// `; did you mean …?`, when there is something to suggest.
fn did_you_mean(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!("; did you mean {n}?"))
        .unwrap_or_else(|| "; `metad config show` lists all".into())
}

/// Everything that is wrong with the settings, at once: never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
