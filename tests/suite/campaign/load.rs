//! Writers that keep a ledger: what was acknowledged, what nobody can know, and when.
//!
//! Three kinds of writes, none of which may happen twice: a value under a key of its own (`meta:events` shows each application),
//! a member that only one request adds (its answer says whether it was new), and an increment of one counter under `If-Match`.
//!
//! Not here: faults. Must always hold: a request is sent again only when its refusal says that nothing was applied, or when
//! no connection was made; every other end without an answer is entered as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::node::SOON;

/// Values in one record.
const VALUES_PER_RECORD: u64 = 64;
/// Pause after a definite refusal or a refused connection.
const PAUSE: Duration = Duration::from_millis(5);

/// A client that knows every node and goes to the next one when one refuses it.
pub struct Caller {
    nodes: Vec<SocketAddr>,
    at: usize,
    connection: Option<Client>,
    /// Definite refusals so far.
    pub refusals: u64,
}

impl Caller {
    /// A client of these nodes that begins with one of them.
    pub fn new(nodes: &[SocketAddr], first: usize) -> Self {
        Self { nodes: nodes.to_vec(), at: first % nodes.len(), connection: None, refusals: 0 }
    }

    /// Sends until the answer is no definite refusal that is worth another try. `Err`: nobody knows what became of it.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let end = Instant::now() + SOON;
        loop {
            assert!(Instant::now() < end, "{method} {path}: refused for {SOON:?} by all of {:?}", self.nodes);
            let open = self.connection.take().filter(Client::is_open);
            let node = self.nodes[self.at];
            let Some(mut client) = open.or_else(|| Client::connect(node).ok()) else {
                self.next();
                continue;
            };
            let answer = client.send(method, path, headers, body).map_err(|e| format!("{node}: {e}"))?;
            if answer.header("connection") != Some("close") {
                self.connection = Some(client);
            }
            if answer.status < 500 {
                return Ok(answer);
            }
            let refused = method == "GET" || answer.json()["applied"] == "no";
            if !refused {
                return Err(format!("{node}: {} {}", answer.status, answer.text()));
            }
            self.next();
        }
    }

    fn next(&mut self) {
        self.refusals += 1;
        self.connection = None;
        self.at = (self.at + 1) % self.nodes.len();
        std::thread::park_timeout(PAUSE);
    }
}

/// An acknowledged write: when it was sent and when its answer came.
#[derive(Clone, Copy)]
pub struct Ack {
    /// When it was sent first.
    pub sent: Instant,
    /// When it was acknowledged.
    pub answered: Instant,
}

/// What all writers know together.
#[derive(Default)]
pub struct Ledger {
    /// Each value's key: whether it was acknowledged.
    pub values: Mutex<BTreeMap<String, bool>>,
    /// Each added member by its set: whether it was acknowledged.
    pub members: Mutex<BTreeMap<(String, String), BTreeMap<String, bool>>>,
    /// Numbers that increments were acknowledged for.
    pub numbers: Mutex<BTreeSet<u64>>,
    /// The highest of them: no later linearizable read shows less.
    pub floor: AtomicU64,
    /// Increments whose outcome nobody knows.
    pub doubtful_increments: AtomicU64,
    /// All acknowledgements since they were last taken.
    pub acks: Mutex<Vec<Ack>>,
    /// How many there were ever.
    pub acknowledged: AtomicU64,
    /// Why the unknown ones are unknown.
    pub unknown: Mutex<Vec<String>>,
    /// Definite refusals.
    pub refusals: AtomicU64,
}

impl Ledger {
    fn acknowledge(&self, sent: Instant) {
        self.acks.lock().push(Ack { sent, answered: Instant::now() });
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    fn doubt(&self, why: String) {
        self.unknown.lock().push(why);
    }

    /// The first acknowledgement of a write that was sent after `moment`.
    pub fn first_after(&self, moment: Instant) -> Option<Ack> {
        let acks = self.acks.lock();
        acks.iter().filter(|ack| ack.sent > moment).min_by_key(|ack| ack.answered).copied()
    }

    /// The longest time without an acknowledgement between two moments.
    pub fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let acks = self.acks.lock();
        let inside = acks.iter().map(|ack| ack.answered).filter(|at| (from..=to).contains(at));
        let mut moments: Vec<Instant> = inside.chain([from, to]).collect();
        moments.sort_unstable();
        moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// The writers of one round.
pub struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts writers; each begins with another node. `round` keeps their names apart from earlier rounds'.
    pub fn start(ledger: &Arc<Ledger>, nodes: &[SocketAddr], writers: u64, round: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writers = (0..writers).map(|number| {
            let (ledger, stop) = (Arc::clone(ledger), Arc::clone(&stop));
            let caller = Caller::new(nodes, number as usize);
            let mut writer = Writer { ledger, caller, name: format!("{round}w{number}"), count: 0 };
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    writer.step();
                }
                writer.ledger.refusals.fetch_add(writer.caller.refusals, Ordering::Relaxed);
            })
        });
        Self { writers: writers.collect(), stop }
    }

    /// Lets each writer end its request, and waits for them.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers {
            if let Err(panic) = writer.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

struct Writer {
    ledger: Arc<Ledger>,
    caller: Caller,
    name: String,
    count: u64,
}

impl Writer {
    fn step(&mut self) {
        self.count += 1;
        match self.count % 4 {
            0 => self.increment(),
            1 => self.member(),
            _ => self.value(),
        }
    }

    /// Every value has a key of its own: an event for each time that it was applied.
    fn value(&mut self) {
        let record = format!("v{}-{}", self.name, self.count / VALUES_PER_RECORD);
        let (key, sent) = (format!("file:{record}/p{}", self.count), Instant::now());
        let path = format!("/meta/{record}/p{}", self.count);
        let outcome = self.caller.call("PUT", &path, &[], self.count.to_string().as_bytes());
        let outcome = outcome.map(|answer| assert_eq!(answer.status, 200, "{path}: {}", answer.text()));
        self.ledger.values.lock().insert(key, outcome.is_ok());
        match outcome {
            Ok(()) => self.ledger.acknowledge(sent),
            Err(why) => self.ledger.doubt(format!("{path}: {why}")),
        }
    }

    /// A member that nobody else adds: an answer that it was there already speaks of an earlier application.
    fn member(&mut self) {
        let set = (format!("s{}", self.name), format!("m{}", self.count / VALUES_PER_RECORD));
        let (member, sent) = (format!("x{}", self.count), Instant::now());
        let path = format!("/meta/{}/_add/{}", set.0, set.1);
        let body = json!({ "value": member }).to_string();
        let outcome = self.caller.call("POST", &path, &[], body.as_bytes());
        let outcome = outcome.map(|answer| {
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(
                answer.json()["added"],
                json!(true),
                "{path} {member} was applied before: {}",
                answer.text()
            );
        });
        let mut members = self.ledger.members.lock();
        members.entry(set).or_default().insert(member, outcome.is_ok());
        drop(members);
        match outcome {
            Ok(()) => self.ledger.acknowledge(sent),
            Err(why) => self.ledger.doubt(format!("{path}: {why}")),
        }
    }

    /// One more than a linearizable read showed, if nobody was faster.
    fn increment(&mut self) {
        let floor = self.ledger.floor.load(Ordering::SeqCst);
        // A read may be lost; the write after it is what counts.
        let Ok(read) = self.caller.call("GET", "/meta/counter", &[], b"") else { return };
        let number = match read.status {
            404 => 0,
            200 => read.json()["metadata"]["n"].as_str().and_then(|n| n.parse().ok()).expect("a number"),
            other => panic!("the counter: {other} {}", read.text()),
        };
        assert!(
            number >= floor,
            "a linearizable read shows {number}, and {floor} was acknowledged before it"
        );
        let tag = read.header("etag").unwrap_or_default().to_owned();
        let condition = if read.status == 404 { ("If-None-Match", "*") } else { ("If-Match", tag.as_str()) };
        let (next, sent) = (number + 1, Instant::now());
        match self.caller.call("PUT", "/meta/counter/n", &[condition], next.to_string().as_bytes()) {
            Ok(answer) if answer.status == 412 => {}
            Ok(answer) => {
                assert_eq!(answer.status, 200, "{}", answer.text());
                let mut numbers = self.ledger.numbers.lock();
                assert!(numbers.insert(next), "two increments to {next} were acknowledged");
                drop(numbers);
                self.ledger.floor.fetch_max(next, Ordering::SeqCst);
                self.ledger.acknowledge(sent);
            }
            Err(why) => {
                self.ledger.doubtful_increments.fetch_add(1, Ordering::Relaxed);
                self.ledger.doubt(format!("counter to {next}: {why}"));
            }
        }
    }
}
