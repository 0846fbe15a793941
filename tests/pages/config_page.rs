//! connledger.toml(5).

use std::fs;
use std::process::Command;

use clap::Arg;
use clap::CommandFactory as _;
use connledger::cli::Cli;
use connledger::config::NOT_IN_A_FILE;

use super::CONNLEDGER;
use super::page::Page;

fn page() -> Page {
    Page::of("man-config", "connledger.toml.5")
}

#[test]
fn it_is_sound() {
    page().check("connledger.toml - configuration of connledger");
}

/// A new option is a key at once, and has its place; only outputs have a section of their own.
#[test]
fn it_has_all_keys() {
    let keys = format!("\n{}", page().section("KEYS"));
    let command = Cli::command();
    let options: Vec<&str> = command.get_arguments().filter_map(Arg::get_long).collect();
    assert!(options.len() > 20, "{options:?}");
    for option in options {
        let is_key = !NOT_IN_A_FILE.contains(&option) && option != "output";
        assert_eq!(keys.contains(&format!("\n       {option} = ")), is_key, "{option} in {keys}");
    }
    assert!(page().section("OUTPUTS").contains("\n       to = "));
}

/// What the page shows as a file is one.
#[test]
fn its_examples_are_right() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("connledger.toml");
    let examples = page().section("EXAMPLES");
    // Between what is said of them.
    let mut files = vec![String::new()];
    for line in examples.lines() {
        match (line.strip_prefix("         "), files.last_mut()) {
            (Some(of_file), Some(file)) => file.extend([of_file, "\n"]),
            _ if line.trim().is_empty() => {}
            _ => files.push(String::new()),
        }
    }
    files.retain(|text| !text.is_empty());
    assert_eq!(files.len(), 2, "{files:?}");
    for text in files {
        fs::write(&file, &text).unwrap();
        let output =
            Command::new(CONNLEDGER).args(["check", "--config"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{text}: {said}");
    }
}
