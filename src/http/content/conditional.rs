//! Conditional requests for a file, in the order of the RFC.
//!
//! Not here: writes (`guard`). Must always hold: a failed condition comes before a range; an unreadable date is no
//! condition.
//!
//! Source: RFC 9110 §13.1 (each header), §13.2.2 (the order).

use std::time::SystemTime;

use axum::http::HeaderMap;
use axum::http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
};

use crate::http::tags::{Tag, Tags};

/// What the conditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 412.
    Failed,
    /// 304.
    NotModified,
    /// Answer; with the range only if `If-Range` does not forbid it.
    Proceed {
        /// Whether a `Range` header counts.
        use_range: bool,
    },
}

/// Evaluates all conditional headers of a GET or HEAD. `etag` is strong and has its quotes; `modified` has whole seconds.
pub(super) fn evaluate(headers: &HeaderMap, etag: &str, modified: Option<SystemTime>) -> Verdict {
    let opaque = etag.trim_matches('"');
    match Tags::of(headers, &IF_MATCH) {
        Some(tags) if !tags.match_strongly(opaque) => return Verdict::Failed,
        Some(_) => {}
        None => {
            let limit = date(headers, &IF_UNMODIFIED_SINCE);
            if limit.zip(modified).is_some_and(|(limit, modified)| modified > limit) {
                return Verdict::Failed;
            }
        }
    }
    match Tags::of(headers, &IF_NONE_MATCH) {
        Some(tags) if tags.match_weakly(opaque) => return Verdict::NotModified,
        Some(_) => {}
        None => {
            let known = date(headers, &IF_MODIFIED_SINCE);
            if known.zip(modified).is_some_and(|(known, modified)| modified <= known) {
                return Verdict::NotModified;
            }
        }
    }
    Verdict::Proceed { use_range: if_range_holds(headers, opaque, modified) }
}

/// Whether `If-Range` lets a range through: no such header, the same strong tag, or exactly the same date.
fn if_range_holds(headers: &HeaderMap, opaque: &str, modified: Option<SystemTime>) -> bool {
    let Some(value) = headers.get(IF_RANGE) else { return true };
    let text = value.to_str().unwrap_or("");
    match Tag::parse(text) {
        Some(tag) => tag.equals_strongly(opaque),
        None => date(headers, &IF_RANGE).is_some_and(|date| Some(date) == modified),
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    const OLD: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEW: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn verdict(headers: &[(HeaderName, &str)]) -> Verdict {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        evaluate(&headers, "\"tag\"", Some(UNIX_EPOCH + Duration::from_secs(784_111_777)))
    }

    #[test]
    fn each_header_alone() {
        let whole = Verdict::Proceed { use_range: false };
        let proceed = Verdict::Proceed { use_range: true };
        for (name, value, expected) in [
            (IF_MATCH, "\"tag\"", proceed),
            (IF_MATCH, "\"other\", \"tag\"", proceed),
            (IF_MATCH, "*", proceed),
            (IF_MATCH, "W/\"tag\"", Verdict::Failed),
            (IF_MATCH, "\"other\"", Verdict::Failed),
            (IF_NONE_MATCH, "W/\"tag\"", Verdict::NotModified),
            (IF_NONE_MATCH, "*", Verdict::NotModified),
            (IF_NONE_MATCH, "\"other\"", proceed),
            (IF_UNMODIFIED_SINCE, OLD, Verdict::Failed),
            (IF_UNMODIFIED_SINCE, SAME, proceed),
            (IF_UNMODIFIED_SINCE, "rubbish", proceed),
            (IF_MODIFIED_SINCE, OLD, proceed),
            (IF_MODIFIED_SINCE, SAME, Verdict::NotModified),
            (IF_MODIFIED_SINCE, NEW, Verdict::NotModified),
            (IF_MODIFIED_SINCE, "rubbish", proceed),
            (IF_RANGE, "\"tag\"", proceed),
            (IF_RANGE, "W/\"tag\"", whole),
            (IF_RANGE, "\"other\"", whole),
            (IF_RANGE, SAME, proceed),
            (IF_RANGE, NEW, whole),
            (IF_RANGE, "rubbish", whole),
        ] {
            assert_eq!(verdict(&[(name.clone(), value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn tags_win_over_dates_and_matching_comes_before_not_matching() {
        let proceed = Verdict::Proceed { use_range: true };
        assert_eq!(verdict(&[(IF_MATCH, "\"tag\""), (IF_UNMODIFIED_SINCE, OLD)]), proceed);
        assert_eq!(verdict(&[(IF_NONE_MATCH, "\"other\""), (IF_MODIFIED_SINCE, NEW)]), proceed);
        assert_eq!(verdict(&[(IF_MATCH, "\"other\""), (IF_NONE_MATCH, "\"tag\"")]), Verdict::Failed);
        assert_eq!(verdict(&[(IF_NONE_MATCH, "\"tag\""), (IF_RANGE, "\"other\"")]), Verdict::NotModified);
    }
}
