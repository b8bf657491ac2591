//! One line of JSON Lines, the format of import and export: `{"hashId":"…","metadata":{"title":"…"}}`.
//!
//! All values are strings. One that is not UTF-8 stands as base64 in a third object, `metadataBase64`, so that a line
//! carries every byte.
//!
//! Not here: reading lines (`http`, where they arrive). Must always hold: no value is lost or changed on the way.

use data_encoding::BASE64;
use serde_json::{Map, Value};

/// A record on its way to a node: an id and properties with their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The record's id.
    pub hash_id: String,
    /// Names and values, in the order of the line.
    pub properties: Vec<(String, Vec<u8>)>,
}

impl Line {
    /// The line, without the newline.
    pub fn encode(&self) -> String {
        let (mut metadata, mut base64) = (Map::new(), Map::new());
        for (name, value) in &self.properties {
            match std::str::from_utf8(value) {
                Ok(text) => metadata.insert(name.clone(), Value::String(text.to_owned())),
                Err(_) => base64.insert(name.clone(), Value::String(BASE64.encode(value))),
            };
        }
        let mut line = Map::new();
        line.insert("hashId".into(), Value::String(self.hash_id.clone()));
        line.insert("metadata".into(), Value::Object(metadata));
        if !base64.is_empty() {
            line.insert("metadataBase64".into(), Value::Object(base64));
        }
        Value::Object(line).to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_value_is_lost_or_changed(
            hash_id in ".{1,20}",
            values in proptest::collection::btree_map(".{0,10}", proptest::collection::vec(any::<u8>(), 0..20), 0..8),
        ) {
            let line = Line { hash_id: hash_id.clone(), properties: values.clone().into_iter().collect() };
            let text = line.encode();
            prop_assert!(!text.contains('\n'), "one record, one line");
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read["hashId"].as_str(), Some(hash_id.as_str()));
            let mut found = BTreeMap::new();
            for (name, value) in read["metadata"].as_object().unwrap() {
                found.insert(name.clone(), value.as_str().unwrap().as_bytes().to_vec());
            }
            for (name, value) in read["metadataBase64"].as_object().into_iter().flatten() {
                found.insert(name.clone(), BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap());
            }
            prop_assert_eq!(found, values);
        }
    }

    #[test]
    fn bytes_that_are_no_text_stand_apart() {
        let line = Line {
            hash_id: "a".into(),
            properties: vec![("p".into(), vec![0xff, 0]), ("t".into(), b"x".to_vec())],
        };
        assert_eq!(line.encode(), r#"{"hashId":"a","metadata":{"t":"x"},"metadataBase64":{"p":"/wA="}}"#);
    }
}
