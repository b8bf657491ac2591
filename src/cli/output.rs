//! Where words go: data to stdout, everything else to stderr.
//!
//! Not here: what is said. Must always hold: a command that fails leaves stdout with nothing but true data; control
//! characters from metadata never reach a terminal as they are.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde_json::Value;

use super::error::CliError;

/// The output of one command.
pub struct Output {
    stdout: BufWriter<Box<dyn Write>>,
    /// Data as JSON.
    pub json: bool,
    quiet: bool,
    verbose: bool,
}

impl Output {
    /// An output with the global switches.
    pub fn new(json: bool, quiet: bool, verbose: bool) -> Self {
        Self::to(Box::new(io::stdout()), json, quiet, verbose)
    }

    /// An output whose data goes to `sink`.
    pub fn to(sink: Box<dyn Write>, json: bool, quiet: bool, verbose: bool) -> Self {
        Self { stdout: BufWriter::new(sink), json, quiet, verbose }
    }

    /// A line of data.
    pub fn line(&mut self, line: impl Display) -> Result<(), CliError> {
        Ok(writeln!(self.stdout, "{line}")?)
    }

    /// Data as it is.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// One JSON value as data, in one line.
    pub fn value(&mut self, value: &Value) -> Result<(), CliError> {
        self.line(value)
    }

    /// Hands over what was written so far; streams do it after each line.
    pub fn flush(&mut self) -> Result<(), CliError> {
        Ok(self.stdout.flush()?)
    }

    /// Words for people; `-q` leaves them out. A stderr that is gone is no reason to fail.
    pub fn note(&self, words: impl Display) {
        if !self.quiet {
            writeln!(io::stderr(), "{words}").unwrap_or_default();
        }
    }

    /// Words for the curious; only with `-v`.
    pub fn detail(&self, words: impl Display) {
        if self.verbose {
            writeln!(io::stderr(), "{words}").unwrap_or_default();
        }
    }

    /// Whether a progress bar may be drawn.
    pub fn may_draw(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }
}

/// Text for a terminal: control characters are spelled out, so that a title cannot move the cursor.
pub fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Columns, left-aligned, two blanks apart, without blanks at the end.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:<w$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("Amélie 🎬"), "Amélie 🎬");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "long".to_owned()], vec!["bbb".to_owned(), String::new()]];
        assert_eq!(table(&rows), "a    long\nbbb");
    }
}
