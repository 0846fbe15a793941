//! What a page says of an option or an argument: an entry of a list.

use clap::Arg;
use clap::ArgAction;
use clap::builder::StyledStr;

use super::roff;

/// How it is written on the command line.
pub fn head(arg: &Arg) -> String {
    let value = arg.get_value_names().unwrap_or_default().iter().map(|name| roff::italic(name));
    let value = value.collect::<Vec<_>>().join(" ");
    let short = arg.get_short().map(|short| roff::bold(&format!("-{short}")));
    let long = arg.get_long().map(|long| roff::bold(&format!("--{long}")));
    match (short.into_iter().chain(long).collect::<Vec<_>>().join(", "), takes_value(arg)) {
        (names, _) if names.is_empty() => value,
        (names, true) => format!("{names} {value}"),
        (names, false) => names,
    }
}

/// Writes the head, what the long help says, and the values that there are.
pub fn write(page: &mut String, head: &str, arg: &Arg) {
    roff::line(page, ".TP");
    roff::line(page, head);
    roff::paragraphs(page, &sentences(arg.get_long_help().or(arg.get_help())), ".IP");
    if !takes_value(arg) {
        return;
    }
    let values = arg.get_possible_values();
    if !values.is_empty() {
        roff::line(page, ".RS");
        for value in values {
            roff::line(page, ".TP");
            roff::line(page, &roff::bold(value.get_name()));
            roff::paragraph(page, &sentences(value.get_help()));
        }
        roff::line(page, ".RE");
    }
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let defaults = defaults.collect::<Vec<_>>().join(",");
    if !defaults.is_empty() {
        roff::line(page, ".IP");
        roff::paragraph(page, &format!("[default: {defaults}]"));
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

/// A help's text as prose.
pub fn sentences(help: Option<&StyledStr>) -> String {
    full_stops(&help.map(ToString::to_string).unwrap_or_default())
}

/// The first sentence of a help has no full stop, as it stands in a table there.
pub fn full_stops(text: &str) -> String {
    let ended = |paragraph: &str| {
        let end = if paragraph.ends_with(['.', ']', '?']) { "" } else { "." };
        format!("{paragraph}{end}")
    };
    text.split("\n\n").map(ended).collect::<Vec<_>>().join("\n\n")
}
