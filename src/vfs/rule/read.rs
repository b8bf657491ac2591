//! Reading a rules file: from a tree of values to a checked rule set.
//!
//! Not here: the grammar of templates (`template::parse`) and filters, the old JSON (`upstream`).
//! Must always hold: a key that means nothing is an error; every mistake is reported, not only the first; a rule set that
//! comes out is within limits.rs.

use std::fmt::Write as _;

use super::document::{self, Data, Node};
use super::error::{Position, RuleError, RuleErrorKind, RuleErrors, nearest, suggestion};
use super::{Collision, Options, Rule, RuleSet, Unmatched, View};
use crate::limits::{
    COMPONENT_BYTES_MAX, CONDITION_DEPTH_MAX, RULE_VIEWS_MAX, RULES_BYTES_MAX, RULES_PER_VIEW_MAX,
    TEMPLATE_PARTS_MAX,
};
use crate::vfs::condition::{Condition, Order, Scalar, Test};
use crate::vfs::field::{FieldId, FieldTable, KNOWN_FIELDS};
use crate::vfs::filter::{Pattern, Words};
use crate::vfs::name::{Blanks, Charset, Colon, NAME_BYTES_DEFAULT, NameRules};
use crate::vfs::template::{self, Dialect, Expr, Template};

/// The version of the format that this build reads and writes.
pub const VERSION: f64 = 1.0;
/// Where unmatched files go when the file does not say.
pub const UNMATCHED_DEFAULT: &str = "Unsorted/{fileName}";
/// Fields that tell versions of one work apart, when the file does not say.
pub const LABELS_DEFAULT: [&str; 4] = ["edition", "version", "resolution", "releaseGroup"];
/// Smallest `max-name` in bytes: room for a label, a hash and a suffix.
const NAME_BYTES_MIN: usize = 64;

/// Parses any of the three forms.
pub fn parse(text: &str) -> Result<RuleSet, RuleErrors> {
    if text.len() > RULES_BYTES_MAX {
        let message = format!("the rules have {} bytes; {RULES_BYTES_MAX} are allowed", text.len());
        let kind = RuleErrorKind::Limit;
        return Err(RuleErrors(vec![RuleError { kind, path: String::new(), position: None, message }]));
    }
    let one = |error| RuleErrors(vec![error]);
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        let json = document::json(text.trim_start_matches('\u{feff}')).map_err(one)?;
        return read(&document::of_json(&json), None);
    }
    read(&document::toml(text).map_err(one)?, Some(text))
}

fn read(root: &Node, text: Option<&str>) -> Result<RuleSet, RuleErrors> {
    let mut builder = Builder::new(text);
    let [version, options, vars, views] =
        builder.entries(root, "", ["version", "options", "vars", "view"]).unwrap_or_default();
    match version.map(|node| &node.data) {
        Some(Data::Number(number)) if *number == VERSION => {}
        Some(_) => builder.fail(RuleErrorKind::Value, "version", version, "this build reads version 1"),
        None => builder.fail(RuleErrorKind::MissingKey, "", Some(root), "`version = 1` is missing"),
    }
    let vars = builder.vars(vars);
    let options = builder.options(options);
    let views = builder.views(views);
    finish(builder, options, vars, views)
}

/// Collects what a rules file says, and what is wrong with it.
pub struct Builder<'t> {
    text: Option<&'t str>,
    /// Names of the templates in `[vars]`.
    pub var_names: Vec<String>,
    /// Fields that have been named so far.
    pub fields: FieldTable,
    /// Mistakes.
    pub errors: Vec<RuleError>,
}

/// Checks what only the whole can tell, and makes the rule set.
pub fn finish(
    mut builder: Builder<'_>,
    options: Options,
    vars: Vec<Template>,
    mut views: Vec<View>,
) -> Result<RuleSet, RuleErrors> {
    let extension = builder.fields.intern("extension");
    builder.fields.intern("fileName");
    let mut vars = vars;
    builder.check_sizes(&vars, &views);
    if !builder.errors.is_empty() {
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

impl<'t> Builder<'t> {
    /// A builder for a rules file; its text, when there is one, turns offsets into lines.
    pub fn new(text: Option<&'t str>) -> Self {
        Self { text, var_names: Vec::new(), fields: FieldTable::default(), errors: Vec::new() }
    }

    /// Notes a mistake.
    pub fn fail(&mut self, kind: RuleErrorKind, path: &str, node: Option<&Node>, message: impl Into<String>) {
        self.fail_at(kind, path, node.and_then(|node| node.at), message);
    }

    fn fail_at(&mut self, kind: RuleErrorKind, path: &str, at: Option<usize>, message: impl Into<String>) {
        let position = at.and_then(|at| self.text.map(|text| Position::of(text, at)));
        self.errors.push(RuleError { kind, path: path.to_owned(), position, message: message.into() });
    }

    /// The values of a table's keys; any other key is a mistake.
    fn entries<'n, const N: usize>(
        &mut self,
        node: &'n Node,
        path: &str,
        keys: [&str; N],
    ) -> Option<[Option<&'n Node>; N]> {
        let Data::Table(entries) = &node.data else {
            let message = format!("a table was expected, not {}", node.kind());
            self.fail(RuleErrorKind::Value, path, Some(node), message);
            return None;
        };
        let mut found = [None; N];
        for (key, at, value) in entries {
            match keys.iter().position(|known| known == key) {
                Some(slot) => found[slot] = Some(value),
                None => {
                    let message = format!("unknown key `{key}`{}", suggestion(key, keys));
                    self.fail_at(RuleErrorKind::UnknownKey, path, *at, message);
                }
            }
        }
        Some(found)
    }

    fn string(&mut self, path: &str, node: &Node) -> Option<String> {
        match &node.data {
            Data::Text(text) => Some(text.clone()),
            _ => {
                self.fail(
                    RuleErrorKind::Value,
                    path,
                    Some(node),
                    format!("a string was expected, not {}", node.kind()),
                );
                None
            }
        }
    }

    fn boolean(&mut self, path: &str, node: Option<&Node>, default: bool) -> bool {
        match node.map(|node| &node.data) {
            None => default,
            Some(Data::Bool(value)) => *value,
            Some(_) => {
                self.fail(RuleErrorKind::Value, path, node, "`true` or `false` was expected");
                default
            }
        }
    }

    fn strings(&mut self, path: &str, node: &Node) -> Vec<String> {
        let Data::List(items) = &node.data else {
            self.fail(RuleErrorKind::Value, path, Some(node), "a list of strings was expected");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.string(path, item)).collect()
    }

    /// One of several words.
    fn word<T: Copy + Default>(&mut self, path: &str, node: Option<&Node>, words: &[(&str, T)]) -> T {
        let Some(node) = node else { return T::default() };
        let Some(text) = self.string(path, node) else { return T::default() };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message =
            format!("`{text}` is none of {}{}", all.join(", "), suggestion(&text, all.iter().copied()));
        self.fail(RuleErrorKind::Value, path, Some(node), message);
        T::default()
    }

    /// A template; an empty one when it does not parse.
    pub fn template(&mut self, path: &str, node: Option<&Node>, text: &str, dialect: Dialect) -> Template {
        match template::parse(text, dialect, &self.var_names, &mut self.fields) {
            Ok(template) => template,
            Err(error) => {
                let at = node.and_then(|node| node.at).map(|at| self.inside(at, text, error.at));
                self.fail_at(RuleErrorKind::Template, path, at, error.message);
                Template { parts: Vec::new(), suffix: 0 }
            }
        }
    }

    /// The offset of a character inside a quoted string that begins at `at`; the string's own when it has escapes.
    fn inside(&self, at: usize, text: &str, offset: usize) -> usize {
        let source = self.text.and_then(|all| all.get(at..)).unwrap_or_default();
        let quotes = source.len() - source.trim_start_matches(['\'', '"']).len();
        let quotes = if quotes >= 3 { 3 } else { 1 };
        let same = source.get(quotes..).is_some_and(|inner| inner.starts_with(text));
        if same { at + quotes + offset } else { at }
    }

    fn options(&mut self, node: Option<&Node>) -> Options {
        let keys = ["charset", "colon", "blanks", "max-name", "articles", "collision", "labels", "unmatched"];
        let found = node.and_then(|node| self.entries(node, "options", keys)).unwrap_or_default();
        let [charset, colon, blanks, max_name, articles, collision, labels, unmatched] = found;
        let names = NameRules {
            charset: self.word("options.charset", charset, &CHARSETS),
            colon: self.word("options.colon", colon, &COLONS),
            blanks: self.word("options.blanks", blanks, &BLANKS),
            bytes_max: self.max_name(max_name),
        };
        let words = match articles {
            Some(node) => Words { articles: self.strings("options.articles", node) },
            None => Words::default(),
        };
        let collision = self.word("options.collision", collision, &COLLISIONS);
        let labels = match labels {
            Some(node) => self.label_fields(node),
            None => LABELS_DEFAULT.iter().map(|name| self.fields.intern(name)).collect(),
        };
        let unmatched = match unmatched {
            Some(node) => self.unmatched("options.unmatched", node),
            None => Unmatched::At(self.template("", None, UNMATCHED_DEFAULT, Dialect::Ours)),
        };
        Options { names, words, collision, labels, unmatched }
    }

    fn label_fields(&mut self, node: &Node) -> Vec<FieldId> {
        let names = self.strings("options.labels", node);
        names.iter().map(|name| self.fields.intern(name)).collect()
    }

    fn max_name(&mut self, node: Option<&Node>) -> usize {
        let range = NAME_BYTES_MIN..=COMPONENT_BYTES_MAX;
        match node.map(|node| &node.data) {
            None => NAME_BYTES_DEFAULT,
            Some(Data::Number(n)) if n.fract() == 0.0 && *n >= 0.0 && range.contains(&(*n as usize)) => {
                *n as usize
            }
            Some(_) => {
                let message = format!("a number from {NAME_BYTES_MIN} to {COMPONENT_BYTES_MAX} was expected");
                self.fail(RuleErrorKind::Value, "options.max-name", node, message);
                NAME_BYTES_DEFAULT
            }
        }
    }

    fn unmatched(&mut self, path: &str, node: &Node) -> Unmatched {
        match self.string(path, node).as_deref() {
            Some("hide") | None => Unmatched::Hide,
            Some(text) => Unmatched::At(self.template(path, Some(node), text, Dialect::Ours)),
        }
    }

    fn vars(&mut self, node: Option<&Node>) -> Vec<Template> {
        let Some(node) = node else { return Vec::new() };
        let Data::Table(entries) = &node.data else {
            self.fail(RuleErrorKind::Value, "vars", Some(node), "a table of templates was expected");
            return Vec::new();
        };
        for (name, at, _) in entries {
            if name == "stem" || !template::is_field_name(name) {
                let message = format!("`{name}` cannot be the name of a template");
                self.fail_at(RuleErrorKind::Value, "vars", *at, message);
            }
        }
        self.var_names = entries.iter().map(|(name, _, _)| name.clone()).collect();
        let mut templates = Vec::new();
        for (name, _, node) in entries {
            let path = format!("vars.{name}");
            let text = self.string(&path, node).unwrap_or_default();
            templates.push(self.template(&path, Some(node), &text, Dialect::Ours));
        }
        templates
    }

    fn views(&mut self, node: Option<&Node>) -> Vec<View> {
        let items = match node.map(|node| &node.data) {
            None => return Vec::new(),
            Some(Data::List(items)) => items,
            Some(_) => {
                self.fail(RuleErrorKind::Value, "view", node, "views are written `[[view]]`");
                return Vec::new();
            }
        };
        if items.len() > RULE_VIEWS_MAX {
            self.fail(
                RuleErrorKind::Limit,
                "view",
                node,
                format!("at most {RULE_VIEWS_MAX} views are allowed"),
            );
        }
        let mut views: Vec<View> = Vec::new();
        for (at, item) in items.iter().enumerate().take(RULE_VIEWS_MAX) {
            let path = format!("view[{at}]");
            let Some(view) = self.view(&path, item) else { continue };
            if views
                .iter()
                .any(|other| crate::vfs::name::fold(&other.name) == crate::vfs::name::fold(&view.name))
            {
                let message = format!("two views are called `{}`", view.name);
                self.fail(RuleErrorKind::Value, &path, Some(item), message);
            }
            views.push(view);
        }
        views
    }

    fn view(&mut self, path: &str, node: &Node) -> Option<View> {
        let [name, rules, unmatched] = self.entries(node, path, ["name", "rule", "unmatched"])?;
        let name_node = name;
        let name = name.and_then(|node| self.string(path, node)).unwrap_or_default();
        if !name.is_empty() && NameRules::default().component(&name) != name {
            let message = format!("`{name}` cannot be the name of a folder");
            self.fail(RuleErrorKind::Value, &format!("{path}.name"), name_node, message);
        }
        let unmatched = unmatched.map(|node| self.unmatched(&format!("{path}.unmatched"), node));
        let items: &[Node] = match rules.map(|node| &node.data) {
            None => &[],
            Some(Data::List(items)) => items,
            Some(_) => {
                self.fail(RuleErrorKind::Value, path, rules, "rules are written `[[view.rule]]`");
                &[]
            }
        };
        if items.len() > RULES_PER_VIEW_MAX {
            let message = format!("at most {RULES_PER_VIEW_MAX} rules are allowed in one view");
            self.fail(RuleErrorKind::Limit, path, rules, message);
        }
        let mut seen = Vec::new();
        let items = items.iter().enumerate().take(RULES_PER_VIEW_MAX);
        let rules: Vec<Rule> = items
            .filter_map(|(at, item)| self.rule(&format!("{path}.rule[{at}]"), at, item, &mut seen))
            .collect();
        Some(View { name, rules, unmatched })
    }

    fn rule(&mut self, path: &str, number: usize, node: &Node, seen: &mut Vec<String>) -> Option<Rule> {
        let keys = ["name", "description", "enabled", "when", "conditions", "path", "attach", "missing"];
        let [name, description, enabled, when, conditions, template, attach, missing] =
            self.entries(node, path, keys)?;
        let name = match name {
            Some(name) => self.string(&format!("{path}.name"), name)?,
            None => format!("rule {}", number + 1),
        };
        if seen.contains(&name) {
            self.fail(RuleErrorKind::Value, path, Some(node), format!("two rules are called `{name}`"));
        }
        seen.push(name.clone());
        let description = description.and_then(|node| self.string(path, node));
        let enabled = self.boolean(&format!("{path}.enabled"), enabled, true);
        let mut all = Vec::new();
        if let Some(node) = when {
            all.push(self.when(&format!("{path}.when"), node, 0));
        }
        if let Some(node) = conditions {
            all.push(self.long_form(&format!("{path}.conditions"), node));
        }
        let Some(template) = template else {
            self.fail(RuleErrorKind::MissingKey, path, Some(node), "`path` is missing");
            return None;
        };
        let template_path = format!("{path}.path");
        let text = self.string(&template_path, template)?;
        let parsed = self.template(&template_path, Some(template), &text, Dialect::Ours);
        let attach = self.word(&format!("{path}.attach"), attach, &[("video", Some(()))]).is_some();
        let stop_when_missing =
            self.word(&format!("{path}.missing"), missing, &[("next", false), ("unmatched", true)]);
        let when = Condition::all(all);
        Some(Rule { name, description, enabled, when, path: parsed, attach, stop_when_missing })
    }

    /// A condition table: fields and their tests, `all`, `any`, `none`.
    pub fn when(&mut self, path: &str, node: &Node, depth: usize) -> Condition {
        if depth > CONDITION_DEPTH_MAX {
            let message = format!("conditions are nested deeper than {CONDITION_DEPTH_MAX} levels");
            self.fail(RuleErrorKind::Limit, path, Some(node), message);
            return Condition::ALWAYS;
        }
        let Data::Table(entries) = &node.data else {
            let message = format!("a table of fields was expected, not {}", node.kind());
            self.fail(RuleErrorKind::Condition, path, Some(node), message);
            return Condition::ALWAYS;
        };
        let mut all = Vec::new();
        for (key, at, value) in entries {
            let path = format!("{path}.{key}");
            match key.as_str() {
                "all" => all.push(Condition::all(self.several(&path, value, depth))),
                "any" => all.push(Condition::Any(self.several(&path, value, depth))),
                "none" => all.push(Condition::None(self.several(&path, value, depth))),
                name if template::is_field_name(name) => all.push(self.field_test(&path, name, value)),
                name => {
                    self.fail_at(RuleErrorKind::Condition, &path, *at, format!("`{name}` is no field name"));
                }
            }
        }
        Condition::all(all)
    }

    fn several(&mut self, path: &str, node: &Node, depth: usize) -> Vec<Condition> {
        let Data::List(items) = &node.data else {
            self.fail(RuleErrorKind::Condition, path, Some(node), "a list of tables was expected");
            return Vec::new();
        };
        items.iter().map(|item| self.when(path, item, depth + 1)).collect()
    }

    /// `season = 1`, `["a","b"]`, `"present"`, `{ ge = 2 }`.
    fn field_test(&mut self, path: &str, name: &str, node: &Node) -> Condition {
        let field = self.fields.intern(name);
        let tests = match &node.data {
            Data::Text(word) if word == "present" => vec![Test::Present],
            Data::Text(word) if word == "absent" => vec![Test::Absent],
            Data::Table(entries) => {
                entries.iter().filter_map(|(key, at, value)| self.test(path, key, *at, value)).collect()
            }
            _ => vec![Test::OneOf(self.scalars(path, node))],
        };
        Condition::all(tests.into_iter().map(|test| Condition::Test(field, test)).collect())
    }

    fn test(&mut self, path: &str, key: &str, at: Option<usize>, node: &Node) -> Option<Test> {
        if let Some((_, order)) = Order::KEYS.iter().find(|(known, _)| *known == key) {
            let bound = self.scalars(path, node).into_iter().next()?;
            return Some(Test::Compare(*order, bound));
        }
        match (key, &node.data) {
            ("not", Data::Text(word)) if word == "present" => Some(Test::Absent),
            ("not", Data::Text(word)) if word == "absent" => Some(Test::Present),
            ("not", _) => Some(Test::Not(self.scalars(path, node))),
            ("contains", _) => self.string(path, node).map(Test::Contains),
            ("matches", _) => {
                let text = self.string(path, node)?;
                match Pattern::new(&text) {
                    Ok(pattern) => Some(Test::Matches(pattern)),
                    Err(message) => {
                        self.fail(RuleErrorKind::Condition, path, Some(node), message);
                        None
                    }
                }
            }
            _ => {
                let known = ["not", "contains", "matches", "lt", "le", "gt", "ge"];
                let message = format!("unknown test `{key}`{}", suggestion(key, known));
                self.fail_at(RuleErrorKind::UnknownKey, path, at, message);
                None
            }
        }
    }

    /// A scalar, or a list of them.
    pub fn scalars(&mut self, path: &str, node: &Node) -> Vec<Scalar> {
        match &node.data {
            Data::Text(text) => vec![Scalar::Text(text.clone())],
            Data::Number(number) => vec![Scalar::Number(*number)],
            Data::Bool(value) => vec![Scalar::Bool(*value)],
            Data::List(items) if items.iter().all(|i| !matches!(i.data, Data::List(_))) => {
                items.iter().flat_map(|item| self.scalars(path, item)).collect()
            }
            Data::List(_) | Data::Table(_) | Data::Other(_) => {
                let message =
                    format!("a string, number, boolean or list of them was expected, not {}", node.kind());
                self.fail(RuleErrorKind::Condition, path, Some(node), message);
                Vec::new()
            }
        }
    }

    /// `[{ field = "fileType", value = "video" }]`: the long form of the seeds.
    fn long_form(&mut self, path: &str, node: &Node) -> Condition {
        let Data::List(items) = &node.data else {
            self.fail(RuleErrorKind::Condition, path, Some(node), "a list of tables was expected");
            return Condition::ALWAYS;
        };
        let mut all = Vec::new();
        for item in items {
            let Some([field, value]) = self.entries(item, path, ["field", "value"]) else { continue };
            let Some(name) = field.and_then(|node| self.string(path, node)) else {
                self.fail(RuleErrorKind::MissingKey, path, Some(item), "`field` is missing");
                continue;
            };
            if !template::is_field_name(&name) {
                self.fail(RuleErrorKind::Condition, path, field, format!("`{name}` is no field name"));
                continue;
            }
            match value {
                Some(value) => all.push(self.field_test(path, &name, value)),
                None => all.push(Condition::Test(self.fields.intern(&name), Test::Present)),
            }
        }
        Condition::all(all)
    }

    /// No `@var` that needs itself, and no template that grows beyond its limit once its `@vars` are in.
    fn check_sizes(&mut self, vars: &[Template], views: &[View]) {
        let mut sizes = vec![None; vars.len()];
        for at in 0..vars.len() {
            let mut path = String::new();
            if let Err(message) = size_of(at, vars, &mut sizes, 0) {
                write!(path, "vars.{}", self.var_names[at]).expect("writing into a string does not fail");
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
    if depth > vars.len().min(crate::limits::TEMPLATE_DEPTH_MAX) {
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

/// Words of `options.charset`.
pub const CHARSETS: [(&str, Charset); 3] =
    [("portable", Charset::Portable), ("posix", Charset::Posix), ("ascii", Charset::Ascii)];
/// Words of `options.colon`.
pub const COLONS: [(&str, Colon); 3] =
    [("smart", Colon::Smart), ("dash", Colon::Dash), ("remove", Colon::Remove)];
/// Words of `options.blanks`.
pub const BLANKS: [(&str, Blanks); 2] = [("collapse", Blanks::Collapse), ("keep", Blanks::Keep)];
/// Words of `options.collision`.
pub const COLLISIONS: [(&str, Collision); 2] = [("label", Collision::Label), ("hash", Collision::Hash)];
