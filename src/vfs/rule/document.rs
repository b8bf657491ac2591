//! A rules file as a tree of values with their places, the same for TOML and JSON.
//!
//! Not here: what the values mean (`read`, `upstream`).
//! Must always hold: no text makes parsing panic; both parsers bound their recursion.

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::error::{Position, RuleError, RuleErrorKind};

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value.
    pub data: Data,
    /// Byte offset of its first byte in the text; JSON does not tell.
    pub at: Option<usize>,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Data {
    /// A string.
    Text(String),
    /// A number, whole or not.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// An array.
    List(Vec<Node>),
    /// Keys with their places, and values; in the order of the text.
    Table(Vec<(String, Option<usize>, Node)>),
    /// A value of a kind that rules do not use; its name.
    Other(&'static str),
}

impl Node {
    /// What the value is, for error messages.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::Text(_) => "a string",
            Data::Number(_) => "a number",
            Data::Bool(_) => "a boolean",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
            Data::Other(kind) => kind,
        }
    }
}

/// Parses TOML.
pub fn toml(text: &str) -> Result<Node, RuleError> {
    match DeTable::parse(text) {
        Ok(table) => {
            let at = Some(table.span().start);
            Ok(Node { data: table_of(table.into_inner()), at })
        }
        Err(error) => Err(RuleError {
            kind: RuleErrorKind::Syntax,
            path: String::new(),
            position: error.span().map(|span| Position::of(text, span.start)),
            message: error.message().to_owned(),
        }),
    }
}

fn table_of(table: DeTable<'_>) -> Data {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| {
            let at = key.span().start;
            (key.into_inner().into_owned(), Some(at), node_of(value.span().start, value.into_inner()))
        })
        .collect();
    entries.sort_by_key(|(_, at, _)| *at);
    Data::Table(entries)
}

fn node_of(at: usize, value: DeValue<'_>) -> Node {
    let data = match value {
        DeValue::String(text) => Data::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            // Rules compare with years, seasons and sizes: far below 2^53.
            Ok(number) => Data::Number(number as f64),
            Err(_) => Data::Other("a number out of range"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Data::Number(number),
            _ => Data::Other("a number without a value"),
        },
        DeValue::Boolean(value) => Data::Bool(value),
        DeValue::Datetime(_) => Data::Other("a date (write it as a string)"),
        DeValue::Array(items) => {
            Data::List(items.into_iter().map(|item| node_of(item.span().start, item.into_inner())).collect())
        }
        DeValue::Table(table) => table_of(table),
    };
    Node { data, at: Some(at) }
}

/// Parses JSON.
pub fn json(text: &str) -> Result<Json, RuleError> {
    serde_json::from_str(text).map_err(|error| RuleError {
        kind: RuleErrorKind::Syntax,
        path: String::new(),
        position: Some(Position { line: error.line(), column: error.column() }),
        message: error.to_string(),
    })
}

/// A JSON value as a node.
pub fn of_json(value: &Json) -> Node {
    let data = match value {
        Json::Null => Data::Other("null"),
        Json::Bool(value) => Data::Bool(*value),
        Json::Number(number) => number.as_f64().map_or(Data::Other("a number out of range"), Data::Number),
        Json::String(text) => Data::Text(text.clone()),
        Json::Array(items) => Data::List(items.iter().map(of_json).collect()),
        Json::Object(entries) => {
            Data::Table(entries.iter().map(|(key, value)| (key.clone(), None, of_json(value))).collect())
        }
    };
    Node { data, at: None }
}
