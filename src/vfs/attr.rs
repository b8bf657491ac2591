//! What the tree reads out of a record by itself: existence, source path, size and times.
//!
//! Not here: names and folders (the rules), corrections by what an open found (`tree_fs`).
//! Must always hold: a pure function of the record and the log's time; no value of a property can make it fail.

use crate::meta::record::{Record, Value};

/// Numbers above this are milliseconds, below it seconds: 10^11 s is the year 5138, 10^11 ms is 1973.
const SECONDS_MAX: f64 = 1e11;

/// What the tree keeps of a record beside its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Inode number of the file.
    pub inode: u64,
    /// Naming order.
    pub order: u64,
    /// Log time at which the order was given, in whole seconds since the epoch, at most 2106.
    pub order_s: u32,
    /// Size in bytes as the metadata says; 0 when it says nothing.
    pub size: u64,
    /// Modification time in whole seconds since the epoch, at most 2106.
    pub mtime_s: u32,
}

impl Facts {
    /// Reads them out of a record as it is at the log's time `now_ms`.
    pub fn of(record: &Record, now_ms: u64) -> Self {
        let header = &record.header;
        let order_s = whole_seconds(header.order_ms);
        let size = ["fileSize", "size", "sizeByte"]
            .iter()
            .find_map(|name| live_text(record, name, now_ms)?.trim().parse().ok());
        let mtime_s = live_text(record, "mtime", now_ms).and_then(parse_time).unwrap_or(order_s);
        Self { inode: header.inode, order: header.order, order_s, size: size.unwrap_or(0), mtime_s }
    }
}

/// The bytes of a property that is there for readers at `now_ms` and not empty.
pub fn live<'r>(record: &'r Record, name: &str, now_ms: u64) -> Option<&'r [u8]> {
    let property = record.property(name.as_bytes()).filter(|p| p.is_live(now_ms))?;
    match &property.value {
        Value::Inline(bytes) if !bytes.is_empty() => Some(bytes),
        Value::Inline(_) | Value::Chunked { .. } | Value::Deleted => None,
    }
}

/// The same as text; `None` when it is not UTF-8.
pub fn live_text<'r>(record: &'r Record, name: &str, now_ms: u64) -> Option<&'r str> {
    std::str::from_utf8(live(record, name, now_ms)?).ok()
}

/// The `filePath` of a record that exists as a file at `now_ms`. Any bytes: what cannot be a path fails at open.
pub fn source_path(record: &Record, now_ms: u64) -> Option<&[u8]> {
    if record.is_deleted() { None } else { live(record, "filePath", now_ms) }
}

/// Milliseconds as whole seconds; later than 2106 is 2106.
pub fn whole_seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}

/// Seconds or milliseconds since the epoch (with or without a fraction), or an ISO 8601 date or date-time; without an
/// offset it is UTC. Earlier than 1970 is 1970.
///
/// Source: research/upstream.md §3.2 ("mtime: date string or number").
fn parse_time(text: &str) -> Option<u32> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        let seconds = if number >= SECONDS_MAX { number / 1000.0 } else { number };
        // `as` saturates, which is what the doc comment promises.
        return number.is_finite().then_some(seconds as u32);
    }
    let at = text.parse::<jiff::Timestamp>().or_else(|_| {
        let civil: jiff::civil::DateTime = text.parse()?;
        Ok::<_, jiff::Error>(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp())
    });
    Some(at.ok()?.as_second().clamp(0, i64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::record::{Header, Property};
    use bytes::Bytes;

    fn record(properties: &[(&'static str, &'static str)]) -> Record {
        let header = Header { inode: 9, order: 4, order_ms: 1_700_000_000_999, ..Header::default() };
        let mut record = Record { header, ..Record::default() };
        for (name, value) in properties {
            record.put(Property {
                name: Bytes::from_static(name.as_bytes()),
                event: crate::meta::record::EventId::default(),
                mod_index: 1,
                expire_ms: 0,
                value: Value::Inline(Bytes::from_static(value.as_bytes())),
            });
        }
        record
    }

    #[test]
    fn size_is_the_first_of_three_properties_that_is_a_number() {
        let size = |properties: &[_]| Facts::of(&record(properties), 0).size;
        assert_eq!(size(&[("sizeByte", "3"), ("size", "2"), ("fileSize", "1")]), 1);
        assert_eq!(size(&[("sizeByte", "3"), ("size", "big")]), 3);
        assert_eq!(size(&[("size", "-1"), ("fileSize", "1.5")]), 0);
    }

    #[test]
    fn mtime_takes_seconds_milliseconds_and_iso_dates_and_is_never_now() {
        let mtime = |value| Facts::of(&record(&[("mtime", value)]), u64::MAX).mtime_s;
        for value in
            ["1705314600", "1705314600000", "1705314600123.5", "2024-01-15T10:30:00Z", "2024-01-15T10:30:00"]
        {
            assert_eq!(mtime(value), 1_705_314_600, "{value}");
        }
        assert_eq!(mtime("2024-01-15"), 1_705_276_800);
        assert_eq!((mtime("-5"), mtime("1950-01-01")), (0, 0));
        for value in ["yesterday", "NaN", "inf"] {
            assert_eq!(mtime(value), 1_700_000_000, "{value}: the log's time stands in, in whole seconds");
        }
    }

    #[test]
    fn a_file_exists_while_its_path_is_live_and_not_empty() {
        assert_eq!(source_path(&record(&[("filePath", "a/b")]), 0), Some(&b"a/b"[..]));
        assert_eq!(source_path(&record(&[("filePath", "")]), 0), None);
        assert_eq!(source_path(&record(&[("title", "x")]), 0), None);
        let mut expiring = record(&[("filePath", "a")]);
        expiring.properties[0].expire_ms = 100;
        assert_eq!(
            (source_path(&expiring, 99), source_path(&expiring, 100)),
            (Some(&b"a"[..]), None),
            "the caller's log time decides"
        );
        let mut deleted = record(&[("filePath", "a")]);
        deleted.header.flags = Header::DELETED;
        assert_eq!(source_path(&deleted, 0), None);
    }
}
