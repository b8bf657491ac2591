//! Reads found texts as typed values, and collects what is wrong with them.
//!
//! Not here: rules between settings (`validate`).
//! Must always hold: every reading method answers something, so that one run reports every problem at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::address::Address;
use super::error::ConfigError;
use super::settings::{self, Fallback, Kind, Setting};
use super::sources::{Found, Origin};

/// Typed access to found settings.
pub struct Reader<'a> {
    found: &'a BTreeMap<&'static str, Found>,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Reader<'a> {
    /// A reader over what was found, with the problems of finding it.
    pub fn new(found: &'a BTreeMap<&'static str, Found>, errors: Vec<ConfigError>) -> Self {
        Self { found, errors: RefCell::new(errors) }
    }

    /// Every problem met so far.
    pub fn into_errors(self) -> Vec<ConfigError> {
        self.errors.into_inner()
    }

    /// Notes a problem.
    pub fn problem(&self, error: ConfigError) {
        self.errors.borrow_mut().push(error);
    }

    fn entry(&self, key: &str) -> (&'static Setting, &'a Found) {
        let setting = settings::by_key(key).expect("readers name declared settings");
        (setting, &self.found[setting.key])
    }

    /// How strong the origin of a setting is.
    pub fn rank(&self, key: &str) -> u8 {
        self.entry(key).1.origin.rank()
    }

    /// The text of a setting, if there is one.
    pub fn text(&self, key: &str) -> Option<String> {
        self.entry(key).1.text.clone()
    }

    /// The text as a path.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// Reads with `parse`; on a malformed text notes the problem and reads the default in its place.
    fn parse<T>(&self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (setting, found) = self.entry(key);
        let text = found.text.as_deref()?;
        match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.problem(ConfigError::Value {
                    origin: shown_origin(setting, &found.origin),
                    value: if setting.kind == Kind::Secret { "…".into() } else { text.to_owned() },
                    reason,
                });
                match setting.fallback {
                    Fallback::Value(default) => parse(default).ok(),
                    Fallback::Computed(_) | Fallback::Absent(_) => None,
                }
            }
        }
    }

    /// An address.
    pub fn address(&self, key: &str) -> Option<Address> {
        self.parse(key, |t| t.parse::<Address>().map_err(str::to_owned))
    }

    /// Addresses separated by commas.
    pub fn addresses(&self, key: &str) -> Vec<Address> {
        self.parse(key, |t| {
            let parts = t.split(',').map(str::trim).filter(|p| !p.is_empty());
            parts
                .map(|p| p.parse::<Address>().map_err(|e| format!("`{p}`: {e}")))
                .collect::<Result<Vec<_>, _>>()
        })
        .unwrap_or_default()
    }

    /// A port.
    pub fn port(&self, key: &str) -> Option<u16> {
        self.parse(key, |t| t.parse().map_err(|_| "a port is a number from 0 to 65535".to_owned()))
    }

    /// A switch; one without a value anywhere is off.
    pub fn switch(&self, key: &str) -> bool {
        self.parse(key, |t| match t.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err("true or false is expected".to_owned()),
        })
        .unwrap_or(false)
    }

    /// A time span in milliseconds.
    pub fn millis(&self, key: &str) -> Duration {
        self.parse(key, |t| match t.parse::<u64>() {
            Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms)),
            Ok(_) | Err(_) => Err("a number of milliseconds, at least 1, is expected".to_owned()),
        })
        .expect("time spans have defaults that parse")
    }

    /// Permission bits in octal.
    pub fn mode(&self, key: &str) -> u16 {
        self.parse(key, |t| match u16::from_str_radix(t.trim_start_matches("0o"), 8) {
            Ok(bits) if bits <= 0o777 => Ok(bits),
            Ok(_) | Err(_) => Err("permission bits in octal, such as 644, are expected".to_owned()),
        })
        .expect("permission bits have defaults that parse")
    }

    /// A numeric user or group.
    pub fn id(&self, key: &str) -> Option<u32> {
        self.parse(key, |t| t.parse().map_err(|_| "a numeric id is expected".to_owned()))
    }

    /// One of the setting's fixed values.
    pub fn choice(&self, key: &str) -> Option<&'static str> {
        let Kind::Choice(choices) = self.entry(key).0.kind else {
            unreachable!("choice() reads settings of kind Choice")
        };
        self.parse(key, |t| {
            let exact = choices.iter().find(|c| **c == t).copied();
            exact.ok_or_else(|| match settings::nearest(t, choices.iter().copied()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("one of {} is expected", choices.join(", ")),
            })
        })
    }
}

/// The setting as the user wrote it there.
fn shown_origin(setting: &Setting, origin: &Origin) -> String {
    match origin {
        Origin::Flag(flag) => format!("--{flag}"),
        Origin::Variable(name) => (*name).to_owned(),
        Origin::File(path) => format!("key `{}` in {}", setting.key, path.display()),
        Origin::Default => format!("default of `{}`", setting.key),
    }
}
