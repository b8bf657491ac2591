//! Where values come from: flags > variables > file > defaults.
//!
//! Not here: what a value means (`reader`, `validate`).
//! Must always hold: an unknown key or an unknown `METAD_*` variable is an error; an empty variable is not set,
//! because compose files write `REDIS_URL=` for "none".

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::settings::{self, Fallback, SETTINGS, Scope, Setting};

/// What the machine says, for defaults that are worked out.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// Effective user of the process.
    pub uid: u32,
    /// Effective group of the process.
    pub gid: u32,
    /// Host name.
    pub host_name: String,
}

impl System {
    /// The machine this process runs on.
    pub fn current() -> Self {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            host_name: if host_name.is_empty() { "metad".to_owned() } else { host_name },
        }
    }
}

/// Everything that settings are read from. Tests build one by hand.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Flags by key of their setting.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// Where relative names such as `metad.toml` are looked up.
    pub directory: PathBuf,
    /// The machine.
    pub system: System,
}

impl Sources {
    /// This process's environment and machine, with the given flags.
    pub fn current(flags: BTreeMap<&'static str, String>) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self { flags, variables, directory: PathBuf::from("."), system: System::current() }
    }

    /// Flags alone, by key: no environment and no file. For tests and for nodes started in-process.
    pub fn of_flags(flags: &[(&'static str, &str)]) -> Self {
        Self {
            flags: flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
            directory: PathBuf::from("/nonexistent"),
            system: System::current(),
            ..Self::default()
        }
    }

    /// The variable `name`, when it is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }
}

/// Where a value came from. Greater is stronger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The settings file.
    File(PathBuf),
    /// A variable.
    Variable(&'static str),
    /// A flag.
    Flag(&'static str),
}

impl Origin {
    /// How strong the origin is: two variables are equally strong.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Variable(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// The text of a setting and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The text; `None` when nobody set it and it has no textual default.
    pub text: Option<String>,
    /// Where it came from.
    pub origin: Origin,
}

/// Finds every setting's text. Problems go to `errors`; what could be found is returned all the same.
pub fn resolve(sources: &Sources, errors: &mut Vec<ConfigError>) -> BTreeMap<&'static str, Found> {
    unknown_variables(sources, errors);
    let file = read_file(sources, errors);
    SETTINGS.iter().map(|s| (s.key, find(s, sources, file.as_ref()))).collect()
}

fn find(setting: &'static Setting, sources: &Sources, file: Option<&File>) -> Found {
    if let (Some(text), Some(flag)) = (sources.flags.get(setting.key), setting.flag) {
        return Found { text: Some(text.clone()), origin: Origin::Flag(flag) };
    }
    for name in setting.variables {
        if let Some(text) = sources.variable(name) {
            return Found { text: Some(text.to_owned()), origin: Origin::Variable(name) };
        }
    }
    if let Some((file, text)) = file.and_then(|f| f.values.get(setting.key).map(|v| (f, v))) {
        return Found { text: Some(text.clone()), origin: Origin::File(file.path.clone()) };
    }
    let text = match setting.fallback {
        Fallback::Value(text) => Some(text.to_owned()),
        Fallback::Computed(_) | Fallback::Absent(_) => None,
    };
    Found { text, origin: Origin::Default }
}

/// Variables of the test programs, which run the command line in their own environment: no setting begins like this.
const TESTS: &str = "METAD_TEST_";

fn unknown_variables(sources: &Sources, errors: &mut Vec<ConfigError>) {
    let ours = || SETTINGS.iter().flat_map(|s| s.variables.iter().copied());
    let names = sources.variables.keys().filter(|n| n.starts_with("METAD_") && !n.starts_with(TESTS));
    for name in names {
        if settings::by_variable(name).is_none() {
            // The common prefix would make every candidate look near: compare what comes after it.
            let bare = ours().filter_map(|v| v.strip_prefix("METAD_"));
            let nearest = settings::nearest(&name["METAD_".len()..], bare).map(|v| format!("METAD_{v}"));
            errors.push(ConfigError::UnknownVariable { name: name.clone(), nearest });
        }
    }
}

/// The settings file, as texts by key.
struct File {
    path: PathBuf,
    values: BTreeMap<String, String>,
}

fn read_file(sources: &Sources, errors: &mut Vec<ConfigError>) -> Option<File> {
    let named = sources.flags.get("config").map(String::as_str).or_else(|| sources.variable("METAD_CONFIG"));
    let path = named.map_or_else(|| sources.directory.join("metad.toml"), PathBuf::from);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(parse_file(shortened(path), &text, errors)),
        Err(e) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => {
            errors.push(ConfigError::Unreadable { file: shortened(path), reason: e.to_string() });
            None
        }
    }
}

/// `./metad.toml` is shown as `metad.toml`.
fn shortened(path: PathBuf) -> PathBuf {
    path.strip_prefix(Path::new(".")).map(Path::to_path_buf).unwrap_or(path)
}

fn parse_file(path: PathBuf, text: &str, errors: &mut Vec<ConfigError>) -> File {
    let table = text.parse::<toml::Table>().unwrap_or_else(|e| {
        errors
            .push(ConfigError::Malformed { file: path.clone(), reason: e.to_string().trim_end().to_owned() });
        toml::Table::new()
    });
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if settings::by_key(&key).is_none_or(|s| s.scope != Scope::Serve) {
            let keys = SETTINGS.iter().filter(|s| s.scope == Scope::Serve).map(|s| s.key);
            let nearest = settings::nearest(&key, keys).map(|k| format!("`{k}`"));
            errors.push(ConfigError::UnknownKey { file: path.clone(), key, nearest });
            continue;
        }
        match text_of(&value) {
            Some(text) => {
                values.insert(key, text);
            }
            None => errors.push(ConfigError::Value {
                origin: format!("key `{key}` in {}", path.display()),
                value: value.to_string(),
                reason: "a string, a number, true, false, or a list of strings is expected".into(),
            }),
        }
    }
    File { path, values }
}

/// A TOML value as the text that a flag would have carried.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(items) => {
            let texts: Option<Vec<_>> = items.iter().map(|i| i.as_str()).collect();
            texts.map(|t| t.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
