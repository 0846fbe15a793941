//! What a package brings besides the program, made from the same definition of the options as the help: manual pages
//! and completions. The prose of the pages is in docs/man/.

mod entry;
mod keys;
mod man;
mod roff;

use clap::CommandFactory as _;
use clap::ValueEnum;
use clap_complete::Shell;

use super::Cli;

/// They are the same on the command line and in the file.
const OUTPUT_OPTIONS: &str = include_str!("../../../docs/man/output-options.in");

/// What can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Generated {
    /// The manual page connledger(8)
    Man,
    /// The manual page connledger.toml(5)
    ManConfig,
    /// Completions for bash
    Bash,
    /// Completions for zsh
    Zsh,
    /// Completions for fish
    Fish,
}

impl Generated {
    /// The text. It depends on nothing but the program.
    #[must_use]
    pub fn text(self) -> String {
        match self {
            Self::Man => man::page(),
            Self::ManConfig => keys::page(),
            Self::Bash => completions(Shell::Bash),
            Self::Zsh => completions(Shell::Zsh),
            Self::Fish => completions(Shell::Fish),
        }
    }
}

fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "connledger", &mut script);
    let script = String::from_utf8_lossy(&script);
    // In fish no value of an option would be completed before a command: without the value, argparse fails, and that
    // was taken for a line that has its command.
    script.replace("    or return\n", "    or return 0\n")
}

/// Puts what is generated in the place of its name, `@NAME@`.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let fill = |text: String, (name, part): &(&str, String)| {
        text.replace(&format!("@{name}@"), part.trim_end())
    };
    parts.iter().fold(template.to_owned(), fill)
}
