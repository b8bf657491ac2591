//! `/api/fuse/rules`: the naming rules in the old service's JSON.
//!
//! Not here: the conversion (`vfs::upstream`), TOML (`rules`). Must always hold: what was put comes back as it was; a
//! preview changes nothing.
//!
//! Source: research/upstream.md §3.1, §3.3.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{self, Whole};
use super::error::{ApiError, FuseError};
use super::handles::{App, Door};
use super::once::Once;
use super::reply::{self, lossy};
use super::routes::Group;
use super::rules;
use crate::limits::{LIST_RECORDS_MAX, RULE_PREVIEWS_DEFAULT};
use crate::meta::service::ServiceError;
use crate::vfs::builder::Placer;
use crate::vfs::{RuleErrors, RuleSet};

type Answer = Result<Response, FuseError>;

pub(super) fn routes() -> Group {
    Group::new("filesystem")
        .get("/api/fuse/rules", "The naming rules as the old service's JSON.", get)
        .put("/api/fuse/rules", "Replaces the naming rules.", put)
        .post("/api/fuse/rules/preview", "Where files would go under other rules.", preview)
        .post("/api/fuse/rules/validate", "Checks one rule.", validate)
        .get("/api/fuse/rules/variables", "Fields that rules can name.", variables)
}

async fn get(State(app): State<App>) -> Answer {
    let stored = app.service.rules()?;
    let rules = app.keeper.rules();
    Ok(reply::ok(&json!({"config": rules.to_renaming_config(), "lastModified": stored.version})))
}

fn reasons(errors: &RuleErrors) -> Vec<String> {
    errors.0.iter().map(ToString::to_string).collect()
}

async fn put(State(app): State<App>, once: Result<Once, ApiError>, Whole(body): Whole) -> Answer {
    let once = once?;
    #[derive(Deserialize)]
    struct ConfigBody {
        config: Value,
    }
    let ConfigBody { config } = body::parse(&body)?;
    let text = config.to_string();
    match RuleSet::parse(&text) {
        Err(errors) => {
            let body = json!({"success": false, "errors": reasons(&errors)});
            Ok(reply::json(StatusCode::BAD_REQUEST, &body))
        }
        Ok(parsed) => {
            let at = rules::set(&app, &once, text.into(), &parsed).await?;
            Ok(reply::ok_at(at, &json!({"success": true, "refreshed": true})))
        }
    }
}

#[derive(Deserialize)]
struct PreviewBody {
    rules: Option<Value>,
    limit: Option<usize>,
}

async fn preview(State(app): State<App>, Whole(body): Whole) -> Answer {
    let asked: PreviewBody =
        if body.is_empty() { PreviewBody { rules: None, limit: None } } else { body::parse(&body)? };
    let rules = match asked.rules {
        None => app.keeper.rules(),
        Some(json) => match RuleSet::parse(&config_of(json).to_string()) {
            Ok(rules) => Arc::new(rules),
            Err(errors) => {
                let text = reasons(&errors).join("\n");
                return Ok(FuseError(ApiError::bad("invalid_rules", text)).into_response());
            }
        },
    };
    let limit = asked.limit.unwrap_or(RULE_PREVIEWS_DEFAULT).min(LIST_RECORDS_MAX);
    let search = {
        let app = Arc::clone(&app);
        move || previews(&app, &rules, limit)
    };
    let found = tokio::task::spawn_blocking(search).await.unwrap_or(Err(ServiceError::Busy))?;
    let total = app.tree.stats().file_count;
    let limited = (found.len() as u64) < total;
    Ok(reply::ok(&json!({"previews": found, "total": total, "limited": limited})))
}

/// The editor sends a whole configuration, or only its list of rules.
fn config_of(json: Value) -> Value {
    if json.is_array() { json!({"version": 1, "rules": json}) } else { json }
}

/// Where the first `limit` files of the tree are and would be.
fn previews(app: &Door, rules: &RuleSet, limit: usize) -> Result<Vec<Value>, ServiceError> {
    let now_ms = app.clock.now_ms();
    let mut out = Vec::new();
    for path in app.tree.files().into_iter().take(limit) {
        let Ok(attr) = crate::vfs::Filesystem::resolve(app.tree.as_ref(), &path) else { continue };
        let Some(id) = app.tree.read().id_of(attr.inode).map(<[u8]>::to_vec) else { continue };
        let Some(record) = app.service.stored(&id)? else { continue };
        let view = Placer::explain(rules, &record, now_ms).views.into_iter().next();
        let (new_path, rule) = view.map_or((None, None), |view| (view.path, view.rule));
        let source = crate::vfs::attr::source_path(&record, now_ms).map(lossy);
        out.push(json!({
            "sourcePath": source,
            "currentVirtualPath": path,
            "newVirtualPath": new_path.map(|path| format!("/{path}")),
            "matchedRule": rule,
        }));
    }
    Ok(out)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValidateBody {
    rule: Value,
    sample_metadata: Option<BTreeMap<String, Value>>,
}

async fn validate(Whole(body): Whole) -> Answer {
    let asked: ValidateBody = body::parse(&body)?;
    let config = json!({"version": 1, "rules": [asked.rule]});
    let answer = match RuleSet::parse(&config.to_string()) {
        Err(errors) => json!({"valid": false, "errors": reasons(&errors), "warnings": []}),
        Ok(rules) => {
            let warnings: Vec<String> = rules.warnings().iter().map(ToString::to_string).collect();
            let mut answer = json!({"valid": true, "errors": [], "warnings": warnings});
            if let Some(sample) = asked.sample_metadata {
                answer["sampleOutput"] = json!(sample_path(&rules, sample));
            }
            answer
        }
    };
    Ok(reply::ok(&answer))
}

/// Where a sample would go; what is not a string is taken as its JSON text, as the editor shows it.
fn sample_path(rules: &RuleSet, sample: BTreeMap<String, Value>) -> Option<String> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let fields: BTreeMap<String, String> = sample.into_iter().map(|(n, v)| (n, text(v))).collect();
    rules.place(&fields).into_iter().next().map(|placement| format!("/{}", placement.path))
}

/// Fields that the rules editor offers: name, type, meaning, example.
const VARIABLES: [[&str; 4]; 13] = [
    ["title", "string", "Title of the film or series", "Inception"],
    ["originalTitle", "string", "Title in the original language", "Inception"],
    ["year", "number", "Year of release", "2010"],
    ["season", "number", "Number of the season", "1"],
    ["episode", "number", "Number of the episode", "5"],
    ["extra", "boolean", "Whether the file is a trailer, interview or the like", "true"],
    ["anime", "boolean", "Whether it is an anime", "true"],
    ["version", "string", "Edition or version", "Director's Cut"],
    ["subtitleLanguage", "string", "Language of a subtitle", "eng"],
    ["fileName", "string", "Name of the source file", "Inception.2010.mkv"],
    ["extension", "string", "Extension without the dot", "mkv"],
    ["fileType", "string", "video, subtitle, audio, image, torrent and the like", "video"],
    ["titles/eng", "string", "English title", "Inception"],
];

async fn variables() -> Response {
    let variable = |[name, kind, description, example]: &[&str; 4]| json!({"name": name, "path": name, "type": kind, "description": description, "example": example});
    reply::ok(&json!({"variables": VARIABLES.iter().map(variable).collect::<Vec<_>>()}))
}
