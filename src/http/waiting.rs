//! What a node answers before it can serve: that it lives, and what it waits for.
//!
//! Not here: the routes of a node that serves (`routes`). Must always hold: nothing is answered that is not true yet;
//! connections of this time end with their answer, so that nobody stays with the wrong routes.

use std::sync::Arc;

use axum::Router;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use parking_lot::RwLock;
use serde_json::json;

use super::error::ApiError;
use super::reply;

/// The routes that connections get: replaced once, when the node can serve.
#[derive(Clone)]
pub struct Routes(Arc<RwLock<Router>>);

impl Routes {
    /// The router of new connections from now on.
    pub fn replace(&self, router: Router) {
        *self.0.write() = router;
    }

    /// The router of a new connection.
    pub(super) fn current(&self) -> Router {
        self.0.read().clone()
    }
}

impl From<Router> for Routes {
    fn from(router: Router) -> Self {
        Self(Arc::new(RwLock::new(router)))
    }
}

/// What is said of the reason, read for each answer.
pub type Reason = Arc<dyn Fn() -> String + Send + Sync>;

/// The routes of a node that does not serve yet.
pub fn waiting(reason: Reason) -> Router {
    let (ready, other) = (Arc::clone(&reason), reason);
    Router::new()
        .route("/livez", get(|| async { last(reply::ok(&json!({"status": "ok"}))) }))
        .route("/readyz", get(move || std::future::ready(last(not_ready(&ready())))))
        .fallback(any(move || std::future::ready(last(refused(other())))))
}

fn not_ready(why: &str) -> Response {
    let check = json!({"name": "cluster", "ok": false, "message": why});
    reply::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "not ready", "checks": [check]}))
}

fn refused(why: String) -> Response {
    ApiError::unavailable("starting", why).into_response()
}

fn last(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
