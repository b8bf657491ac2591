//! Several nodes of the real binary that form a cluster on loopback.
//!
//! Not here: promises. Must always hold: no two clusters that run share a port: each finds its ports on loopback addresses of
//! its own. So a port that was free stays free, though nobody holds it until its node starts, nor between two starts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use serde_json::Value;

use super::node::{Home, Node, eventually};

/// A loopback address that no other cluster of this process uses; other processes have other second bytes.
fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    let [high, low] = ((process % 65_000) as u16 + 256).to_be_bytes();
    Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed) & 0x7f)
}

/// The same machine's address for clients: their own ports are never on it.
fn http_of(on: Ipv4Addr) -> Ipv4Addr {
    let [_, a, b, c] = on.octets();
    Ipv4Addr::new(127, a, b, c | 0x80)
}

/// Addresses that are free, on an address that only this cluster uses: all are held until the last is found.
fn free(on: Ipv4Addr, count: usize) -> Vec<String> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((on, 0)).expect("a free port")).collect();
    held.iter().map(|listener| listener.local_addr().expect("it is bound").to_string()).collect()
}

/// The folders and addresses of a cluster, and the nodes that run.
pub struct Cluster {
    /// Each node's folders.
    pub homes: Vec<Home>,
    /// Each node's peer address.
    pub peers: Vec<String>,
    /// Each node's HTTP address: the same after a restart, which then writes nothing.
    https: Vec<String>,
    /// Each node's address for Redis clients: the same after a restart, too.
    resps: Vec<String>,
    /// The nodes that run.
    pub nodes: Vec<Option<Node>>,
    on: Ipv4Addr,
}

impl Cluster {
    /// The folders of `size` nodes; none runs.
    pub fn new(size: usize) -> Self {
        let on = loopback();
        let mut peers = free(on, size);
        let mut https = free(http_of(on), 2 * size);
        let resps = https.split_off(size);
        // Ids are places in the sorted list: so node n has id n + 1.
        peers.sort_unstable();
        let homes = (0..size).map(|_| Home::of_mode("raft")).collect();
        Self { homes, peers, https, resps, nodes: (0..size).map(|_| None).collect(), on }
    }

    /// Starts all of them at once and waits until each is ready.
    pub fn started(size: usize) -> Self {
        let mut cluster = Self::new(size);
        (0..size).for_each(|n| cluster.start(n));
        cluster.ready();
        cluster
    }

    /// Folders and an address for one more node.
    pub fn grow(&mut self) -> usize {
        self.homes.push(Home::of_mode("raft"));
        let taken = |known: &[String], on| {
            let more = free(on, known.len() + 1).into_iter().find(|address| !known.contains(address));
            more.expect("one more than there are")
        };
        let peer = taken(&self.peers, self.on);
        self.peers.push(peer);
        let known = [self.https.as_slice(), &self.resps].concat();
        let http = taken(&known, http_of(self.on));
        self.resps.push(taken(&[known, vec![http.clone()]].concat(), http_of(self.on)));
        self.https.push(http);
        self.nodes.push(None);
        self.homes.len() - 1
    }

    /// Gives these nodes, none of which runs, new peer addresses, and the others' lists with them.
    pub fn readdress(&mut self, nodes: &[usize]) {
        let known = self.peers.clone();
        let fresh = free(self.on, known.len() + nodes.len());
        let mut fresh = fresh.into_iter().filter(|address| !known.contains(address));
        for n in nodes {
            assert!(self.nodes[*n].is_none(), "a node that runs keeps its address");
            self.peers[*n] = fresh.next().expect("as many as are needed");
        }
    }

    /// `metad serve` of a node, with all peers that there are.
    pub fn serve(&self, n: usize) -> Command {
        self.serve_with(n, &self.peers.join(","))
    }

    /// `metad serve` of a node with a list of its own.
    pub fn serve_with(&self, n: usize, peers: &str) -> Command {
        let mut command = self.homes[n].serve_doors(&self.https[n], &self.resps[n], &self.peers[n]);
        command.args(["--name", &format!("n{}", n + 1)]);
        if !peers.is_empty() {
            command.args(["--peers", peers]);
        }
        command
    }

    /// Starts a node; it need not be ready.
    pub fn start(&mut self, n: usize) {
        let command = self.serve(n);
        self.run(n, command);
    }

    /// Starts a node with another command line.
    pub fn run(&mut self, n: usize, command: Command) {
        self.nodes[n] = Some(Node::launch(&self.homes[n], command));
    }

    /// Kills a node as a crash would.
    pub fn kill(&mut self, n: usize) {
        self.nodes[n].take().expect("it runs").kill();
    }

    /// A node that runs.
    pub fn node(&self, n: usize) -> &Node {
        self.nodes[n].as_ref().expect("it runs")
    }

    /// Each node's HTTP address, whether it runs or not.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.https.iter().map(|address| address.parse().expect("it was bound")).collect()
    }

    /// The nodes that run.
    pub fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().flatten()
    }

    /// Waits until every running node is ready.
    pub fn ready(&self) {
        for node in self.running() {
            eventually("every node is ready", || {
                (node.ask("GET", "/readyz", "").status == 200).then_some(())
            });
        }
    }

    /// The place of the node that leads.
    pub fn leader(&self) -> usize {
        eventually("a node leads", || {
            let leads = |node: &Node| {
                let status = node.ask("GET", "/v1/status", "");
                status.status == 200 && status.json()["node"]["role"] == "leader"
            };
            self.nodes.iter().position(|node| node.as_ref().is_some_and(leads))
        })
    }

    /// Waits until all running nodes have applied the same, and gives the status of each.
    pub fn settled(&self) -> Vec<Value> {
        eventually("all nodes have applied the same", || {
            let all: Vec<Value> = self.running().map(|node| node.get("/v1/status")).collect();
            // Nothing is on its way any more, the repetition of a write in doubt neither.
            let indexes = |of: &Value| {
                [&of["applied_index"], &of["last_log_index"], &of["vfs"]["applied_index"]].map(Value::clone)
            };
            let first = all.first()?["applied_index"].clone();
            all.iter().all(|status| indexes(status).iter().all(|i| *i == first)).then_some(all)
        })
    }

    /// The settled state of all nodes, which has to be one.
    pub fn agreed(&self) -> Value {
        let all = self.settled();
        let hashes: Vec<&Value> = all.iter().map(|status| &status["state_hash"]).collect();
        assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{all:#?}");
        all.into_iter().next().expect("a node runs")
    }

    /// What every node said.
    pub fn said(&self) -> String {
        self.homes.iter().map(Home::said).collect::<Vec<_>>().join("\n----\n")
    }
}
