//! The clients of this node, for CLIENT LIST and CLIENT KILL.
//!
//! Not here: what a client is doing (`session`). Must always hold: a client is listed from its first byte to its end; ids
//! rise and are never given twice by one node.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// What others may see of a connection.
pub struct Client {
    /// Its id.
    pub id: u64,
    /// The client's address.
    pub peer: SocketAddr,
    /// The address it came to.
    pub local: SocketAddr,
    /// Since when it is there.
    pub since: Instant,
    /// Ends the connection.
    pub kill: CancellationToken,
    facts: Mutex<Facts>,
}

/// What changes about a client.
#[derive(Clone)]
pub struct Facts {
    /// CLIENT SETNAME.
    pub name: Bytes,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Bytes,
    /// CLIENT SETINFO LIB-VER.
    pub lib_version: Bytes,
    /// The user that it logged in as.
    pub user: Bytes,
    /// Whether it speaks RESP3.
    pub resp3: bool,
    /// Commands queued in MULTI; `None` outside.
    pub queued: Option<usize>,
    /// Keys that it watches.
    pub watching: usize,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// Name of its last command.
    pub command: &'static str,
    /// When that came.
    pub active: Instant,
}

impl Client {
    /// Changes what others see.
    pub fn change<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        change(&mut self.facts.lock())
    }

    /// What others see.
    pub fn facts(&self) -> Facts {
        self.facts.lock().clone()
    }

    /// The line of CLIENT LIST and CLIENT INFO, without a line break.
    pub fn line(&self) -> String {
        let facts = self.facts();
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let mut flags = String::new();
        if facts.no_evict {
            flags.push('e');
        }
        if facts.queued.is_some() {
            flags.push('x');
        }
        if facts.no_touch {
            flags.push('T');
        }
        if flags.is_empty() {
            flags.push('N');
        }
        format!(
            "id={} addr={} laddr={} fd=0 name={} age={} idle={} flags={flags} db=0 sub=0 psub=0 ssub=0 multi={} \
             watch={} qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r \
             cmd={} user={} redir=-1 resp={} lib-name={} lib-ver={}",
            self.id,
            self.peer,
            self.local,
            text(&facts.name),
            self.since.elapsed().as_secs(),
            facts.active.elapsed().as_secs(),
            facts.queued.map_or(-1, |n| n as i64),
            facts.watching,
            facts.command,
            text(&facts.user),
            if facts.resp3 { 3 } else { 2 },
            text(&facts.lib_name),
            text(&facts.lib_version),
        )
    }
}

/// All clients of this node.
#[derive(Default)]
pub struct Clients {
    next: AtomicU64,
    open: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Clients {
    /// Lists a new connection, until its entry is dropped.
    pub fn enter(self: &Arc<Self>, peer: SocketAddr, local: SocketAddr, kill: CancellationToken) -> Entry {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let facts = Facts {
            name: Bytes::new(),
            lib_name: Bytes::new(),
            lib_version: Bytes::new(),
            user: Bytes::from_static(b"default"),
            resp3: false,
            queued: None,
            watching: 0,
            no_evict: false,
            no_touch: false,
            command: "NULL",
            active: now,
        };
        let client = Arc::new(Client { id, peer, local, since: now, kill, facts: Mutex::new(facts) });
        self.open.lock().insert(id, Arc::clone(&client));
        Entry { clients: Arc::clone(self), client }
    }

    /// Those that are open, oldest first.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.open.lock().values().cloned().collect()
    }

    /// How many are open.
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    /// The text of CLIENT LIST for those that `wanted` lets through.
    pub fn list(&self, wanted: impl Fn(&Client) -> bool) -> String {
        let mut text = String::new();
        for client in self.all().iter().filter(|client| wanted(client)) {
            writeln!(text, "{}", client.line()).expect("writing to a string works");
        }
        text
    }
}

/// A listed connection.
pub struct Entry {
    clients: Arc<Clients>,
    /// What others see of it.
    pub client: Arc<Client>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.clients.open.lock().remove(&self.client.id);
    }
}
