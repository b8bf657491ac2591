//! Request bodies: read with a limit and a deadline, parsed whatever their Content-Type says.
//!
//! Not here: what the values mean. Must always hold: no body is buffered beyond its limit; JSON values of metadata are
//! strings, and everything else is refused, because numbers would come back in another spelling.
//!
//! Source: contract "HTTP additions"; research/upstream.md §2.1.

use std::borrow::Cow;
use std::fmt;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::error::ApiError;
use super::handles::{App, Handles};
use super::query::check_property;
use crate::codec::Blob;
use crate::limits::{HTTP_BODY_BYTES_MAX, HTTP_VALUE_BYTES_MAX, RECORD_PROPERTIES_MAX};

/// JSON around a property's value: `{"value":"…"}`, and the escapes that JSON may need for it.
const PROPERTY_BODY_BYTES_MAX: usize = HTTP_VALUE_BYTES_MAX * 6 + 64;

/// A whole body of at most [`HTTP_BODY_BYTES_MAX`].
pub(super) struct Whole(pub Bytes);

impl FromRequest<App> for Whole {
    type Rejection = ApiError;

    async fn from_request(request: Request, handles: &App) -> Result<Self, ApiError> {
        read(request.into_body(), HTTP_BODY_BYTES_MAX, handles).await.map(Self)
    }
}

/// The next piece of a body; the sender must not pause longer than the options allow.
pub(super) async fn next_piece(
    stream: &mut axum::body::BodyDataStream,
    handles: &Handles,
) -> Result<Option<Bytes>, ApiError> {
    let piece = tokio::time::timeout(handles.options.body_idle_timeout, stream.next()).await;
    match piece {
        Err(_) => {
            Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_timed_out", "the body stopped coming"))
        }
        Ok(None) => Ok(None),
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        Ok(Some(Err(e))) => Err(ApiError::bad("body_broken", format!("the body broke off: {e}"))),
    }
}

/// Reads a whole body.
pub(super) async fn read(body: Body, limit: usize, handles: &Handles) -> Result<Bytes, ApiError> {
    let refusal = || ApiError::too_large("body_too_large", format!("the body is larger than {limit} bytes"));
    let mut stream = body.into_data_stream();
    let mut whole = BytesMut::new();
    while let Some(piece) = next_piece(&mut stream, handles).await? {
        if whole.len() + piece.len() > limit {
            return Err(refusal());
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// A JSON body of a known shape.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| invalid(&e))
}

fn invalid(error: &serde_json::Error) -> ApiError {
    ApiError::bad("invalid_json", format!("invalid JSON body: {error}"))
}

/// A record's properties, borrowed from the body where no escape stands in them.
#[derive(Debug, Default)]
pub(super) struct Properties<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A string that borrows when it can; serde's own `Cow` does so only as a field.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Properties<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MapVisitor;
        impl<'de> Visitor<'de> for MapVisitor {
            type Value = Properties<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut out = Vec::with_capacity(16);
                while let Some((Text(name), Text(value))) = map.next_entry()? {
                    out.push((name, value));
                }
                Ok(Properties(out))
            }
        }
        deserializer.deserialize_map(MapVisitor)
    }
}

impl<'a> Properties<'a> {
    /// Reads an object of strings from a body.
    pub fn parse(body: &'a [u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body).map_err(|e| invalid(&e))
    }

    /// The properties as operations carry them, checked against the limits. Names and values share `body`'s memory.
    pub fn into_blobs(self, body: &Bytes) -> Result<Vec<(Blob, Blob)>, ApiError> {
        if self.0.len() > RECORD_PROPERTIES_MAX {
            let text = format!("{} properties are more than {RECORD_PROPERTIES_MAX}", self.0.len());
            return Err(ApiError::bad("too_many_properties", text));
        }
        let checked = self.0.into_iter().map(|(name, value)| {
            check_property(&name)?;
            check_value(&name, value.len())?;
            Ok((blob(body, name), blob(body, value)))
        });
        checked.collect()
    }
}

/// Text as bytes: a slice of `body` when it lies there, else bytes of its own.
fn blob(body: &Bytes, text: Cow<'_, str>) -> Blob {
    match text {
        Cow::Borrowed("") => Blob(Bytes::new()),
        Cow::Borrowed(part) => Blob(body.slice_ref(part.as_bytes())),
        Cow::Owned(own) => Blob(own.into()),
    }
}

/// Checks the size of a value.
pub(super) fn check_value(name: &str, bytes: usize) -> Result<(), ApiError> {
    if bytes <= HTTP_VALUE_BYTES_MAX {
        return Ok(());
    }
    let text = format!("the value of {name:?} has {bytes} bytes, more than {HTTP_VALUE_BYTES_MAX}");
    Err(ApiError::too_large("value_too_large", text))
}

/// A single value: `{"value":"…"}`, or the body itself when it is anything else.
pub(super) struct SingleValue(pub Bytes);

impl FromRequest<App> for SingleValue {
    type Rejection = ApiError;

    async fn from_request(request: Request, handles: &App) -> Result<Self, ApiError> {
        let body = read(request.into_body(), PROPERTY_BODY_BYTES_MAX, handles).await?;
        let value = unwrap_value(body)?;
        check_value("the property", value.len())?;
        Ok(Self(value))
    }
}

/// The `value` of an object that has one, else the body as it is: plugins send JSON texts as values, too.
fn unwrap_value(body: Bytes) -> Result<Bytes, ApiError> {
    #[derive(Deserialize)]
    struct Wrapped {
        value: Option<serde_json::Value>,
        #[serde(flatten)]
        _rest: std::collections::BTreeMap<String, IgnoredAny>,
    }
    let starts_object = body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    if !starts_object {
        return Ok(body);
    }
    match serde_json::from_slice::<Wrapped>(&body) {
        Ok(Wrapped { value: Some(serde_json::Value::String(text)), .. }) => Ok(text.into()),
        Ok(Wrapped { value: Some(other), .. }) => Err(ApiError::bad(
            "invalid_json",
            format!("invalid JSON body: value must be a string, not {other:.40}"),
        )),
        Ok(Wrapped { value: None, .. }) | Err(_) => Ok(body),
    }
}
