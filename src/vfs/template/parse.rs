//! Parsing templates, in our spelling and in that of the old system.
//!
//! Not here: meaning (`eval`).
//! Must always hold: no text makes the parser panic or recurse deeper than its limit; every error has a byte offset
//! into the template.

use super::{Alternative, Expr, Part, Template};
use crate::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_DEPTH_MAX};
use crate::vfs::field::FieldTable;
use crate::vfs::filter::{self, Filter, FilterError};

/// Whose template it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Ours: what cannot be meant is an error.
    Ours,
    /// The old system's: a lone brace is text, forbidden characters are dropped, an unquoted alternative that is no
    /// field name is text, and there are no groups.
    Upstream,
}

/// A template that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Byte offset into the template.
    pub at: usize,
    /// What is wrong, and what was probably meant.
    pub message: String,
}

/// Parses a template. `vars` are the names that `{@name}` may use.
pub fn parse(
    text: &str,
    dialect: Dialect,
    vars: &[String],
    fields: &mut FieldTable,
) -> Result<Template, TemplateError> {
    if text.len() > TEMPLATE_BYTES_MAX {
        return Err(error(
            0,
            format!("the template has {} bytes; {TEMPLATE_BYTES_MAX} are allowed", text.len()),
        ));
    }
    let mut parser = Parser { dialect, vars, fields };
    let mut at = 0;
    let parts = parser.parts(text, &mut at, 0, 0, false)?;
    let suffix = parts.len();
    Ok(Template { parts, suffix })
}

fn error(at: usize, message: impl Into<String>) -> TemplateError {
    TemplateError { at, message: message.into() }
}

struct Parser<'a> {
    dialect: Dialect,
    vars: &'a [String],
    fields: &'a mut FieldTable,
}

/// Collects literals, so that two in a row are one; a dot in front of a value stands alone (see `suffix_start`).
#[derive(Default)]
struct Parts {
    done: Vec<Part>,
    literal: String,
}

impl Parts {
    fn flush(&mut self, before_value: bool) {
        let mut literal = std::mem::take(&mut self.literal);
        let dot = before_value && literal.len() > 1 && literal.ends_with('.');
        if dot {
            literal.pop();
        }
        if !literal.is_empty() {
            self.done.push(Part::Literal(literal));
        }
        if dot {
            self.done.push(Part::Literal(".".to_owned()));
        }
    }

    fn push(&mut self, part: Part) {
        self.flush(matches!(part, Part::Value(_)));
        self.done.push(part);
    }

    fn finish(mut self) -> Vec<Part> {
        self.flush(false);
        self.done
    }
}

impl Parser<'_> {
    /// Parses until the end of `text`, or until the `>` that ends a group. `base` is where `text` begins in the whole.
    fn parts(
        &mut self,
        text: &str,
        at: &mut usize,
        base: usize,
        depth: usize,
        in_group: bool,
    ) -> Result<Vec<Part>, TemplateError> {
        if depth > TEMPLATE_DEPTH_MAX {
            return Err(error(base + *at, format!("nested deeper than {TEMPLATE_DEPTH_MAX} levels")));
        }
        let ours = self.dialect == Dialect::Ours;
        let opened = base + *at;
        let mut parts = Parts::default();
        while let Some(c) = text[*at..].chars().next() {
            let next = text[*at + c.len_utf8()..].chars().next();
            match c {
                '{' | '}' if ours && next == Some(c) => {
                    parts.literal.push(c);
                    *at += 2;
                }
                '{' => {
                    if let Some(part) = self.braces(text, at, base, depth)? {
                        parts.push(part);
                    }
                }
                '<' if ours => {
                    *at += 1;
                    let inner = self.parts(text, at, base, depth + 1, true)?;
                    parts.push(Part::Group(inner));
                }
                '>' if ours && in_group => {
                    *at += 1;
                    return Ok(parts.finish());
                }
                _ => {
                    self.literal(c, base + *at, &mut parts)?;
                    *at += c.len_utf8();
                }
            }
        }
        if in_group {
            return Err(error(opened.saturating_sub(1), "`<` without its `>`"));
        }
        Ok(parts.finish())
    }

    fn literal(&self, c: char, at: usize, parts: &mut Parts) -> Result<(), TemplateError> {
        let forbidden = matches!(c, '<' | '>' | ':' | '"' | '\\' | '|' | '?' | '*') || c.is_control();
        match (self.dialect, c) {
            (Dialect::Upstream, '\\') => parts.literal.push('/'),
            (Dialect::Upstream, _) if forbidden => {}
            (Dialect::Ours, '}') => return Err(error(at, "`}` without its `{`; a brace is written `}}`")),
            (Dialect::Ours, '>') => return Err(error(at, "`>` without its `<`")),
            (Dialect::Ours, _) if forbidden => {
                return Err(error(at, format!("{c:?} cannot stand in a file name")));
            }
            _ => parts.literal.push(c),
        }
        Ok(())
    }

    /// The part that begins at the `{` at `*at`; nothing when the old dialect takes it as text that is dropped.
    fn braces(
        &mut self,
        text: &str,
        at: &mut usize,
        base: usize,
        depth: usize,
    ) -> Result<Option<Part>, TemplateError> {
        let start = *at;
        let Some(end) = closing_brace(text, start) else {
            if self.dialect == Dialect::Ours {
                return Err(error(base + start, "`{` without its `}`; a brace is written `{{`"));
            }
            *at = text.len();
            let mut parts = Parts::default();
            for c in text[start..].chars() {
                self.literal(c, base + start, &mut parts)?;
            }
            return Ok(parts.finish().into_iter().next());
        };
        *at = end + 1;
        self.expression(&text[start + 1..end], base + start + 1, depth).map(Some)
    }

    fn expression(&mut self, text: &str, base: usize, depth: usize) -> Result<Part, TemplateError> {
        if let Some((head, inner)) = conditional(text) {
            let field = self.field(head, base)?;
            let mut at = 0;
            let offset = base + head.len() + 2;
            let inner = self.parts(inner, &mut at, offset, depth + 1, false)?;
            return Ok(Part::When(field, inner));
        }
        let (body, optional) = match text.strip_suffix('?') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let mut cursor = Cursor { text: body, at: 0, base };
        let mut alternatives = vec![self.alternative(&mut cursor, true)?];
        while cursor.eat('|') {
            alternatives.push(self.alternative(&mut cursor, false)?);
        }
        let mut filters = Vec::new();
        while cursor.eat(':') {
            filters.push(one_filter(&mut cursor)?);
        }
        if cursor.at < body.len() {
            let rest: String = body[cursor.at..].chars().take(12).collect();
            return Err(error(cursor.here(), format!("`{rest}` was not expected here")));
        }
        Ok(Part::Value(Expr { alternatives, filters, optional }))
    }

    fn alternative(&mut self, cursor: &mut Cursor<'_>, first: bool) -> Result<Alternative, TemplateError> {
        let at = cursor.here();
        if cursor.peek() == Some('"') {
            return Ok(Alternative::Literal(cursor.quoted()?));
        }
        if cursor.eat('@') {
            return self.var(cursor.take_name(), at);
        }
        if self.dialect == Dialect::Upstream && !first {
            // Everything up to the end or a filter is the default; an identifier is a field.
            let rest = cursor.take_while(|c| c != '|' && c != ':');
            return if is_field_name(rest) {
                Ok(Alternative::Field(self.fields.intern(rest)))
            } else {
                Ok(Alternative::Literal(rest.to_owned()))
            };
        }
        let name = cursor.take_name();
        self.field(name, at).map(Alternative::Field)
    }

    fn field(&mut self, name: &str, at: usize) -> Result<crate::vfs::field::FieldId, TemplateError> {
        if !is_field_name(name) {
            let hint = if name.is_empty() { "" } else { "; fixed text needs double quotes" };
            return Err(error(at, format!("a field name was expected, not `{name}`{hint}")));
        }
        Ok(self.fields.intern(name))
    }

    fn var(&self, name: &str, at: usize) -> Result<Alternative, TemplateError> {
        if name == "stem" {
            return Ok(Alternative::Stem);
        }
        match self.vars.iter().position(|var| var == name) {
            Some(var) => Ok(Alternative::Var(var)),
            None => {
                let known = self.vars.iter().map(String::as_str).chain(["stem"]);
                let hint = super::super::rule::suggestion(name, known);
                Err(error(at, format!("there is no `@{name}` in [vars]{hint}")))
            }
        }
    }
}

fn one_filter(cursor: &mut Cursor<'_>) -> Result<Filter, TemplateError> {
    let at = cursor.here();
    let name = cursor.take_while(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_').to_owned();
    let mut arguments = Vec::new();
    if cursor.eat('(') {
        loop {
            cursor.take_while(|c| c == ' ');
            arguments.push(match cursor.peek() {
                Some('"') => cursor.quoted()?,
                _ => cursor.take_while(|c| c.is_ascii_digit()).to_owned(),
            });
            cursor.take_while(|c| c == ' ');
            if !cursor.eat(',') {
                break;
            }
        }
        if !cursor.eat(')') {
            return Err(error(cursor.here(), "`)` was expected; arguments are numbers or \"quoted text\""));
        }
    }
    filter::build(&name, &arguments).map_err(|FilterError(message)| error(at, message))
}

/// A field name: letters, digits and `_ - . /`, not beginning with a digit or a mark.
pub fn is_field_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !name.ends_with(['.', '/'])
}

/// `x?(…)` taken apart.
fn conditional(text: &str) -> Option<(&str, &str)> {
    let (head, rest) = text.split_once("?(")?;
    let inner = rest.strip_suffix(')')?;
    is_field_name(head).then_some((head, inner))
}

/// The `}` that belongs to the `{` at `start`. Braces inside quoted arguments do not count.
fn closing_brace(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            b'"' if matches!(bytes[at - 1], b'|' | b'(' | b',' | b' ' | b'{') => {
                at = closing_quote(bytes, at).unwrap_or(at);
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// A place in the text between two braces.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    base: usize,
}

impl<'a> Cursor<'a> {
    fn here(&self) -> usize {
        self.base + self.at
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn take_while(&mut self, mut keep: impl FnMut(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let len = rest.find(|c| !keep(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn take_name(&mut self) -> &'a str {
        self.take_while(|c| !matches!(c, '|' | ':' | '?' | '(' | '"'))
    }

    /// Quoted text; `\"` and `\\` stand for themselves.
    fn quoted(&mut self) -> Result<String, TemplateError> {
        let open = self.here();
        let mut chars = self.text[self.at..].char_indices().skip(1);
        let mut out = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, quoted @ ('"' | '\\'))) => out.push(quoted),
                    Some((_, other)) => out.extend(['\\', other]),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err(error(open, "the quoted text has no end"))
    }
}
