//! connledger(8): docs/man/connledger.8.in, with what the definition of the options knows better.

use clap::Arg;
use clap::Command;
use clap::CommandFactory as _;

use super::OUTPUT_OPTIONS;
use super::entry;
use super::fill;
use super::roff;
use crate::cli::Cli;
use crate::cli::epilogue;
use crate::cli::epilogue::Meaning;
use crate::cli::filters::RULE;

const PROSE: &str = include_str!("../../../docs/man/connledger.8.in");

/// The page.
pub fn page() -> String {
    let mut command = Cli::command();
    command.build();
    fill(
        PROSE,
        &[
            ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
            ("SYNOPSIS", synopsis(&command)),
            ("OPTIONS", grouped(&command)),
            ("COMMANDS", commands(&command)),
            ("FILTERS", rule()),
            ("OUTPUT_OPTIONS", OUTPUT_OPTIONS.to_owned()),
            ("EXAMPLES", examples(&[&epilogue::EXAMPLES[..], &epilogue::VERIFY_EXAMPLES].concat())),
            ("EXIT_STATUS", list(&epilogue::EXIT_CODES)),
            ("LOSSES", said(epilogue::LOSSES)),
            ("VERIFY_EXIT_STATUS", list(&epilogue::VERIFY_EXIT_CODES)),
        ],
    )
}

/// Each form of the command line, as the help has it.
fn synopsis(command: &Command) -> String {
    let all = std::iter::once(command).chain(command.get_subcommands());
    let forms = all.flat_map(|command| {
        let usage = command.clone().render_usage().to_string();
        let forms = usage.trim_start_matches("Usage: ").lines().map(|form| form.trim().to_owned());
        forms.collect::<Vec<_>>()
    });
    // Each command has its own.
    let forms: Vec<String> =
        forms.filter(|form| !form.contains("<COMMAND>")).map(|form| form_of_use(&form)).collect();
    forms.join(".br\n")
}

/// `connledger verify [OPTIONS] <FILE>...`
fn form_of_use(form: &str) -> String {
    let word = |word: &str| match word.strip_prefix('<').and_then(|word| word.split_once('>')) {
        Some((value, dots)) => format!("{}{dots}", roff::italic(value)),
        None if word.starts_with('[') => {
            format!("[{}]", roff::italic(word.trim_matches(['[', ']'])))
        }
        None => roff::bold(word),
    };
    let mut roff = form.split(' ').map(word).collect::<Vec<_>>().join(" ");
    roff.push('\n');
    roff
}

/// All options, below the headings that they have in the help.
fn grouped(command: &Command) -> String {
    let mut headings: Vec<Option<&str>> = Vec::new();
    let visible = || command.get_arguments().filter(|arg| !arg.is_hide_set());
    for arg in visible() {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    // Those of the help itself have none, and come first.
    headings.sort_by_key(Option::is_some);
    let mut page = String::new();
    for heading in headings {
        if let Some(heading) = heading {
            roff::line(&mut page, &format!(".SS {heading}"));
        }
        for arg in visible().filter(|arg| arg.get_help_heading() == heading) {
            entry::write(&mut page, &entry::head(arg), arg);
        }
    }
    page
}

fn commands(command: &Command) -> String {
    let mut page = String::new();
    for of_command in command.get_subcommands() {
        roff::line(&mut page, &format!(".SS {}", roff::plain(of_command.get_name())));
        let about = of_command.get_long_about().or(of_command.get_about());
        roff::paragraphs(&mut page, &entry::sentences(about), ".PP");
        let is_of_all =
            |arg: &Arg| command.get_arguments().any(|of_all| of_all.get_id() == arg.get_id());
        let (of_all, own): (Vec<_>, Vec<_>) = of_command
            .get_arguments()
            .filter(|arg| arg.get_id() != "help")
            .partition(|arg| is_of_all(arg));
        if !of_all.is_empty() {
            roff::line(&mut page, ".PP\nIt takes the options above.");
        }
        for arg in own {
            entry::write(&mut page, &entry::head(arg), arg);
        }
    }
    page
}

/// The rule of the filters, without its heading.
fn rule() -> String {
    let mut page = String::new();
    let paragraphs = RULE.split_once('\n').map_or(RULE, |(_, paragraphs)| paragraphs);
    roff::paragraphs(&mut page, paragraphs, ".PP");
    page
}

fn said(text: &str) -> String {
    let mut page = String::new();
    roff::paragraph(&mut page, text);
    page
}

/// Command lines, each below what it is for: none may be broken.
fn examples(examples: &[Meaning]) -> String {
    let mut page = String::new();
    for (nth, (command, meaning)) in examples.iter().enumerate() {
        if nth > 0 {
            roff::line(&mut page, ".PP");
        }
        roff::paragraph(&mut page, &format!("{}:", capitalized(meaning.trim_end_matches('?'))));
        roff::line(&mut page, &format!(".PP\n.nf\n.RS 2\n{}\n.RE\n.fi", roff::bold(command)));
    }
    page
}

fn list(meanings: &[Meaning]) -> String {
    let mut page = String::new();
    for (code, meaning) in meanings {
        roff::line(&mut page, &format!(".TP\n{}", roff::bold(code)));
        roff::paragraph(&mut page, &entry::full_stops(&capitalized(meaning)));
    }
    page
}

/// With a capital letter.
fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| format!("{}{}", first.to_uppercase(), chars.as_str()))
        .unwrap_or_default()
}
