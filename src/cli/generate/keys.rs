//! connledger.toml(5): docs/man/connledger.toml.5.in, with the keys, which are the long options.

use clap::Arg;

use super::OUTPUT_OPTIONS;
use super::entry;
use super::fill;
use super::roff;
use crate::cli::layers;
use crate::config::NOT_IN_A_FILE;
use crate::config::Takes;
use crate::config::takes;

const PROSE: &str = include_str!("../../../docs/man/connledger.toml.5.in");

/// Its values are tables, of which the prose tells.
const OUTPUT: &str = "output";

/// The page.
pub fn page() -> String {
    fill(
        PROSE,
        &[
            ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
            ("KEYS", keys()),
            ("OUTPUT_OPTIONS", OUTPUT_OPTIONS.to_owned()),
        ],
    )
}

fn keys() -> String {
    let mut page = String::new();
    for arg in layers::options().get_arguments() {
        if let Some(key) =
            arg.get_long().filter(|key| !NOT_IN_A_FILE.contains(key) && *key != OUTPUT)
        {
            entry::write(&mut page, &format!("{} = {}", roff::bold(key), value(arg)), arg);
        }
    }
    page
}

/// What may stand behind the key.
fn value(arg: &Arg) -> String {
    let name =
        arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    match takes(arg) {
        Takes::Flag => format!("{}|{}", roff::bold("true"), roff::bold("false")),
        Takes::One => roff::italic(name),
        Takes::Many => format!("{0} | [{0}, ...]", roff::italic(name)),
    }
}
