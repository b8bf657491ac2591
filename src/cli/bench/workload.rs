//! What `metad bench` asks of a node over HTTP: writes, reads and imports of its own records.
//!
//! Not here: timing (`closed_loop`), sockets (`http`).
//! Must always hold: every record that is written here has an id that begins with [`PREFIX`], and no path in the tree.

use std::fmt::Write as _;
use std::io;

use super::closed_loop::Session;
use super::http::{self, Connection};

/// How the ids of all records of a measurement begin.
pub const PREFIX: &str = "metad-bench-";

/// Records that a client writes in turn.
pub const RECORDS_A_CLIENT: u64 = 256;

/// Records in one request of an import.
const IMPORT_RECORDS: u64 = 32;

/// Properties of an imported record.
const IMPORT_PROPERTIES: u64 = 10;

/// What a client does, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// PUT of one property.
    Write,
    /// GET of one property, linearizable.
    Read,
    /// GET of one property from the node's own state.
    ReadStale,
    /// POST of 32 records with ten properties each; an operation is one property.
    Import,
}

impl Workload {
    /// All of them, in the order of the report. Reads come after the writes whose values they read.
    pub const ALL: [Workload; 4] = [Workload::Write, Workload::Read, Workload::ReadStale, Workload::Import];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Write => "write",
            Workload::Read => "read",
            Workload::ReadStale => "read stale",
            Workload::Import => "import",
        }
    }
}

/// One client.
pub struct HttpSession {
    connection: Connection,
    host: String,
    workload: Workload,
    client: usize,
    value: Vec<u8>,
}

impl HttpSession {
    /// Connects client number `client`; values have `value_bytes`.
    pub async fn open(
        address: &str,
        workload: Workload,
        client: usize,
        value_bytes: usize,
    ) -> io::Result<Self> {
        let (connection, host) = (Connection::open(address).await?, address.to_owned());
        Ok(Self { connection, host, workload, client, value: vec![b'v'; value_bytes] })
    }

    fn path(&self, n: u64) -> String {
        format!("/meta/{}/value", record_id(self.client, n))
    }

    fn request(&self, n: u64) -> (Vec<u8>, u64) {
        match self.workload {
            Workload::Write => (http::put(&self.host, &self.path(n), &self.value), 1),
            Workload::Read => (http::get(&self.host, &self.path(n)), 1),
            Workload::ReadStale => (http::get(&self.host, &(self.path(n) + "?consistency=stale")), 1),
            Workload::Import => {
                let lines = self.lines(n);
                (http::post(&self.host, "/v1/import", lines.as_bytes()), IMPORT_RECORDS * IMPORT_PROPERTIES)
            }
        }
    }

    fn lines(&self, n: u64) -> String {
        let value = String::from_utf8_lossy(&self.value);
        let mut lines = String::new();
        for record in n * IMPORT_RECORDS..(n + 1) * IMPORT_RECORDS {
            let id = record_id(self.client, record);
            let _ = write!(lines, r#"{{"hashId":"{id}","metadata":{{"#);
            for property in 0..IMPORT_PROPERTIES {
                let comma = if property == 0 { "" } else { "," };
                let _ = write!(lines, r#"{comma}"p{property}":"{value}""#);
            }
            lines.push_str("}}\n");
        }
        lines
    }
}

/// The record that request `n` of a client is about.
pub fn record_id(client: usize, n: u64) -> String {
    format!("{PREFIX}{client}-{}", n % RECORDS_A_CLIENT)
}

impl Session for HttpSession {
    async fn once(&mut self, n: u64) -> io::Result<u64> {
        let (request, operations) = self.request(n);
        let answer = self.connection.exchange(&request).await?;
        if self.workload == Workload::Import && !answered_whole(answer) {
            return Err(io::Error::other(format!("import: {}", String::from_utf8_lossy(answer))));
        }
        Ok(operations)
    }
}

/// Whether an import took every line.
fn answered_whole(answer: &[u8]) -> bool {
    let answer: Result<serde_json::Value, _> = serde_json::from_slice(answer);
    answer.is_ok_and(|summary| summary["imported"] == IMPORT_RECORDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_never_leaves_its_own_records() {
        let ids: std::collections::BTreeSet<String> = (0..2000).map(|n| record_id(3, n)).collect();
        assert_eq!(ids.len() as u64, RECORDS_A_CLIENT);
        assert!(ids.iter().all(|id| id.starts_with("metad-bench-3-")));
    }
}
