//! The load of `scripts/bench.sh raft`: one closed loop, several systems, so that figures can be compared.
//!
//! `load SYSTEM WORKLOAD ADDRESS CLIENTS SECONDS [VALUE_BYTES]` prints one line of JSON.
//!
//! Not here: starting the systems, ratios (`scripts/bench`). Must always hold: every system gets the same loop, the same
//! number of connections and the same values, and a client in the same language.

mod etcd;
mod resp;

use std::io;
use std::time::Duration;

use metad::cli::bench::closed_loop::{self, Figures, Span};
use metad::cli::bench::line_of;
use metad::cli::bench::workload::{HttpSession, Workload};

const USAGE: &str =
    "usage: load metad|resp|etcd write|read|stale|import ADDRESS CLIENTS SECONDS [VALUE_BYTES]";

/// What the command line asks for.
struct Asked {
    system: String,
    workload: Workload,
    address: String,
    clients: usize,
    span: Span,
    value_bytes: usize,
}

fn asked() -> io::Result<Asked> {
    let usage = || io::Error::new(io::ErrorKind::InvalidInput, USAGE);
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [system, workload, address, clients, seconds, rest @ ..] = words.as_slice() else {
        return Err(usage());
    };
    let workload = match workload.as_str() {
        "write" => Workload::Write,
        "read" => Workload::Read,
        "stale" => Workload::ReadStale,
        "import" => Workload::Import,
        _ => return Err(usage()),
    };
    let number = |text: &String| text.parse::<usize>().map_err(|_| usage());
    let measured = Duration::from_secs_f64(seconds.parse().map_err(|_| usage())?);
    Ok(Asked {
        system: system.clone(),
        workload,
        address: address.clone(),
        clients: number(clients)?,
        span: Span { warm_up: Duration::from_millis(500), measured },
        value_bytes: rest.first().map_or(Ok(128), number)?,
    })
}

async fn metad(asked: &Asked) -> io::Result<Figures> {
    let mut sessions = Vec::new();
    for client in 0..asked.clients {
        sessions.push(HttpSession::open(&asked.address, asked.workload, client, asked.value_bytes).await?);
    }
    closed_loop::run(sessions, asked.span).await
}

async fn etcd(asked: &Asked) -> io::Result<Figures> {
    let mut sessions = Vec::new();
    for client in 0..asked.clients {
        sessions
            .push(etcd::EtcdSession::open(&asked.address, asked.workload, client, asked.value_bytes).await?);
    }
    closed_loop::run(sessions, asked.span).await
}

async fn resp(asked: &Asked) -> io::Result<Figures> {
    let mut sessions = Vec::new();
    for client in 0..asked.clients {
        sessions
            .push(resp::RespSession::open(&asked.address, asked.workload, client, asked.value_bytes).await?);
    }
    closed_loop::run(sessions, asked.span).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let asked = asked()?;
    let figures = match asked.system.as_str() {
        "metad" => metad(&asked).await?,
        "resp" => resp(&asked).await?,
        "etcd" => etcd(&asked).await?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    };
    let mut line = line_of(asked.workload.name(), &figures);
    line["system"] = asked.system.into();
    line["clients"] = asked.clients.into();
    println!("{line}");
    Ok(())
}
