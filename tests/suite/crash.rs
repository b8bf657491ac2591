//! kill -9 at random moments under load: nothing that was acknowledged is lost.
//!
//! Each writer owns its records and has one request under way at a time. After a crash its records are what was
//! acknowledged, or that with the one request added whose answer never came: never anything else.
//!
//! `METAD_TEST_CRASHES` is the number of crashes, `METAD_TEST_SEED` repeats a run.
//!
//! Not here: torn writes and power loss (the log's own tests). Must always hold: a failure names the round and the seed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::node::{Home, Node, SOON, eventually, walk};
use crate::support::random::{Random, number};

/// Crashes where nobody says how many.
const CRASHES: u64 = 12;
/// Writers at the same time.
const WRITERS: u64 = 4;
/// Records of each writer.
const RECORDS: u64 = 12;
/// Files whose paths, inodes and times must never change.
const LIBRARY: u64 = 20;

type Record = BTreeMap<String, String>;
/// A writer's records as far as it knows; a deleted one is empty.
type Records = BTreeMap<String, Record>;

/// A request of a writer.
#[derive(Clone, Debug)]
enum Step {
    Merge(String, Record),
    Set(String, String, String),
    Delete(String),
    Import(Vec<(String, Record)>),
}

impl Step {
    fn random(random: &mut Random, writer: u64, count: u64) -> Self {
        let id = format!("w{writer}-{}", random.below(RECORDS));
        let values = |id: &str, count: u64| {
            let path = (String::from("filePath"), format!("{id}.mkv"));
            Record::from([path, ("title".into(), format!("{id} {count}")), ("n".into(), count.to_string())])
        };
        match random.below(10) {
            0 => Self::Delete(id),
            1 | 2 => {
                let ids = (0..RECORDS).map(|n| format!("w{writer}-{n}"));
                Self::Import(ids.map(|id| (id.clone(), values(&id, count))).collect())
            }
            3..=5 => Self::Merge(id.clone(), values(&id, count)),
            _ => Self::Set(id, format!("p{}", random.below(3)), count.to_string()),
        }
    }

    fn apply(&self, records: &mut Records) {
        match self {
            Self::Merge(id, values) => records.entry(id.clone()).or_default().extend(values.clone()),
            Self::Set(id, name, value) => {
                records.entry(id.clone()).or_default().insert(name.clone(), value.clone());
            }
            Self::Delete(id) => drop(records.insert(id.clone(), Record::new())),
            Self::Import(lines) => {
                for (id, values) in lines {
                    records.entry(id.clone()).or_default().extend(values.clone());
                }
            }
        }
    }

    /// Sends it; `Ok` only when the node acknowledged it.
    fn send(&self, client: &mut Client) -> Result<(), String> {
        let text = |e: std::io::Error| e.to_string();
        let answer = match self {
            Self::Merge(id, values) => {
                client.send("PUT", &format!("/meta/{id}"), &[], json!(values).to_string().as_bytes())
            }
            Self::Set(id, name, value) => {
                client.send("PUT", &format!("/meta/{id}/{name}"), &[], value.as_bytes())
            }
            Self::Delete(id) => client.send("DELETE", &format!("/meta/{id}"), &[], b""),
            Self::Import(lines) => {
                let line = |(id, values): &(String, Record)| {
                    format!("{}\n", json!({"hashId": id, "metadata": values}))
                };
                let body: String = lines.iter().map(line).collect();
                client.send("POST", "/v1/import", &[], body.as_bytes())
            }
        };
        let answer = answer.map_err(text)?;
        let gone = matches!(self, Self::Delete(_)) && answer.status == 404;
        assert!(answer.status == 200 || gone, "{self:?}: {} {}", answer.status, answer.text());
        Ok(())
    }
}

/// What a writer knows when its node has gone.
struct Known {
    acknowledged: Records,
    /// The request whose answer never came.
    doubtful: Option<Step>,
}

fn writer(
    number: u64,
    mut records: Records,
    mut random: Random,
    node: SocketAddr,
    acks: Sender<()>,
) -> JoinHandle<Known> {
    std::thread::spawn(move || {
        let Ok(mut client) = Client::connect(node) else {
            return Known { acknowledged: records, doubtful: None };
        };
        for count in random.below(1 << 32).. {
            let step = Step::random(&mut random, number, count);
            if step.send(&mut client).is_err() {
                return Known { acknowledged: records, doubtful: Some(step) };
            }
            step.apply(&mut records);
            // The round may be over already.
            acks.send(()).ok();
        }
        unreachable!("a writer ends with its node")
    })
}

/// The ids of a stream, as far as they came, in their order.
fn watcher(node: &Node, from: (u64, u64)) -> JoinHandle<Vec<(u64, u64)>> {
    let stream = node.client().stream(&format!("/api/events/meta?from={}-{}", from.0, from.1));
    let stream = stream.expect("a ready node has a stream");
    std::thread::spawn(move || {
        let lines = stream.lines().map_while(Result::ok);
        let ids = lines.filter_map(|line| line.strip_prefix("id: ").and_then(event_id));
        ids.collect()
    })
}

fn event_id(text: &str) -> Option<(u64, u64)> {
    let (ms, seq) = text.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// What the writers' world looks like now.
fn stored(client: &mut Client, id: &str) -> Record {
    let answer = client.send("GET", &format!("/meta/{id}"), &[], b"").expect("the node answers");
    match answer.status {
        404 => Record::new(),
        200 => serde_json::from_value(answer.json()["metadata"].clone()).expect("all values are strings"),
        other => panic!("{id}: {other} {}", answer.text()),
    }
}

/// What survived, after it was compared with what was acknowledged.
fn survived(client: &mut Client, known: Known) -> Records {
    let before = known.acknowledged;
    let mut after = before.clone();
    if let Some(step) = &known.doubtful {
        step.apply(&mut after);
    }
    let ids: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    let mut found = Records::new();
    for id in ids {
        let record = stored(client, &id);
        let none = Record::new();
        let allowed = [before.get(&id).unwrap_or(&none), after.get(&id).unwrap_or(&none)];
        assert!(
            allowed.contains(&&record),
            "{id} is {record:?}\nacknowledged: {:?}\nin doubt: {:?}",
            allowed[0],
            known.doubtful
        );
        found.insert(id, record);
    }
    found
}

/// One life of the node: load until a random moment, then kill -9.
struct Round<'a> {
    home: &'a Home,
    random: &'a mut Random,
    worlds: &'a mut Vec<Records>,
    last_event: &'a mut (u64, u64),
    writes: &'a mut u64,
}

impl Round<'_> {
    fn run(&mut self, node: Node) {
        let (acks, acknowledged) = mpsc::channel();
        let watching = watcher(&node, *self.last_event);
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let records = std::mem::take(&mut self.worlds[number as usize]);
                writer(number, records, self.random.fork(), node.http, acks.clone())
            })
            .collect();
        drop(acks);
        *self.writes += wait(&acknowledged, self.random);
        node.kill();
        let known: Vec<_> = writers.into_iter().map(|w| w.join().expect("a writer")).collect();
        *self.writes += acknowledged.try_iter().count() as u64;
        let ids = watching.join().expect("the watcher");
        let rising = std::iter::once(self.last_event as &_).chain(&ids).is_sorted_by(|a, b| a < b);
        assert!(rising, "stream ids go back: {:?} {ids:?}", self.last_event);
        *self.last_event = ids.last().copied().unwrap_or(*self.last_event);
        self.worlds.clear();
        self.check(known);
    }

    /// Starts the node again, now and then after a crash during its start.
    fn check(&mut self, known: Vec<Known>) {
        if self.random.below(4) == 0 {
            let mut child = self.home.serve().spawn().expect("the binary starts");
            let end = Instant::now() + Duration::from_millis(self.random.below(300));
            while Instant::now() < end && child.try_wait().expect("it is ours").is_none() {
                std::thread::yield_now();
            }
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
        let node = self.home.start();
        let mut client = node.client();
        self.worlds.extend(known.into_iter().map(|known| survived(&mut client, known)));
        node.kill();
    }
}

/// Waits for a random number of acknowledged writes and a random moment more. How many there were.
fn wait(acknowledged: &Receiver<()>, random: &mut Random) -> u64 {
    let wanted = random.below(150);
    for _ in 0..wanted {
        acknowledged.recv_timeout(SOON).expect("the node acknowledges writes");
    }
    let end = Instant::now() + Duration::from_micros(random.below(3000));
    let more = std::iter::from_fn(|| acknowledged.recv_timeout(end - Instant::now().min(end)).ok());
    wanted + more.count() as u64
}

fn library() -> Vec<Value> {
    let record = |n: u64| {
        let metadata = json!({
            "filePath": format!("film{n}.mkv"), "title": format!("Film {}", n / 2), "fileType": "video",
        });
        json!({"hashId": format!("film{n}"), "metadata": metadata})
    };
    (0..LIBRARY).map(record).collect()
}

/// The files of the library with their inodes and times.
fn library_of(node: &Node) -> Vec<(String, u64, String)> {
    node.tree().into_iter().filter(|(path, ..)| path.contains("Film")).collect()
}

#[test]
fn a_crash_at_any_moment_loses_nothing_acknowledged() {
    crash(&Home::new(), number("METAD_TEST_CRASHES", CRASHES));
}

#[test]
fn a_crash_at_any_moment_loses_nothing_acknowledged_in_a_cluster_of_one() {
    crash(&Home::of_mode("raft"), number("METAD_TEST_CRASHES", CRASHES).div_ceil(3));
}

fn crash(home: &Home, crashes: u64) {
    let seed = number("METAD_TEST_SEED", 1);
    let mut random = Random(seed);
    let node = home.start();
    node.import(&library());
    node.follow();
    let library = library_of(&node);
    assert_eq!(library.len() as u64, LIBRARY);
    node.kill();
    let (mut worlds, mut last_event, mut writes) = (vec![Records::new(); WRITERS as usize], (0, 0), 0);
    for crash in 0..crashes {
        eprintln!("crash {crash} of {crashes}, seed {seed}, {writes} writes so far");
        let node = if crash % 4 == 3 { home.start_mounted() } else { None };
        let node = node.unwrap_or_else(|| home.start());
        assert_eq!(library_of(&node), library, "inodes and times stay");
        let (random, worlds) = (&mut random, &mut worlds);
        let round = Round { home, random, worlds, last_event: &mut last_event, writes: &mut writes };
        { round }.run(node);
    }
    eprintln!("{crashes} crashes, {writes} acknowledged writes, none lost");
    assert!(home.start().stop().success(), "and it still stops cleanly");
}

#[test]
fn a_mount_left_behind_by_a_killed_node_is_recovered_at_the_next_start() {
    let home = Home::new();
    home.file("film0.mkv", b"film 0");
    let Some(node) = home.start_mounted() else { return };
    node.import(&library());
    node.follow();
    let before = walk(&home.path("mnt"));
    assert_eq!(before.len() as u64, LIBRARY);
    // A player that had a file open when the node was killed is in nobody's way.
    let film = home.path("mnt/Movies/Film 0/Film 0.mkv");
    let _held = File::open(&film).unwrap();
    node.kill();
    for _ in 0..3 {
        assert!(home.is_mounted(), "a killed node leaves its mount");
        let node = home.start_mounted().expect("it could mount before");
        assert_eq!(walk(&home.path("mnt")), before);
        assert_eq!(fs::read(&film).unwrap(), b"film 0");
        node.kill();
    }
    let node = home.start_mounted().expect("it could mount before");
    assert!(node.stop().success());
    assert!(!home.is_mounted());
}

#[test]
fn an_import_that_a_crash_cut_short_leaves_whole_records_and_can_be_repeated() {
    const RECORDS: u64 = 5000;
    let record = |n: u64| {
        let text = n.to_string();
        let metadata = json!({"filePath": text, "title": text, "fileType": "video", "last": text});
        json!({"hashId": format!("r{n:05}"), "metadata": metadata})
    };
    let lines: String = (0..RECORDS).map(|n| format!("{}\n", record(n))).collect();
    let home = Home::new();
    let mut random = Random(number("METAD_TEST_SEED", 1));
    let mut before = 0;
    for _ in 0..4 {
        let node = home.start();
        let mut client = node.client();
        let importing = {
            let lines = lines.clone();
            std::thread::spawn(move || client.send("POST", "/v1/import", &[], lines.as_bytes()).is_ok())
        };
        let wanted = random.below(RECORDS);
        eventually("the import goes on", || {
            let count = node.get("/v1/status")["vfs"]["files"].as_u64();
            (count >= Some(wanted) || importing.is_finished()).then_some(())
        });
        node.kill();
        let acknowledged = importing.join().expect("the client");
        let node = home.start();
        let stored = node.get("/meta")["count"].as_u64().expect("a number");
        assert!(stored >= wanted.max(before), "{stored} of at least {wanted} and {before}");
        assert!(!acknowledged || stored == RECORDS, "it was acknowledged, and {stored} are there");
        assert_eq!(node.paths().len() as u64, stored, "each record is whole or not there");
        let mut client = node.client();
        for n in (0..RECORDS).step_by(97) {
            let id = format!("r{n:05}");
            let found = json!(self::stored(&mut client, &id));
            assert!(found == json!({}) || found == record(n)["metadata"], "{id}: {found}");
        }
        before = stored;
        node.kill();
    }
    let node = home.start();
    node.import(&(0..RECORDS).map(record).collect::<Vec<_>>());
    node.follow();
    assert_eq!(node.paths().len() as u64, RECORDS);
}
