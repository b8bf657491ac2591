//! `metad config`: the settings that a node would run with.
//!
//! Not here: what settings there are (`config::settings`). Must always hold: a secret is never printed.

use serde_json::{Map, Value, json};

use super::args;
use super::error::{CliError, Exit};
use super::output::{Output, printable, table};
use crate::config::settings::{Kind, SETTINGS, Scope};
use crate::config::{Config, ConfigErrors, Sources};

/// Runs a command of `config`.
pub fn run(command: args::Config, out: &mut Output) -> Result<(), CliError> {
    match command {
        args::Config::Show { origin, flags } => show(&Sources::current(flags.0), origin, out),
        args::Config::Check { flags } => {
            Config::load(&Sources::current(flags.0)).map_err(refused)?;
            if out.json {
                return out.value(&json!({ "valid": true }));
            }
            out.note("the settings are sound");
            Ok(())
        }
    }
}

/// Settings that cannot be used are a usage error.
pub fn refused(errors: ConfigErrors) -> CliError {
    CliError::new(Exit::Usage, errors)
}

fn show(sources: &Sources, with_origin: bool, out: &mut Output) -> Result<(), CliError> {
    let (_, found) = Config::load_with_origins(sources).map_err(refused)?;
    let mut rows = Vec::new();
    let mut object = Map::new();
    for setting in SETTINGS.iter().filter(|s| s.scope == Scope::Serve) {
        let entry = &found[setting.key];
        let value = match (&entry.text, setting.kind) {
            (Some(_), Kind::Secret) => Some("(set)".to_owned()),
            (text, _) => text.clone(),
        };
        let origin = entry.origin.to_string();
        let mut row = vec![setting.key.to_owned(), printable(value.as_deref().unwrap_or("–"))];
        if with_origin {
            row.push(origin.clone());
            object.insert(setting.key.to_owned(), json!({ "value": value, "origin": origin }));
        } else {
            object.insert(setting.key.to_owned(), json!(value));
        }
        rows.push(row);
    }
    if out.json { out.value(&Value::Object(object)) } else { out.line(table(&rows)) }
}
