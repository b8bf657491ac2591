//! The naming rules as state: their text, and which properties can move a file.
//!
//! Not here: their language and their evaluation (`vfs`). Must always hold: apply knows the naming properties without
//! evaluating a rule.

use bincode::{BorrowDecode, Encode};
use bytes::Bytes;

use crate::codec::{self, Blob, CodecError};

/// Version byte in front of the stored rules.
const VERSION: u8 = 1;

/// The rules in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, BorrowDecode)]
#[bincode(decode_context = "Bytes")]
pub struct StoredRules {
    /// Their text.
    pub text: Blob,
    /// Index of the log entry that set them.
    pub version: u64,
    /// Properties that can change a path, sorted.
    pub naming: Vec<Blob>,
}

impl StoredRules {
    /// The stored form.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        codec::encode_into(self, &mut out);
        Bytes::from(out)
    }

    /// Reads the stored form.
    pub fn decode(stored: &Bytes) -> Result<Self, CodecError> {
        match stored.first() {
            None => Err(CodecError::Truncated(0)),
            Some(&VERSION) => codec::decode_shared(&stored.slice(1..)),
            Some(&found) => Err(CodecError::Newer { found, supported: VERSION }),
        }
    }

    /// Whether a change of `property` can move the file: it is a naming property, or nested in one, or the other way
    /// round (`titles` and `titles/eng`, as the old system matched them).
    pub fn is_naming(&self, property: &[u8]) -> bool {
        let within = |inner: &[u8], outer: &[u8]| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        self.naming.iter().any(|name| within(property, name) || within(name, property))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_property_names_with_its_parent_and_the_other_way_round() {
        let rules =
            StoredRules { naming: vec![Blob::from("titles/eng"), Blob::from("year")], ..Default::default() };
        for (property, expected) in
            [("titles/eng", true), ("titles", true), ("titles/jpn", false), ("year", true), ("years", false)]
        {
            assert_eq!(rules.is_naming(property.as_bytes()), expected, "{property}");
        }
    }
}
