//! `/openapi.json`, generated from the table of routes.
//!
//! Not here: the table (`routes`). Must always hold: every route is in it, and nothing else.
//!
//! Source: OpenAPI 3.1.0, <https://spec.openapis.org/oas/v3.1.0>.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::reply;
use super::routes::{Group, RouteDoc, documented};
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;

pub(super) fn routes() -> Group {
    Group::new("operations").get("/openapi.json", "This description.", serve)
}

async fn serve() -> Response {
    reply::ok(&document())
}

/// The OpenAPI description of all routes.
pub fn document() -> Value {
    let mut paths = Map::new();
    for doc in documented() {
        let path = doc.path.replace("{*", "{");
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[doc.method.to_lowercase()] = operation(&doc);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "metad",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Metadata of media files, and the folders computed from it.",
        },
        "paths": paths,
        "components": {"schemas": {"Error": error_schema()}},
    })
}

fn operation(doc: &RouteDoc) -> Value {
    let names = doc.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameters: Vec<Value> = names
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        })
        .collect();
    let key = (doc.method != "GET" && doc.group != "cluster").then(idempotency_key);
    let parameters: Vec<Value> = parameters.into_iter().chain(key).collect();
    json!({
        "tags": [doc.group],
        "summary": doc.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done."},
            "default": {
                "description": "A refusal.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    })
}

fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Of a write: the same request with the same key again is not applied again; it gets the first \
            answer, with Idempotency-Replayed: true. Another request with the key is refused with 422.",
        "schema": {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX},
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error", "message", "code", "applied", "retryable"],
        "properties": {
            "error": {"type": "string"},
            "message": {"type": "string"},
            "code": {"type": "string"},
            "applied": {"type": "string", "enum": ["no", "yes", "unknown"]},
            "retryable": {"type": "boolean"},
        },
    })
}
