//! `/v1/rules` and `/v1/vfs/explain`: the naming rules, and why a file is where it is.
//!
//! Not here: the language (`vfs::rule`), the old JSON routes (`fuse_rules`). Must always hold: only rules that parse are
//! ever proposed, with the properties that can move a file under them.
//!
//! Source: contract "Client commands"; design D12, D17.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::body::Whole;
use super::error::ApiError;
use super::guard;
use super::handles::{App, Door};
use super::once::Once;
use super::query::RecordId;
use super::reply::{self, At};
use super::routes::Group;
use super::story;
use crate::codec::Blob;
use crate::vfs::RuleSet;
use crate::vfs::explain::explain as explain_file;
use crate::vfs::rule::RuleError;

pub(super) fn routes() -> Group {
    Group::new("rules")
        .get("/v1/rules", "The naming rules in force, as TOML.", get)
        .put("/v1/rules", "Replaces the naming rules.", put)
        .post("/v1/rules/check", "Checks naming rules without using them.", check)
        .get("/v1/vfs/explain/{hash}", "Why a file is where it is.", explain)
}

/// The text of the rules in force: what was set, or the default preset.
async fn get(State(app): State<App>) -> Result<Response, ApiError> {
    let rules = app.service.rules()?;
    let text = rules.text.unwrap_or_else(|| RuleSet::default().to_string().into());
    let response = reply::raw(StatusCode::OK, HeaderValue::from_static("application/toml"), text);
    Ok(reply::tagged(rules.version, response))
}

/// A body as text.
fn text(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body)
        .map_err(|e| ApiError::bad("invalid_rules", format!("the rules are not UTF-8: {e}")))
}

/// Proposes rules that were parsed from `text`: where their entry is.
pub(super) async fn set(app: &Door, once: &Once, text: Blob, rules: &RuleSet) -> Result<At, ApiError> {
    let (_, at) = guard::write(app, once, rules.set_operation(text)).await?;
    Ok(at)
}

async fn put(State(app): State<App>, once: Once, Whole(body): Whole) -> Result<Response, ApiError> {
    let rules = RuleSet::parse(text(&body)?).map_err(|e| ApiError::bad("invalid_rules", e.to_string()))?;
    let at = set(&app, &once, body.into(), &rules).await?;
    Ok(reply::ok_at(at, &json!({"success": true, "warnings": messages(rules.warnings())})))
}

fn messages(errors: &[RuleError]) -> Vec<Value> {
    let message = |error: &RuleError| {
        json!({
            "message": error.to_string(),
            "path": error.path,
            "line": error.position.map(|p| p.line),
            "column": error.position.map(|p| p.column),
        })
    };
    errors.iter().map(message).collect()
}

async fn check(Whole(body): Whole) -> Result<Response, ApiError> {
    Ok(reply::ok(&match RuleSet::parse(text(&body)?) {
        Ok(rules) => json!({"valid": true, "errors": [], "warnings": messages(rules.warnings())}),
        Err(errors) => json!({"valid": false, "errors": messages(&errors.0), "warnings": []}),
    }))
}

async fn explain(State(app): State<App>, id: RecordId) -> Result<Response, ApiError> {
    let stored = app.service.stored(&id.bytes())?;
    let record = stored.ok_or_else(|| ApiError::not_found("metadata not found"))?;
    let (tree, rules, now_ms) = (app.tree.clone(), app.keeper.rules(), app.clock.now_ms());
    let key = id.bytes();
    let told = app.disk.run(move || Ok(explain_file(&tree, rules.as_ref(), &key, &record, now_ms))).await?;
    Ok(reply::ok(&story::told(&id.0, &told)))
}
