//! The command line's grammar: every command of the contract, with its help.
//!
//! Not here: what commands do. Must always hold: a command or flag that the contract names parses, also before the part
//! of the system that it needs is built.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::serve_flags::ServeFlags;

/// The endpoint of client commands when none is named.
pub const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:9000";

/// A replicated metadata daemon for media libraries. Without a command it serves.
#[derive(Debug, Parser)]
#[command(name = "metad", version, about, disable_help_subcommand = true, propagate_version = false)]
pub struct Cli {
    /// What to do; nothing means `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Switches for all commands.
    #[command(flatten)]
    pub globals: Globals,
}

/// Switches for all commands.
#[derive(Clone, Debug, Args)]
pub struct Globals {
    /// A node to ask; give several to try them in order
    #[arg(
        short = 'e',
        long = "endpoint",
        value_name = "URL",
        global = true,
        env = "METAD_ENDPOINTS",
        value_delimiter = ',',
        default_value = DEFAULT_ENDPOINT
    )]
    pub endpoints: Vec<String>,
    /// Data as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// How long to wait for an answer, in seconds (`2`, `0.5`)
    #[arg(long, value_name = "SECONDS", global = true, default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    /// Only data and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say what is being done
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let seconds: f64 = number.parse().map_err(|_| "a number of seconds is expected".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(|| "a number of seconds above 0 is expected".to_owned())
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node
    Serve(ServeFlags),
    /// Show it at work: sample library, three nodes and a mount on loopback; Ctrl-C cleans up
    Demo(Demo),
    /// Make metadata records from a folder of files and send them to a node
    Scan(Scan),
    /// Show how a node and its cluster are
    Status {
        /// Show it again and again, every so many seconds
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = seconds)]
        watch: Option<Duration>,
    },
    /// Look for what is wrong with a cluster
    Doctor,
    /// Exit 0 when the node is ready and 7 when it is not
    Healthcheck,
    /// Read and write metadata
    #[command(subcommand)]
    Meta(Meta),
    /// Follow changes
    #[command(subcommand)]
    Events(Events),
    /// Look into the virtual tree
    #[command(subcommand)]
    Vfs(Vfs),
    /// See and change the rules that name files
    #[command(subcommand)]
    Rules(Rules),
    /// The members of the cluster
    #[command(subcommand)]
    Node(Node),
    /// Who leads
    #[command(subcommand)]
    Leader(Leader),
    /// Snapshots of the whole state
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Bring a node back whose majority is lost for good (offline)
    Recover(Recover),
    /// Copy the records of a Redis server
    Import {
        /// The server, as redis://HOST:PORT
        url: String,
    },
    /// Measure how fast a cluster is, from here
    Bench(Bench),
    /// Messages between nodes
    #[command(subcommand)]
    Mesh(Mesh),
    /// Certificates for nodes
    #[command(subcommand)]
    Tls(Tls),
    /// Help for those who help
    #[command(subcommand)]
    Debug(Debug),
    /// The settings that a node would run with
    #[command(subcommand)]
    Config(Config),
    /// Completions for a shell, on stdout
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The manual page, on stdout
    Man {
        /// Write a page for every command into this folder instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// The version
    Version,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Use this folder instead of a sample library; it is only read
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
    /// Number of nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,
    /// Keep the sample library and the nodes' data
    #[arg(long)]
    pub keep: bool,
}

/// Arguments of `scan`.
#[derive(Debug, Args)]
pub struct Scan {
    /// The folder to scan
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// FILES_PATH of the nodes; paths beneath it are written relative to it [default: as for `serve`]
    #[arg(long, value_name = "DIR")]
    pub files: Option<String>,
    /// Threads that read and hash [default: one for each core, 2 to 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub threads: Option<u8>,
    /// Print the records as JSON Lines on stdout and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `bench`.
#[derive(Clone, Debug, Args)]
pub struct Bench {
    /// Clients at once, each with one request on its way
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub clients: usize,
    /// How long to measure each workload
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Bytes of a value
    #[arg(long, value_name = "BYTES", default_value_t = 128, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=65536))]
    pub value_bytes: usize,
}

/// Commands of `meta`.
#[derive(Debug, Subcommand)]
pub enum Meta {
    /// Show a record, or the bare value of one property
    Get {
        /// The record's id
        hash: String,
        /// A property
        property: Option<String>,
    },
    /// Set properties of a record; others stay
    Set {
        /// The record's id
        hash: String,
        /// Properties as NAME=VALUE
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = assignment)]
        properties: Vec<(String, String)>,
    },
    /// Delete a record, or one property of it
    Del {
        /// The record's id
        hash: String,
        /// A property
        property: Option<String>,
    },
    /// The ids of all records
    List,
    /// Send records from a file of JSON Lines
    Import {
        /// The file, or `-` for stdin
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
    },
    /// All records as JSON Lines, on stdout
    Export,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("NAME=VALUE is expected, for example title=Inception".to_owned()),
    }
}

/// Commands of `events`.
#[derive(Debug, Subcommand)]
pub enum Events {
    /// Print changes as they happen
    Tail {
        /// Start after this event; `0-0` is the beginning [default: only new ones]
        #[arg(long, value_name = "ID")]
        from: Option<String>,
        /// Stop after this many events
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
}

/// Commands of `vfs`.
#[derive(Debug, Subcommand)]
pub enum Vfs {
    /// List a folder
    Ls {
        /// The folder in the virtual tree
        #[arg(default_value = "/")]
        path: String,
    },
    /// Show the tree
    Tree {
        /// The folder to start from
        #[arg(default_value = "/")]
        path: String,
        /// Levels to show
        #[arg(long, value_name = "N")]
        depth: Option<usize>,
    },
    /// Say which rule placed a file, and why
    Explain {
        /// The record's id
        hash: String,
    },
}

/// Commands of `rules`.
#[derive(Debug, Subcommand)]
pub enum Rules {
    /// The rules in force, as TOML
    Show,
    /// Check a rules file without changing anything
    Check {
        /// The file, or `-` for stdin
        file: PathBuf,
    },
    /// Show which paths a rules file would move
    Diff {
        /// The file, or `-` for stdin
        file: PathBuf,
    },
    /// Put a rules file in force
    Apply {
        /// The file, or `-` for stdin
        file: PathBuf,
    },
    /// Go back to the rules before
    Revert,
}

/// Commands of `node`.
#[derive(Debug, Subcommand)]
pub enum Node {
    /// List the members
    List,
    /// Admit a node that waits; it gets a vote once it has caught up
    Add {
        /// Its peer address
        address: Option<String>,
        /// The same, as a flag
        #[arg(long, value_name = "HOST:PORT", conflicts_with = "address")]
        addr: Option<String>,
        /// The name it must have
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Leave it without a vote
        #[arg(long)]
        learner: bool,
    },
    /// Make a learner a voter
    Promote {
        /// The node's name or id
        node: String,
    },
    /// Make a voter a learner
    Demote {
        /// The node's name or id
        node: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Take a node out for good
    Remove {
        /// The node's name or id
        node: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Put a new node in the place of a lost one
    Replace {
        /// The lost node's name or id
        old: String,
        /// The new node's peer address
        new: String,
        /// Leave it without a vote
        #[arg(long)]
        learner: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Commands of `leader`.
#[derive(Debug, Subcommand)]
pub enum Leader {
    /// Who leads
    Show,
    /// Hand leadership over
    Transfer {
        /// To this node [default: the one that is furthest]
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
}

/// Commands of `snapshot`.
#[derive(Debug, Subcommand)]
pub enum Snapshot {
    /// Write a snapshot of the state to a file
    Save {
        /// The file
        file: PathBuf,
    },
    /// Say what a snapshot file holds
    Inspect {
        /// The file
        file: PathBuf,
    },
    /// Begin a new cluster of one node with the state of a file, in a new data directory (offline)
    Restore(Restore),
}

/// Arguments of `snapshot restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The file
    pub file: PathBuf,
    /// The new node's data directory: empty, or not there yet
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The new node's mode
    #[arg(long, value_name = "MODE", value_parser = ["raft", "noop"])]
    pub mode: Option<String>,
}

/// Arguments of `recover`.
#[derive(Debug, Args)]
pub struct Recover {
    /// Begin a new cluster from what this node has
    #[arg(long, required = true)]
    pub new_cluster: bool,
    /// The node's data directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Do it without asking
    #[arg(short, long)]
    pub yes: bool,
}

/// Commands of `mesh`.
#[derive(Debug, Subcommand)]
pub enum Mesh {
    /// Measure the way to the other nodes
    Ping,
    /// Who is connected to whom
    Topology,
    /// Send a message
    Send {
        /// Node, type and body
        words: Vec<String>,
    },
    /// Ask and wait for the answer
    Request {
        /// Node, type and body
        words: Vec<String>,
    },
    /// Print messages of a type
    Sub {
        /// The type
        kind: String,
    },
    /// Messages that could not be delivered
    DeadLetters,
}

/// Commands of `tls`.
#[derive(Debug, Subcommand)]
pub enum Tls {
    /// Make an authority for development
    Init,
    /// Issue a certificate for a node
    Issue {
        /// The node's name
        name: String,
    },
}

/// Commands of `debug`.
#[derive(Debug, Subcommand)]
pub enum Debug {
    /// Collect what is needed to look into a problem
    Bundle,
}

/// Commands of `config`.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Every setting with its value
    Show {
        /// Also say where each value comes from
        #[arg(long)]
        origin: bool,
        /// Flags as for `serve`
        #[command(flatten)]
        flags: ServeFlags,
    },
    /// Say whether the settings are sound; exit 2 when they are not
    Check {
        /// Flags as for `serve`
        #[command(flatten)]
        flags: ServeFlags,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_parses() {
        let contract = "serve|demo --files D --nodes 3 --keep|scan D|status|doctor|healthcheck|meta get H|\
            meta set H k=v a=b|meta del H|meta list|meta import -|meta export|events tail --from 1-0|vfs ls /|vfs tree|\
            vfs explain H|rules show|rules check F|rules diff F|rules apply F|rules revert|node list|node add A|node add --name N --addr A --learner|status --watch|status --watch 0.5|\
            node promote N|node demote N|node remove N|node replace O N|leader show|leader transfer --to N|\
            snapshot save F|snapshot inspect F|snapshot restore F|recover --new-cluster|import redis://h:1|bench|\
            mesh ping|mesh topology|mesh send n t b|mesh request n t b|mesh sub t|mesh dead-letters|tls init|tls issue n|\
            debug bundle|config show --origin|config check|completions bash|man|version|\
            status -e http://a -e http://b --json --timeout 2 -q|-v status|\
            serve --mode raft --data-dir D --name N --http A --resp A --sentinel A --peer A --peers A,B --files D \
            --mount D --secret-file F --durability os --insecure --config F";
        for line in contract.split('|') {
            let words = std::iter::once("metad").chain(line.split_whitespace());
            Cli::try_parse_from(words).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }
}
