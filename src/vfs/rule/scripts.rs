//! Golden scripts of the rule language: `testscripts/rules/`.
//!
//! | command | does |
//! |---|---|
//! | `preset NAME` | starts from a preset |
//! | `toml LINE…` | starts from these lines |
//! | `option KEY VALUE`, `var NAME TEMPLATE`, `view NAME`, `rule NAME PATH [when=…] [more=…]` | builds a rules file, line by line |
//! | `path TEMPLATE` | the same, with this one rule |
//! | `place k=v…` | the path in each view, `\|` in front of the suffix, and the rule |
//! | `labels k=v…`, `explain k=v…`, `properties`, `show`, `check` | what else a rule set can tell |
//!
//! The key `@stem` of `place` is the path of the video that the file belongs to.
//!
//! Not here: tests of single functions, which stand beside them.
//! Must always hold: every rule set that a script uses prints itself and reads back as itself.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use goldenscript::{Argument, Command, Context};

use super::print::string;
use super::{Outcome, RuleSet};
use crate::vfs::field::Fields;

test_each_file::test_each_path! { in "src/vfs/testscripts/rules" as script => run }

fn run(path: &std::path::Path) {
    goldenscript::run(&mut Runner::default(), path).expect("the script runs");
}

/// A rules file that grows command by command.
#[derive(Default)]
struct Runner {
    options: Vec<String>,
    vars: Vec<String>,
    views: Vec<String>,
    whole: Option<String>,
}

/// A record, and the video that it belongs to.
struct Sample {
    record: BTreeMap<String, String>,
    stem: Option<String>,
}

impl Fields for Sample {
    fn get(&self, name: &str) -> Option<&str> {
        Fields::get(&self.record, name)
    }

    fn below<'a>(&'a self, prefix: &str, visit: &mut dyn FnMut(&'a str, &'a str)) {
        self.record.below(prefix, visit);
    }

    fn stem(&self) -> Option<&str> {
        self.stem.as_deref()
    }
}

impl Runner {
    fn text(&self) -> String {
        if let Some(whole) = &self.whole {
            return whole.clone();
        }
        let (options, vars, views) = (self.options.join("\n"), self.vars.join("\n"), self.views.join("\n"));
        format!("version = 1\n[options]\n{options}\n[vars]\n{vars}\n{views}\n")
    }

    fn rules(&self) -> Result<RuleSet, Box<dyn Error>> {
        let rules = RuleSet::parse(&self.text())?;
        let printed = rules.to_string();
        let back = RuleSet::parse(&printed).map_err(|e| format!("{e}\nin what was printed:\n{printed}"))?;
        if back.to_string() != printed {
            return Err(format!("printing twice differs:\n{printed}\n{back}").into());
        }
        Ok(rules)
    }

    fn rule(&mut self, command: &Command) -> Result<(), Box<dyn Error>> {
        let mut args = command.consume_args();
        let name = args.next_pos().ok_or("the rule has no name")?;
        let path = args.next_pos().ok_or("the rule has no path")?;
        if self.views.is_empty() {
            self.views.push("[[view]]".to_owned());
        }
        let mut text = format!("[[view.rule]]\nname = {}\npath = {}", string(name), string(path));
        while let Some((key, value)) = args.next_key() {
            write!(text, "\n{key} = {value}")?;
        }
        self.views.push(text);
        Ok(())
    }

    fn place(&self, command: &Command) -> Result<String, Box<dyn Error>> {
        let rules = self.rules()?;
        let mut out = String::new();
        for placement in rules.place(&sample(command)) {
            let view = &rules.views()[placement.view];
            let rule = placement.rule.map_or("unmatched", |number| &view.rules[number].name);
            writeln!(out, "{}|{}  ({rule})", placement.stem(), &placement.path[placement.suffix_at..])?;
        }
        if out.is_empty() {
            out.push_str("hidden\n");
        }
        Ok(out)
    }
}

fn sample(command: &Command) -> Sample {
    let mut record = BTreeMap::new();
    for argument in &command.args {
        if let Argument::KeyValue(key, value) = argument {
            record.insert(key.clone(), value.clone());
        }
    }
    let stem = record.remove("@stem");
    Sample { record, stem }
}

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        let positional: Vec<&str> = command
            .args
            .iter()
            .filter_map(|argument| match argument {
                Argument::Positional(value) => Some(value.as_str()),
                _ => None,
            })
            .collect();
        match command.name.as_str() {
            "preset" => {
                let rules = RuleSet::preset(positional[0]).ok_or("no such preset")?;
                *self = Self { whole: Some(rules.to_string()), ..Self::default() };
            }
            "toml" => *self = Self { whole: Some(positional.join("\n")), ..Self::default() },
            "path" => {
                *self = Self::default();
                let rule = format!("[[view]]\n[[view.rule]]\nname = 'it'\npath = {}", string(positional[0]));
                self.views.push(rule);
            }
            "option" => self.options.push(format!("{} = {}", positional[0], positional[1])),
            "var" => self.vars.push(format!("{} = {}", positional[0], string(positional[1]))),
            "view" => {
                let unmatched =
                    positional.get(1).map_or(String::new(), |u| format!("\nunmatched = {}", string(u)));
                self.views.push(format!("[[view]]\nname = {}{unmatched}", string(positional[0])));
            }
            "new" => *self = Self::default(),
            "rule" => self.rule(command)?,
            "place" => return self.place(command),
            "labels" => return Ok(labels(&self.rules()?, &sample(command))),
            "explain" => return explain(&self.rules()?, &sample(command)),
            "properties" => return Ok(properties(&self.rules()?, &positional)),
            "show" => return Ok(self.rules()?.to_string()),
            "check" => return Ok(check(&self.text())),
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(String::new())
    }
}

fn check(text: &str) -> String {
    match RuleSet::parse(text) {
        Ok(rules) if rules.warnings().is_empty() => "ok\n".to_owned(),
        Ok(rules) => rules.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(errors) => format!("{errors}\n"),
    }
}

fn labels(rules: &RuleSet, sample: &Sample) -> String {
    let mut out = String::new();
    for placement in rules.place(sample) {
        for label in &placement.labels {
            out.push_str(&format!("{label}: {}\n", rules.labelled(&placement, label)));
        }
        out.push_str(&format!("hash: {}\n", rules.labelled(&placement, "[0a1b2c3d]")));
    }
    out
}

fn explain(rules: &RuleSet, sample: &Sample) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    for view in rules.explain(sample).views {
        writeln!(out, "view {:?}: {}", view.view, view.path.as_deref().unwrap_or("hidden"))?;
        for trial in view.tried {
            let outcome = match trial.outcome {
                Outcome::Disabled => "is switched off".to_owned(),
                Outcome::Refused(condition) => format!("does not hold: {condition}"),
                Outcome::Missing(field) => format!("lacks {field}"),
                Outcome::Placed => "placed it".to_owned(),
            };
            writeln!(out, "  {} {outcome}", trial.rule)?;
        }
        for field in view.fields {
            match (field.value, field.source) {
                (Some(value), Some(source)) => writeln!(out, "  {} = {value:?} from {source}", field.field)?,
                _ => writeln!(out, "  {} is absent", field.field)?,
            }
        }
    }
    Ok(out)
}

fn properties(rules: &RuleSet, asked: &[&str]) -> String {
    let (naming, relevant) = (rules.naming_properties(), rules.relevant_properties());
    if asked.is_empty() {
        let more: Vec<&str> = relevant.names().filter(|name| !naming.names().any(|n| n == *name)).collect();
        let naming: Vec<&str> = naming.names().collect();
        return format!("naming: {}\nattributes: {}\n", naming.join(" "), more.join(" "));
    }
    let word = |yes: bool, word: &'static str| if yes { word } else { "-" };
    let line = |name: &&str| {
        format!(
            "{name}: {} {}\n",
            word(relevant.contains(name), "relevant"),
            word(naming.contains(name), "naming")
        )
    };
    asked.iter().map(line).collect()
}
