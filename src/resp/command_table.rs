//! The table of commands: one row each, found by name.
//!
//! Not here: what rows mean (`command`), the rows themselves (beside their commands). Must always hold: dispatch, COMMAND,
//! GETKEYS, MULTI's checks and the documents all come from these rows; a name is in one row only.

use std::sync::LazyLock;

use super::codec::Request;
use super::command::{Keys, Row, Run};
use super::commands::{self, GROUPS};
use super::error::{Refusal, wrong_arity};

/// Places of the hash table; far more than commands.
const PLACES: usize = 1024;

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

struct Table {
    places: Vec<Option<&'static Row>>,
}

impl Table {
    fn new() -> Self {
        let mut places = vec![None; PLACES];
        for row in rows() {
            let mut at = place(row.name.as_bytes());
            while places[at].is_some() {
                at = (at + 1) % PLACES;
            }
            places[at] = Some(row);
        }
        Self { places }
    }

    fn find(&self, name: &[u8]) -> Option<&'static Row> {
        let mut at = place(name);
        while let Some(row) = self.places[at] {
            if name.eq_ignore_ascii_case(row.name.as_bytes()) {
                return Some(row);
            }
            at = (at + 1) % PLACES;
        }
        None
    }
}

fn place(name: &[u8]) -> usize {
    // FNV-1a over the lower-case name: names are short.
    let mix = |hash: u32, byte: &u8| (hash ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193);
    name.iter().fold(0x811c_9dc5, mix) as usize % PLACES
}

/// All rows without subcommands, group by group.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    GROUPS.iter().flat_map(|rows| rows.iter())
}

/// The row of this name, whatever its case; no subcommands.
pub fn by_name(name: &[u8]) -> Option<&'static Row> {
    TABLE.find(name)
}

/// The row of a request, down to its subcommand, with the arguments checked.
pub fn find(request: &Request<'_>) -> Result<&'static Row, Refusal> {
    let row = by_name(request.arg(0)).ok_or_else(|| unknown(request))?;
    let row = match row.run {
        Run::Container(subs) if request.len() > 1 => {
            let sub = subs.iter().find(|sub| request.is(1, sub.short_name()));
            sub.ok_or_else(|| unknown_sub(row, request.arg(1)))?
        }
        // The one container that does something by itself.
        Run::Container(_) if row.name == "command" => &commands::COMMAND,
        _ => row,
    };
    if row.takes(request.len()) { Ok(row) } else { Err(wrong_arity(row.name)) }
}

/// As redis-server says it: the name and the first arguments, cut after 128 bytes.
fn unknown(request: &Request<'_>) -> Refusal {
    const SHOWN: usize = 128;
    let mut args = Vec::new();
    for arg in request.args().skip(1) {
        if args.len() >= SHOWN {
            break;
        }
        args.push(b'\'');
        // Redis prints it as a C string.
        let arg = arg.split(|b| *b == 0).next().unwrap_or_default();
        args.extend_from_slice(&arg[..arg.len().min(SHOWN - args.len())]);
        args.extend_from_slice(b"' ");
    }
    let name = &request.arg(0)[..request.arg(0).len().min(SHOWN)];
    let (name, args) = (String::from_utf8_lossy(name), String::from_utf8_lossy(&args));
    Refusal::of(format!("ERR unknown command '{name}', with args beginning with: {args}"))
}

fn unknown_sub(row: &Row, sub: &[u8]) -> Refusal {
    let sub = String::from_utf8_lossy(&sub[..sub.len().min(128)]);
    Refusal::of(format!("ERR unknown subcommand '{sub}'. Try {} HELP.", row.name.to_uppercase()))
}

/// The table for the documents.
pub fn markdown_table() -> String {
    let mut out = String::from("| group | command | runs in | keys | answers |\n|---|---|---|---|---|\n");
    let mut line = |row: &Row| {
        let keys = match row.keys {
            Keys::None => String::new(),
            Keys::Range { first, last, step } => format!("{first}..{last} by {step}"),
            Keys::Counted { .. } => "counted".into(),
            Keys::Streams => "behind STREAMS".into(),
        };
        let name = row.name.replace('|', " ").to_uppercase();
        out.push_str(&format!(
            "| {} | `{name}` | {} | {keys} | {} |\n",
            row.group.name(),
            row.place(),
            row.reply.replace('|', "\\|")
        ));
    };
    for row in rows() {
        match row.run {
            Run::Container(subs) => subs.iter().for_each(&mut line),
            _ => line(row),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bytes::Bytes;

    use super::*;
    use crate::resp::codec::Span;

    fn answer(words: &[&str]) -> Result<&'static str, String> {
        let buffer = Bytes::from(words.concat());
        let mut spans = Vec::new();
        let mut at = 0;
        for word in words {
            spans.push(Span::new(at, at + word.len()));
            at += word.len();
        }
        find(&Request::new(&buffer, &spans)).map(|row| row.name).map_err(|refusal| refusal.0.into_owned())
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut seen = BTreeSet::new();
        for row in rows() {
            assert!(seen.insert(row.name), "{} is there twice", row.name);
            assert_eq!(row.name, row.name.to_lowercase());
            if let Run::Container(subs) = row.run {
                assert!(subs.iter().all(|sub| sub.name.starts_with(&format!("{}|", row.name))));
            }
        }
        assert!(seen.len() * 2 < PLACES);
    }

    #[test]
    fn commands_are_found_whatever_their_case_and_checked() {
        assert_eq!(answer(&["GeT", "k"]), Ok("get"));
        assert_eq!(answer(&["client", "ID"]), Ok("client|id"));
        let refused = |words: &[&str]| answer(words).unwrap_err();
        assert_eq!(refused(&["get"]), "ERR wrong number of arguments for 'get' command");
        assert_eq!(refused(&["client"]), "ERR wrong number of arguments for 'client' command");
        assert_eq!(refused(&["client", "id", "x"]), "ERR wrong number of arguments for 'client|id' command");
        assert_eq!(refused(&["client", "nix"]), "ERR unknown subcommand 'nix'. Try CLIENT HELP.");
        assert_eq!(
            refused(&["nix", "a", "b"]),
            "ERR unknown command 'nix', with args beginning with: 'a' 'b' "
        );
    }
}
