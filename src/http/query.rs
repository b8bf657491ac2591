//! Query strings, percent-encoding, and the extractors that handlers name in their signatures.
//!
//! Not here: bodies. Must always hold: text from a URL is decoded once, strictly, and as UTF-8; ids and names are
//! checked before anything else sees them.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::Uri;
use axum::http::request::Parts;
use bytes::Bytes;

use super::error::ApiError;
use super::handles::App;
use crate::limits::{ID_BYTES_MAX, PROPERTY_BYTES_MAX};
use crate::meta::service::{Consistency, ReadOptions};

/// Decodes percent-encoding. A `%` without two hexadecimal digits and bytes that are not UTF-8 are refused.
pub(super) fn percent_decode(text: &str) -> Result<String, ApiError> {
    let refusal = |what: &str| ApiError::bad("bad_encoding", format!("the URL holds {what}: {text:.80?}"));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) => out.push((high * 16 + low) as u8),
            _ => return Err(refusal("a malformed percent-encoding")),
        }
    }
    String::from_utf8(out).map_err(|_| refusal("bytes that are not UTF-8"))
}

/// The parameters after the `?`, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the query of a URL.
    pub fn of(uri: &Uri) -> Result<Self, ApiError> {
        let word = |text: &str| percent_decode(&text.replace('+', " "));
        let pairs = uri.query().unwrap_or_default().split('&').filter(|p| !p.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((word(name)?, word(value)?))
        });
        Ok(Self(pairs.collect::<Result<_, ApiError>>()?))
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A whole number, or `default` when it is not given.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse().map_err(|_| {
            ApiError::bad("bad_parameter", format!("{name} must be a whole number, not {text:.40?}"))
        })
    }

    fn consistency(&self) -> Result<Consistency, ApiError> {
        match self.get("consistency") {
            None | Some("linearizable") => Ok(Consistency::Linearizable),
            Some("session") => Ok(Consistency::Session),
            Some("stale") => Ok(Consistency::Stale),
            Some(word) => Err(ApiError::bad(
                "unknown_consistency",
                format!("consistency must be linearizable, session or stale, not {word:.40?}"),
            )),
        }
    }
}

impl FromRequestParts<App> for Query {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Self::of(&parts.uri)
    }
}

/// How fresh the answer must be: `?consistency=` and `?min_index=`.
pub(super) struct Freshness(pub ReadOptions);

impl FromRequestParts<App> for Freshness {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, handles: &App) -> Result<Self, ApiError> {
        let query = Query::of(&parts.uri)?;
        let (consistency, min_index) = (query.consistency()?, query.number("min_index", 0)?);
        Ok(Self(ReadOptions { consistency, min_index, deadline: handles.deadline() }))
    }
}

/// Checks a hashId: not empty, not too long, no `/`, and not the name of the index.
pub(super) fn check_id(id: &str) -> Result<(), ApiError> {
    if id.is_empty() {
        return Err(ApiError::bad("empty_hash", "the hashId is empty"));
    }
    if id.len() > ID_BYTES_MAX {
        let text = format!("the hashId has {} bytes, more than {ID_BYTES_MAX}", id.len());
        return Err(ApiError::bad("hash_too_long", text));
    }
    if id.contains('/') || id == "__index__" {
        return Err(ApiError::bad("bad_hash", format!("{id:.80?} cannot be a hashId")));
    }
    Ok(())
}

/// Checks a property's name: not empty and not too long.
pub(super) fn check_property(name: &str) -> Result<(), ApiError> {
    if name.is_empty() {
        return Err(ApiError::bad("empty_property", "a property's name is empty"));
    }
    if name.len() > PROPERTY_BYTES_MAX {
        let text = format!("a property's name has {} bytes, more than {PROPERTY_BYTES_MAX}", name.len());
        return Err(ApiError::bad("property_too_long", text));
    }
    Ok(())
}

/// The hashId in the path (`{hash}`), checked.
pub(super) struct RecordId(pub String);

impl RecordId {
    /// Its bytes.
    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.0.as_bytes())
    }
}

impl FromRequestParts<App> for RecordId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, handles: &App) -> Result<Self, ApiError> {
        let id = path_parameter(parts, handles, "hash").await?;
        check_id(&id)?;
        Ok(Self(id))
    }
}

/// A parameter of the route's template, decoded.
pub(super) async fn path_parameter(parts: &mut Parts, app: &App, name: &str) -> Result<String, ApiError> {
    let parameters = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|e| ApiError::bad("bad_encoding", e.to_string()))?;
    let found = parameters.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_owned());
    Ok(found.unwrap_or_default())
}

/// The property in the path: everything after `/meta/{hash}/`, slashes included.
pub(super) struct PropertyName(pub String);

impl FromRequestParts<App> for PropertyName {
    type Rejection = ApiError;

    /// The name is taken from the URL itself, because `_add/` belongs to it for every method but POST.
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let rest = parts.uri.path().strip_prefix("/meta/").unwrap_or_default();
        let name = percent_decode(rest.split_once('/').unwrap_or_default().1)?;
        check_property(&name)?;
        Ok(Self(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_is_strict() {
        assert_eq!(percent_decode("a%2Fb%c3%A9+").unwrap(), "a/bé+");
        for bad in ["%", "%2", "%zz", "%C3", "a%+1b"] {
            assert!(percent_decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_takes_the_first_of_equal_names_and_plus_is_a_blank() {
        let query = Query::of(&"/?a=1+2&b&a=3&=x".parse().unwrap()).unwrap();
        assert_eq!((query.get("a"), query.get("b"), query.get("c")), (Some("1 2"), Some(""), None));
        assert!(query.number("a", 0).is_err());
        assert_eq!(query.number("c", 7).unwrap(), 7);
    }
}
