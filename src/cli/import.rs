//! Sending records in batches to `POST /v1/import`; used by `meta import`, `scan` and `demo`.
//!
//! Not here: where records come from. Must always hold: a batch is sent again only when it certainly was not applied; lines
//! that the node refuses are reported by their number in the input and do not stop the others.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::Method;
use serde_json::Value;

use super::client::{Call, Client};
use super::error::{CliError, Exit};
use super::output::{Output, printable};
use crate::limits::{IMPORT_REPORTED_ERRORS_MAX, IMPORT_REQUEST_BYTES, IMPORT_REQUEST_LINES};

/// Lines that go into one request.
#[derive(Debug, Default)]
pub struct Batch {
    body: Vec<u8>,
    /// Number in the input of each line, from 1.
    numbers: Vec<u64>,
}

impl Batch {
    /// Adds a line without its newline.
    pub fn push(&mut self, number: u64, line: &[u8]) {
        self.body.extend_from_slice(line);
        self.body.push(b'\n');
        self.numbers.push(number);
    }

    /// Whether another line should begin a new batch.
    pub fn is_full(&self) -> bool {
        self.numbers.len() >= IMPORT_REQUEST_LINES || self.body.len() >= IMPORT_REQUEST_BYTES
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Number of lines, for tests.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// What became of all batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records that were stored.
    pub imported: u64,
    /// Properties that were stored.
    pub properties: u64,
    /// Lines that were refused.
    pub failed: u64,
    /// Log index of the last entry; read with `min_index` to see it.
    pub index: u64,
}

impl Summary {
    /// The summary as data.
    pub fn to_json(self) -> Value {
        serde_json::json!({
            "imported": self.imported, "properties": self.properties, "failed": self.failed, "index": self.index
        })
    }
}

/// Sends batches one after the other.
pub struct Importer<'a> {
    client: &'a Client,
    output: &'a Output,
    summary: Summary,
    reported: usize,
}

impl<'a> Importer<'a> {
    /// An importer that reports refused lines on `output`.
    pub fn new(client: &'a Client, output: &'a Output) -> Self {
        Self { client, output, summary: Summary::default(), reported: 0 }
    }

    /// What became of the batches so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Sends a batch, again and again within the deadline while it certainly was not applied.
    ///
    /// # Errors
    /// When the batch could not be sent, or its outcome is in doubt.
    pub async fn send(&mut self, batch: Batch) -> Result<(), CliError> {
        let Batch { body, numbers } = batch;
        let call = Call {
            body: Some(("application/x-ndjson", Bytes::from(body))),
            ..Call::new(Method::POST, "/v1/import")
        };
        let answer = self.send_until_settled(&call).await?;
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.summary.imported += count("imported");
        self.summary.properties += count("properties");
        self.summary.failed += count("failed");
        self.summary.index = self.summary.index.max(count("index"));
        for error in answer["errors"].as_array().into_iter().flatten() {
            self.report(error, &numbers);
        }
        Ok(())
    }

    async fn send_until_settled(&self, call: &Call) -> Result<Value, CliError> {
        let deadline = Instant::now() + self.client.timeout();
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match self.client.try_send(call).await {
                Ok(response) => {
                    return response.json().await.map_err(|e| {
                        CliError::new(Exit::Unreachable, format!("the answer to a batch broke off: {e}"))
                            .fix("the batch may have been applied; importing it again does no harm")
                    });
                }
                Err(error) => error,
            };
            if !error.retryable || Instant::now() + pause >= deadline {
                return Err(error.error);
            }
            self.output.detail(format!("trying again in {} ms: {}", pause.as_millis(), error.error));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    fn report(&mut self, error: &Value, numbers: &[u64]) {
        self.reported += 1;
        if self.reported > IMPORT_REPORTED_ERRORS_MAX {
            if self.reported == IMPORT_REPORTED_ERRORS_MAX + 1 {
                self.output.note("… more lines were refused; the summary counts them");
            }
            return;
        }
        let within =
            error["line"].as_u64().and_then(|l| usize::try_from(l).ok()).and_then(|l| l.checked_sub(1));
        let line = within
            .and_then(|at| numbers.get(at))
            .map_or_else(|| "a line".to_owned(), |n| format!("line {n}"));
        let message = error["message"].as_str().unwrap_or("refused");
        self.output.note(format!("{line}: {}", printable(message)));
    }
}

/// The end of a command that imported: exit 10 when only a part could be done.
pub fn verdict(summary: Summary, unreadable: u64) -> Result<(), CliError> {
    let failed = summary.failed + unreadable;
    if failed == 0 {
        return Ok(());
    }
    let what = format!("{failed} of {} were left out", failed + summary.imported);
    Err(CliError::new(Exit::Partial, what).fix("the reasons stand above; what could be stored is stored"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_full_by_lines_or_by_bytes() {
        let mut many = Batch::default();
        for n in 0..IMPORT_REQUEST_LINES as u64 {
            assert!(!many.is_full());
            many.push(n, b"{}");
        }
        assert!(many.is_full() && many.len() == IMPORT_REQUEST_LINES);
        let mut big = Batch::default();
        big.push(1, &vec![b'x'; IMPORT_REQUEST_BYTES]);
        assert!(big.is_full());
    }

    #[test]
    fn a_part_that_failed_is_exit_10() {
        let summary = Summary { imported: 3, failed: 1, ..Summary::default() };
        assert_eq!(verdict(summary, 0).unwrap_err().code(), 10);
        assert_eq!(verdict(Summary { imported: 3, ..Summary::default() }, 0), Ok(()));
        assert_eq!(verdict(Summary { imported: 3, ..Summary::default() }, 2).unwrap_err().code(), 10);
    }
}
