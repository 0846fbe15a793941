//! The configuration file: TOML, its keys are the names of the long options. It is read for what the command line
//! would say in its place, and held against the options that there are; so a new option is a new key.

mod tables;
mod trusted;
mod values;

use std::path::Path;
use std::path::PathBuf;

use clap::Arg;
use clap::ArgAction;
use clap::Command;
use clap::error::ContextKind;
use clap::error::ContextValue;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

pub use self::values::Takes;
use self::values::Text;

/// Options that make no sense in a file.
pub const NOT_IN_A_FILE: [&str; 1] = ["config"];

/// The option that may be tables, too.
const OUTPUT: &str = "output";

/// A configuration file, each of its values read and found good by itself.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    settings: Vec<Setting>,
}

/// What the file says of one option.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The option's name in clap.
    id: String,
    key: String,
    /// Where the key stands, in bytes of the file.
    at: usize,
    /// At least one.
    texts: Vec<Text>,
}

/// What is wrong, and where in the file.
type Fault = (usize, String);

impl ConfigFile {
    /// Reads a file that only those could have written who may say what is traced.
    ///
    /// # Errors
    /// What is wrong with the file, or with what is in it; and where: `FILE:LINE: KEY=VALUE: REASON`.
    pub fn read(path: &Path, options: &Command) -> Result<Self, String> {
        let text = trusted::read(path).map_err(|why| format!("{} {why}", path.display()))?;
        let mut file = Self { path: path.to_owned(), text, settings: Vec::new() };
        file.settings =
            settings(&file.text, options).map_err(|(at, what)| file.locate(at, &what))?;
        Ok(file)
    }

    /// Keeps those settings whose options satisfy it.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.settings.retain(|setting| keep(&setting.id));
    }

    /// The options take their values from the file, unless the command line says something else.
    #[must_use]
    pub fn as_defaults(&self, options: Command) -> Command {
        options.mut_args(|arg| {
            match self.settings.iter().find(|setting| setting.id == arg.get_id().as_str()) {
                Some(setting) => {
                    arg.default_values(setting.texts.iter().map(|text| text.text.clone()))
                }
                None => arg,
            }
        })
    }

    /// Says where the nth value of an option stands, of which this is wrong; `None` if the file does not say it.
    #[must_use]
    pub fn blame(&self, option: &str, nth: usize, what: &str) -> Option<String> {
        let setting = self.settings.iter().find(|setting| setting.id == option)?;
        Some(self.locate(setting.texts.get(nth).map_or(setting.at, |text| text.at), what))
    }

    fn locate(&self, at: usize, what: &str) -> String {
        let before = self.text.as_bytes().iter().take(at);
        let line = 1 + before.filter(|&&byte| byte == b'\n').count();
        format!("{}:{line}: {what}", self.path.display())
    }
}

fn settings(text: &str, options: &Command) -> Result<Vec<Setting>, Fault> {
    let table = DeTable::parse(text).map_err(|err| no_toml(text, &err))?;
    let mut keys: Vec<_> = table.get_ref().iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    let mut settings: Vec<Setting> = Vec::new();
    for (key, value) in keys {
        let at = key.span().start;
        let setting = setting(key.get_ref(), at, value, options)?;
        if let Some(other) = settings.iter().find(|other| conflict(options, other, &setting)) {
            return Err((at, format!("{}: it cannot be used with {}", setting.key, other.key)));
        }
        settings.push(setting);
    }
    Ok(settings)
}

fn no_toml(text: &str, err: &toml::de::Error) -> Fault {
    let span = err.span().unwrap_or_default();
    // What it is about, if that is a word and not the rest of the file.
    let about = text.get(span.clone()).filter(|about| !about.is_empty() && !about.contains('\n'));
    let about = about.map_or_else(String::new, |about| format!(": {}", about.escape_debug()));
    (span.start, format!("{}{about}", err.message()))
}

fn setting(
    key: &str,
    at: usize,
    value: &Spanned<DeValue<'_>>,
    options: &Command,
) -> Result<Setting, Fault> {
    let known = options.get_arguments().find(|arg| arg.get_long() == Some(key));
    let arg = known.ok_or_else(|| (at, unknown(key, options)))?;
    if NOT_IN_A_FILE.contains(&key) {
        return Err((at, format!("{key}: it makes no sense in a file")));
    }
    let texts = if key == OUTPUT {
        outputs(value)?
    } else {
        values::texts(value, takes(arg)).map_err(|(at, why)| (at, format!("{key}: {why}")))?
    };
    if takes(arg) != Takes::Flag {
        check(key, &texts, options)?;
    }
    Ok(Setting { id: arg.get_id().to_string(), key: key.to_owned(), at, texts })
}

/// What the key of an option takes.
#[must_use]
pub fn takes(arg: &Arg) -> Takes {
    match arg.get_action() {
        ArgAction::Append => Takes::Many,
        ArgAction::Set => Takes::One,
        _ => Takes::Flag,
    }
}

/// Outputs as on the command line, or as tables.
fn outputs(value: &Spanned<DeValue<'_>>) -> Result<Vec<Text>, Fault> {
    let tables = match value.get_ref() {
        DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => items,
        DeValue::Table(_) => {
            return Err((value.span().start, "output: write it as [[output]]".to_owned()));
        }
        _ => {
            return values::texts(value, Takes::Many)
                .map_err(|(at, why)| (at, format!("output: {why}")));
        }
    };
    let mut texts = Vec::new();
    for (index, item) in tables.iter().enumerate() {
        let at = item.span().start;
        let output = match item.get_ref() {
            DeValue::Table(table) => tables::text(table, at),
            _ => values::text(item, Takes::One),
        };
        let name = |(at, why)| (at, format!("output {}: {why}", index + 1));
        texts.push(output.map_err(name)?);
    }
    Ok(texts)
}

/// Reads values as the command line would.
fn check(key: &str, texts: &[Text], options: &Command) -> Result<(), Fault> {
    let argument = |text: &Text| format!("--{key}={}", text.text);
    // All at once: there may be thousands of networks.
    if parse(options, texts.iter().map(argument)).is_ok() {
        return Ok(());
    }
    for text in texts {
        parse(options, [argument(text)])
            .map_err(|err| (text.at, format!("{key}={}: {}", text.text, reason(&err))))?;
    }
    Ok(())
}

fn parse(
    options: &Command,
    arguments: impl IntoIterator<Item = String>,
) -> Result<(), clap::Error> {
    options.clone().no_binary_name(true).try_get_matches_from(arguments).map(|_| ())
}

/// Why, without the frame that clap puts around it for the command line.
fn reason(err: &clap::Error) -> String {
    if let Some(cause) = std::error::Error::source(err) {
        return cause.to_string();
    }
    match err.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!("it is none of {}", values.join(", ")),
        _ => err.kind().to_string(),
    }
}

fn unknown(key: &str, options: &Command) -> String {
    // What the command line suggests for an option that is spelt wrong.
    let suggested = parse(options, [format!("--{key}")]).err().and_then(|err| {
        match err.get(ContextKind::SuggestedArg) {
            Some(ContextValue::String(option)) => Some(option.trim_start_matches('-').to_owned()),
            _ => None,
        }
    });
    let hint = suggested.map_or_else(
        || "the keys are the long options of connledger --help".to_owned(),
        |key| format!("did you mean '{key}'?"),
    );
    format!("unknown key '{}'; {hint}", key.escape_debug())
}

/// Whether two settings, both in force, cannot be.
fn conflict(options: &Command, one: &Setting, other: &Setting) -> bool {
    let in_force =
        |setting: &Setting| setting.texts.first().is_none_or(|text| text.text != "false");
    in_force(one) && in_force(other) && exclude_each_other(options, &one.id, &other.id)
}

/// Whether two options cannot be used together.
#[must_use]
pub fn exclude_each_other(options: &Command, one: &str, other: &str) -> bool {
    let excludes = |one: &str, other: &str| {
        let arg = options.get_arguments().find(|arg| arg.get_id() == one);
        arg.is_some_and(|arg| {
            options.get_arg_conflicts_with(arg).iter().any(|arg| arg.get_id() == other)
        })
    };
    excludes(one, other) || excludes(other, one)
}
