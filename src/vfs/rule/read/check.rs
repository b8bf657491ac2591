//! Checks that only the whole rule set can tell: sizes, suffixes, field names.
//!
//! Not here: mistakes inside one value (the rest of `read`).
//! Must always hold: no template needs itself; placing one file costs at most `TEMPLATE_PARTS_MAX` steps a rule.

use super::Builder;
use crate::limits::{TEMPLATE_DEPTH_MAX, TEMPLATE_PARTS_MAX};
use crate::vfs::field::{FieldTable, KNOWN_FIELDS};
use crate::vfs::rule::error::{RuleError, RuleErrorKind, RuleErrors, nearest};
use crate::vfs::rule::{Options, RuleSet, Unmatched, View};
use crate::vfs::template::{self, Expr, Template};

/// Checks what only the whole can tell, and makes the rule set.
pub fn finish(
    mut builder: Builder<'_>,
    options: Options,
    vars: Vec<Template>,
    mut views: Vec<View>,
) -> Result<RuleSet, RuleErrors> {
    let extension = builder.fields.intern("extension");
    builder.fields.intern("fileName");
    builder.fields.seal();
    let mut vars = vars;
    builder.check_sizes(&vars, &views);
    if !builder.errors.is_empty() {
        // Mistakes without a place are about the whole; they come last.
        builder.errors.sort_by_key(|e| e.position.map_or((usize::MAX, 0), |p| (p.line, p.column)));
        return Err(RuleErrors(builder.errors));
    }
    let all = vars.clone();
    let tail = |expr: &Expr| is_tail(expr, &all, &builder.fields);
    let mark = |template: &mut Template| template.suffix = template::suffix_start(&template.parts, &tail);
    vars.iter_mut().for_each(mark);
    let mut options = options;
    let own = views.iter_mut().filter_map(|view| view.unmatched.as_mut());
    for unmatched in own.chain([&mut options.unmatched]) {
        if let Unmatched::At(template) = unmatched {
            mark(template);
        }
    }
    views.iter_mut().flat_map(|view| &mut view.rules).for_each(|rule| mark(&mut rule.path));
    let warnings = field_warnings(&builder.fields);
    Ok(RuleSet {
        options,
        var_names: builder.var_names,
        vars,
        views,
        fields: builder.fields,
        extension,
        warnings,
        origin: None,
    })
}

/// Whether a value behind a dot belongs to the suffix of a file name.
fn is_tail(expr: &Expr, vars: &[Template], fields: &FieldTable) -> bool {
    const TAIL: [&str; 7] =
        ["extension", "subtitleLanguage", "language", "languages", "flags", "trackTitle", "default"];
    expr.alternatives.iter().all(|alternative| match alternative {
        template::Alternative::Field(id) => TAIL.contains(&fields.name(*id)),
        template::Alternative::Var(at) => {
            let parts = &vars[*at].parts;
            !parts.is_empty() && template::suffix_start(parts, &|expr| is_tail(expr, vars, fields)) == 0
        }
        template::Alternative::Literal(_) => true,
        template::Alternative::Stem => false,
    })
}

/// Field names that are a slip of the finger away from one that a known writer sets.
fn field_warnings(fields: &FieldTable) -> Vec<RuleError> {
    let unknown = fields.names().filter(|name| !KNOWN_FIELDS.contains(name) && !name.starts_with("titles/"));
    let near = unknown.filter_map(|name| Some((name, nearest(name, KNOWN_FIELDS.iter().copied())?)));
    near.map(|(name, near)| RuleError {
        kind: RuleErrorKind::UnknownKey,
        path: String::new(),
        position: None,
        message: format!("no known writer sets the field `{name}`; did you mean `{near}`?"),
    })
    .collect()
}

impl Builder<'_> {
    /// No `@var` that needs itself, and no template that grows beyond its limit once its `@vars` are in.
    fn check_sizes(&mut self, vars: &[Template], views: &[View]) {
        let mut sizes = vec![None; vars.len()];
        for at in 0..vars.len() {
            if let Err(message) = size_of(at, vars, &mut sizes, 0) {
                let path = format!("vars.{}", self.var_names[at]);
                self.fail(RuleErrorKind::Limit, &path, None, message);
                return;
            }
        }
        for (number, view) in views.iter().enumerate() {
            for rule in &view.rules {
                let all: usize = rule.path.vars().iter().filter_map(|var| sizes[*var]).sum();
                if all + rule.path.size() > TEMPLATE_PARTS_MAX {
                    let message = format!("`{}` has more than {TEMPLATE_PARTS_MAX} parts", rule.name);
                    self.fail(RuleErrorKind::Limit, &format!("view[{number}]"), None, message);
                }
            }
        }
    }
}

/// Parts of a named template with its `@vars` put in.
fn size_of(at: usize, vars: &[Template], sizes: &mut [Option<usize>], depth: usize) -> Result<usize, String> {
    if let Some(size) = sizes[at] {
        return Ok(size);
    }
    // A path through the templates that is longer than their number meets one of them twice.
    if depth > vars.len().min(TEMPLATE_DEPTH_MAX) {
        return Err("the template needs itself, or nests too deep".to_owned());
    }
    let mut size = vars[at].size();
    for inner in vars[at].vars() {
        size += size_of(inner, vars, sizes, depth + 1)?;
        if size > TEMPLATE_PARTS_MAX {
            return Err(format!("the template has more than {TEMPLATE_PARTS_MAX} parts"));
        }
    }
    sizes[at] = Some(size);
    Ok(size)
}
