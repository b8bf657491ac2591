//! What a client's key means: a property, a record, the index, the events, or a key of the client's own.
//!
//! ```text
//! file:{id}/{property}            the property, canonical            /file/{id}/{property}       the same
//! file:{id}                       the record, for hash commands      file:{id}:{property}        the property, read only
//! file:__index__                  the index                          meta:events                 the events
//! meta-sort:…                     any of these                       anything else               a generic key
//! ```
//!
//! Not here: what commands do there (doors), the keys of the store (`layout`).
//! Must always hold: a key that may mean a file is never a generic key, whichever command names it: a value can not hide
//! beside a file; the answer depends on the bytes alone, never on what exists.
//!
//! Source: the clients' spellings over the years; design D11.

use bytes::Bytes;

use crate::limits;

/// Prefix of the canonical form.
const FILE: &[u8] = b"file:";
/// Prefix of the oldest form.
const SLASH_FILE: &[u8] = b"/file/";
/// Prefix that one generation of clients puts before every key.
const CLIENT_PREFIX: &[u8] = b"meta-sort:";
/// The set of all ids.
const INDEX: &[u8] = b"file:__index__";
/// The stream of all changes.
const EVENTS: &[u8] = b"meta:events";

/// Which commands name the key: `file:a:b` is a record for hash commands and a property for string commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// GET, SET, …
    Text,
    /// HGETALL, HSET, …
    Hash,
    /// TYPE, EXISTS, DEL, EXPIRE, and commands of every other type.
    Any,
}

/// What a key means. Parts share the memory of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A property of a record.
    Property {
        /// hashId of the file.
        id: Bytes,
        /// Name of the property.
        name: Bytes,
        /// Whether this spelling may write.
        writable: bool,
    },
    /// A whole record.
    Record {
        /// hashId of the file.
        id: Bytes,
    },
    /// A record if there is one with that id, else a property, read only: `file:a:b`.
    RecordOrProperty {
        /// The whole rest as a hashId.
        record: Bytes,
        /// hashId before the last colon.
        id: Bytes,
        /// Name of the property behind it.
        name: Bytes,
    },
    /// `file:__index__`.
    Index,
    /// `meta:events`.
    Events,
    /// A key of the client's own.
    Generic {
        /// The key as it was spelled.
        key: Bytes,
    },
}

/// Whether a key could mean a file: a cheap look before [`Place::of`], true for some keys that do not.
pub fn may_be_of_a_file(key: &[u8]) -> bool {
    // Every spelling begins with one of these letters.
    matches!(key.first(), Some(b'f' | b'/' | b'm'))
}

/// A key that no command can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The id, the property's name or the key is too long.
    #[error("the key's {part} is longer than {limit} bytes")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// Its limit in bytes.
        limit: usize,
    },
}

impl Place {
    /// What `key` means to commands of `family`.
    pub fn of(key: &Bytes, family: Family) -> Result<Self, KeyError> {
        let rest =
            if key.starts_with(CLIENT_PREFIX) { key.slice(CLIENT_PREFIX.len()..) } else { key.clone() };
        let place = match rest.as_ref() {
            INDEX => Self::Index,
            EVENTS => Self::Events,
            _ => file(&rest, family).unwrap_or_else(|| Self::Generic { key: key.clone() }),
        };
        place.check()?;
        Ok(place)
    }

    /// The canonical spelling.
    pub fn canonical(&self) -> Bytes {
        match self {
            Self::Property { id, name, .. } => Bytes::from([FILE, id, b"/", name].concat()),
            Self::Record { id } | Self::RecordOrProperty { record: id, .. } => {
                Bytes::from([FILE, id].concat())
            }
            Self::Index => Bytes::from_static(INDEX),
            Self::Events => Bytes::from_static(EVENTS),
            Self::Generic { key } => key.clone(),
        }
    }

    fn check(&self) -> Result<(), KeyError> {
        let check = |part, bytes: &Bytes, limit| match bytes.len() > limit {
            true => Err(KeyError::TooLong { part, limit }),
            false => Ok(()),
        };
        match self {
            Self::Property { id, name, .. } => {
                check("id", id, limits::ID_BYTES_MAX)?;
                check("property", name, limits::PROPERTY_BYTES_MAX)
            }
            Self::Record { id } => check("id", id, limits::ID_BYTES_MAX),
            Self::RecordOrProperty { record, name, .. } => {
                check("id", record, limits::ID_BYTES_MAX)?;
                check("property", name, limits::PROPERTY_BYTES_MAX)
            }
            Self::Index | Self::Events => Ok(()),
            Self::Generic { key } => check("name", key, limits::KEY_BYTES_MAX),
        }
    }
}

/// What a key under one of the files' prefixes means; `None` under no such prefix, or without an id.
fn file(key: &Bytes, family: Family) -> Option<Place> {
    if key.starts_with(SLASH_FILE) {
        let (id, name) = property(&key.slice(SLASH_FILE.len()..))?;
        return Some(Place::Property { id, name, writable: true });
    }
    let rest = key.starts_with(FILE).then(|| key.slice(FILE.len()..))?;
    if rest.contains(&b'/') {
        let (id, name) = property(&rest)?;
        return Some(Place::Property { id, name, writable: true });
    }
    if rest.is_empty() {
        return None;
    }
    let colon = rest.iter().rposition(|b| *b == b':').filter(|at| *at > 0 && at + 1 < rest.len());
    Some(match (colon, family) {
        (None, _) | (_, Family::Hash) => Place::Record { id: rest },
        (Some(at), Family::Text) => {
            Place::Property { id: rest.slice(..at), name: rest.slice(at + 1..), writable: false }
        }
        (Some(at), Family::Any) => {
            Place::RecordOrProperty { id: rest.slice(..at), name: rest.slice(at + 1..), record: rest }
        }
    })
}

/// `{id}/{property}`, cut at the first slash: ids have none, properties may.
fn property(rest: &Bytes) -> Option<(Bytes, Bytes)> {
    let slash = rest.iter().position(|b| *b == b'/')?;
    let (id, name) = (rest.slice(..slash), rest.slice(slash + 1..));
    (!id.is_empty() && !name.is_empty()).then_some((id, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str, family: Family) -> Place {
        Place::of(&Bytes::from(key.to_string()), family).unwrap()
    }

    fn b(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn every_spelling_of_a_property_leads_to_it() {
        let title = |writable| Place::Property { id: b("midhash256:x"), name: b("titles/eng"), writable };
        for family in [Family::Text, Family::Hash, Family::Any] {
            for key in ["file:midhash256:x/titles/eng", "/file/midhash256:x/titles/eng"] {
                assert_eq!(of(key, family), title(true));
                assert_eq!(of(&format!("meta-sort:{key}"), family), title(true));
            }
        }
        let read_only = Place::Property { id: b("midhash256:x"), name: b("title"), writable: false };
        assert_eq!(of("meta-sort:file:midhash256:x:title", Family::Text), read_only);
        assert_eq!(of("file:midhash256:x:title", Family::Text), read_only);
    }

    #[test]
    fn the_commands_decide_what_a_colon_means() {
        let key = "meta-sort:file:midhash256:x";
        assert_eq!(of(key, Family::Hash), Place::Record { id: b("midhash256:x") });
        let either = Place::RecordOrProperty { record: b("midhash256:x"), id: b("midhash256"), name: b("x") };
        assert_eq!(of(key, Family::Any), either);
        for family in [Family::Text, Family::Hash, Family::Any] {
            assert_eq!(of("file:x", family), Place::Record { id: b("x") });
            assert_eq!(of("file:x:", family), Place::Record { id: b("x:") });
        }
    }

    #[test]
    fn the_index_and_the_events_are_no_generic_keys() {
        for family in [Family::Text, Family::Hash, Family::Any] {
            for prefix in ["", "meta-sort:"] {
                assert_eq!(of(&format!("{prefix}file:__index__"), family), Place::Index);
                assert_eq!(of(&format!("{prefix}meta:events"), family), Place::Events);
            }
        }
    }

    #[test]
    fn other_keys_are_the_clients_own_and_keep_their_spelling() {
        for key in
            ["", "counter", "file", "file:", "file:/x", "file:x/", "/file/x", "meta-sort:cache", "Files:x"]
        {
            assert_eq!(of(key, Family::Any), Place::Generic { key: Bytes::from(key) }, "{key}");
        }
    }

    #[test]
    fn a_canonical_spelling_leads_to_the_same_place() {
        for key in
            ["/file/x/p", "meta-sort:file:x/p/q", "file:x", "meta-sort:meta:events", "mine", "file:a:b"]
        {
            let place = of(key, Family::Any);
            assert_eq!(Place::of(&place.canonical(), Family::Any), Ok(place), "{key}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let key = Bytes::from(format!("file:{}/p", "x".repeat(limits::ID_BYTES_MAX + 1)));
        let limit = limits::ID_BYTES_MAX;
        assert_eq!(Place::of(&key, Family::Text), Err(KeyError::TooLong { part: "id", limit }));
    }
}
