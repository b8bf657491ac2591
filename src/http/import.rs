//! `POST /v1/import`: JSON Lines in, packed into few large hand-overs with several of them in flight.
//!
//! ```text
//! body ─► lines (line.rs) ─► batch ─► service.write ×32 ─► tally ─► answer
//! ```
//! A bad line is counted and described (the first 100); the others go on. Hand-overs start in the order of the lines, so
//! of two lines with the same property the later one wins; only a hand-over that the node was too busy for starts again
//! behind others.
//!
//! Not here: how lines are cut and parsed (`line`). Must always hold: memory is bounded by the limits of batch and flight;
//! every line is counted exactly once, as imported or as failed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::json;

use super::body::next_piece;
use super::error::ApiError;
use super::handles::App;
use super::line::{Lines, ParsedLine, parse_line};
use super::once::{Once, Part};
use super::reply::{self, At};
use super::routes::Group;
use crate::limits::{IMPORT_BATCH_BYTES, IMPORT_BATCH_PROPERTIES, IMPORT_ERRORS_MAX, IMPORT_IN_FLIGHT_MAX};
use crate::meta::op::{Op, RecordOp};
use crate::meta::response::Response as Outcome;
use crate::meta::service::ServiceError;

/// Pause before a hand-over is offered again to a node that was too busy for it.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

pub(super) fn routes() -> Group {
    Group::new("transfer").post("/v1/import", "Writes records from JSON Lines.", import)
}

/// Lines that go to the log together.
#[derive(Default)]
struct Batch {
    ops: Vec<Op>,
    /// Line number and number of properties of each operation.
    lines: Vec<(u64, u64)>,
    properties: usize,
    bytes: usize,
}

impl Batch {
    fn add(&mut self, line: u64, parsed: ParsedLine, bytes: usize) {
        let count = parsed.properties.len();
        self.lines.push((line, count as u64));
        self.properties += count;
        self.bytes += bytes;
        self.ops.push(Op::Record(RecordOp::Put { id: parsed.id, properties: parsed.properties }));
    }

    fn is_full(&self) -> bool {
        self.properties >= IMPORT_BATCH_PROPERTIES || self.bytes >= IMPORT_BATCH_BYTES
    }
}

/// What came of a hand-over.
struct Settled {
    lines: Vec<(u64, u64)>,
    result: Result<(Vec<Outcome>, At), ApiError>,
}

type InFlight = Pin<Box<dyn Future<Output = Settled> + Send>>;

/// What came of all lines so far.
#[derive(Default)]
struct Tally {
    imported: u64,
    properties: u64,
    failed: u64,
    index: u64,
    /// Everything was answered again, nothing was written.
    replayed: bool,
    /// A part that belongs to another request with the same key.
    foreign: Option<ApiError>,
    /// The first refusals by line number.
    errors: BTreeMap<u64, String>,
}

impl Tally {
    fn refuse(&mut self, line: u64, message: String) {
        self.failed += 1;
        self.errors.insert(line, message);
        if self.errors.len() > IMPORT_ERRORS_MAX {
            self.errors.pop_last();
        }
    }

    fn settle(&mut self, settled: Settled) {
        match settled.result {
            Ok((outcomes, at)) => {
                self.index = self.index.max(at.index);
                self.replayed &= at.replayed;
                for ((line, properties), outcome) in settled.lines.into_iter().zip(outcomes) {
                    match outcome {
                        Outcome::Rejected(reject) => self.refuse(line, reject.to_string()),
                        _ => {
                            self.imported += 1;
                            self.properties += properties;
                        }
                    }
                }
            }
            Err(e) if e.is_of_another_request() => self.foreign = Some(e),
            Err(e) => {
                for (line, _) in settled.lines {
                    self.refuse(line, e.message().to_owned());
                }
            }
        }
    }

    fn answer(self) -> Response {
        let errors: Vec<_> =
            self.errors.iter().map(|(line, message)| json!({"line": line, "message": message})).collect();
        reply::ok_at(
            At { index: self.index, replayed: self.replayed },
            &json!({
                "imported": self.imported,
                "properties": self.properties,
                "failed": self.failed,
                "errors": errors,
                "index": self.index,
            }),
        )
    }
}

/// An import on its way.
struct Import {
    app: App,
    once: Once,
    /// Number of the next part.
    part: u32,
    batch: Batch,
    in_flight: FuturesUnordered<InFlight>,
    tally: Tally,
}

async fn import(State(app): State<App>, once: Once, body: Body) -> Result<Response, ApiError> {
    let index = if once.is_asked() { 0 } else { app.applied() };
    let tally = Tally { index, replayed: once.is_asked(), ..Tally::default() };
    let in_flight = FuturesUnordered::new();
    let mut import = Import { app, once, part: 0, batch: Batch::default(), in_flight, tally };
    let broken = import.read(body).await.err();
    // A body that broke off comes again, whole, with its key: the part that it broke off in must not be taken for that one.
    if broken.is_none() || !import.once.is_asked() {
        import.hand_over(true).await;
    }
    while let Some(settled) = import.in_flight.next().await {
        import.tally.settle(settled);
    }
    match broken.or(import.tally.foreign.take()) {
        None => Ok(import.tally.answer()),
        Some(refusal) => Err(refusal.after_writes(import.tally.imported)),
    }
}

impl Import {
    /// Reads all lines. On an error, what came before it is still handed over.
    async fn read(&mut self, body: Body) -> Result<(), ApiError> {
        let mut stream = body.into_data_stream();
        let mut lines = Lines::default();
        while let Some(piece) = next_piece(&mut stream, &self.app).await? {
            lines.push(&piece);
            while let Some((number, line)) = lines.next() {
                self.line(number, line).await;
            }
        }
        if let Some((number, line)) = lines.finish() {
            self.line(number, line).await;
        }
        Ok(())
    }

    async fn line(&mut self, number: u64, line: Result<bytes::Bytes, String>) {
        let bytes = line.as_ref().map_or(0, bytes::Bytes::len);
        match line.and_then(|line| parse_line(&line)) {
            Ok(parsed) => {
                // Only now is it known that the part before is not the last one.
                if self.batch.is_full() {
                    self.hand_over(false).await;
                }
                self.batch.add(number, parsed, bytes);
            }
            Err(message) => self.tally.refuse(number, message),
        }
    }

    /// Starts the write of the current batch, once fewer than the limit are in flight.
    async fn hand_over(&mut self, last: bool) {
        let batch = std::mem::take(&mut self.batch);
        if self.tally.foreign.is_some() || (batch.ops.is_empty() && !self.once.is_asked()) {
            return;
        }
        let part = Part { number: self.part, last };
        self.part += 1;
        while self.in_flight.len() >= IMPORT_IN_FLIGHT_MAX {
            if let Some(settled) = self.in_flight.next().await {
                self.tally.settle(settled);
            }
        }
        let mut write: InFlight = Box::pin(write(self.app.clone(), self.once.clone(), part, batch));
        // The first poll hands the operations over; doing it here keeps hand-overs in the order of the lines.
        match poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await {
            Poll::Ready(settled) => self.tally.settle(settled),
            Poll::Pending => self.in_flight.push(write),
        }
    }
}

/// Writes a batch; a node that is too busy is asked again until the request's deadline.
async fn write(app: App, once: Once, part: Part, batch: Batch) -> Settled {
    let options = app.write_options();
    let (count, ops) = (batch.ops.len(), once.wrap(part, batch.ops));
    loop {
        // Operations share the memory of their lines: the copy is a list of pointers.
        let result = app.service.write(ops.clone(), options).await;
        let is_busy = matches!(result, Err(ServiceError::Busy));
        if !is_busy || std::time::Instant::now() + BUSY_PAUSE >= options.deadline {
            let result = result.map_err(ApiError::from).and_then(|written| once.unwrap(count, written));
            return Settled { lines: batch.lines, result };
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}
