//! Golden files: the exact bytes of every format that `meta` stores or sends.
//!
//! A file of `src/meta/golden/` is a comment line that says what it pins, then the bytes as hexadecimal digits. Each is
//! decoded into the value that it stands for, and the value is encoded into exactly these bytes.
//!
//! Not here: the formats of the log crate (`raft/src/{journal,snapshot}/golden`), JSON files of the node.
//! Must always hold: a variant without a golden file does not compile (the tables are exhaustive matches); a golden
//! file that is there is never written again, whatever `UPDATE_GOLDENFILES` says: only a missing one is recorded.

mod layout;
mod log;
mod replies;
mod store;

use std::collections::BTreeSet;
use std::fmt::{Debug, Display, Write};
use std::path::PathBuf;

use bytes::Bytes;

/// Name, intent and value of a golden file.
type Row<T> = (&'static str, &'static str, T);

type Check = dyn Fn(&Bytes) -> Result<(), String>;

/// One golden file and what belongs to it.
struct Case {
    /// The file's name without its suffix.
    name: &'static str,
    /// What it pins: its comment line.
    intent: &'static str,
    /// The value's encoding.
    encoded: Bytes,
    /// Whether the encoding must be the file's bytes. Not so for compressed blocks: another version of the library
    /// may pack them otherwise, and only has to read them.
    exact: bool,
    /// Says why the bytes do not decode to the value, when they do not.
    check: Box<Check>,
}

impl Case {
    fn new<T: Debug + PartialEq + 'static, E: Display>(
        (name, intent, value): Row<T>,
        encode: impl Fn(&T) -> Bytes,
        decode: impl Fn(&Bytes) -> Result<T, E> + 'static,
    ) -> Self {
        let encoded = encode(&value);
        let check = move |bytes: &Bytes| match decode(bytes) {
            Ok(decoded) if decoded == value => Ok(()),
            Ok(decoded) => Err(format!("{name}: decodes to {decoded:?} and should to {value:?}")),
            Err(error) => Err(format!("{name}: {error}")),
        };
        Self { name, intent, encoded, exact: true, check: Box::new(check) }
    }

    fn text(&self) -> String {
        let mut text = format!("# {}\n", self.intent);
        for line in self.encoded.chunks(32) {
            line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
            text.push('\n');
        }
        text
    }
}

/// One row for each variant of an enum: `pattern => (file, intent, sample)`. The patterns are an exhaustive match, so a
/// new variant does not compile without a row, and a row needs a sample.
macro_rules! variants {
    ($type:ty: $($pattern:pat => ($name:literal, $intent:literal, $sample:expr),)*) => {{
        let name_of = |value: &$type| match value { $($pattern => $name,)* };
        let rows: Vec<super::Row<$type>> = vec![$(($name, $intent, $sample),)*];
        for (name, _, sample) in &rows {
            assert_eq!(name_of(sample), *name, "the sample belongs to another row");
        }
        rows
    }};
}
use variants;

fn cases() -> Vec<Case> {
    [log::cases(), replies::cases(), store::cases(), layout::cases()].into_iter().flatten().collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/meta/golden")
}

/// The comment line and the bytes of a golden file.
fn parse(text: &str) -> (String, Bytes) {
    let (comment, hex) = text.split_once('\n').unwrap();
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    (comment.trim_start_matches("# ").to_owned(), digits.chunks(2).map(byte).collect())
}

fn record_missing(case: &Case) {
    let path = folder().join(case.name).with_extension("hex");
    if !path.exists() && std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(path, case.text()).unwrap();
    }
}

#[test]
fn every_format_is_read_and_written_as_its_golden_file_says() {
    for case in cases() {
        record_missing(&case);
        let path = folder().join(case.name).with_extension("hex");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (comment, bytes) = parse(&text);
        assert_eq!(comment, case.intent, "{}", case.name);
        assert_eq!((case.check)(&bytes), Ok(()));
        assert_eq!((case.check)(&case.encoded), Ok(()));
        if case.exact {
            assert_eq!(text, case.text(), "{} is encoded otherwise now", case.name);
        }
    }
}

#[test]
fn no_golden_file_is_unused_and_none_is_used_twice() {
    let cases = cases();
    let used: BTreeSet<String> = cases.iter().map(|case| format!("{}.hex", case.name)).collect();
    assert_eq!(used.len(), cases.len(), "two cases have one name");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let there: BTreeSet<String> = std::fs::read_dir(folder()).unwrap().map(name).collect();
    assert_eq!(there.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "no test reads these");
}

#[test]
fn bytes_that_are_cut_short_or_too_many_are_refused() {
    for case in cases() {
        let longer = Bytes::from([case.encoded.as_ref(), &[0]].concat());
        assert!((case.check)(&longer).is_err(), "{} with a byte too many", case.name);
        for len in 0..case.encoded.len() {
            assert!((case.check)(&case.encoded.slice(..len)).is_err(), "{len} bytes of {}", case.name);
        }
    }
}
