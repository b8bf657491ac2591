//! One line of JSON Lines, the format of import and export: `{"hashId":"…","metadata":{"title":"…"}}`.
//!
//! A value that is not UTF-8 stands as `{"$base64":"…"}`, so that an export carries every byte.
//!
//! Not here: files and sockets. Must always hold: what `encode` writes, `decode` reads back.

use data_encoding::BASE64;
use serde_json::{Map, Value};

/// A record on its way in or out: an id and properties with their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The record's id.
    pub hash_id: String,
    /// Names and values, in the order of the line.
    pub properties: Vec<(String, Vec<u8>)>,
}

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not JSON at all.
    #[error("not valid JSON: {0}")]
    Json(String),
    /// JSON of another shape.
    #[error("a line is {{\"hashId\":\"…\",\"metadata\":{{…}}}} with a hashId that is a non-empty string")]
    Shape,
    /// A value that is neither a string nor `{"$base64":"…"}`.
    #[error("the value of `{0}` is no string; write numbers and booleans as strings")]
    Value(String),
}

/// The member that marks a value as base64.
const BASE64_MARK: &str = "$base64";

impl Line {
    /// The line, without the newline.
    pub fn encode(&self) -> String {
        let metadata: Map<String, Value> =
            self.properties.iter().map(|(name, value)| (name.clone(), encode_value(value))).collect();
        let mut line = Map::new();
        line.insert("hashId".into(), Value::String(self.hash_id.clone()));
        line.insert("metadata".into(), Value::Object(metadata));
        Value::Object(line).to_string()
    }

    /// Reads a line.
    ///
    /// # Errors
    /// When the line is no record; the message says what is wrong with it.
    pub fn decode(text: &str) -> Result<Self, LineError> {
        let parsed: Value = serde_json::from_str(text).map_err(|e| LineError::Json(e.to_string()))?;
        let Value::Object(mut line) = parsed else { return Err(LineError::Shape) };
        let (Some(Value::String(hash_id)), Some(Value::Object(metadata))) =
            (line.remove("hashId"), line.remove("metadata"))
        else {
            return Err(LineError::Shape);
        };
        if hash_id.is_empty() {
            return Err(LineError::Shape);
        }
        let properties = metadata
            .into_iter()
            .map(|(name, value)| match decode_value(value) {
                Some(bytes) => Ok((name, bytes)),
                None => Err(LineError::Value(name)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { hash_id, properties })
    }
}

/// A value as JSON: a string, or `{"$base64":"…"}` when it is not UTF-8.
pub fn encode_value(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => Value::String(text.to_owned()),
        Err(_) => {
            let mut marked = Map::new();
            marked.insert(BASE64_MARK.into(), Value::String(BASE64.encode(value)));
            Value::Object(marked)
        }
    }
}

/// The bytes of a JSON value; `None` when it is neither a string nor a well-formed `{"$base64":"…"}`.
pub fn decode_value(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.into_bytes()),
        Value::Object(marked) if marked.len() == 1 => {
            BASE64.decode(marked.get(BASE64_MARK)?.as_str()?.as_bytes()).ok()
        }
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            hash_id in ".{1,20}",
            values in proptest::collection::btree_map(".{0,10}", proptest::collection::vec(any::<u8>(), 0..20), 0..8),
        ) {
            let line = Line { hash_id, properties: values.into_iter().collect() };
            prop_assert_eq!(Line::decode(&line.encode()), Ok(line));
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        let line = Line { hash_id: "a".into(), properties: vec![("p".into(), vec![0xff, 0])] };
        assert_eq!(line.encode(), r#"{"hashId":"a","metadata":{"p":{"$base64":"/wA="}}}"#);
    }

    #[test]
    fn lines_of_another_shape_are_refused_with_words() {
        for (text, expected) in [
            ("{", "not valid JSON"),
            ("[]", "a line is"),
            (r#"{"hashId":"","metadata":{}}"#, "non-empty"),
            (r#"{"hashId":"a"}"#, "a line is"),
            (r#"{"hashId":"a","metadata":{"year":2010}}"#, "`year` is no string"),
            (r#"{"hashId":"a","metadata":{"p":{"$base64":"?"}}}"#, "`p` is no string"),
        ] {
            let error = Line::decode(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
