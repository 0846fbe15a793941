//! The command line over the configuration file. A file changes what the options are if the command line does not say:
//! their defaults. So it is clap that reads both, and checks both, by the same definitions.

use std::path::PathBuf;

use clap::Arg;
use clap::ArgAction;
use clap::ArgMatches;
use clap::Args as _;
use clap::Command;
use clap::parser::ValueSource;

use super::Options;
use crate::config::ConfigFile;
use crate::config::exclude_each_other;

/// The option that names the file. The commands that have it are those that a file is for.
const CONFIG: &str = "config";

/// What the file says that a command line names, of what that leaves open; `None` if it names none.
///
/// # Errors
/// If the file is wrong.
pub fn file(given: &ArgMatches) -> Result<Option<ConfigFile>, String> {
    let given = given.subcommand().map_or(given, |(_, of_command)| of_command);
    let Some(path) = given.try_get_one::<PathBuf>(CONFIG).ok().flatten() else { return Ok(None) };
    let options = options();
    let mut file = ConfigFile::read(path, &options)?;
    let is_given = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let others = || options.get_arguments().map(|arg| arg.get_id().as_str());
    file.retain(|id| {
        let excluded =
            || others().any(|other| is_given(other) && exclude_each_other(&options, id, other));
        let turned_off = || {
            options
                .get_arguments()
                .any(|arg| arg.get_id() == id && is_flag(arg) && is_given(&opposite_id(id)))
        };
        !is_given(id) && !turned_off() && !excluded()
    });
    Ok(Some(file))
}

/// The options that a file can have as keys, and those that it cannot.
pub fn options() -> Command {
    Options::augment_args(Command::new("connledger")).disable_help_flag(true)
}

/// The options are what the file says, if the command line does not say.
pub fn with_defaults(command: Command, file: &ConfigFile) -> Command {
    on_each_with_a_file(command, |command| file.as_defaults(command))
}

/// Each flag gets an opposite, which turns off what the file turns on. They go without saying: the help of --config
/// tells the rule.
pub fn with_opposites(command: Command) -> Command {
    on_each_with_a_file(command, |command| {
        let opposites: Vec<Arg> =
            command.get_arguments().filter(|arg| is_flag(arg)).filter_map(opposite).collect();
        command.args(opposites)
    })
}

fn on_each_with_a_file(command: Command, change: impl Fn(Command) -> Command) -> Command {
    let change = |command: Command| {
        let has_a_file = command.get_arguments().any(|arg| arg.get_id() == CONFIG);
        if has_a_file { change(command) } else { command }
    };
    change(command).mut_subcommands(change)
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// `--no-exclude-self` for `--exclude-self`, `--loopback` for `--no-loopback`. Of the two the last one counts.
fn opposite(flag: &Arg) -> Option<Arg> {
    let long = flag.get_long()?;
    let opposite = long.strip_prefix("no-").map_or_else(|| format!("no-{long}"), str::to_owned);
    let arg = Arg::new(opposite_id(flag.get_id().as_str()));
    Some(arg.long(opposite).action(ArgAction::SetTrue).overrides_with(flag.get_id()).hide(true))
}

fn opposite_id(id: &str) -> String {
    format!("not {id}")
}
