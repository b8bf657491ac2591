//! What every request passes before and after its handler: CORS, URL checks, and the headers of every answer.
//!
//! Not here: bodies, routes. Must always hold: every answer carries `X-Meta-Node` and `X-Meta-Index`; pages of any origin
//! may read it, except on the routes that run the cluster or move whole states: those a page of another origin cannot call
//! (browsers send its `Origin`, also from a machine where the port is on loopback only); a request whose URL cannot be decoded reaches no handler; what is not supported yet is refused
//! and never ignored.
//!
//! Source: contract "HTTP additions"; research/upstream.md §2.1 (its preflights fail and PATCH is missing there).

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, HOST, ORIGIN,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::handles::App;
use super::once;
use super::query::percent_decode;
use super::reply::{META_INDEX, META_NODE};
use super::routes;
use crate::limits::HTTP_TARGET_BYTES_MAX;
use crate::telemetry::Metrics;

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Content-Type, Authorization, Range, If-Range, If-Match, If-None-Match, If-Modified-Since, \
     If-Unmodified-Since, Last-Event-ID, Idempotency-Key, Cache-Control",
);
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "X-Meta-Index, X-Meta-Node, ETag, Last-Modified, Accept-Ranges, Content-Range, Retry-After, Allow, \
     Idempotency-Replayed",
);

/// The paths that pages of other origins cannot call.
static GUARDED: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let documented = routes::documented().into_iter();
    let guarded = documented.filter(|r| ["cluster", "transfer"].contains(&r.group) || r.path == "/v1/doctor");
    guarded.map(|route| route.path).collect()
});

/// The paths where the cluster is changed.
static CHANGES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let documented = routes::documented().into_iter();
    documented.filter(|route| route.group == "cluster").map(|route| route.path).collect()
});

/// Runs one request.
pub(super) async fn gate(State(app): State<App>, request: Request, next: Next) -> Response {
    let counted = Counted::start(&app, &request);
    let response = answer(&app, request, next).await;
    counted.end(response.status());
    response
}

/// One request in the metrics. Dropped early when the client hangs up, it still leaves the number in flight.
struct Counted {
    metrics: Arc<Metrics>,
    method: &'static str,
    route: String,
    start: Instant,
}

impl Counted {
    fn start(app: &App, request: &Request) -> Self {
        let metrics = Arc::clone(&app.metrics);
        metrics.http_in_flight.get().add(1.0);
        let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
        Self {
            metrics,
            method: method_word(request.method()),
            route: route.to_owned(),
            start: Instant::now(),
        }
    }

    fn end(self, status: StatusCode) {
        let labels = [self.method, self.route.as_str()];
        self.metrics.http_requests_total.with(&[labels[0], labels[1], status.as_str()]).inc();
        self.metrics.http_request_duration_seconds.with(&labels).observe_since(self.start);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.http_in_flight.get().add(-1.0);
    }
}

/// Methods come from outside; the metrics know a fixed set of them.
fn method_word(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    const WORDS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.iter().position(|known| known == method).map_or("other", |at| WORDS[at])
}

async fn answer(app: &App, request: Request, next: Next) -> Response {
    // Taken before the handler runs: the answer reflects at least this.
    let applied = app.applied();
    let path = request.extensions().get::<MatchedPath>();
    let guarded = path.is_some_and(|path| GUARDED.contains(path.as_str()));
    let is_change = path.is_some_and(|path| CHANGES.contains(path.as_str())) && !request.method().is_safe();
    let mut response = match check(request.uri(), is_change, request.headers()) {
        Err(refusal) => refusal.into_response(),
        Ok(()) if guarded && is_foreign(request.headers()) => foreign_origin().into_response(),
        Ok(()) if request.method() == Method::OPTIONS => preflight(),
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    if !guarded {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    }
    headers.entry(META_INDEX).or_insert_with(|| HeaderValue::from(applied));
    headers.insert(META_NODE, node_name(&app.identity.name));
    response
}

/// A name that is legal in a header; others are shown without what is not.
fn node_name(name: &str) -> HeaderValue {
    let visible: String = name.chars().filter(|c| c.is_ascii_graphic()).collect();
    HeaderValue::try_from(visible).expect("visible ASCII is legal in a header")
}

fn check(uri: &Uri, is_change: bool, headers: &HeaderMap) -> Result<(), ApiError> {
    let target = uri.path_and_query().map_or("", |p| p.as_str());
    if target.len() > HTTP_TARGET_BYTES_MAX {
        let text = format!("the URL has {} bytes, more than {HTTP_TARGET_BYTES_MAX}", target.len());
        return Err(ApiError::new(StatusCode::URI_TOO_LONG, "url_too_long", text));
    }
    percent_decode(uri.path())?;
    if is_change { once::refuse(headers) } else { Ok(()) }
}

/// Whether a page of another origin sent it. Programs send no `Origin`.
fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let own = headers.get(HOST).map(HeaderValue::as_bytes);
    let from = [b"http://".as_slice(), b"https://"].iter().find_map(|s| origin.as_bytes().strip_prefix(*s));
    !from.zip(own).is_some_and(|(from, own)| from.eq_ignore_ascii_case(own))
}

fn foreign_origin() -> ApiError {
    let text = "pages of another origin cannot call this route; programs and the node's own pages can";
    ApiError::new(StatusCode::FORBIDDEN, "foreign_origin", text)
}

fn preflight() -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(ALLOW, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// The answer to a path that no route has.
pub(super) async fn unknown_route(uri: Uri) -> ApiError {
    let path = uri.path();
    let rest = ["/meta/", "/data/", "/file/"].iter().find_map(|p| path.strip_prefix(p));
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            ApiError::bad("empty_hash", "the hashId is empty")
        }
        Some(rest) if path.starts_with("/meta/") && rest.ends_with('/') => {
            ApiError::bad("empty_property", "a property's name is empty")
        }
        _ => ApiError::new(StatusCode::NOT_FOUND, "unknown_route", format!("no route {path:.200}")),
    }
}

/// The answer to a known path with a method that it does not have. The router adds `Allow`.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let text = format!("{method} is not allowed on {:.200}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text)
}
