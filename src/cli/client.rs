//! The HTTP client of the commands: endpoints in order, one deadline, errors as exit codes.
//!
//! Not here: what commands ask. Must always hold: a write goes to a second node only when the first one certainly did not
//! apply it (no connection, or an answer that says `"applied": "no"`), because a write in doubt may have happened.

use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use super::error::{CliError, Exit};

/// What stays as it is in a segment of a path: RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A segment of a path, encoded.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The path of a property: its `/` stay, everything else is encoded.
pub fn property_path(hash: &str, property: &str) -> String {
    let parts: Vec<String> = property.split('/').map(segment).collect();
    format!("/meta/{}/{}", segment(hash), parts.join("/"))
}

/// Whether a call may be sent again when its outcome is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It changes nothing.
    Harmless,
    /// It writes.
    Matters,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Path and query, encoded.
    pub path: String,
    /// Media type and body.
    pub body: Option<(&'static str, Bytes)>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Whether the answer is a stream that may last: then the deadline only holds for its head.
    pub stream: bool,
}

impl Call {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, headers: Vec::new(), stream: false }
    }

    /// With a JSON body.
    pub fn json(method: Method, path: impl Into<String>, body: &Value) -> Self {
        Self { body: Some(("application/json", Bytes::from(body.to_string()))), ..Self::new(method, path) }
    }

    fn doubt(&self) -> Doubt {
        // The old routes read by POST beneath /api/fuse.
        let reads = self.method == Method::GET
            || self.path.starts_with("/api/fuse/")
            || self.path.ends_with("/check");
        if reads { Doubt::Harmless } else { Doubt::Matters }
    }
}

/// A failure of a call, and whether it certainly changed nothing.
#[derive(Clone, Debug)]
pub struct CallError {
    /// For people.
    pub error: CliError,
    /// It certainly changed nothing, and may help elsewhere or later.
    pub retryable: bool,
}

/// The client.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoints: Vec<Url>,
    timeout: Duration,
}

impl Client {
    /// A client for `endpoints`, tried in this order.
    ///
    /// # Errors
    /// When an endpoint is no URL of HTTP.
    pub fn new(endpoints: &[String], timeout: Duration) -> Result<Self, CliError> {
        let endpoints = endpoints
            .iter()
            .filter(|e| !e.trim().is_empty())
            .map(|e| parse_endpoint(e.trim()))
            .collect::<Result<Vec<_>, _>>()?;
        if endpoints.is_empty() {
            return Err(CliError::new(Exit::Usage, "no endpoint is given").fix("-e http://127.0.0.1:9000"));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(timeout)
            .no_proxy()
            .build()
            .map_err(|e| CliError::new(Exit::Other, format!("cannot set up the HTTP client: {e}")))?;
        Ok(Self { http, endpoints, timeout })
    }

    /// The deadline of one answer.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The first endpoint as `host:port`, for connections that are made by hand.
    ///
    /// # Errors
    /// When the endpoint has no host.
    pub fn first_authority(&self) -> Result<String, CliError> {
        let url = self.endpoints.first().expect("there is at least one endpoint");
        match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) => Ok(format!("{host}:{port}")),
            _ => Err(CliError::new(Exit::Usage, format!("{url} names no host"))),
        }
    }

    /// Sends a call to the first endpoint that answers.
    ///
    /// # Errors
    /// The last endpoint's failure, or the first one that no other endpoint could repair.
    pub async fn send(&self, call: &Call) -> Result<Response, CliError> {
        self.try_send(call).await.map_err(|e| e.error)
    }

    /// As [`Client::send`], and says whether trying again is safe.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn try_send(&self, call: &Call) -> Result<Response, CallError> {
        let mut last = None;
        for endpoint in &self.endpoints {
            match self.once(endpoint, call).await {
                Ok(response) => return Ok(response),
                Err(error) if error.retryable => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.expect("there is at least one endpoint"))
    }

    /// Sends a call and reads the answer as JSON.
    ///
    /// # Errors
    /// As [`Client::send`], and when the answer is no JSON.
    pub async fn json(&self, call: &Call) -> Result<Value, CliError> {
        let response = self.send(call).await?;
        let from = response.url().clone();
        let bytes = response.bytes().await.map_err(|e| transport(&from, &e, call).error)?;
        serde_json::from_slice(&bytes).map_err(|e| {
            CliError::new(Exit::Other, format!("{from} did not answer in JSON: {e}"))
                .fix("is this a metad node?")
        })
    }

    async fn once(&self, endpoint: &Url, call: &Call) -> Result<Response, CallError> {
        let base = endpoint.as_str().trim_end_matches('/');
        let mut request = self.http.request(call.method.clone(), format!("{base}{}", call.path));
        if !call.stream {
            request = request.timeout(self.timeout);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some((kind, body)) = &call.body {
            request = request.header("content-type", *kind).body(body.clone());
        }
        let sent = tokio::time::timeout(self.timeout, request.send()).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(transport(endpoint, &error, call)),
            Err(_) => return Err(timed_out(endpoint, call)),
        };
        if response.status().is_success() { Ok(response) } else { Err(refusal(response, call).await) }
    }
}

fn parse_endpoint(text: &str) -> Result<Url, CliError> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    match Url::parse(&full) {
        Ok(url) if url.scheme() == "http" && url.has_host() => Ok(url),
        Ok(url) if url.scheme() == "https" => {
            Err(CliError::new(Exit::Usage, format!("{text}: TLS is not in this version"))
                .fix("use http:// on a trusted network, or through a tunnel"))
        }
        Ok(_) | Err(_) => Err(CliError::new(Exit::Usage, format!("{text} is no endpoint"))
            .fix("an endpoint is http://HOST:PORT")),
    }
}

/// A call that brought no answer.
fn transport(endpoint: &Url, error: &reqwest::Error, call: &Call) -> CallError {
    if error.is_timeout() && !error.is_connect() {
        return timed_out(endpoint, call);
    }
    let unsent = error.is_connect() || error.is_builder();
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let what = format!("no answer from {}: {cause}", endpoint.origin().ascii_serialization());
    let failed = CliError::new(Exit::Unreachable, what);
    CallError {
        error: if unsent {
            failed.fix("is the node running there? `metad serve` starts one, -e URL names another")
        } else {
            in_doubt(failed, call)
        },
        retryable: unsent || call.doubt() == Doubt::Harmless,
    }
}

fn timed_out(endpoint: &Url, call: &Call) -> CallError {
    let what = format!("no answer in time from {}", endpoint.origin().ascii_serialization());
    let error = in_doubt(CliError::new(Exit::Timeout, what), call);
    CallError { error, retryable: call.doubt() == Doubt::Harmless }
}

fn in_doubt(error: CliError, call: &Call) -> CliError {
    match call.doubt() {
        Doubt::Harmless => error.fix("a longer --timeout may help"),
        Doubt::Matters => {
            error.fix("whether the write was applied is unknown: read it back before trying again")
        }
    }
}

/// An answer that says no.
async fn refusal(response: Response, call: &Call) -> CallError {
    let status = response.status();
    let path = response.url().path().to_owned();
    let bytes = response.bytes().await.unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let plain = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).trim().to_owned();
    let message =
        [&body["message"], &body["error"]].into_iter().find_map(Value::as_str).map_or(plain, str::to_owned);
    let what = if message.is_empty() {
        format!("{path}: {status}")
    } else {
        format!("{path}: {message} ({status})")
    };
    let applied = body["applied"].as_str();
    let error = CliError::new(exit_of(status), what);
    let error = match applied {
        Some("unknown") => {
            error.fix("whether the write was applied is unknown: read it back before trying again")
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => {
            error.fix("the cluster may be electing a leader; try again")
        }
        _ => error,
    };
    let busy = status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS;
    let safe = call.doubt() == Doubt::Harmless || applied == Some("no");
    let retryable = safe && body["retryable"].as_bool().unwrap_or(busy);
    CallError { error, retryable }
}

fn exit_of(status: StatusCode) -> Exit {
    match status.as_u16() {
        404 | 410 => Exit::NotFound,
        409 | 412 => Exit::Conflict,
        429 | 502 | 503 => Exit::Unreachable,
        408 | 504 => Exit::Timeout,
        401 | 403 => Exit::Auth,
        421 | 426 => Exit::Identity,
        _ => Exit::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_by_segment() {
        assert_eq!(property_path("midhash256:a/b", "titles/ä?"), "/meta/midhash256%3Aa%2Fb/titles/%C3%A4%3F");
    }

    #[test]
    fn endpoints_are_urls_of_http() {
        let parse = |text: &str| Client::new(&[text.to_owned()], Duration::from_secs(1));
        assert!(parse("127.0.0.1:9000").is_ok() && parse("http://[::1]:1/base/").is_ok());
        for text in ["", "https://a", "ftp://a", "http://"] {
            assert_eq!(parse(text).unwrap_err().code(), Exit::Usage as u8, "{text}");
        }
    }
}
