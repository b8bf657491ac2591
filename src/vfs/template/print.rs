//! Printing a template, so that parsing it again gives the same one.
//!
//! Not here: the rules file around it (`rule::print`).
//! Must always hold: `parse(print(t)) == t`.

use std::fmt::Write as _;

use super::{Alternative, Expr, Part};
use crate::vfs::field::FieldTable;
use crate::vfs::filter::quote;

/// The text of template parts in our dialect.
pub fn print(parts: &[Part], fields: &FieldTable, vars: &[String]) -> String {
    let mut out = String::new();
    write_parts(&mut out, parts, fields, vars);
    out
}

fn write_parts(out: &mut String, parts: &[Part], fields: &FieldTable, vars: &[String]) {
    for part in parts {
        match part {
            Part::Literal(text) => out.push_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Value(expr) => write_expr(out, expr, fields, vars),
            Part::Group(inner) => {
                out.push('<');
                write_parts(out, inner, fields, vars);
                out.push('>');
            }
            Part::When(id, inner) => {
                out.push('{');
                out.push_str(fields.name(*id));
                out.push_str("?(");
                write_parts(out, inner, fields, vars);
                out.push_str(")}");
            }
        }
    }
}

/// The text of one value, braces included.
pub fn write_expr(out: &mut String, expr: &Expr, fields: &FieldTable, vars: &[String]) {
    out.push('{');
    for (at, alternative) in expr.alternatives.iter().enumerate() {
        if at > 0 {
            out.push('|');
        }
        match alternative {
            Alternative::Field(id) => out.push_str(fields.name(*id)),
            Alternative::Literal(text) => out.push_str(&quote(text)),
            Alternative::Var(at) => {
                out.push('@');
                out.push_str(&vars[*at]);
            }
            Alternative::Stem => out.push_str("@stem"),
        }
    }
    for filter in &expr.filters {
        write!(out, ":{filter}").expect("writing into a string does not fail");
    }
    if expr.optional {
        out.push('?');
    }
    out.push('}');
}
