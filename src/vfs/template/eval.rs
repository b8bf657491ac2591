//! Evaluating templates: parts and fields in, a raw path out.
//!
//! Not here: finishing the components (`name`), choosing the template (`rule`).
//! Must always hold: a value never adds a `/`; what a dropped group wrote is gone without a trace.

use std::borrow::Cow;

use super::{Alternative, Expr, Part, Template};
use crate::vfs::field::{FieldId, Scope, Value};
use crate::vfs::filter::{self, Words};
use crate::vfs::name::NameRules;

/// What is needed to evaluate a template for one file.
pub struct Place<'a> {
    /// The file's fields.
    pub scope: Scope<'a>,
    /// How names are made legal.
    pub names: &'a NameRules,
    /// What filters need to know.
    pub words: &'a Words,
    /// The named templates.
    pub vars: &'a [Template],
}

/// The value that was missing: the field, or the first of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No alternative of this value was there; its first field, if it names one.
    Field(Option<FieldId>),
    /// The file belongs to no video.
    Stem,
    /// The path came out without a file name.
    Name,
}

/// A raw path: components joined by `/`, not yet finished.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub raw: String,
    /// Byte position of the suffix that the template shows.
    pub suffix: Option<usize>,
}

impl Place<'_> {
    /// Evaluates a template into `out`.
    pub fn render(&self, template: &Template, out: &mut Rendered) -> Result<(), Missing> {
        let (head, tail) = template.parts.split_at(template.suffix);
        self.parts(head, &mut out.raw)?;
        out.suffix = (!tail.is_empty()).then_some(out.raw.len());
        self.parts(tail, &mut out.raw)
    }

    fn parts(&self, parts: &[Part], out: &mut String) -> Result<(), Missing> {
        for part in parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Value(expr) => self.expr(expr, out)?,
                Part::Group(inner) => self.group(inner, out),
                Part::When(id, inner) => {
                    if self.scope.value(*id).is_some() {
                        self.group(inner, out);
                    }
                }
            }
        }
        Ok(())
    }

    fn group(&self, inner: &[Part], out: &mut String) {
        let start = out.len();
        if self.parts(inner, out).is_err() {
            out.truncate(start);
        }
    }

    fn expr(&self, expr: &Expr, out: &mut String) -> Result<(), Missing> {
        match expr.bare() {
            Some(Alternative::Var(at)) => return self.parts(&self.vars[*at].parts, out),
            Some(Alternative::Stem) => {
                out.push_str(self.scope.stem().ok_or(Missing::Stem)?);
                return Ok(());
            }
            Some(Alternative::Field(_) | Alternative::Literal(_)) | None => {}
        }
        let found = expr.alternatives.iter().any(|alternative| self.alternative(alternative, expr, out));
        if found || expr.optional {
            return Ok(());
        }
        Err(expr.alternatives.iter().find_map(missing).unwrap_or(Missing::Field(None)))
    }

    /// Writes one alternative through the filters; `false` when nothing came of it.
    fn alternative(&self, alternative: &Alternative, expr: &Expr, out: &mut String) -> bool {
        let mut rendered = String::new();
        let value = match alternative {
            Alternative::Field(id) => self.scope.value(*id).map(Value::view),
            Alternative::Literal(text) => Some(Value::Text(Cow::Borrowed(text.as_str()))),
            Alternative::Var(at) => {
                let done = self.parts(&self.vars[*at].parts, &mut rendered);
                done.is_ok().then_some(Value::Text(Cow::Borrowed(rendered.as_str())))
            }
            Alternative::Stem => self.scope.stem().map(|stem| Value::Text(Cow::Borrowed(stem))),
        };
        let Some(value) = value else { return false };
        let filtered =
            expr.filters.iter().try_fold(value, |value, filter| filter::apply(filter, value, self.words));
        filtered.is_some_and(|value| self.names.push_value(out, &value.text()))
    }
}

fn missing(alternative: &Alternative) -> Option<Missing> {
    match alternative {
        Alternative::Field(id) => Some(Missing::Field(Some(*id))),
        Alternative::Stem => Some(Missing::Stem),
        Alternative::Literal(_) | Alternative::Var(_) => None,
    }
}
