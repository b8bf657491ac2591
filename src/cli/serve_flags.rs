//! The flags of `serve`, made from the settings table.
//!
//! Not here: what a setting means (`config`). Must always hold: each setting with a flag parses, and no other.

use std::collections::BTreeMap;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::settings::{Fallback, Kind, SETTINGS, Setting};

/// The flags that were given, by key of their setting.
#[derive(Clone, Debug, Default)]
pub struct ServeFlags(pub BTreeMap<&'static str, String>);

impl FromArgMatches for ServeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS
            .iter()
            .filter(|s| s.flag.is_some())
            .filter_map(|s| matches.get_one::<String>(s.key).map(|value| (s.key, value.clone())));
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0.extend(Self::from_arg_matches(matches)?.0);
        Ok(())
    }
}

impl Args for ServeFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().filter_map(argument).fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(setting: &'static Setting) -> Option<Arg> {
    let argument = Arg::new(setting.key).long(setting.flag?).help(help(setting));
    Some(match setting.kind {
        Kind::Switch => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
            .hide_possible_values(true)
            .value_parser(PossibleValuesParser::new(["true", "false"])),
        Kind::Choice(choices) => {
            argument.value_name(setting.value_name).value_parser(PossibleValuesParser::new(choices))
        }
        Kind::Text
        | Kind::Secret
        | Kind::Path
        | Kind::Address
        | Kind::Port
        | Kind::Millis
        | Kind::Mode
        | Kind::Id
        | Kind::List => argument.value_name(setting.value_name),
    })
}

/// The meaning, then the variables and the default in brackets.
fn help(setting: &Setting) -> String {
    let mut text = setting.meaning.trim_end_matches('.').to_owned();
    if !setting.variables.is_empty() {
        text.push_str(&format!(" [variable: {}]", setting.variables.join(", ")));
    }
    if setting.fallback != Fallback::Value("false") {
        text.push_str(&format!(" [default: {}]", setting.fallback.shown()));
    }
    text
}
