//! The rule set as the builder's placer.
//!
//! Not here: what rules say (`rule`), what a wish becomes (`tree`).
//! Must always hold: rules see a property only while it is live at the log's time, so every node expires it alike.

use super::builder::{Placer, Wish};
use super::field::Fields;
use super::properties::PropertySet;
use super::rule::{Explanation, RuleSet};
use crate::meta::record::{Record, Value};

/// A record at a moment of the log's time.
#[derive(Clone, Copy, Debug)]
pub struct LiveFields<'r> {
    /// The record.
    pub record: &'r Record,
    /// The log's time in milliseconds.
    pub now_ms: u64,
}

impl Fields for LiveFields<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        super::attr::live_text(self.record, name, self.now_ms)
    }

    fn below<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(&'a str, &'a str)) {
        let properties = &self.record.properties;
        let from = properties.partition_point(|p| p.name.as_ref() < prefix.as_bytes());
        for property in properties[from..].iter().take_while(|p| p.name.starts_with(prefix.as_bytes())) {
            let Value::Inline(bytes) = &property.value else { continue };
            if let (Ok(name), Ok(text)) = (std::str::from_utf8(&property.name), std::str::from_utf8(bytes))
                && !text.is_empty()
                && property.is_live(self.now_ms)
            {
                visit(name, text);
            }
        }
    }
}

impl Placer for RuleSet {
    fn place(&self, record: &Record, now_ms: u64) -> Vec<Wish> {
        let placements = RuleSet::place(self, &LiveFields { record, now_ms }).into_iter();
        placements
            .map(|p| Wish { suffix_len: p.path.len() - p.suffix_at, path: p.path, labels: p.labels })
            .collect()
    }

    fn properties(&self) -> PropertySet {
        self.relevant_properties()
    }

    fn explain(&self, record: &Record, now_ms: u64) -> Explanation {
        RuleSet::explain(self, &LiveFields { record, now_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::{EventId, Property};
    use bytes::Bytes;

    #[test]
    fn an_expired_property_is_out_of_sight_for_rules() {
        let mut record = Record::default();
        for (name, expire_ms) in [("titles/eng", 100), ("titles/jpn", 0)] {
            let (name, value) =
                (Bytes::from_static(name.as_bytes()), Value::Inline(Bytes::from_static(b"x")));
            record.put(Property { name, event: EventId::default(), mod_index: 1, expire_ms, value });
        }
        let seen = |now_ms| {
            let (fields, mut names) = (LiveFields { record: &record, now_ms }, Vec::new());
            fields.below("titles/", &mut |name, _| names.push(name.to_owned()));
            (names, fields.get("titles/eng").is_some())
        };
        assert_eq!(seen(99), (vec!["titles/eng".to_owned(), "titles/jpn".to_owned()], true));
        assert_eq!(seen(100), (vec!["titles/jpn".to_owned()], false));
    }
}
