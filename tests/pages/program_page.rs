//! connledger(8).

use std::process::Command;

use clap::CommandFactory as _;
use connledger::cli::Cli;

use super::CONNLEDGER;
use super::page::Page;

fn page() -> Page {
    Page::of("man", "connledger.8")
}

#[test]
fn it_is_sound() {
    page().check("connledger - log every TCP connection that this host makes or takes");
}

#[test]
fn it_has_the_sections() {
    for heading in [
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "COMMANDS",
        "FILTERS",
        "OUTPUTS",
        "EXAMPLES",
        "EXIT STATUS",
        "SIGNALS",
        "FILES",
        "ENVIRONMENT",
        "PRIVILEGES",
        "CAVEATS",
        "SEE ALSO",
    ] {
        assert!(page().section(heading).lines().count() > 1, "{heading}");
    }
}

/// A new option is in the page at once, below its heading of the help; so is a new command.
#[test]
fn it_has_all_options_and_commands() {
    let mut all = Cli::command();
    all.build();
    let options = page().section("OPTIONS");
    for option in all.get_arguments() {
        let long = option.get_long().unwrap();
        let stands = |line: &str| {
            let mut words = line.trim_start().split([' ', ',']);
            line.starts_with("       -") && words.any(|word| word == format!("--{long}"))
        };
        assert!(options.lines().any(stands), "no --{long} in\n{options}");
        if let Some(heading) = option.get_help_heading() {
            assert!(options.contains(&format!("\n   {heading}\n")), "no {heading}");
        }
    }
    let (synopsis, commands) = (page().section("SYNOPSIS"), page().section("COMMANDS"));
    for command in all.get_subcommands() {
        let name = command.get_name();
        assert!(synopsis.contains(&format!("connledger {name}")), "{synopsis}");
        assert!(format!("\n{commands}").contains(&format!("\n   {name}\n")), "{commands}");
    }
    for own in ["--strict", "--json", "FILE", "man-config", "fish"] {
        assert!(commands.contains(own), "no {own} in\n{commands}");
    }
}

/// What the outputs themselves say that they have.
#[test]
fn it_has_all_options_of_the_outputs() {
    for page in [page(), Page::of("man-config", "connledger.toml.5")] {
        let outputs = page.section("OUTPUTS");
        for place in ["stdout", "file:/x", "unix:/x", "unix-dgram:/x", "journald"] {
            let refused = format!("{place},xyzzy=1");
            let output = Command::new(CONNLEDGER).args(["-o", &refused]).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            let listed = said.split("it has ").nth(1).unwrap().lines().next().unwrap();
            for option in listed.trim().split(", ") {
                assert!(outputs.contains(&format!("\n       {option}=")), "no {option}: {outputs}");
            }
            assert!(outputs.contains(place.trim_end_matches("/x")), "no {place}: {outputs}");
        }
    }
}

/// Each command line of the page is one that connledger takes.
#[test]
fn its_examples_are_right() {
    let examples = page().section("EXAMPLES");
    let tracing = examples.lines().filter_map(|line| line.trim().strip_prefix("sudo connledger"));
    let mut count = 0;
    for arguments in tracing {
        // What a shell does with the output is no part of it, and not every host has services.
        let arguments = arguments.split(" | ").next().unwrap().split(" >").next().unwrap();
        let arguments = arguments.replace("/system.slice", "/");
        let script = format!("{CONNLEDGER} check {arguments}");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments}: {said}");
        count += 1;
    }
    assert!(count > 5, "{examples}");
}

/// What other files call it.
#[test]
fn the_catalog_names_it() {
    let catalog = include_str!("../../packaging/journald/connledger.catalog");
    let named: Vec<&str> =
        catalog.lines().filter_map(|line| line.strip_prefix("Documentation: man:")).collect();
    assert!(!named.is_empty() && named.iter().all(|name| *name == "connledger(8)"), "{named:?}");
}
