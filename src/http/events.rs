//! `/api/events/meta`: changes as server-sent events, from any id on.
//!
//! The feed only wakes the stream; what is sent is always read from `meta:events` after the last id sent. So nothing is
//! lost or doubled where history meets the present, and a slow reader costs nothing but its connection.
//!
//! `event: gap` comes once, first, when a client resumes below the gapless tail: superseded events are missing, the last
//! event of every key is not. A client that starts at `0-0` asked for exactly that and is not told.
//!
//! Not here: how old events are derived (meta). Must always hold: ids rise strictly within one stream.
//!
//! Source: research/upstream.md §2.3; contract; <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;

use super::error::ApiError;
use super::handles::App;
use super::query::Query;
use super::reply::{self, lossy};
use super::routes::Group;
use crate::limits::SSE_PAGE_EVENTS;
use crate::meta::event::Event;
use crate::meta::feed::{FeedReader, Followed};
use crate::meta::record::EventId;
use crate::meta::service::{EventPage, MetadataService, ServiceError};
use crate::telemetry::Gauge;

/// Sent after silence, so that proxies and clients see that the stream lives.
const KEEP_ALIVE: &str = ":keep-alive\n\n";

pub(super) fn routes() -> Group {
    Group::new("events").get(
        "/api/events/meta",
        "Changes of metadata as server-sent events; Last-Event-ID resumes.",
        subscribe,
    )
}

/// Reads a stream id: `ms-seq`, or `ms` alone.
fn parse_id(text: &str) -> Result<EventId, ApiError> {
    let (ms, seq) = text.split_once('-').unwrap_or((text, "0"));
    match (ms.parse(), seq.parse()) {
        (Ok(ms), Ok(seq)) => Ok(EventId { ms, seq }),
        _ => Err(ApiError::bad(
            "bad_event_id",
            format!("{text:.80?} is not a stream id (like 1700000000000-0)"),
        )),
    }
}

/// Where the client wants to go on: `Last-Event-ID`, else `?from=`. `None` and `$` mean "only what is new".
fn requested(headers: &HeaderMap, query: &Query) -> Result<Option<EventId>, ApiError> {
    let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("not text"));
    match header.filter(|h| !h.is_empty()).or_else(|| query.get("from")) {
        None | Some("$") => Ok(None),
        Some(text) => parse_id(text).map(Some),
    }
}

/// A subscriber in the metrics, from its first byte until its connection ends.
struct Counted(Arc<Gauge>);

impl Counted {
    fn start(app: &App) -> Self {
        let watchers = app.metrics.watchers.with(&["sse"]);
        watchers.add(1.0);
        Self(watchers)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}

/// One subscriber.
struct Subscription {
    app: App,
    _counted: Counted,
    reader: FeedReader,
    /// Id of the last event that was sent.
    last: EventId,
    /// Pages that are read and not sent yet.
    ready: VecDeque<Bytes>,
    /// The last page ended at the end of the stream.
    at_end: bool,
}

async fn subscribe(State(app): State<App>, query: Query, headers: HeaderMap) -> Result<Response, ApiError> {
    // The reader comes before the first look at the stream: whatever is written in between wakes it.
    let reader = app.service.watch();
    let from = requested(&headers, &query)?;
    let last = from.unwrap_or_else(|| app.service.totals().last_event);
    let page = read_page(&app, last).await?;
    let index = page.index;
    let _counted = Counted::start(&app);
    let mut subscription =
        Subscription { app, _counted, reader, last, ready: VecDeque::new(), at_end: false };
    if let Some(requested) = from.filter(|id| *id != EventId::default() && page.compacted) {
        subscription.ready.push_back(gap(requested, &page));
    }
    subscription.take(page);
    let body = Body::from_stream(stream::unfold(subscription, |mut subscription| async move {
        let piece = subscription.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), subscription))
    }));
    let mut response = Response::new(body);
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    out.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(reply::at(index, response))
}

/// Reads the stream away from the runtime's threads: old events come from disk.
async fn read_page(app: &App, after: EventId) -> Result<EventPage, ServiceError> {
    let service: Arc<dyn MetadataService> = Arc::clone(&app.service);
    let read = tokio::task::spawn_blocking(move || service.events(after, SSE_PAGE_EVENTS));
    read.await.unwrap_or_else(|_| Err(ServiceError::Busy))
}

impl Subscription {
    /// The next piece of the answer; `None` ends it.
    async fn next(&mut self) -> Option<Bytes> {
        let closing = self.app.closing.clone();
        closing.run_until_cancelled(self.piece()).await.flatten()
    }

    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.at_end {
                match tokio::time::timeout(self.app.options.keep_alive, self.reader.next()).await {
                    Err(_) => return Some(Bytes::from_static(KEEP_ALIVE.as_bytes())),
                    Ok(Followed::Closed) => return None,
                    Ok(Followed::Sets(_) | Followed::Lagged) => {}
                }
            }
            // A fault ends the stream; the client comes back with the id of the last event that it got.
            let page = read_page(&self.app, self.last).await;
            self.take(page.inspect_err(|e| tracing::debug!("event stream ends: {e}")).ok()?);
        }
    }

    fn take(&mut self, page: EventPage) {
        (self.last, self.at_end) = (page.next, page.at_end);
        if !page.events.is_empty() {
            let mut text = String::with_capacity(page.events.len() * 128);
            page.events.iter().for_each(|event| write_event(event, &mut text));
            self.ready.push_back(text.into());
        }
    }
}

fn write_event(event: &Event, out: &mut String) {
    let data = json!({"key": lossy(&event.key()), "ts": event.id.ms.to_string()});
    write!(out, "id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind.as_str())
        .expect("writing to a string cannot fail");
}

/// Tells a client that superseded events between its id and the tail are gone.
fn gap(requested: EventId, page: &EventPage) -> Bytes {
    let resume = page.events.first().map_or(page.next, |event| event.id);
    let data = json!({
        "requested": requested.to_string(),
        "resumeFrom": resume.to_string(),
        "reason": "retention",
    });
    format!("event: gap\ndata: {data}\n\n").into()
}
